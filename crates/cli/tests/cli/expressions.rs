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

/// Every run of such a density fails, and says why.
#[test]
fn densities_that_cannot_be_normalised() {
    let samplers = [
        "annealed-langevin",
        "baoab",
        "dilation",
        "hmc",
        "mala",
        "smc",
        "ula",
    ];
    for (formula, further) in [
        ("0*mu", ""),
        ("mu", ""),
        ("mu^2", ""),
        ("0", ""),
        ("-log(1 + mu^2)/4", ""),
        // Level beyond a limit.
        ("-log(mu)", "bounds = { lower = 0.0, upper = inf }\n"),
    ] {
        for sampler in samplers {
            let lab = Lab::new(format!(
                "draws = 400\n[target]\nkind = \"expression\"\ncoordinates = [\"mu\"]\n\
                 log_density = \"{formula}\"\n{further}[sampler]\nkind = \"{sampler}\"\n"
            ));
            let said = lab.run(&["run", "job.toml"]);
            let words = "it cannot be normalised";
            let told = match said.code {
                Some(1) => said.err.contains(words),
                Some(3) => said.out.contains(words),
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

/// A sum of which the data know nothing but the sum, and the same with priors.
#[test]
fn parameters_that_the_data_do_not_tell_apart() {
    let job = |priors: &str| {
        Lab::new(format!(
            "draws = 400\n[target]\nkind = \"expression\"\ncoordinates = [\"a\", \"b[2]\"]\n\
             log_density = \"sum(normal_lpdf(y, a + b[1], 1)) - b[2]^2{priors}\"\n\
             data = {{ y = [0.3, 1.2, 0.8] }}\n[sampler]\nkind = \"smc\"\n"
        ))
    };
    let said = job("").run(&["run", "job.toml"]).ended(3);
    let words = "does not fall off faster than 1/r along `a − b[1]`, up to";
    assert!(said.out.contains(words), "{}", said.out);
    let said = job(" + normal_lpdf(a, 0, 10)").run(&["run", "job.toml"]);
    assert!(!said.out.contains("normalised"), "{}", said.out);
}

/// What the examples sample, and a law without a mean, can be normalised.
#[test]
fn densities_that_can_be_normalised() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut jobs: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .filter(|path| {
            !path
                .file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with("bench-"))
        })
        .collect();
    assert!(jobs.len() > 5);
    let lab = Lab::new(
        "draws = 400\n[target]\nkind = \"expression\"\ncoordinates = [\"x\"]\n\
         log_density = \"-log(1 + x^2)\"\n[sampler]\nkind = \"hmc\"\n",
    );
    jobs.push(lab.path("job.toml"));
    for job in jobs {
        let job = job.to_str().unwrap();
        let said = lab.run(&["run", job, "--quick", "-o", "out", "--force"]);
        assert!(matches!(said.code, Some(0 | 3)), "{job}: {}", said.err);
        let report = lab.text("out/report.json");
        assert!(!report.contains("not_normalisable"), "{job}: {report}");
        assert!(report.contains("\"tail_evaluations\": "), "{report}");
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
