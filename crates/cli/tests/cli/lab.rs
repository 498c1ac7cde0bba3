//! A folder of its own for each test, and the program started in it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The target of most jobs here.
pub(crate) const NORMAL: &str = "[target]\nkind = \"standard-normal\"\ndim = 2\n";
/// The sampler of most jobs here.
pub(crate) const ULA: &str = "[sampler]\nkind = \"ula\"\n";

/// Jobs without `draws` and `[output]`, one for each sampler: they are stopped, killed, resumed and
/// run on several threads. Each takes some hundred steps and some tenths of a second for 40 draws,
/// and keeps draws in the later three quarters of it.
pub(crate) const JOBS: &[(&str, &str)] = &[
    (
        "ula",
        "[target]
kind = \"standard-normal\"
dim = 1000
[sampler]
kind = \"ula\"
warmup = 1000
thin = 250
",
    ),
    (
        "mala",
        "[target]
kind = \"standard-normal\"
dim = 2000
[sampler]
kind = \"mala\"
warmup = 1000
thin = 200
",
    ),
    (
        "hmc",
        "[target]
kind = \"standard-normal\"
dim = 1000
[sampler]
kind = \"hmc\"
warmup = 200
thin = 30
",
    ),
    (
        "baoab",
        "[target]
kind = \"standard-normal\"
dim = 1000
[sampler]
kind = \"baoab\"
warmup = 1000
thin = 250
",
    ),
];

/// The same for particles, all of whose draws come at the end: 300 draws, some hundred steps.
pub(crate) const PARTICLES: &[(&str, &str)] = &[
    (
        "smc, mala",
        "[target]
kind = \"standard-normal\"
dim = 100
[sampler]
kind = \"smc\"
pilot_moves = 0
base_sd = 2.3
alpha = 0.99
moves = 1
move = \"mala\"
",
    ),
    (
        "smc, frozen hmc",
        "[target]
kind = \"standard-normal\"
dim = 100
[sampler]
kind = \"smc\"
base_sd = 2.3
alpha = 0.99
moves = 1
frozen = true
",
    ),
    (
        "dilation",
        "[target]
kind = \"standard-normal\"
dim = 100
[sampler]
kind = \"dilation\"
steps = 3000
mala_moves = 500
",
    ),
    (
        "annealed-langevin",
        "[target]
kind = \"standard-normal\"
dim = 100
[sampler]
kind = \"annealed-langevin\"
steps = 3000
",
    ),
    (
        "dpm-solver with tangents kept",
        "[target]
kind = \"gaussian\"
mean = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
sd = 0.5
[process]
kind = \"vp\"
[score]
kind = \"exact\"
[sampler]
kind = \"dpm-solver\"
weights = \"jacobian\"
grid = { steps = 400 }
",
    ),
    (
        "reverse-sde with path weights",
        "[target]
kind = \"standard-normal\"
dim = 100
[process]
kind = \"ou\"
[score]
kind = \"exact\"
[sampler]
kind = \"reverse-sde\"
weights = \"path\"
grid = { spacing = \"uniform\", steps = 700, t_min = 0.1, to_zero = false, refine = 2 }
",
    ),
    (
        "predictor-corrector",
        "[target]
kind = \"standard-normal\"
dim = 100
[process]
kind = \"edm\"
[score]
kind = \"exact\"
[sampler]
kind = \"predictor-corrector\"
grid = { steps = 600 }
",
    ),
];

/// A folder with a job file `job.toml`.
pub(crate) struct Lab {
    dir: tempfile::TempDir,
}

/// What the program said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn new(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout.clone()).unwrap(),
            err: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }

    /// Standard output of a command that must have ended with `code`.
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.out))
    }
}

impl Lab {
    pub(crate) fn new(job: impl AsRef<[u8]>) -> Self {
        let lab = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        lab.write("job.toml", job);
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    pub(crate) fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_slice(&self.read(name)).unwrap()
    }

