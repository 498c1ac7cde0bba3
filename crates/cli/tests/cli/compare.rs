//! `compare`: which of two runs is nearer to the truth, and what it refuses.

use crate::lab::{Lab, NORMAL, ULA};
use insta::assert_snapshot;
use serde_json::Value;

/// Four modes of unequal weights, far apart.
const MODES: &str = "[target]
kind = \"gaussian-mixture\"
means = [[-4, -4], [-4, 4], [4, -4], [4, 4]]
weights = [0.1, 0.2, 0.3, 0.4]
sd = 0.7
";
const SMC: &str = "[sampler]\nkind = \"smc\"\nbase_sd = 5\n";
/// Langevin chains that never leave the mode they start in.
const STUCK: &str = "[sampler]\nkind = \"ula\"\nstep_size = 0.05\nstart_mean = 4\nstart_sd = 0.1\n";

impl Lab {
    /// Runs a job into the directory of that name.
    #[track_caller]
    fn make(&self, name: &str, job: &str) {
        let file = format!("{name}.toml");
        self.write(&file, job);
        self.run(&["run", &file, "-o", name]).done();
    }

    #[track_caller]
    fn compared(&self, a: &str, b: &str) -> Value {
        self.run(&["compare", a, b, "--json"]).ended(0).json()["comparison"].take()
    }
}

impl crate::lab::Said {
    /// A run that came to its end, whatever its diagnostics say.
    #[track_caller]
    fn done(self) {
        assert!(
            matches!(self.code, Some(0 | 3)),
            "{}\n{}",
            self.out,
            self.err
        );
    }
}

fn job(target: &str, sampler: &str, draws: u32, seed: u32) -> String {
    format!("draws = {draws}\nseed = {seed}\n{target}{sampler}")
}

/// Multiples of the noise floor of run `who` by every distance.
fn times<'a>(c: &'a Value, who: &'a str) -> impl Iterator<Item = f64> + 'a {
    let distances = c["distances"].as_array().unwrap();
    assert_eq!(distances.len(), 4);
    distances
        .iter()
        .map(move |d| d["to_truth"][who]["times_floor"].as_f64().unwrap())
}

#[test]
fn the_run_that_finds_all_modes_is_nearer_than_the_one_that_is_stuck() {
    let lab = Lab::new("");
    lab.make("smc", &job(MODES, SMC, 500, 1));
    lab.make("ula", &job(MODES, STUCK, 500, 1));
    let c = lab.compared("smc", "ula");
    assert_eq!(c["verdict"]["nearer"], "a");
    assert_eq!(c["floor"], "exact-pairs");
    assert!(times(&c, "a").all(|t| t < 1.6), "{c}");
    assert!(times(&c, "b").all(|t| t > 2.5), "{c}");
    assert_eq!(
        (&c["modes"]["a"]["found"], &c["modes"]["b"]["found"]),
        (&4.into(), &1.into())
    );
    assert_eq!(c["modes"]["b"]["missed"], serde_json::json!([0, 1, 2]));
    // All weight on the mode of weight 0.4.
    assert!((c["modes"]["b"]["weight_error"].as_f64().unwrap() - 0.6).abs() < 1e-9);
    assert!(c["modes"]["a"]["weight_error"].as_f64().unwrap() < 0.06);
    let x0 = &c["coordinates"][0];
    assert!(x0["mean_z"].as_f64().unwrap() < -5.0, "{c}");
    assert!((x0["true_mean"].as_f64().unwrap() - 1.6).abs() < 1e-12);
    assert!(c["log_z"]["value"]["a"].as_f64().unwrap().abs() < 0.2);
    assert!(c["log_z"]["value"]["b"].is_null() && c["log_z"]["difference"].is_null());

    // The other way round it is the same, by other names.
    let turned = lab.compared("ula", "smc");
    assert_eq!(turned["verdict"]["nearer"], "b");
    assert!(times(&turned, "a").eq(times(&c, "b")));

    let text = lab.run(&["compare", "smc", "ula"]).ended(0).out;
    assert!(text.contains("\nA is nearer to the truth: by "), "{text}");
    assert!(
        text.contains("A finds 4 of 4 modes, B finds 1 of 4 modes."),
        "{text}"
    );
    assert!(text.contains("B misses 0, 1, 2 (counted from 0)"), "{text}");
}

