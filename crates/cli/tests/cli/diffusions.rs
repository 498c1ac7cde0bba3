//! Jobs that run a process backwards: mistakes in them, and what their reports say.

use crate::lab::Lab;

const MODES: &str = "draws = 64
[target]
kind = \"gaussian-mixture\"
means = [[-1.0], [1.0]]
sd = 0.5
";
const TILTED: &str = "draws = 64
[target]
kind = \"tilted-mixture\"
base = { means = [[-1.0], [0.6]], sd = 0.3 }
directions = [[1.0], [-1.0]]
[process]
kind = \"benes\"
[score]
kind = \"exact\"
";
const EDM: &str = "[process]\nkind = \"edm\"\n[score]\nkind = \"exact\"\n";

#[test]
fn mistakes_are_named_with_what_would_be_right() {
    let edm = |sampler: &str| format!("{MODES}{EDM}[sampler]\n{sampler}\n");
    let cases: Vec<(String, &[&str])> = vec![
        (edm("kind = \"edm\"\ngrid = { sigma_min = 90.0 }"), &["grid.sigma_min", "90"]),
        (edm("kind = \"edm\"\ngrid = { rho = 0.0 }"), &["rho"]),
        (edm("kind = \"edm\"\ngrid = { steps = 0 }"), &["steps"]),
        (
            edm("kind = \"edm\"\ngrid = { spacing = \"list\", times = [0.1, 1.0] }"),
            &["grid.times"],
        ),
        (edm("kind = \"edm\"\ngrid = { spacing = \"lst\" }"), &["list"]),
        (
            edm("kind = \"rd-f\"\nback = { rule = \"multiple\", multiple = 0.5 }"),
            &["multiple"],
        ),
        (
            edm("kind = \"rd-s\"\nback = { rule = \"infinite\" }"),
            &["back.rule", "rd-f takes all"],
        ),
        (edm("kind = \"ddim\"\nweights = \"path\""), &["weights", "not every step"]),
        (edm("kind = \"ddim\"\nweights = \"hutchinson\""), &["weights", "jacobian"]),
        (edm("kind = \"reverse-sde\"\nweights = \"jacobian\""), &["weights", "path"]),
        (
            edm("kind = \"edm\"\nchurn = 10.0\nweights = \"jacobian\""),
            &["weights", "churn"],
        ),
        (
            edm("kind = \"ddim\"\nnoise_parts = 3\ngrid = { refine = 2 }"),
            &["noise_parts", "multiple of"],
        ),
        (
            format!("{TILTED}[sampler]\nkind = \"ddim\"\n"),
            &["sampler ddim needs", "α(t) x_0", "flow-matching"],
        ),
        (
            format!("{TILTED}[sampler]\nkind = \"rd-f\"\ngrid = {{ spacing = \"edm\" }}\n"),
            &["grid.spacing"],
        ),
        (
            format!("{MODES}[score]\nkind = \"exact\"\n[sampler]\nkind = \"edm\"\n"),
            &["needs a [process] table"],
        ),
        (
            "[target]\nkind = \"eight-schools\"\n[process]\nkind = \"vp\"\n[score]\nkind = \"exact\"\n\
             [sampler]\nkind = \"ddim\"\n"
                .into(),
            &["a law in closed form", "monte-carlo"],
        ),
        (
            format!("{MODES}[process]\nkind = \"benes\"\n[score]\nkind = \"exact\"\n[sampler]\nkind = \"rd-f\"\n"),
            &["benes", "directions"],
        ),
    ];
    for (job, says) in cases {
        let said = Lab::new(&job).run(&["check", "job.toml"]).ended(2);
        for word in says {
            assert!(said.err.contains(word), "{word}\n{job}\n{}", said.err);
        }
    }
}

#[test]
fn data_outside_of_a_process_are_named_by_row() {
    let job = format!(
        "{MODES}[process]\nkind = \"cir\"\n[score]\nkind = \"reference\"\n[sampler]\nkind = \"rd-f\"\n\
         start = \"exact\"\n"
    );
    let said = Lab::new(job)
        .run(&["run", "job.toml", "-o", "out"])
        .ended(1);
    assert!(
        said.err.contains("of the target, coordinate 0")
            && said.err.contains("of 64 draws are outside"),
        "{}",
        said.err
    );
}

#[test]
fn a_rule_with_a_wrong_limit_runs_and_says_so() {
    let back = "back = { rule = \"multiple\", multiple = 4.0 }";
    let job = format!("{TILTED}[sampler]\nkind = \"rd-f\"\nstart = \"exact\"\n{back}\n");
    let lab = Lab::new(job);
    let said = lab.run(&["run", "job.toml", "-o", "out"]);
    assert!(matches!(said.code, Some(0 | 3)), "{}", said.err);
    assert!(said.out.contains("too large by 7.18 %"), "{}", said.out);
    assert!(lab.text("out/report.html").contains("From noise to data"));
}

#[test]
fn weights_of_the_draws_give_log_z_in_the_report() {
    let job = format!(
        "{}{EDM}[sampler]\nkind = \"edm\"\nweights = \"jacobian\"\ngrid = {{ steps = 30 }}\n[expect]\nlog_z = 2.5\n",
        MODES
            .replace("draws = 64", "draws = 2000")
            .replace("sd = 0.5", "sd = 0.5\nlog_z = 2.5")
    );
    let lab = Lab::new(job);
    lab.run(&["run", "job.toml", "-o", "out"]).ended(0);
    let z = &lab.json("out/report.json")["log_z"];
    let (value, se) = (z["value"].as_f64().unwrap(), z["se"].as_f64().unwrap());
    assert!(
        (value - 2.5).abs() < 4.0 * se + 1e-9 && se < 0.05,
        "{value} ± {se}"
    );
    assert!(lab.path("out/log_weights.npy").exists());
}
