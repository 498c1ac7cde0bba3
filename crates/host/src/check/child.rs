//! The check in a child: a plugin that crashes, ends the program or does not come back is named with the
//! function that it was in.
//!
//! The child is told what to do, and tells what it does, in files of a folder of its own: what a plugin
//! prints cannot be taken for it, and what was written stays when the child dies.

use super::report::{Event, Line, Report, Verdict};
use super::{Options, check};
use retrograde_core::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The variable by which a child is told its folder.
const FOLDER: &str = "RETROGRADE_PLUGIN_CHECK";
const TASK: &str = "task.json";
const EVENTS: &str = "events.jsonl";
/// Time between looks at the child.
const TICK: Duration = Duration::from_millis(10);
/// What is kept of the last words of a child, in bytes.
const WORDS: usize = 4096;

#[derive(Serialize, Deserialize)]
struct Task {
    file: PathBuf,
    options: Options,
}

/// What came of a check in a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The plugin was loaded, or crashed while it was.
    Checked(Report),
    /// It cannot be loaded, with the reason.
    Refused(String),
}

/// Runs `command`, which must come to [`serve`], to check the plugin `file`. A component that brings the child
/// down, or in one of whose functions it stays longer than `limit`, is reported; the rest is then checked by
/// another child. `live` gets each line as it comes.
///
/// # Errors
/// [`Error::Io`] when the child cannot be started, or files of it not be written.
pub fn run(
    command: impl Fn() -> Command,
    file: &Path,
    options: &Options,
    limit: Duration,
    live: &mut dyn FnMut(&Line),
) -> Result<Outcome> {
    let mut report = Report::default();
    let mut options = options.clone();
    loop {
        let life = one(command(), file, &options, limit, &mut report, live)?;
        match life {
            Life::Refused(why) => return Ok(Outcome::Refused(why)),
            Life::Whole => return Ok(Outcome::Checked(report)),
            Life::Died(line) => {
                live(&line);
                let component = line.component.clone();
                report.lines.push(line);
                let all = report.plugin.as_ref().map_or(&[][..], |p| &p.components);
                let Some(at) = all.iter().position(|c| *c == component) else {
                    return Ok(Outcome::Checked(report));
                };
                options.skip = all[..=at].to_vec();
                if at + 1 == all.len() {
                    return Ok(Outcome::Checked(report));
                }
            }
        }
    }
}

/// How a child ended.
enum Life {
    Whole,
    Refused(String),
    Died(Line),
}

fn io<T>(action: &'static str, path: &Path, result: std::io::Result<T>) -> Result<T> {
    result.map_err(|source| Error::Io {
        action,
        path: path.into(),
        source,
    })
}

fn one(
    mut command: Command,
    file: &Path,
    options: &Options,
    limit: Duration,
    report: &mut Report,
    live: &mut dyn FnMut(&Line),
) -> Result<Life> {
    let temporary = std::env::temp_dir();
    let folder = io(
        "cannot make a folder in",
        &temporary,
        tempfile::Builder::new()
            .prefix("retrograde-check")
            .tempdir(),
    )?;
    let task = Task {
        file: std::path::absolute(file).unwrap_or_else(|_| file.into()),
        options: Options {
            folder: std::path::absolute(&options.folder).unwrap_or_else(|_| options.folder.clone()),
            ..options.clone()
        },
    };
    let text = serde_json::to_string(&task).unwrap_or_default();
    let path = folder.path().join(TASK);
    io("cannot write", &path, fs::write(&path, text))?;
    let path = folder.path().join(EVENTS);
    let mut events = io("cannot write", &path, File::create_new(&path))
        .and_then(|_| io("cannot read", &path, File::open(&path)))?;
    command
        .env(FOLDER, folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let program = PathBuf::from(command.get_program());
    let mut child = io("cannot start", &program, command.spawn())?;
    let words = child.stderr.take().map(last_words);
    let mut told = Told::default();
    let mut heard = Instant::now();
    let status = loop {
        let ended = io("cannot wait for", &program, child.try_wait())?;
        if told.hear(&mut events, report, live) {
            heard = Instant::now();
        }
        if let Some(status) = ended {
            told.hear(&mut events, report, live);
            break Some(status);
        }
        if heard.elapsed() > limit && !told.done {
            // It may have ended just now; then there is nobody to kill.
            let _ = child.kill();
            io("cannot wait for", &program, child.wait())?;
            break None;
        }
        std::thread::sleep(TICK);
    };
    if let Some(why) = told.refused {
        return Ok(Life::Refused(why));
    }
    let words = words.and_then(|w| w.join().ok()).unwrap_or_default();
    Ok(match status {
        Some(status) if told.done && status.success() => Life::Whole,
        status => Life::Died(obituary(&told, status, limit, &words)),
    })
}

/// The end of what a child writes to standard error, which is read so that it need not wait.
fn last_words(mut from: std::process::ChildStderr) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let (mut kept, mut buffer) = (Vec::new(), [0; 1024]);
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            kept.extend_from_slice(&buffer[..n]);
            if kept.len() > 2 * WORDS {
                kept.drain(..kept.len() - WORDS);
            }
        }
        String::from_utf8_lossy(&kept).into_owned()
    })
}

