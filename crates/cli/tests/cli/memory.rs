//! Memory of a large run: a few copies of its draws, however they are written; and a run that does
//! not fit is refused before it takes any.

use crate::lab::Lab;

const DRAWS: u64 = 100_000;
const DIM: u64 = 50;

/// The most memory that a run of a sampler had.
fn peak(sampler: &str) -> u64 {
    let lab = Lab::new(format!(
        "draws = {DRAWS}
[target]
kind = \"standard-normal\"
dim = {DIM}
[output]
formats = [\"npy\", \"csv\"]
checkpoint_seconds = 0
[sampler]
{sampler}"
    ));
    // Few moves: the diagnostics need not be content.
    let said = lab.run(&["run", "job.toml", "-o", "out", "--threads", "2"]);
    assert!(matches!(said.code, Some(0 | 3)), "{}", said.err);
    let shape = crate::lab::length(&lab.path("out/draws.npy"));
    assert_eq!(shape, 128 + 8 * DRAWS * DIM);
    let timing = lab.json("out/timing.json");
    timing["peak_memory_bytes"].as_u64().expect("a peak")
}

#[track_caller]
fn assert_frugal(sampler: &str) {
    let all = 8 * DRAWS * DIM;
    let peak = peak(sampler);
    // What a sampler holds is its draws at least: else the peak is not that of the run.
    assert!(peak >= all, "{peak} bytes for {all} bytes of draws");
    let most = 4 * all + (64 << 20);
    assert!(peak <= most, "{peak} bytes, at most {most} were expected");
}

macro_rules! frugal {
    ($($name:ident: $settings:expr;)*) => {$(
        #[test]
        #[cfg_attr(
            not(target_os = "linux"),
            ignore = "NOT CHECKED HERE: the peak of memory is known on Linux only"
        )]
        fn $name() {
            assert_frugal($settings);
        }
    )*};
}

frugal! {
    a_large_run_of_ula: "kind = \"ula\"\nchains = 100_000\nwarmup = 1\n";
    a_large_run_of_mala: "kind = \"mala\"\nchains = 100_000\nwarmup = 1\n";
    a_large_run_of_hmc: "kind = \"hmc\"\nchains = 100_000\nwarmup = 1\nleapfrog = 2\n";
    a_large_run_of_baoab: "kind = \"baoab\"\nchains = 100_000\nwarmup = 1\n";
    a_large_run_of_dilation: "kind = \"dilation\"\nsteps = 20\ntail = 1\nmala_moves = 2\n";
    a_large_run_of_annealed_langevin: "kind = \"annealed-langevin\"\nsteps = 20\ntail = 1\n";
    a_large_run_of_smc: "kind = \"smc\"\npilot_moves = 0\nbase_sd = 1.1\nalpha = 0.5\nmoves = 1\nmax_moves = 1\n";
    a_large_run_of_frozen_smc:
        "kind = \"smc\"\npilot_moves = 0\nbase_sd = 1.1\nalpha = 0.5\nmoves = 1\nmax_moves = 1\nfrozen = true\n";
}

/// A run of so many draws is refused, by `check` and by `run`.
#[track_caller]
fn assert_too_large(lab: &Lab, shell: &str, draws: u64) {
    for command in ["check", "run"] {
        let line = format!("{shell}exec \"$@\"");
        let args = [command, "job.toml", "--draws", &draws.to_string()];
        let said = crate::lab::Said::new(&lab.shell(&line, &args).output().unwrap()).ended(2);
        let words = format!("error: {draws} draws in dimension {DIM} need ");
        assert!(said.err.contains(&words), "{}", said.err);
        assert!(said.err.contains("this machine has "), "{}", said.err);
        assert_eq!(lab.names("."), ["job.toml"]);
    }
}

#[test]
#[cfg_attr(
    not(target_os = "linux"),
    ignore = "NOT CHECKED HERE: how much memory there is is known on Linux only"
)]
fn a_run_that_does_not_fit_is_refused_before_it_begins() {
    let lab = Lab::new(format!(
        "[target]\nkind = \"standard-normal\"\ndim = {DIM}\n[sampler]\nkind = \"smc\"\n"
    ));
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find(|l| l.starts_with("MemTotal:")).unwrap();
    let total: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    // A third of the memory for the draws alone: particles, gradients and checkpoint do not fit.
    assert_too_large(&lab, "", total * 1024 / 3 / (8 * DIM));
    assert_too_large(&lab, "", 1 << 40);
    assert_too_large(&lab, "", (1 << 63) - 1);
    // 280 MB of draws, four times that at once, under a limit of 1 GB.
    assert_too_large(&lab, "ulimit -v 1000000; ", 700_000);
}
