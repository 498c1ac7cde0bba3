//! The program `retrograde`: arguments, progress and exit codes over the library's jobs.
//!
//! Standard output carries results only; progress and messages go to standard error. Exit codes:
//! 0 ok, 1 the run failed, 2 wrong usage or job, 3 finished but a diagnostic failed, 130 interrupted.

mod args;
mod bench;
mod certify;
mod check;
mod compare;
mod evidence;
mod inspect;
mod new;
mod outcome;
mod picture;
mod plot;
mod plugin;
mod plugins;
mod progress;
mod run;
mod show;

use args::{Cli, Command};
use clap::{CommandFactory, Parser};
use outcome::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return ExitCode::from(usage(&e) as u8),
    };
    cli.color.write_global();
    let out = outcome::Output {
        json: cli.json,
        plugins: Box::leak(Box::new(plugins::Choice {
            files: cli.plugin,
            no_plugins: cli.no_plugins,
        })),
    };
    let exit = match &cli.command {
        Command::Run(args) => run::run(args, &out),
        Command::Check(args) => check::check(args, &out),
        Command::List(args) => inspect::list(args, &out),
        Command::Describe(args) => inspect::describe(args, &out),
        Command::New(args) => new::new(args, &out),
        Command::Schema => inspect::schema(&out),
        Command::Summary(args) => inspect::summary(args, &out),
        Command::Compare(args) => compare::compare(args, &out),
        Command::Certify(args) => certify::certify(args, &out),
        Command::CompareSchedules(args) => certify::compare_schedules(args, &out),
        Command::Evidence(args) => evidence::evidence(args, &out),
        Command::Bench(args) => bench::bench(args, &out),
        Command::Plugin { command } => plugin::plugin(command, &out),
        Command::Plot(args) => plot::plot(args, &out),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "retrograde", &mut script);
            outcome::print(&String::from_utf8_lossy(&script));
            Exit::Ok
        }
    };
    ExitCode::from(exit as u8)
}

/// Arguments that are none, or that ask for help: clap's own words, or the object that was asked for.
fn usage(error: &clap::Error) -> Exit {
    let json = std::env::args_os().any(|a| a == "--json");
    if !(json && error.use_stderr()) {
        error.exit();
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
    let plugins = &plugins::NONE;
    outcome::Output { json, plugins }.plain_error(text, "RG_ERR_ARG");
    Exit::Usage
}