/// Well mixed chains on a target with one mode.
#[test]
fn equal_runs_and_good_runs_cannot_be_told_apart() {
    const HMC: &str = "[sampler]\nkind = \"hmc\"\nthin = 5\n";
    let lab = Lab::new("");
    lab.make("one", &job(NORMAL, HMC, 500, 1));
    lab.make("two", &job(NORMAL, HMC, 500, 2));
    lab.make("smc", &job(NORMAL, "[sampler]\nkind = \"smc\"\n", 500, 2));
    let same = lab.compared("one", "one");
    assert!(same["verdict"]["nearer"].is_null() && same["log_z"].is_null());
    for d in same["distances"].as_array().unwrap() {
        assert!(d["between"]["value"].as_f64().unwrap() < 1e-9, "{d}");
        assert_eq!(d["to_truth"]["a"], d["to_truth"]["b"]);
    }
    let c = lab.compared("one", "two");
    assert!(times(&c, "a").chain(times(&c, "b")).all(|t| t < 1.6), "{c}");
    let same = lab.compared("smc", "smc");
    assert_eq!(same["log_z"]["difference"], 0.0);
    assert!(same["log_z"]["difference_se"].as_f64().unwrap() > 0.0);
}

/// Weights that have nothing to do with the draws leave their law as it is; weights that prefer large x0 do not.
#[test]
fn weights_of_draws_count() {
    let lab = Lab::new("");
    let smc = "[sampler]\nkind = \"smc\"\n";
    lab.make("plain", &job(NORMAL, smc, 800, 1));
    for name in ["free", "tilted"] {
        lab.make(name, &job(NORMAL, smc, 800, 2));
    }
    lab.make(
        "line",
        &job(
            "[target]\nkind = \"standard-normal\"\ndim = 1\n",
            smc,
            800,
            3,
        ),
    );
    lab.write("free/log_weights.npy", lab.read("line/draws.npy"));
    let draws = lab.read("tilted/draws.npy");
    let (_, x) = crate::lab::npy(&draws);
    let header = lab.read("line/draws.npy")[..128].to_vec();
    let tilt = x.chunks(2).flat_map(|x| (2.0 * x[0]).to_le_bytes());
    lab.write(
        "tilted/log_weights.npy",
        header.into_iter().chain(tilt).collect::<Vec<u8>>(),
    );
    let c = lab.compared("plain", "free");
    assert!(c["runs"]["b"]["weighted"] == true && c["coordinates"][0]["sd_z"].is_null());
    assert!(
        c["coordinates"][0]["mean_z"].as_f64().unwrap().abs() < 4.0,
        "{c}"
    );
    // The weights cost draws: (E w)²/E w² = 1/e.
    assert!(times(&c, "b").all(|t| t < 3.0), "{c}");
    let c = lab.compared("plain", "tilted");
    assert!(
        c["verdict"]["nearer"] == "a" && times(&c, "b").all(|t| t > 3.0),
        "{c}"
    );
    assert!(
        (c["coordinates"][0]["mean"]["b"].as_f64().unwrap() - 2.0).abs() < 0.6,
        "{c}"
    );
}

#[test]
fn the_same_runs_give_the_same_bytes_on_any_number_of_threads() {
    let lab = Lab::new("");
    lab.make("smc", &job(MODES, SMC, 300, 1));
    lab.make("ula", &job(MODES, STUCK, 300, 1));
    let all = ["1", "2", "7"].map(|threads| {
        let mut command = lab.command(&["compare", "smc", "ula", "--json"]);
        command.env("RAYON_NUM_THREADS", threads);
        let said = crate::lab::Said::new(&command.output().unwrap()).ended(0);
        assert_eq!(said.json()["schema_version"], 1);
        said.out
    });
    assert!(all[0] == all[1] && all[0] == all[2]);
}

#[test]
fn without_exact_draws_only_the_difference_of_the_runs_is_told() {
    let bounds = "bounds = { lower = [0, -inf] }\n";
    let target = format!("{NORMAL}{bounds}");
    let ula = |step: &str| format!("{ULA}step_size = {step}\nchains = 250\n");
    let lab = Lab::new("");
    lab.make("one", &job(&target, &ula("0.02"), 250, 1));
    lab.make("two", &job(&target, &ula("0.02"), 250, 2));
    // A step so long that the variance is twice as large.
    lab.make("off", &job(&target, &ula("1.0"), 250, 3));
    let c = lab.compared("one", "two");
    assert_eq!(c["floor"], "divisions");
    assert!(c["no_truth"].as_str().unwrap().contains("bounds"));
    assert!(c["modes"].is_null() && c["distances"][0]["to_truth"].is_null());
    let times = |c: &Value| -> Vec<f64> {
        let all = c["distances"].as_array().unwrap();
        all.iter()
            .map(|d| d["between"]["times_floor"].as_f64().unwrap())
            .collect()
    };
    assert!(times(&c).iter().all(|t| *t < 1.6), "{c}");
    let c = lab.compared("one", "off");
    assert!(
        c["verdict"]["nearer"].is_null() && times(&c)[0] > 1.5,
        "{c}"
    );
    assert!(
        c["verdict"]["text"]
            .as_str()
            .unwrap()
            .starts_with("The runs differ"),
        "{c}"
    );
}

