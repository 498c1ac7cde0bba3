//! `retrograde plugin`: what is found, what is put there, what is begun.

mod check;
mod list;
mod new;

use crate::args::{InstallArgs, PluginCommand};
use crate::outcome::{Exit, Output, message};
use crate::show;
use retrograde::core::registry::Plugin;
use retrograde::plugins::check::child::Outcome;
use retrograde::plugins::check::{Options, Verdict};
use retrograde::plugins::{
    Folders, How, Installed, Surroundings, There, candidates, install as put, user_folder,
};
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long another plugin that is there already may take to load.
const LONGEST: Duration = Duration::from_secs(60);

pub(crate) fn plugin(command: &PluginCommand, out: &Output) -> Exit {
    match command {
        PluginCommand::List => list::list(out),
        PluginCommand::Check(args) => check::check(args, out),
        PluginCommand::CheckChild => check::child(out),
        PluginCommand::Install(args) => install(args, out),
        PluginCommand::New(args) => new::new(args, out),
    }
}

fn install(args: &InstallArgs, out: &Output) -> Exit {
    let around = Surroundings::here();
    let folder = match &args.into {
        Some(folder) => std::path::absolute(folder).map_err(|e| {
            let text = format!("`--into` {} cannot be a folder: {e}", folder.display());
            out.plain_error(&text, "RG_ERR_ARG");
            Exit::Usage
        }),
        None => user_folder(&around).map_err(|e| out.error(&e.into())),
    };
    let folder = match folder {
        Ok(folder) => folder,
        Err(exit) => return exit,
    };
    let limit = match check::limit(args.time_limit) {
        Ok(limit) => limit,
        Err(text) => {
            out.plain_error(&text, "RG_ERR_ARG");
            return Exit::Usage;
        }
    };
    let checked = loaded_elsewhere(&args.file, limit).and_then(|plugin| {
        if !args.no_check {
            run_check(&args.file, limit)?;
        }
        Ok(plugin)
    });
    let plugin = match checked {
        Ok(plugin) => plugin,
        Err(text) => {
            out.plain_error(&text, "RG_ERR_PLUGIN");
            return Exit::Failed;
        }
    };
    // A folder that is not there yet holds nothing.
    let there: Vec<There> = candidates(&Folders::only(&folder))
        .files
        .into_iter()
        .filter_map(|file| {
            let plugin = loaded_elsewhere(&file, LONGEST).ok()?;
            Some(There { file, plugin })
        })
        .collect();
    match put(&plugin, &folder, &there, args.force) {
        Ok(done) => {
            tell(&plugin, &done, out);
            if let Some(text) = unused(&plugin, &done.file, &Folders::standard(&around)) {
                message(&format!("{}: {text}", show::yellow("warning")));
            }
            Exit::Ok
        }
        Err(e) => out.error(&e.into()),
    }
}

fn tell(plugin: &Plugin, done: &Installed, out: &Output) {
    out.result(
        || {
            let mut object = crate::plugins::object(plugin);
            object["file"] = json!(done.file.to_string_lossy());
            let replaced = match &done.how {
                How::Replaced(old) => json!(old.to_string_lossy()),
                How::New | How::Same => Value::Null,
            };
            json!({ "status": "ok", "plugin": object, "replaced": replaced })
        },
        || {
            let words = match &done.how {
                How::New => "installed as".to_owned(),
                How::Same => "is there already, and its digest beside it:".to_owned(),
                How::Replaced(old) if *old == done.file => "installed anew as".to_owned(),
                How::Replaced(old) => format!("installed in place of {} as", old.display()),
            };
            format!(
                "plugin {} {} {words} {}\nSHA-256 {}\n",
                plugin.name,
                plugin.version,
                done.file.display(),
                plugin.sha256
            )
        },
    );
}

/// Why a plugin that was installed is not the one that jobs will find.
fn unused(plugin: &Plugin, file: &Path, folders: &Folders) -> Option<String> {
    let folder = file.parent()?;
    let real = |p: &Path| std::fs::canonicalize(p).unwrap_or_else(|_| p.to_owned());
    if !folders.paths().any(|p| real(p) == real(folder)) {
        return Some(format!(
            "{0} is not searched; name it in RETROGRADE_PLUGIN_PATH, in `plugin_dirs` of \
             retrograde/config.toml, or load the plugin with `--plugin {1}`",
            folder.display(),
            file.display()
        ));
    }
    // Only the files that are looked at before it.
    let before = candidates(folders).files.into_iter();
    let before = before.take_while(|other| real(other) != real(file));
    let first = before
        .filter_map(|other| loaded_elsewhere(&other, LONGEST).ok())
        .find(|other| other.name == plugin.name)?;
    Some(format!(
        "{} is found before it, which is plugin {} {} and will be used instead",
        first.file.display(),
        first.name,
        first.version
    ))
}