/// What a child told.
#[derive(Default)]
struct Told {
    read: u64,
    at: (String, String),
    done: bool,
    refused: Option<String>,
}

impl Told {
    /// Takes what is new; whether there was anything.
    fn hear(
        &mut self,
        events: &mut File,
        report: &mut Report,
        live: &mut dyn FnMut(&Line),
    ) -> bool {
        let mut new = Vec::new();
        if events.seek(SeekFrom::Start(self.read)).is_err() || events.read_to_end(&mut new).is_err()
        {
            return false;
        }
        // Whole lines only; the rest comes later, or never.
        let Some(end) = new.iter().rposition(|b| *b == b'\n') else {
            return false;
        };
        self.read += end as u64 + 1;
        for line in new[..end].split(|b| *b == b'\n') {
            match serde_json::from_slice(line) {
                Ok(Event::At { component, what }) => self.at = (component, what),
                Ok(Event::Loaded(about)) => report.plugin = Some(about),
                Ok(Event::Line(line)) => {
                    live(&line);
                    report.lines.push(line);
                }
                Ok(Event::Refused(why)) => self.refused = Some(why),
                Ok(Event::Done) => self.done = true,
                // A plugin found the file and wrote there; nothing to be learnt.
                Err(_) => {}
            }
        }
        true
    }
}

/// What a child died of; no status = it was killed since it took too long.
fn obituary(told: &Told, status: Option<ExitStatus>, limit: Duration, words: &str) -> Line {
    let (component, what) = &told.at;
    let place = match (told.done, what.as_str(), component.as_str()) {
        (true, ..) => "when the program ended, after all checks".to_owned(),
        (_, "", _) => "before it was loaded".to_owned(),
        (_, what, "") => format!("in {what}"),
        (_, what, component) => format!("in {what} of {component}"),
    };
    let (check, mut text) = match status {
        None => {
            let seconds = limit.as_secs_f64();
            (
                "time",
                format!("did not come back within {seconds} s {place}"),
            )
        }
        Some(status) => match signal(status) {
            Some(signal) => ("crash", format!("crashed with {signal} {place}")),
            None => {
                let code = status
                    .code()
                    .map_or_else(|| "none".into(), |c| c.to_string());
                (
                    "exit",
                    format!(
                        "ended the program with exit code {code} {place}: a plugin returns a status instead"
                    ),
                )
            }
        },
    };
    let said: Vec<_> = words
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    if let Some(last) = said
        .len()
        .checked_sub(3)
        .or(Some(0))
        .map(|from| said[from..].join(" / "))
        && !last.is_empty()
    {
        text.push_str(&format!("; its last words were: {last}"));
    }
    Line {
        component: component.clone(),
        check: check.into(),
        verdict: Verdict::Fail,
        text,
    }
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<String> {
    use std::os::unix::process::ExitStatusExt;
    let number = status.signal()?;
    let name = match number {
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGABRT => "SIGABRT (abort, or an exception that left a function)",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGKILL => "SIGKILL (killed, perhaps for want of memory)",
        libc::SIGTERM => "SIGTERM",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGSYS => "SIGSYS",
        _ => return Some(format!("signal {number}")),
    };
    Some(name.into())
}

#[cfg(not(unix))]
fn signal(status: ExitStatus) -> Option<String> {
    // Exceptions of Windows, such as 0xC0000005 for an access violation.
    let code = status.code()? as u32;
    (code >= 0xc000_0000).then(|| format!("exception {code:#x}"))
}

/// What a child of [`run`] does: the task of its folder. `None` in a program that is none.
///
/// # Errors
/// [`Error::Io`] when the folder is not that of a task.
#[must_use]
pub fn serve() -> Option<Result<()>> {
    let folder = PathBuf::from(std::env::var_os(FOLDER)?);
    Some(work(&folder))
}

fn work(folder: &Path) -> Result<()> {
    no_core_dumps();
    let path = folder.join(TASK);
    let text = io("cannot read", &path, fs::read_to_string(&path))?;
    let task: Task = io(
        "cannot read",
        &path,
        serde_json::from_str(&text).map_err(std::io::Error::other),
    )?;
    let path = folder.join(EVENTS);
    let events = Mutex::new(io(
        "cannot write",
        &path,
        File::options().append(true).open(&path),
    )?);
    let tell = |event: Event| {
        if let Ok(mut line) = serde_json::to_vec(&event) {
            line.push(b'\n');
            // The parent then takes this program for one that does not come back.
            let _ = super::lock(&events).write_all(&line);
        }
    };
    match check(&task.file, &task.options, &tell) {
        Ok(_) => {}
        Err(error) => tell(Event::Refused(error.to_string())),
    }
    tell(Event::Done);
    Ok(())
}

/// Crashes are expected here; files of them help nobody.
fn no_core_dumps() {
    #[cfg(unix)]
    // SAFETY: sets a limit of this program, from a value that lives until the call returns.
    unsafe {
        let none = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
    }
}
