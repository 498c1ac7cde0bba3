//! Samplers: made from parts or from the tables of a job, and run in memory.

use crate::callback::{self, rg_batch_fn};
use crate::context::{Log, rg_context};
use crate::error::rg_error;
use crate::ffi::{
    RowsOut, User, borrow, ffi, free, hand_over, optional_text, place, settings, text, wrong,
};
use crate::job::plan;
use crate::options::{Watch, read, rg_run_options};
use crate::process::{Shapeless, rg_process};
use crate::result::rg_result;
use crate::score::rg_score;
use crate::target::rg_target;
use retrograde::core::registry::{Folder, Parts};
use retrograde::core::{Kind, Sampler, Severity, Target};
use retrograde::job::{ExpectSettings, Job};
use retrograde::{Error, Result, Run, RunResult};
use retrograde_abi::rg_status;
use std::ffi::{c_char, c_void};
use std::sync::Arc;

/// A sampler with what it samples. Made by rg_sampler_new or rg_sampler_from_toml, freed by
/// rg_sampler_free; results live on.
pub struct rg_sampler {
    sampler: Arc<dyn Sampler>,
    target: Arc<dyn Target>,
    /// Whether the target has limits: then its first outputs are the coordinates within them.
    limited: bool,
    log: Option<Arc<Log>>,
    /// Kind and name of what it is made of.
    components: Vec<(Kind, String)>,
}

impl std::fmt::Debug for rg_sampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("rg_sampler")
            .field("components", &self.components)
            .finish_non_exhaustive()
    }
}

/// Makes a sampler of the registry.
///
/// `cx`: a context; not NULL.
/// `name`: its name; not NULL.
/// `toml`: its settings as TOML, the keys that a job has in `[sampler]` without `kind`; NULL for none.
/// `t`: the target; NULL if the sampler goes by process and score alone.
/// `p`: the process; NULL if the sampler needs none.
/// `s`: the score; NULL if the sampler needs none.
/// `out`: gets the sampler, which the caller frees; not NULL.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL; RG_ERR_UTF8; RG_ERR_ARG if all of `t`, `p` and `s` are NULL; RG_ERR_NOT_FOUND if no
/// sampler is called so; RG_ERR_CONFIG if a setting is wrong; RG_ERR_UNSUPPORTED if it needs a part that is
/// not there, or more of one than it has; what a plugin returns.
/// Threads: any, also several at once with the same objects.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_sampler_new(
    cx: *const rg_context,
    name: *const c_char,
    toml: *const c_char,
    t: *const rg_target,
    p: *const rg_process,
    s: *const rg_score,
    out: *mut *mut rg_sampler,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let cx = borrow(cx, "cx")?;
            let name = text(name, "name")?;
            let toml = optional_text(toml, "toml")?;
            let out = place(out, "out")?;
            let files = Folder::default();
            let mut parts = Parts::new(&files);
            parts.target = t.as_ref().map(|t| t.target.clone());
            parts.process = p.as_ref().map(|p| p.process.clone());
            parts.score = s.as_ref().map(|s| s.score.clone());
            let target: Arc<dyn Target> = match (&parts.target, &parts.process, &parts.score) {
                (Some(t), _, _) => t.clone(),
                (None, Some(p), _) => Arc::new(Shapeless(p.dim())),
                (None, None, Some(s)) => Arc::new(Shapeless(s.dim())),
                (None, None, None) => {
                    let allowed = "a target, where process and score are NULL as well";
                    return Err(wrong("rg_sampler_new", "t", "NULL".into(), allowed));
                }
            };
            // Samplers that go by the score alone take the dimension from it.
            parts.target = Some(target.clone());
            let label = format!("sampler {name}");
            let sampler = cx.registry.sampler(name, settings(&label, toml)?, &parts)?;
            let made = rg_sampler {
                sampler,
                target,
                limited: t.as_ref().is_some_and(|t| t.bounded.is_some()),
                log: cx.log.clone(),
                components: vec![(Kind::Sampler, name.to_owned())],
            };
            hand_over(out, made);
            Ok(())
        })
    }
}

/// Makes a sampler from the text of a job: its tables `[target]`, `[process]`, `[score]` and `[sampler]`. Seed, draws
/// and threads are those of the run.
///
/// `cx`: a context; not NULL.
/// `toml`: the job; not NULL. Files that it names are looked for from the current folder.
/// `t`: takes the place of `[target]`, of which only `bounds` is read then; NULL if the job has a target.
/// `out`: gets the sampler, which the caller frees; not NULL.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL; RG_ERR_UTF8; RG_ERR_CONFIG if the job is wrong, with line and column of all that
/// is; what making its components returns.
/// Threads: any, also several at once with the same objects.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_sampler_from_toml(
    cx: *const rg_context,
    toml: *const c_char,
    t: *const rg_target,
    out: *mut *mut rg_sampler,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let cx = borrow(cx, "cx")?;
            let toml = text(toml, "toml")?;
            let out = place(out, "out")?;
            let (_, plan) = plan(cx, toml, t.as_ref(), None)?;
            let made = rg_sampler {
                sampler: plan.sampler,
                target: plan.target,
                limited: plan.bounded.is_some(),
                log: cx.log.clone(),
                components: plan.components,
            };
            hand_over(out, made);
            Ok(())
        })
    }
}

