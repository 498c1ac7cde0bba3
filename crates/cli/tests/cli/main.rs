//! The program as a user meets it: what it says to broken input, what it writes, how it stops and
//! goes on, and what is left when the machine fails it.

mod bench;
mod broken_data;
mod broken_jobs;
mod certify;
mod compare;
mod diffusions;
mod evidence;
mod expressions;
mod failures;
mod lab;
mod memory;
mod new;
mod output;
mod output_directory;
#[cfg(target_os = "linux")]
mod plugin_check;
#[cfg(target_os = "linux")]
mod plugin_new;
#[cfg(target_os = "linux")]
mod plugin_runs;
#[cfg(target_os = "linux")]
mod plugins;
mod report;
mod results;
mod stopping;
