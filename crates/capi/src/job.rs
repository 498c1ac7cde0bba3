//! Whole jobs, as the program runs them: run directory, report, checkpoints.

use crate::context::{Log, rg_context};
use crate::error::rg_error;
use crate::ffi::{TextOut, borrow, ffi, hand_over, optional_text, place, text};
use crate::options::{RG_RUN_REPLACE, Watch, read as read_options, rg_run_options};
use crate::result::rg_result;
use crate::target::rg_target;
use retrograde::core::registry::{Component, Make, Needs, schema_of};
use retrograde::core::{Cancel, Level};
use retrograde::job::certify::{Effort, certify};
use retrograde::job::config::{ConfigError, Document};
use retrograde::job::{self, JobError, Live, Monitor, Options, Plan};
use retrograde::{Error, Registry, Result};
use retrograde_abi::rg_status;
use std::ffi::c_char;
use std::path::Path;
use std::sync::Arc;

/// What a target that the caller hands in is called in a job.
const NAME: &str = "callback";

/// A target of the caller has no settings in a job.
#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

/// The components of a context, and the caller's target under its name.
fn registry(cx: &rg_context, target: Option<&rg_target>) -> Result<Registry> {
    let mut registry = cx.registry.clone();
    let Some(given) = target else {
        return Ok(registry);
    };
    // Limits are written into the job, which shows them.
    let target = match &given.bounded {
        Some(bounded) => bounded.inner().clone(),
        None => given.target.clone(),
    };
    registry.add(Component {
        name: NAME.into(),
        summary: "The target that the caller handed in".into(),
        source: String::new().into(),
        plugin: None,
        schema: schema_of::<NoSettings>(),
        needs: Needs::default(),
        make: Make::Target(Arc::new(move |reader, _| {
            let _: NoSettings = reader.read()?;
            Ok(target.clone())
        })),
    })?;
    Ok(registry)
}

/// The text of a job, checked, and its components; `options` replace its seed, draws and
/// threads, and the directory if there is one.
pub(crate) fn plan(
    cx: &rg_context,
    toml: &str,
    target: Option<&rg_target>,
    options: Option<(&rg_run_options, Option<&str>)>,
) -> Result<(Job, Plan)> {
    let registry = registry(cx, target)?;
    let mut document = Document::parse("job", toml).map_err(config)?;
    if let Some(given) = target {
        let mut arguments = vec![format!("target.kind=\"{NAME}\"")];
        if let Some((lower, upper)) = &given.limits {
            arguments.push(format!("target.bounds.lower={}", list(lower)));
            arguments.push(format!("target.bounds.upper={}", list(upper)));
        }
        document.set(&arguments).map_err(config)?;
    }
    if let Some((o, directory)) = options {
        let mut arguments = Vec::new();
        if let Some(directory) = directory {
            let text = toml::Value::String(directory.to_owned());
            arguments.push(format!("output.directory={text}"));
        }
        if o.n_draws != 0 {
            arguments.push(format!("draws={}", o.n_draws));
            arguments.push(format!("seed={}", o.seed));
        }
        if o.n_threads != 0 {
            arguments.push(format!("threads={}", o.n_threads));
        }
        document.set(&arguments).map_err(config)?;
    }
    let plan = Plan::new(&document, &registry, Path::new("")).map_err(config)?;
    Ok((Job { registry, document }, plan))
}

pub(crate) struct Job {
    registry: Registry,
    document: Document,
}

fn list(numbers: &[f64]) -> String {
    let words: Vec<String> = numbers
        .iter()
        .map(|v| match *v {
            f64::INFINITY => "inf".into(),
            f64::NEG_INFINITY => "-inf".into(),
            v => format!("{v:?}"),
        })
        .collect();
    format!("[{}]", words.join(", "))
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn config(e: ConfigError) -> Error {
    Error::Settings {
        component: "the job".into(),
        key: String::new(),
        message: e.render(false).trim_end().to_owned(),
    }
}

fn told(e: JobError) -> Error {
    match e {
        JobError::Config(e) => config(e),
        JobError::Run(e) => e,
        JobError::Stopped { error, .. } => error,
        JobError::Refused { directory, reason } => Error::Settings {
            component: format!("run directory {}", directory.display()),
            key: String::new(),
            message: reason,
        },
        other => Error::Settings {
            component: "the job".into(),
            key: String::new(),
            message: other.to_string(),
        },
    }
}

/// Hands on what the caller wants to know.
struct Caller<'a> {
    watch: Watch,
    cancel: Cancel,
    log: Option<&'a Log>,
}

impl Monitor for Caller<'_> {
    fn live(&mut self, live: &Live<'_>) {
        self.watch
            .step(live.step, live.rows, live.fraction, live.counts);
        if self.watch.stop {
            self.cancel.request();
        }
    }

    fn message(&mut self, level: Level, text: &str) {
        if let Some(log) = self.log {
            log.line(level, text);
        }
    }
}

