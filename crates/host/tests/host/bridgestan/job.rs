//! The target in a job: files beside it, its own output, the mistake at its place.

use super::{folder, log_evidence, registry};
use retrograde_core::SimdLevel;
use retrograde_job::config::Document;
use retrograde_job::{Finished, JobError, Options, Plan, Silent, run};
use retrograde_testkit::assert_z;
use sha2::{Digest, Sha256};
use std::path::Path;

fn job(folder: &Path, threads: usize, file: &str) -> String {
    let directory = folder.join("run").display().to_string();
    format!(
        r#"
seed = 3
draws = 1000
threads = {threads}

[target]
kind = "bridgestan"
library = "model.so"
data = "{file}"
generated_quantities = true

[sampler]
kind = "smc"
base_sd = 2.0

[output]
directory = "{directory}"
formats = ["npy", "csv", "cmdstan"]
"#
    )
}

fn result(folder: &Path, text: &str) -> Result<Finished, JobError> {
    let document = Document::parse("job.toml", text)?;
    let plan = Plan::new(&document, &registry(), folder)?;
    let options = Options {
        force: true,
        cancel: Default::default(),
        threads: None,
        simd: SimdLevel::best(),
    };
    let mut monitor = Silent;
    run(
        &document,
        &plan,
        "job",
        None,
        folder,
        &options,
        &mut monitor,
    )
}

#[test]
fn a_job_samples_a_model_and_records_its_files() {
    let folder = folder("job", &[]);
    let read = |name: &str| std::fs::read_to_string(folder.join("run").join(name)).unwrap();
    result(&folder, &job(&folder, 1, "data.json")).unwrap();
    let draws = read("draws.csv");
    let head = draws.lines().next().unwrap();
    assert!(
        head.starts_with("chain,draw,mu_unc,sigma_unc,mu,sigma,y_new,"),
        "{head}"
    );
    assert!(read("cmdstan-1.csv").contains(",mu_unc,sigma_unc,mu,sigma,y_new\n"));
    let row: Vec<f64> = draws
        .lines()
        .nth(7)
        .unwrap()
        .split(',')
        .map(|v| v.parse().unwrap())
        .collect();
    assert!(
        (row[4] - row[2]).abs() < 1e-12 && (row[5] - row[3].exp()).abs() < 1e-12,
        "{row:?}"
    );
    let report: serde_json::Value = serde_json::from_str(&read("report.json")).unwrap();
    let (value, se) = (&report["log_z"]["value"], &report["log_z"]["se"]);
    let (value, se) = (value.as_f64().unwrap(), se.as_f64().unwrap());
    assert_z("log Z of the job", value, log_evidence(), se);

    // The library and the data are what the run depends on, byte for byte.
    let manifest: serde_json::Value = serde_json::from_str(&read("manifest.json")).unwrap();
    let recorded = |name: &str| {
        let files = manifest["files"].as_array().unwrap();
        let is = |f: &&serde_json::Value| f["path"].as_str().unwrap().ends_with(name);
        files.iter().find(is).unwrap()["sha256"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for name in ["model.so", "data.json"] {
        let digest = Sha256::digest(std::fs::read(folder.join(name)).unwrap());
        let digest: String = digest.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(recorded(name), digest, "{name}");
    }

    // All of it again on two threads.
    result(&folder, &job(&folder, 2, "data.json")).unwrap();
    assert!(read("draws.csv") == draws, "two threads give other bits");
}

#[test]
fn a_mistake_is_shown_at_its_place_in_the_job() {
    let folder = folder("place", &[]);
    std::fs::write(folder.join("other.json"), "{}").unwrap();
    let mistake = |file| match result(&folder, &job(&folder, 1, file)) {
        Ok(_) => panic!("{file} was taken"),
        Err(e) => e.to_string(),
    };
    let error = mistake("other.json");
    assert!(error.contains("job.toml:9:8"), "{error}");
    assert!(error.contains("variable name=y"), "{error}");
    let error = mistake("no.json");
    assert!(
        error.contains("cannot read") && error.contains("job.toml:9:8"),
        "{error}"
    );
    // A file of its own: a library that is loaded may not change beneath itself.
    std::fs::remove_file(folder.join("model.so")).unwrap();
    std::fs::write(folder.join("model.so"), "text").unwrap();
    let error = mistake("data.json");
    assert!(
        error.contains("job.toml:8:11") && error.contains("has changed since"),
        "{error}"
    );
}