    /// Names of what a folder holds, sorted; none if it is not there.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder)).into_iter().flatten();
        let mut names: Vec<String> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// All files below a folder with their bytes; none if it is not there.
    pub(crate) fn tree(&self, folder: &str) -> std::collections::BTreeMap<String, Vec<u8>> {
        let mut all = std::collections::BTreeMap::new();
        for name in self.names(folder) {
            let path = format!("{folder}/{name}");
            if self.path(&path).is_dir() {
                let below = self.tree(&path).into_iter();
                all.extend(below.map(|(n, bytes)| (format!("{name}/{n}"), bytes)));
            } else {
                all.insert(name, self.read(&path));
            }
        }
        all
    }

    /// The program, to be started in the folder; without the colours of whoever runs the tests.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_retrograde"));
        command.args(args).stdin(Stdio::null());
        self.prepared(command)
    }

    /// A line for the shell, in which `"$@"` is the program with `args`.
    pub(crate) fn shell(&self, line: &str, args: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line, "sh", env!("CARGO_BIN_EXE_retrograde")]);
        command.args(args).stdin(Stdio::null());
        self.prepared(command)
    }

    fn prepared(&self, mut command: Command) -> Command {
        command.current_dir(self.dir.path());
        for name in [
            "NO_COLOR",
            "CLICOLOR",
            "CLICOLOR_FORCE",
            "RAYON_NUM_THREADS",
            "RETROGRADE_PLUGIN_PATH",
        ] {
            command.env_remove(name);
        }
        // Whoever runs the tests may have plugins.
        command.env("XDG_DATA_HOME", self.path("data"));
        command.env("XDG_CONFIG_HOME", self.path("config"));
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        Said::new(&self.command(args).output().unwrap())
    }

    /// Starts the program and lets it run.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running {
            child: command.spawn().unwrap(),
        }
    }

    /// The command, its exit code and what it wrote, without what differs from one machine or one
    /// set of components to another.
    pub(crate) fn transcript(&self, args: &[&str]) -> String {
        let said = self.run(args);
        let mut text = format!("$ retrograde {}\n", args.join(" "));
        let whole = format!("{}{}", said.out, said.err);
        let folder = self.dir.path().to_string_lossy();
        for line in whole.replace(&*folder, "‹folder›").lines() {
            text.push_str(&match line.split_once("with its `kind`, one of") {
                _ if line.starts_with("help: the kinds are `") => {
                    "help: the kinds are ‹kinds›".into()
                }
                Some((start, _)) => format!("{start}with its `kind`, one of ‹kinds›"),
                None => line.to_owned(),
            });
            text.push('\n');
        }
        format!("{}\n[exit {}]\n", text.trim_end(), said.code.unwrap())
    }
}

/// A program that runs; killed if the test ends before it.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Sends a signal by its name, such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Standard error, to be read while it runs.
    pub(crate) fn stderr(&mut self) -> std::process::ChildStderr {
        self.child.stderr.take().unwrap()
    }

    /// Waits until `there`; the program must still be running then.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, there: impl Fn() -> bool) {
        let begin = Instant::now();
        while !there() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended before: {ended:?}");
            assert!(begin.elapsed() < Duration::from_secs(60), "it never came");
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    pub(crate) fn end(mut self) -> Said {
        // Taken out by hand, since what is dropped is killed.
        let (mut out, mut err) = (String::new(), String::new());
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        std::thread::scope(|scope| {
            scope.spawn(|| stderr.map(|mut e| std::io::Read::read_to_string(&mut e, &mut err)));
            std::io::Read::read_to_string(&mut stdout.unwrap(), &mut out).unwrap();
        });
        let code = self.child.wait().unwrap().code();
        Said { code, out, err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Shape and numbers of a file in NumPy's format.
pub(crate) fn npy(bytes: &[u8]) -> (String, Vec<f64>) {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let (head, data) = bytes[10..].split_at(usize::from(u16::from_le_bytes([bytes[8], bytes[9]])));
    let head = std::str::from_utf8(head).unwrap();
    assert!(
        head.contains("'descr': '<f8', 'fortran_order': False"),
        "{head}"
    );
    let shape = head.split_once("'shape': ").unwrap().1;
    let shape = shape.split_once(", }").unwrap().0.to_owned();
    let (words, rest) = data.as_chunks::<8>();
    assert!(rest.is_empty());
    (
        shape,
        words.iter().map(|w| f64::from_le_bytes(*w)).collect(),
    )
}

/// Length of a file, 0 if it is not there.
pub(crate) fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |m| m.len())
}