/// Runs a job in a directory, as the program does: the same files, the same report, checkpoints on the way,
/// from which rg_job_resume goes on after the program has ended in whatever way.
///
/// `cx`: a context; not NULL.
/// `toml`: the job; not NULL. Files that it names are looked for from the current folder.
/// `t`: takes the place of `[target]`, of which only `bounds` is read then; NULL if the job has a target.
/// `dir`: the run directory; NULL for that of the job, output.directory. It must not be there unless RG_RUN_REPLACE is
/// given.
/// `options`: see rg_run_options; `n_draws` 0 stands for seed and draws of the job. NULL for those of the job.
/// `out`: gets the result, which the caller frees; not NULL. Also if the run was cancelled after it had begun.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_CANCELLED, after which rg_job_resume goes on; RG_ERR_NULL; RG_ERR_UTF8; RG_ERR_CONFIG if
/// the job is wrong, with line and column, or the directory is there; RG_ERR_IO if it cannot be written; what
/// running it returns.
/// Threads: any, also several at once, each in a directory of its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_job_run(
    cx: *const rg_context,
    toml: *const c_char,
    t: *const rg_target,
    dir: *const c_char,
    options: *const rg_run_options,
    out: *mut *mut rg_result,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let cx = borrow(cx, "cx")?;
            let toml = text(toml, "toml")?;
            let dir = optional_text(dir, "dir")?;
            let options = job_options(options, "rg_job_run")?;
            let out = place(out, "out")?;
            let (job, plan) = plan(cx, toml, t.as_ref(), Some((&options, dir)))?;
            let (how, mut caller) = how(cx, &options);
            let base = std::env::current_dir().map_err(|source| Error::Io {
                action: "cannot find",
                path: ".".into(),
                source,
            })?;
            let finished = job::run(&job.document, &plan, "job", None, &base, &how, &mut caller)
                .map_err(told)?;
            ended(finished, out)
        })
    }
}

unsafe fn job_options(given: *const rg_run_options, function: &str) -> Result<rg_run_options> {
    if given.is_null() {
        return Ok(rg_run_options {
            n_draws: 0,
            ..rg_run_options::default()
        });
    }
    // SAFETY: by the contract of the caller.
    unsafe { read_options(given, function) }
}

/// # Safety
/// The flag of the options is NULL or lives.
unsafe fn how<'a>(cx: &'a rg_context, options: &rg_run_options) -> (Options, Caller<'a>) {
    // SAFETY: by contract.
    let cancel = unsafe { options.cancel() };
    let how = Options {
        force: options.flags & RG_RUN_REPLACE != 0,
        cancel: cancel.clone(),
        threads: (options.n_threads != 0).then(|| options.threads()),
        simd: options.simd(),
    };
    let caller = Caller {
        watch: Watch::new(options),
        cancel,
        log: cx.log.as_deref(),
    };
    (how, caller)
}

unsafe fn ended(finished: job::Finished, out: std::ptr::NonNull<*mut rg_result>) -> Result {
    let complete = finished.report.complete;
    // SAFETY: by the contract of the caller.
    unsafe { hand_over(out, rg_result::of_job(finished)) };
    if complete {
        Ok(())
    } else {
        Err(Error::Cancelled)
    }
}

/// Goes on with the run of a directory, to the bits that it would have had without the stop.
///
/// `cx`: a context with the plugins that the job uses; not NULL.
/// `dir`: the run directory; not NULL.
/// `t`: the target that the run was begun with, if it was handed in; it must give the same numbers, which
/// nobody can check. NULL if the job has a target.
/// `options`: `n_threads`, `progress` and `cancel` are read; NULL for the defaults.
/// `out`: gets the result, which the caller frees; not NULL. Also if the run was cancelled after it had begun.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns as rg_job_run; RG_ERR_CONFIG also if the directory holds no run, is damaged, or what it depends on has
/// changed. A run that is complete is left as it is: its result has no draws.
/// Threads: any, also several at once, each in a directory of its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_job_resume(
    cx: *const rg_context,
    dir: *const c_char,
    t: *const rg_target,
    options: *const rg_run_options,
    out: *mut *mut rg_result,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let cx = borrow(cx, "cx")?;
            let dir = text(dir, "dir")?;
            let options = job_options(options, "rg_job_resume")?;
            let out = place(out, "out")?;
            let registry = registry(cx, t.as_ref())?;
            let (how, mut caller) = how(cx, &options);
            let finished =
                job::resume(Path::new(dir), &registry, &how, &mut caller).map_err(told)?;
            ended(finished, out)
        })
    }
}

/// How far the draws of a job are from its target, and whether start, score or steps are to blame, as a JSON
/// object on one line: what `retrograde certify --json` has under "certificate".
///
/// `cx`: a context; not NULL.
/// `toml`: the job, with a process, a score and a sampler that goes back through the process; not NULL.
/// `t`: takes the place of `[target]`; NULL if the job has a target.
/// `paths`: paths that are simulated, 16 or more; 0 stands for 16384. The seed is that of the job.
/// `buf`, `cap`, `need`: for the object, as for rg_context_describe. Each call computes it anew: give a large
/// buffer.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL; RG_ERR_UTF8; RG_ERR_CONFIG if the job is wrong; RG_ERR_UNSUPPORTED if it is no
/// diffusion that can be certified; RG_ERR_BUFFER; what running it returns.
/// Threads: any, also several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_job_certify(
    cx: *const rg_context,
    toml: *const c_char,
    t: *const rg_target,
    paths: usize,
    buf: *mut c_char,
    cap: usize,
    need: *mut usize,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let cx = borrow(cx, "cx")?;
            let toml = text(toml, "toml")?;
            let out = TextOut::new(buf, cap, need)?;
            let (job, plan) = plan(cx, toml, t.as_ref(), None)?;
            let mut effort = Effort::default();
            if paths != 0 {
                effort.paths = paths.max(16);
            }
            let certificate = certify(&plan, &job.registry, effort)?;
            let text = serde_json::to_string(&certificate).map_err(|e| Error::Breakdown {
                component: "rg_job_certify".into(),
                message: format!("the certificate cannot be written: {e}"),
                advice: "report it".into(),
            })?;
            out.write(&text)
        })
    }
}
