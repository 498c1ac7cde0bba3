//! Formulas as a user meets them: what is said of a mistake, what `describe` tells, and what a run
//! says of a density that cannot be normalised or is not defined everywhere.

use crate::lab::{Lab, ULA};
use insta::assert_snapshot;

const TARGET: &str =
    "[target]\nkind = \"expression\"\ncoordinates = [\"mu\", \"sigma\", \"x[3]\"]\n";
const DATA: &str = "constants = { c = 2 }\ndata = { y = [1, 2, 3, 4], t = [1, 2, 3] }\n";

/// What is said of a job with that formula.
fn told(formula: &str) -> String {
    let lab = Lab::new(format!("{TARGET}log_density = {formula}\n{DATA}{ULA}"));
    lab.run(&["run", "job.toml"]).ended(2);
    assert_eq!(lab.names("."), ["job.toml"]);
    lab.transcript(&["check", "job.toml"])
}

#[test]
fn formulas_with_a_mistake() {
    let cases = [
        ("unknown name", "\"-0.5*((mu - 1)/sgima)^2\""),
        ("unknown function", "\"exq(mu)\""),
        ("wrong number of arguments", "\"normal_lpdf(mu, 1)\""),
        ("vectors of different length", "\"sum(y - mu*t)\""),
        ("a vector", "\"normal_lpdf(y, mu, 1)\""),
        ("no such element", "\"x[1] + x[4]\""),
        ("bracket", "\"-(mu^2 + (sigma - 1)^2\""),
        ("no operator", "\"-2mu^2\""),
        ("assignment", "\"if(mu = 1, 0, -inf)\""),
        ("character", "\"mu @ 2\""),
        ("empty", "\"\""),
        (
            "of several lines",
            "'''\na = mu - sigma;\nb = exp(a)*;\n-a^2 - b^2\n'''",
        ),
        ("name taken", "\"mu = 3; -mu^2\""),
    ];
    let all: Vec<String> = cases
        .iter()
        .map(|(title, formula)| format!("──── {title}\n{}", told(formula)))
        .collect();
    assert_snapshot!("formulas_with_a_mistake", all.join("\n"));
}

#[test]
fn long_and_deep_formulas_are_refused_in_words() {
    for formula in ["(".repeat(10_000), "-".repeat(10_000), "exp(".repeat(3000)] {
        let lab = Lab::new(format!("{TARGET}log_density = \"{formula}mu\"\n{ULA}"));
        let said = lab.run(&["run", "job.toml"]).ended(2);
        assert!(said.err.contains("nested deeper than 200"), "{}", said.err);
    }
    let long = format!(
        "-0.5*(mu^2 + sigma^2 + dot(x, x)){}",
        " + 0*mu".repeat(2000)
    );
    assert!(long.len() > 10_000);
    let lab = Lab::new(format!("{TARGET}log_density = \"{long}\"\n{ULA}"));
    lab.run(&["check", "--gradient", "job.toml"]).ended(0);
}

#[test]
fn settings_with_a_mistake() {
    let cases = [
        ("no coordinates", "coordinates = []\nlog_density = \"1\"\n"),
        ("bad name", "coordinates = [\"2x\"]\nlog_density = \"1\"\n"),
        (
            "name twice",
            "coordinates = [\"x\", \"x[3]\"]\nlog_density = \"sum(x)\"\n",
        ),
        (
            "name of a function",
            "coordinates = [\"exp\"]\nlog_density = \"1\"\n",
        ),
        (
            "empty data",
            "coordinates = [\"x\"]\nlog_density = \"x\"\ndata = { y = [] }\n",
        ),
        (
            "a word in the data",
            "coordinates = [\"x\"]\nlog_density = \"x\"\ndata = { y = [1, \"two\"] }\n",
        ),
        (
            "data for a coordinate",
            "coordinates = [\"x\"]\nlog_density = \"x\"\ndata = { x = [1] }\n",
        ),
        (
            "file without columns",
            "coordinates = [\"x\"]\nlog_density = \"x\"\nfile = \"data.csv\"\n",
        ),
        (
            "columns without file",
            "coordinates = [\"x\"]\nlog_density = \"x\"\ncolumns = { y = \"a\" }\n",
        ),
        (
            "unknown column",
            "coordinates = [\"x\"]\nlog_density = \"x\"\nfile = \"data.csv\"\ncolumns = { y = \"hieght\" }\n",
        ),
        (
            "a word in a column",
            "coordinates = [\"x\"]\nlog_density = \"x\"\nfile = \"data.csv\"\ncolumns = { y = \"name\" }\n",
        ),
        (
            "no file",
            "coordinates = [\"x\"]\nlog_density = \"x\"\nfile = \"nowhere.csv\"\ncolumns = { y = \"a\" }\n",
        ),
        (
            "misspelt key",
            "coordinates = [\"x\"]\nlogdensity = \"x\"\n",
        ),
    ];
    let all: Vec<String> = cases
        .iter()
        .map(|(title, target)| {
            let lab = Lab::new(format!("[target]\nkind = \"expression\"\n{target}{ULA}"));
            lab.write("data.csv", "height,name\n1.5,ann\n1.7,bob\n");
            lab.run(&["run", "job.toml"]).ended(2);
            format!("──── {title}\n{}", lab.transcript(&["check", "job.toml"]))
        })
        .collect();
    assert_snapshot!("settings_of_expressions_with_a_mistake", all.join("\n"));
}

#[test]
fn describe_teaches_the_language() {
    let said = Lab::new("").run(&["describe", "expression"]).ended(0);
    let out = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "log_density (string, required)",
        "if(c, a, b)",
        "normal_lpdf(x, m, s)",
        "log_sum_exp",
    ] {
        assert!(out.contains(words), "{words}: {}", said.out);
    }
}

/// No run of such a density passes for a sound one: it ends with an error, or its report warns.
#[test]
fn densities_that_cannot_be_normalised() {
    for formula in ["0*mu", "mu", "mu^2", "0"] {
        for sampler in ["hmc", "mala", "smc"] {
            let lab = Lab::new(format!(
                "draws = 400\n[target]\nkind = \"expression\"\ncoordinates = [\"mu\"]\n\
                 log_density = \"{formula}\"\n[sampler]\nkind = \"{sampler}\"\n"
            ));
            let said = lab.run(&["run", "job.toml"]);
            let told = match said.code {
                Some(1) => said.err.contains("sampler"),
                Some(3) => said.out.contains("FAIL"),
                Some(0) => {
                    said.out.contains("WARN  divergences") || said.out.contains("WARN  acceptance")
                }
                _ => false,
            };
            assert!(
                told,
                "{formula}, {sampler}: {:?}\n{}{}",
                said.code, said.out, said.err
            );
        }
    }
}

#[test]
fn a_density_that_is_not_defined_everywhere() {
    let job = |formula: &str| {
        Lab::new(format!(
            "draws = 400\n[target]\nkind = \"expression\"\ncoordinates = [\"mu\"]\n\
             log_density = \"{formula}\"\n[sampler]\nkind = \"ula\"\n"
        ))
    };
    // Half of the start has no logarithm: the run stops and says what to write.
    let lab = job("log(mu) - mu");
    let said = lab.run(&["run", "job.toml"]);
    assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
    assert!(said.err.contains("is not finite"), "{}", said.err);
    assert!(
        said.err
            .contains("return −inf where there is no mass, set `bounds`"),
        "{}",
        said.err
    );
}
