//! Whole jobs, as the program runs them: run directory, report, checkpoints.

use crate::context::{Log, rg_context};
use crate::error::rg_error;
use crate::ffi::{TextOut, borrow, ffi, hand_over, optional_text, place, text, wrong};
use crate::options::{RG_RUN_REPLACE, Watch, read as read_options, rg_run_options};
use crate::result::rg_result;
use crate::target::rg_target;
use retrograde::core::registry::{Component, Make, Needs, schema_of};
use retrograde::core::{Cancel, Level};
use retrograde::job::certify::{Effort, certify};
use retrograde::job::config::{ConfigError, Document};
use retrograde::job::{self, DrawSet, JobError, Live, Monitor, Options, Plan};
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
        }
        if o.seed != 0 {
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

/// Paths of 16 coordinates then take 2 GiB.
const MOST_PATHS: usize = 1 << 24;

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

/// Options of the program by their names in C.
fn in_c(text: &str) -> String {
    text.replace("with `-o`", "as `dir`")
        .replace("with `--force`", "with RG_RUN_REPLACE")
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn config(e: ConfigError) -> Error {
    Error::Settings {
        component: "the job".into(),
        key: String::new(),
        message: in_c(e.render(false).trim_end()),
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
/// `options`: see rg_run_options; NULL for the defaults, with which seed and draws are those of the job.
/// `out`: gets the result, which the caller frees; not NULL. With RG_ERR_CANCELLED as for rg_sampler_run.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_CANCELLED, after which rg_job_resume goes on; RG_ERR_NULL; RG_ERR_UTF8; RG_ERR_CONFIG if
/// the job is wrong, with line and column, or the directory is there, cannot be made or is being written by another run;
/// RG_ERR_IO if it cannot be written; what running it returns.
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
            let options = read_options(options, "rg_job_run")?;
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

unsafe fn ended(mut finished: job::Finished, out: std::ptr::NonNull<*mut rg_result>) -> Result {
    if finished.draws.is_none() {
        finished.draws = DrawSet::read(&finished.directory, &finished.report).map_err(told)?;
    }
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
/// `t`: the target that the run was begun with, if it was handed in; it must have the same limits, and give the same numbers,
/// which nobody can check. NULL if the job has a target.
/// `options`: `n_threads`, `progress` and `cancel` are read; NULL for the defaults.
/// `out`: gets the result, which the caller frees; not NULL. With RG_ERR_CANCELLED as for rg_sampler_run.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns as rg_job_run; RG_ERR_CONFIG also if the directory holds no run, is damaged, or what it depends on has
/// changed, and if `t` cannot be the target that it was begun with. A run that is complete is left as it is; its draws are those of its files, if the job writes
/// npy.
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
            let options = read_options(options, "rg_job_resume")?;
            let out = place(out, "out")?;
            let registry = registry(cx, t.as_ref())?;
            same_target(Path::new(dir), t.as_ref())?;
            let (how, mut caller) = how(cx, &options);
            let finished =
                job::resume(Path::new(dir), &registry, &how, &mut caller).map_err(told)?;
            ended(finished, out)
        })
    }
}

/// Refuses a target where the job has its own, none where it was begun with one, and one with other limits.
fn same_target(dir: &Path, given: Option<&rg_target>) -> Result {
    // What else is wrong with the directory is told by who reads it.
    let job = std::fs::read_to_string(dir.join("job.toml")).unwrap_or_default();
    let job: toml::Table = toml::from_str(&job).unwrap_or_default();
    let Some(target) = job.get("target").and_then(toml::Value::as_table) else {
        return Ok(());
    };
    let refused = |message: &str| {
        Err(Error::Settings {
            component: format!("the run in {}", dir.display()),
            key: String::new(),
            message: message.into(),
        })
    };
    let begun_with_one = target.get("kind").and_then(toml::Value::as_str) == Some(NAME);
    let Some(given) = given else {
        return match begun_with_one {
            true => {
                refused("it was begun with a target that was handed in: hand it in again as `t`")
            }
            false => Ok(()),
        };
    };
    if !begun_with_one {
        return refused("its job has a target of its own: `t` must be NULL");
    }
    let bounds = target.get("bounds");
    let side = |name: &str| -> Option<Vec<f64>> {
        let side = bounds?.get(name)?.as_array()?;
        let number = |v: &toml::Value| v.as_float().or(v.as_integer().map(|i| i as f64));
        side.iter().map(number).collect()
    };
    let same = match &given.limits {
        // The job itself may have some.
        None => true,
        Some((lower, upper)) => {
            side("lower").as_ref() == Some(lower) && side("upper").as_ref() == Some(upper)
        }
    };
    if same {
        Ok(())
    } else {
        refused("`t` has other limits than the target it was begun with")
    }
}

/// How far the draws of a job are from its target, and whether start, score or steps are to blame, as a JSON
/// object on one line: what `retrograde certify --json` has under "certificate".
///
/// `cx`: a context; not NULL.
/// `toml`: the job, with a process, a score and a sampler that goes back through the process; not NULL.
/// `t`: takes the place of `[target]`; NULL if the job has a target.
/// `paths`: paths that are simulated, 16 to 2^24; 0 stands for 16384. The seed is that of the job.
/// `buf`, `cap`, `need`: for the object, as for rg_context_describe. Each call computes it anew: give a large
/// buffer.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL; RG_ERR_UTF8; RG_ERR_CONFIG if the job is wrong; RG_ERR_ARG if `paths` is;
/// RG_ERR_UNSUPPORTED if it is no diffusion that can be certified; RG_ERR_BUFFER; what running it returns.
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
            match paths {
                0 => {}
                16..=MOST_PATHS => effort.paths = paths,
                _ => {
                    let allowed = format!("16 to {MOST_PATHS}, or 0");
                    return Err(wrong(
                        "rg_job_certify",
                        "paths",
                        paths.to_string(),
                        &allowed,
                    ));
                }
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