/// Runs a sampler. The bits of the draws depend on its settings, on the seed, on the version of this library
/// and on the vector instructions of the machine (see RG_RUN_BASELINE_SIMD), not on the number of threads.
///
/// `s`: a sampler; not NULL.
/// `options`: see rg_run_options; NULL for the defaults.
/// `out`: gets the result, which the caller frees; not NULL. With RG_ERR_CANCELLED it gets one if the run had begun,
/// not complete, with what there was by then; else it stays as it was: set it to NULL first.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_CANCELLED; RG_ERR_NULL; RG_ERR_ARG or RG_ERR_CONFIG if options or settings are wrong;
/// RG_ERR_NUMERIC if the target is not finite at too many points; what a callback returns.
/// Threads: any, also several at once with the same sampler; targets that are not RG_THREAD_CONCURRENT then
/// wait for one another. From inside of a callback of its own target RG_ERR_BUSY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_sampler_run(
    s: *const rg_sampler,
    options: *const rg_run_options,
    out: *mut *mut rg_result,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let s = borrow(s, "s")?;
            let options = read(options, "rg_sampler_run")?;
            let out = place(out, "out")?;
            let result = run(s, &options, options.cancel())?;
            let complete = result.is_complete();
            let result = s.result(result, &options);
            hand_over(out, result);
            if complete {
                Ok(())
            } else {
                Err(Error::Cancelled)
            }
        })
    }
}

impl rg_sampler {
    fn result(&self, run: RunResult, options: &rg_run_options) -> rg_result {
        let job = Job {
            components: self.components.clone(),
            seed: options.seed,
            draws: options.draws(),
            dim: self.target.dim(),
            truth: Job::truth(self.target.as_ref(), self.limited),
            expect: ExpectSettings::default(),
        };
        rg_result::of_run(run, self.limited, job, options.simd())
    }
}

fn run(
    s: &rg_sampler,
    options: &rg_run_options,
    cancel: retrograde::core::Cancel,
) -> Result<RunResult> {
    let mut run = Run::shared(s.target.clone())
        .shared_sampler(s.sampler.clone())
        .draws(options.draws())
        .seed(options.seed)
        .threads(options.threads())
        .simd(options.simd())
        .cancel(cancel.clone());
    if let Some(log) = s.log.clone() {
        run = run.log(move |level, text| log.line(level, text));
    }
    let mut watch = Watch::new(options);
    run.run_watched(|p| {
        watch.step(p.step, p.draws as u64, p.fraction, p.counts);
        if watch.stop {
            cancel.request();
        }
    })
}

/// All in one: a target from a function, a sampler from TOML, a run, its draws.
///
/// `cx`: a context; not NULL.
/// `toml`: the job without `[target]`; not NULL. `kind` of `[sampler]` is enough. Of `[target]` only `bounds` is read; tables
/// and keys that say how a job is run, such as `seed`, count for nothing here.
/// `d`, `f`, `user`, `caps`, `threading`: as for rg_target_from_batch.
/// `seed`: seed of all random numbers.
/// `n`: draws in all, 1 or more.
/// `draws`: gets n x d numbers; not NULL.
/// `log_z`: gets log Z; NULL if it is not wanted.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL; RG_ERR_ARG if `n` is 0; RG_ERR_UNSUPPORTED if log Z is wanted and the sampler estimates none,
/// or if the draws have weights (use rg_sampler_run); RG_ERR_NUMERIC if the run says of itself that it failed, as where the
/// density cannot be normalised; else as rg_sampler_from_toml and rg_sampler_run.
/// Threads: any, also several at once with the same context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_sample(
    cx: *const rg_context,
    toml: *const c_char,
    d: usize,
    f: rg_batch_fn,
    user: *mut c_void,
    caps: u64,
    threading: i32,
    seed: u64,
    n: usize,
    draws: *mut f64,
    log_z: *mut f64,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let cx = borrow(cx, "cx")?;
            let toml = text(toml, "toml")?;
            let draws = RowsOut::new("draws", draws, n, d, 0)?;
            let target = callback::batch(d, f, User::new(user, None), caps, threading)?;
            let target = rg_target::new(target);
            let (_, plan) = plan(cx, toml, Some(&target), None)?;
            let s = rg_sampler {
                sampler: plan.sampler,
                target: plan.target,
                limited: plan.bounded.is_some(),
                log: cx.log.clone(),
                components: Vec::new(),
            };
            let options = rg_run_options {
                seed,
                n_draws: n,
                ..rg_run_options::default()
            };
            if n == 0 {
                return Err(wrong("rg_sample", "n", "0".into(), "1 or more"));
            }
            let run = run(&s, &options, options.cancel())?;
            if let Some(flag) = run.flags().find(|f| f.severity == Severity::Failure) {
                return Err(Error::Breakdown {
                    component: "rg_sample".into(),
                    message: flag.text.clone(),
                    advice: flag.advice.clone(),
                });
            }
            let result = s.result(run, &options);
            if result.weighted() {
                return Err(Error::Missing {
                    component: "rg_sample".into(),
                    needed: "draws of equal weight".into(),
                    holder: "this sampler".into(),
                    advice: "use rg_sampler_run and rg_result_log_weights".into(),
                });
            }
            let value = match log_z.is_null() {
                true => None,
                false => Some(result.scalar("log_z")?),
            };
            result.write_first(n, &draws)?;
            if let Some(value) = value {
                log_z.write(value);
            }
            Ok(())
        })
    }
}

/// Frees a sampler.
///
/// `s`: a sampler that was not freed yet and that no other thread is using, or NULL, which does nothing.
/// Threads: any, not necessarily the one that made it; a `drop` or `destroy` may be called on it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_sampler_free(s: *mut rg_sampler) {
    // SAFETY: as the header says.
    unsafe { free(s) };
}