#[test]
fn refusals() {
    let lab = Lab::new("");
    lab.make("good", &job(NORMAL, ULA, 40, 1));
    lab.make(
        "wide",
        &job(
            "[target]\nkind = \"gaussian\"\ndim = 2\nsd = 2.0\n",
            ULA,
            40,
            1,
        ),
    );
    lab.make(
        "three",
        &job(
            "[target]\nkind = \"standard-normal\"\ndim = 3\n",
            ULA,
            40,
            1,
        ),
    );
    lab.make("few", &job(NORMAL, ULA, 8, 1));
    let csv = format!("{ULA}[output]\nformats = [\"csv\"]\n");
    lab.make("csv", &job(NORMAL, &csv, 40, 1));
    for name in ["killed", "stopped", "edited", "broken", "nan", "shape"] {
        lab.make(name, &job(NORMAL, ULA, 40, 1));
    }
    std::fs::remove_file(lab.path("killed/report.json")).unwrap();
    let report = lab.text("stopped/report.json");
    lab.write(
        "stopped/report.json",
        report.replace("\"complete\": true", "\"complete\": false"),
    );
    let edited = lab
        .text("edited/job.toml")
        .replace("dim = 2", "dim = 2 # two");
    lab.write("edited/job.toml", edited);
    let draws = lab.read("broken/draws.npy");
    lab.write("broken/draws.npy", &draws[..draws.len() - 3]);
    let mut draws = lab.read("nan/draws.npy");
    let last = draws.len() - 8;
    draws[last..].copy_from_slice(&f64::NAN.to_le_bytes());
    lab.write("nan/draws.npy", draws);
    let wide = lab.read("three/draws.npy");
    lab.write("shape/draws.npy", wide);
    std::fs::create_dir(lab.path("folder")).unwrap();

    let mut all = String::new();
    for (a, b) in [
        ("good", "nowhere"),
        ("good", "good.toml"),
        ("folder", "good"),
        ("good", "killed"),
        ("stopped", "good"),
        ("good", "wide"),
        ("good", "three"),
        ("good", "few"),
        ("good", "csv"),
        ("good", "edited"),
        ("good", "broken"),
        ("good", "nan"),
        ("good", "shape"),
    ] {
        all.push_str(&lab.transcript(&["compare", a, b]));
        all.push('\n');
    }
    all.push_str(&lab.transcript(&["compare", "good"]));
    all.push('\n');
    all.push_str(&lab.transcript(&["compare", "good", "nowhere", "--json"]));
    assert_snapshot!("refusals", all);
}

/// A target that reads a file is the same only if the file is.
#[test]
fn data_that_changed_are_told() {
    let lab = Lab::new("");
    let target = "[target]\nkind = \"logistic-regression\"\nfile = \"data.csv\"\n";
    let table = "a,label\n1,0\n2,1\n3,1\n0.5,0\n2.5,0\n";
    let other = table.replace("2.5,0", "2.5,1");
    for (folder, table) in [("a", table), ("b", table), ("c", &other)] {
        lab.write(&format!("{folder}/data.csv"), table);
        lab.make(&format!("{folder}/run"), &job(target, ULA, 40, 1));
    }
    assert!(lab.compared("a/run", "b/run")["verdict"]["nearer"].is_null());
    let mut all = lab.transcript(&["compare", "a/run", "c/run"]);
    lab.write("a/data.csv", &other);
    all.push_str(&lab.transcript(&["compare", "a/run", "c/run"]));
    std::fs::remove_file(lab.path("b/data.csv")).unwrap();
    all.push_str(&lab.transcript(&["compare", "c/run", "b/run"]));
    assert_snapshot!("data_that_changed", all);
}

/// Two chains, each in one mode, and as many draws as a thinning by two would leave of a single one.
#[test]
fn all_chains_of_a_run_are_compared() {
    let lab = Lab::new("");
    let modes = "[target]\nkind = \"gaussian-mixture\"\nmeans = [[-5], [5]]\nsd = 1\n";
    let chains = "[sampler]\nkind = \"mala\"\nchains = 2\nstart_sd = 5\nwarmup = 200\n";
    let mut shares = std::collections::BTreeSet::new();
    for seed in 1..=8 {
        let name = format!("run{seed}");
        lab.make(&name, &job(modes, chains, 2000, seed));
        let said = lab.compared(&name, &name);
        let error = said["modes"]["a"]["weight_error"].as_f64().unwrap();
        // Of 1000 points from two chains in different modes half are in each: no distance is large.
        let mmd = said["distances"][0]["to_truth"]["a"]["times_floor"]
            .as_f64()
            .unwrap();
        if error < 0.01 {
            assert!(mmd < 5.0, "{mmd}");
        } else {
            assert!(mmd > 20.0, "{mmd}");
        }
        shares.insert(error < 0.01);
    }
    assert_eq!(shares.len(), 2, "both kinds of run are there");
}
