//! `certify` and `compare-schedules`: numbers known in closed form, and the error that is to blame.

use crate::lab::{Lab, NORMAL, ULA};
use serde_json::Value;

/// N(2, 1/4) under dX = −X dt + √2 dW up to T = 3.
const GAUSSIAN: &str = "draws = 100
[target]
kind = \"gaussian\"
mean = [2.0]
sd = 0.5
[process]
kind = \"ou\"
t_end = 3.0
[score]
kind = \"exact\"
[sampler]
kind = \"reverse-sde\"
grid = { spacing = \"uniform\", steps = 20 }
";
/// Two modes on the line.
const MODES: &str = "draws = 100
[target]
kind = \"gaussian-mixture\"
weights = [0.3, 0.7]
means = [[-2.0], [1.5]]
variances = [[0.25], [0.64]]
[process]
kind = \"ou\"
t_end = 3.0
[score]
kind = \"exact\"
[sampler]
kind = \"reverse-sde\"
scheme = \"frozen-score\"
grid = { spacing = \"uniform\", steps = 20 }
";

impl Lab {
    #[track_caller]
    fn certified(&self, job: &str, set: &[&str]) -> Value {
        self.write("job.toml", job);
        let mut arguments = vec!["certify", "job.toml", "--json", "--repeats", "1024"];
        set.iter().for_each(|s| arguments.extend(["--set", s]));
        self.run(&arguments).ended(0).json()["certificate"].take()
    }
}

/// A value with its standard error.
fn number(v: &Value) -> (f64, f64) {
    (
        v["value"]
            .as_f64()
            .unwrap_or_else(|| panic!("no number: {v}")),
        v["standard_error"].as_f64().unwrap(),
    )
}

#[track_caller]
fn assert_within(what: &str, v: &Value, want: f64) {
    let (value, se) = number(v);
    assert!(
        (value - want).abs() <= 4.0 * se + 1e-6 * want,
        "{what}: {value} ± {se}, expected {want}"
    );
    assert!(se < 0.05 * want, "{what}: ± {se} tells nothing");
}

#[test]
fn a_start_from_the_very_law_costs_nothing() {
    // Of what the process leaves as it is the law is the reference law at all times, so that both densities differ by
    // rounding alone, up or down.
    let normal = GAUSSIAN
        .replace("[2.0]", "[0.0, 0.0]")
        .replace("sd = 0.5", "sd = 1.0");
    let lab = Lab::new("");
    for t_end in ["1.0", "2.0", "3.0", "4.0"] {
        let c = lab.certified(&normal, &[&format!("process.t_end={t_end}")]);
        let (value, se) = number(&c["initialisation"]["kl"]);
        assert!(
            (0.0..1e-12).contains(&value) && se < 1e-12,
            "{value} ± {se}"
        );
    }
}

#[test]
fn the_gaussian_case_has_its_closed_forms() {
    let lab = Lab::new("");
    // KL(N(2e⁻³, v) ‖ N(0, 1)), v = e⁻⁶/4 + 1 − e⁻⁶.
    let decay = (-3.0f64).exp();
    let v = 1.0 - 0.75 * decay * decay;
    let start = 0.5 * (v + 4.0 * decay * decay - 1.0 - v.ln());
    for (scheme, steps, bound) in [
        ("euler-maruyama", 20, 0.28959639057662),
        ("euler-maruyama", 80, 0.081087091631206),
        ("frozen-score", 10, 1.2272314761258),
        ("frozen-score", 40, 0.36415658098864),
    ] {
        let scheme = format!("sampler.scheme={scheme}");
        let steps = format!("sampler.grid.steps={steps}");
        let c = lab.certified(GAUSSIAN, &[&scheme, &steps]);
        assert_within(
            &format!("{scheme} {steps}"),
            &c["discretisation"]["kl"],
            bound,
        );
        let (kl, _) = number(&c["initialisation"]["kl"]);
        assert!((kl / start - 1.0).abs() < 1e-6, "{kl} {start}");
        assert_eq!(number(&c["score"]["kl"]), (0.0, 0.0));
        assert_eq!(c["dominant"]["origin"], "discretisation");
    }
}

#[test]
fn a_constant_bias_of_the_score_costs_what_it_must() {
    let lab = Lab::new("");
    let job = GAUSSIAN.replace("kind = \"exact\"", "kind = \"perturbed\"\nbias = 0.1");
    let c = lab.certified(&job, &["sampler.scheme=frozen-score"]);
    // ½ ∫ g² b² dt = 0.01 T.
    let (value, _) = number(&c["score"]["kl"]);
    assert!((value - 0.03).abs() < 1e-9, "{value}");
}

#[test]
fn the_error_that_dominates_is_named() {
    let lab = Lab::new("");
    let biased = MODES.replace("kind = \"exact\"", "kind = \"perturbed\"\nbias = 1.0");
    let cases = [
        (
            MODES,
            vec!["process.t_end=0.3", "sampler.grid.steps=400"],
            "initialisation",
        ),
        (
            biased.as_str(),
            vec!["sampler.grid.steps=400", "process.t_end=5.0"],
            "score",
        ),
        (
            MODES,
            vec!["sampler.grid.steps=8", "process.t_end=5.0"],
            "discretisation",
        ),
    ];
    for (job, set, origin) in cases {
        let c = lab.certified(job, &set);
        assert_eq!(c["dominant"]["origin"], origin, "{c:#}");
        // The same for a deterministic sampler, by the effect on its draws: never a bound by Girsanov.
        let flow = job.replace(
            "kind = \"reverse-sde\"\nscheme = \"frozen-score\"",
            "kind = \"probability-flow\"",
        );
        let c = lab.certified(&flow, &set);
        assert_eq!(c["dominant"]["origin"], origin, "{c:#}");
        assert!(c["girsanov"].is_null() && c["kl_bound"].is_null());
        assert!(c["no_girsanov"].as_str().unwrap().contains("deterministic"));
    }
}

#[test]
fn the_observed_order_is_that_of_the_method() {
    let lab = Lab::new("");
    for (method, order) in [("euler", 1.0), ("heun", 2.0), ("rk4", 4.0)] {
        let flow = MODES.replace(
            "kind = \"reverse-sde\"\nscheme = \"frozen-score\"",
            &format!("kind = \"probability-flow\"\nmethod = \"{method}\""),
        );
        let set = [
            "sampler.grid.steps=40",
            "sampler.grid.t_min=0.05",
            "sampler.grid.to_zero=false",
        ];
        let c = lab.certified(&flow, &set);
        let seen = c["order"]["order"].as_f64().unwrap();
        assert!((seen - order).abs() < 0.35, "{method}: {seen}");
    }
}

#[test]
fn grids_change_places_as_the_score_gets_worse() {
    let lab = Lab::new("");
    let job = "draws = 100
[target]
kind = \"gaussian-mixture\"
weights = [0.2, 0.3, 0.15, 0.35]
means = [[-0.9], [-0.3], [0.25], [0.7]]
sd = 0.002
[process]
kind = \"edm\"
[score]
kind = \"perturbed\"
size = 1.0
profile = \"low-noise\"
length = 1e-4
features = 512
[sampler]
kind = \"reverse-sde\"
scheme = \"frozen-score\"
grid = { to_zero = false }
";
    lab.write("job.toml", job);
    let said = lab.run(&[
        "compare-schedules",
        "job.toml",
        "--spacings",
        "geometric,edm",
        "--steps",
        "10",
        "--repeats",
        "1024",
        "--paths",
        "8192",
        "--picture",
        "steps.svg",
    ]);
    // One number of steps makes no picture.
    assert!(said.ended(1).err.contains("two numbers of steps"));
    let said = lab.run(&[
        "compare-schedules",
        "job.toml",
        "--json",
        "--spacings",
        "geometric,edm",
        "--steps",
        "10,20",
        "--repeats",
        "1024",
        "--paths",
        "8192",
        "--picture",
        "steps.svg",
    ]);
    let all = said.ended(0).json()["schedules"].take();
    let rows = all["rows"].as_array().unwrap();
    let want = [5.1340, 3.3431, 5.2382, 3.5828];
    for (row, want) in rows.iter().zip(want) {
        let (value, se) = number(&row["e_d"]);
        assert!(
            (value - want).abs() < 4.0 * se && se < 0.05 * want,
            "{row}: expected {want}"
        );
    }
    // The field of the error is one of many; its share is met to a tenth.
    for (row, want) in [(&rows[0], 1.4851), (&rows[2], 0.8686)] {
        let (value, _) = number(&row["e_s"]);
        assert!((value / want - 1.0).abs() < 0.1, "{row}: expected {want}");
    }
    let crossover = &all["crossovers"][0];
    assert_eq!(
        (&crossover["below"], &crossover["above"]),
        (&"geometric".into(), &"edm".into())
    );
    let alpha2 = crossover["alpha2"].as_f64().unwrap();
    assert!((alpha2 - 0.169).abs() < 0.12, "{alpha2}");
    assert!(lab.text("steps.svg").contains("<svg"));
}

#[test]
fn what_cannot_be_certified_is_refused() {
    let lab = Lab::new("");
    lab.write("job.toml", format!("draws = 10\n{NORMAL}{ULA}"));
    let said = lab.run(&["certify", "job.toml"]).ended(1);
    assert!(
        said.err.contains("a forward process") && said.err.contains("[process]"),
        "{}",
        said.err
    );
    let job = GAUSSIAN
        .replace("reverse-sde", "ula")
        .replace("grid = { spacing = \"uniform\", steps = 20 }\n", "");
    lab.write("job.toml", &job);
    let said = lab.run(&["certify", "job.toml"]).ended(1);
    assert!(
        said.err.contains("runs a forward process backwards"),
        "{}",
        said.err
    );
}