/// Checks a plugin with its defaults, in another process.
///
/// # Errors
/// What is wrong with it.
fn run_check(file: &Path, limit: Duration) -> Result<(), String> {
    match check::in_child(file, &Options::default(), limit, &mut |_| {}) {
        Err(error) => Err(error.to_string()),
        Ok(Outcome::Refused(why)) => Err(why),
        Ok(Outcome::Checked(report)) if report.worst() != Verdict::Fail => Ok(()),
        Ok(Outcome::Checked(report)) => {
            let failed = report.lines.iter().filter(|l| l.verdict == Verdict::Fail);
            let failed: Vec<String> = failed
                .map(|l| format!("  {}: {}: {}", l.component, l.check, l.text))
                .collect();
            Err(format!(
                "plugin {} does not keep its promises (`retrograde plugin check` tells more, `--no-check` \
                 installs it all the same):\n{}",
                file.display(),
                failed.join("\n")
            ))
        }
    }
}

/// What a plugin says of itself when it is loaded. Another process does that, so that a plugin that crashes or
/// hangs takes that one along.
///
/// # Errors
/// Why it cannot be loaded.
fn loaded_elsewhere(file: &Path, limit: Duration) -> Result<Plugin, String> {
    let at = |text: String| format!("plugin {}: {text}", file.display());
    let lost = |e: std::io::Error| at(format!("cannot be loaded in another process: {e}"));
    let program = std::env::current_exe().map_err(lost)?;
    let mut command = Command::new(program);
    command
        .args(["plugin", "list", "--json", "--no-plugins", "--plugin"])
        .arg(file);
    let Ended { status, out } = ended(&mut command, limit).map_err(lost)?;
    let Some(status) = status else {
        return Err(at(format!(
            "was not loaded after {} seconds",
            limit.as_secs_f64()
        )));
    };
    let said: Option<Value> = serde_json::from_slice(&out).ok();
    match said {
        Some(said) if status.success() => {
            let p = &said["plugins"][0];
            let text = |key: &str| p[key].as_str().map(str::to_owned);
            match (text("name"), text("version"), text("sha256")) {
                (Some(name), Some(version), Some(sha256)) => Ok(Plugin {
                    name,
                    version,
                    license: text("license"),
                    // Not as text: a path need not be UTF-8.
                    file: std::fs::canonicalize(file).map_err(lost)?,
                    sha256,
                }),
                _ => Err(at("says nothing of itself".into())),
            }
        }
        Some(said) if !said["errors"][0]["message"].is_null() => {
            let text = &said["errors"][0]["message"];
            Err(text.as_str().unwrap_or_default().to_owned())
        }
        _ if status.success() && !out.is_empty() => Err(at(
            "writes to standard output when it is loaded, where results belong".into(),
        )),
        _ => Err(at(format!(
            "ended the program that loaded it: {}",
            how_it_ended(status)
        ))),
    }
}

struct Ended {
    /// None if it had to be ended.
    status: Option<ExitStatus>,
    out: Vec<u8>,
}

/// Runs a command to its end, or to that of its time.
fn ended(command: &mut Command, limit: Duration) -> std::io::Result<Ended> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn()?;
    let stdout = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut out = Vec::new();
        stdout.map(|mut s| s.read_to_end(&mut out));
        out
    });
    let status = wait(&mut child, limit)?;
    // A child of the plugin's own may hold the pipe open for ever; then nothing is waited for.
    let out = match status {
        Some(_) => reader.join().unwrap_or_default(),
        None => Vec::new(),
    };
    Ok(Ended { status, out })
}

fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let begin = Instant::now();
    while begin.elapsed() < limit {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// `signal 6 (SIGABRT)`, `exit code 3`.
fn how_it_ended(status: ExitStatus) -> String {
    // The standard library's words tell the signal's name, and whether memory was dumped.
    let text = status.to_string();
    match text.split_once(": ") {
        Some((what, which)) if what.starts_with("signal") => format!("signal {which}"),
        _ => text.replace("exit status: ", "exit code "),
    }
    .replace(" (core dumped)", "")
}
