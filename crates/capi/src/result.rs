//! What a run gave.

use crate::error::rg_error;
use crate::ffi::{RowsOut, TextOut, borrow, ffi, free, place, text};
use crate::options::rg_run_options;
use retrograde::core::{Flag, Severity};
use retrograde::job::{DrawSet, Finished};
use retrograde::ndarray::ArrayView2;
use retrograde::{Error, Result, RunResult};
use retrograde_abi::rg_status;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::ffi::c_char;
use std::sync::OnceLock;

/// What a run gave: draws, log weights, numbers, verdicts. Made by the functions that run, freed by
/// rg_result_free.
#[derive(Debug)]
pub struct rg_result {
    held: Held,
    complete: bool,
    scalars: BTreeMap<String, f64>,
    /// Made when it is asked for: what sums the draws up takes longer than many runs.
    json: OnceLock<String>,
    about: About,
}

/// What a run in memory was made of.
#[derive(Debug, Default)]
struct About {
    components: Vec<(&'static str, String)>,
    seed: u64,
    draws: usize,
    simd: String,
}

#[derive(Debug)]
enum Held {
    Memory(Box<RunResult>),
    Job(Box<DrawSet>),
    /// A job that was complete already.
    None,
}

/// The lines of a run, each for a person and for a program.
fn verdict(flag: &Flag) -> Value {
    let status = match flag.severity {
        Severity::Note => "note",
        Severity::Warning => "warn",
        Severity::Failure => "fail",
    };
    json!({"check": flag.key, "status": status, "text": flag.text, "advice": flag.advice})
}

/// JSON has no NaN.
fn number(v: f64) -> Value {
    serde_json::Number::from_f64(v).map_or(Value::Null, Value::Number)
}

impl About {
    fn json(&self, run: &RunResult) -> String {
        let coordinates: Vec<Value> = run
            .names()
            .iter()
            .zip(run.summary())
            .map(|(name, s)| {
                json!({"name": name, "mean": number(s.mean), "sd": number(s.sd), "q05": number(s.q05),
                    "q50": number(s.q50), "q95": number(s.q95), "mcse_mean": number(s.mcse_mean),
                    "ess_bulk": number(s.ess_bulk), "ess_tail": number(s.ess_tail),
                    "rhat": number(s.rhat)})
            })
            .collect();
        let (rows, chains) = (run.rows(), run.collected().chains());
        let scalars: Map<String, Value> = run
            .collected()
            .scalars
            .iter()
            .map(|(k, v)| (k.clone(), number(*v)))
            .collect();
        let kinds: Map<String, Value> = self
            .components
            .iter()
            .map(|(kind, name)| ((*kind).into(), json!(name)))
            .collect();
        let object = json!({
            "program": concat!("libretrograde ", env!("CARGO_PKG_VERSION")),
            "complete": run.is_complete(),
            "components": kinds,
            "seed": self.seed,
            "simd": self.simd,
            "draws": self.draws,
            "dim": rows.ncols(),
            "chains": chains,
            "draws_per_chain": rows.nrows() / chains,
            "evaluations": run.counts(),
            "tail_evaluations": run.tail_evaluations(),
            "log_z": run.log_z().map(|z| json!({"value": z.value, "se": z.se})),
            "scalars": scalars,
            "coordinates": coordinates,
            "outputs": run.output_names(),
            "verdicts": run.flags().map(verdict).collect::<Vec<_>>(),
        });
        object.to_string()
    }
}

impl rg_result {
    pub(crate) fn of_run(
        run: RunResult,
        components: &[(&'static str, String)],
        options: &rg_run_options,
    ) -> Self {
        Self {
            complete: run.is_complete(),
            scalars: run.collected().scalars.clone(),
            json: OnceLock::new(),
            about: About {
                components: components.to_vec(),
                seed: options.seed,
                draws: options.n_draws,
                simd: options.simd().to_string(),
            },
            held: Held::Memory(Box::new(run)),
        }
    }

    pub(crate) fn of_job(finished: Finished) -> Self {
        let report = &finished.report;
        Self {
            complete: report.complete,
            scalars: report.scalars.clone(),
            json: serde_json::to_string(report).unwrap_or_default().into(),
            about: About::default(),
            held: finished
                .draws
                .map_or(Held::None, |draws| Held::Job(Box::new(draws))),
        }
    }

    fn json(&self) -> &str {
        self.json.get_or_init(|| match &self.held {
            Held::Memory(run) => self.about.json(run),
            Held::Job(_) | Held::None => String::new(),
        })
    }

    /// Chains, and the rows as they came: the draws of the chains by turns.
    fn rows(&self) -> Result<(usize, ArrayView2<'_, f64>)> {
        match &self.held {
            Held::Memory(run) => Ok((run.collected().chains(), run.rows())),
            Held::Job(set) => Ok((set.chains(), set.points())),
            Held::None => Err(not_read()),
        }
    }

    fn outputs(&self) -> Result<Option<(usize, ArrayView2<'_, f64>)>> {
        match &self.held {
            Held::Memory(run) => Ok(run
                .output_rows()
                .map(|rows| (run.collected().chains(), rows))),
            Held::Job(set) => {
                let rows = set.outputs();
                Ok((rows.ncols() > 0).then(|| (set.chains(), rows)))
            }
            Held::None => Err(not_read()),
        }
    }

    fn weights(&self) -> Result<Option<Vec<f64>>> {
        match &self.held {
            Held::Memory(run) if run.log_weights().is_empty() => Ok(None),
            Held::Memory(run) => Ok(Some(run.log_weights().to_vec())),
            Held::Job(set) => Ok(set.log_weights().map(|w| w.to_vec())),
            Held::None => Err(not_read()),
        }
    }

    pub(crate) fn weighted(&self) -> bool {
        self.weights().is_ok_and(|w| w.is_some())
    }

    pub(crate) fn scalar(&self, key: &str) -> Result<f64> {
        if !self.complete && key.starts_with("log_z") {
            return Err(incomplete());
        }
        self.scalars
            .get(key)
            .copied()
            .filter(|v| !v.is_nan())
            .ok_or_else(|| {
                let known: Vec<&str> = self.scalars.keys().map(String::as_str).collect();
                Error::Missing {
                    component: "rg_result_scalar".into(),
                    needed: format!("the number `{key}`"),
                    holder: "this result".into(),
                    advice: format!("it has {}", known.join(", ")),
                }
            })
    }

    /// Writes the first `n` draws, chain after chain.
    ///
    /// # Errors
    /// When there are fewer.
    ///
    /// # Safety
    /// There is room for `n`.
    pub(crate) unsafe fn write_first(&self, n: usize, out: &RowsOut) -> Result {
        let (chains, rows) = self.rows()?;
        let there = rows.nrows() / chains * chains;
        if there < n {
            return Err(Error::Incomplete {
                what: format!("{n} draws were asked for, {chains} chains gave {there}"),
            });
        }
        // SAFETY: by contract.
        unsafe { out.write_chains(chains, rows) };
        Ok(())
    }

    fn whole(&self) -> Result {
        if self.complete {
            Ok(())
        } else {
            Err(incomplete())
        }
    }
}

fn not_read() -> Error {
    Error::Missing {
        component: "this result".into(),
        needed: "draws in memory".into(),
        holder: "a run that was complete before".into(),
        advice: "read them from its directory".into(),
    }
}

fn incomplete() -> Error {
    Error::Incomplete {
        what: "it was cancelled; rg_result_partial_draws has what there was".into(),
    }
}

/// The shape of a result.  Each place may be NULL if it is not wanted.
///
/// `r`: a result; not NULL.
/// `chains`: gets the number of chains; particles and independent draws are one.
/// `n`: gets the number of draws in all, `chains` times those of a chain.
/// `d`: gets the dimension.
/// `k`: gets the number of outputs of the target.
/// `complete`: gets 1 if the run came to its end, 0 if it was stopped.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL if `r` is NULL; RG_ERR_UNSUPPORTED if it is of a job that was complete before it
/// was resumed: its draws are in its directory only.
/// Threads: any, also several at once with the same result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_result_shape(
    r: *const rg_result,
    chains: *mut usize,
    n: *mut usize,
    d: *mut usize,
    k: *mut usize,
    complete: *mut i32,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let r = borrow(r, "r")?;
            let (c, rows) = r.rows()?;
            let outputs = r.outputs()?.map_or(0, |(_, rows)| rows.ncols());
            for (place, value) in [
                (chains, c),
                (n, rows.nrows() / c * c),
                (d, rows.ncols()),
                (k, outputs),
            ] {
                if let Some(place) = place.as_mut() {
                    *place = value;
                }
            }
            if let Some(complete) = complete.as_mut() {
                *complete = i32::from(r.complete);
            }
            Ok(())
        })
    }
}

unsafe fn write(
    what: &str,
    (chains, rows): (usize, ArrayView2<'_, f64>),
    out: *mut f64,
    stride: usize,
    len: usize,
) -> Result {
    let n = rows.nrows() / chains * chains;
    let out = RowsOut::new(what, out, n, rows.ncols(), stride)?.in_room(what, len)?;
    // SAFETY: by the contract of the caller there is the room that was looked at.
    unsafe { out.write_chains(chains, rows) };
    Ok(())
}

/// Copies the draws of a complete run, n x d, chain after chain, on the scale without limits.
///
/// `r`: a result; not NULL.
/// `out`: gets the draws, row i at out + i * row_stride; not NULL.
/// `row_stride`: d or more; 0 stands for d.
/// `out_len`: numbers that there is room for at `out`, (n - 1) * row_stride + d at least.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL; RG_ERR_DIM if the stride is wrong; RG_ERR_BUFFER if `out_len` is too small;
/// RG_ERR_INCOMPLETE if the run was stopped; RG_ERR_UNSUPPORTED as for rg_result_shape.
/// Threads: any, also several at once with the same result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_result_draws(
    r: *const rg_result,
    out: *mut f64,
    row_stride: usize,
    out_len: usize,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let r = borrow(r, "r")?;
            r.whole()?;
            write("out", r.rows()?, out, row_stride, out_len)
        })
    }
}

/// Copies what draws there are, also of a run that was stopped: those of a diffusion that was stopped half-way
/// back, or of particles on their way, are no draws of the target.
///
/// `r`, `out`, `row_stride`, `out_len`, `err`: as for rg_result_draws.
/// Returns RG_OK; RG_ERR_NULL; RG_ERR_DIM; RG_ERR_BUFFER; RG_ERR_UNSUPPORTED as for rg_result_shape.
/// Threads: any, also several at once with the same result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_result_partial_draws(
    r: *const rg_result,
    out: *mut f64,
    row_stride: usize,
    out_len: usize,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            write("out", borrow(r, "r")?.rows()?, out, row_stride, out_len)
        })
    }
}

/// Copies the outputs of the target at the draws of a complete run, n x k, chain after chain. Those of a
/// limited target begin with its d coordinates within the limits.
///
/// `r`: a result; not NULL.
/// `out`: gets the outputs, row i at out + i * row_stride; not NULL.
/// `row_stride`: k or more; 0 stands for k.
/// `out_len`: numbers that there is room for at `out`, (n - 1) * row_stride + k at least.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns as rg_result_draws; RG_ERR_UNSUPPORTED also if the target has no outputs.
/// Threads: any, also several at once with the same result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_result_outputs(
    r: *const rg_result,
    out: *mut f64,
    row_stride: usize,
    out_len: usize,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let r = borrow(r, "r")?;
            r.whole()?;
            let outputs = r.outputs()?.ok_or_else(|| Error::Missing {
                component: "rg_result_outputs".into(),
                needed: "outputs".into(),
                holder: "this target".into(),
                advice: "ask rg_result_shape for their number first".into(),
            })?;
            write("out", outputs, out, row_stride, out_len)
        })
    }
}

/// Copies the log weights of the draws, n numbers in their order, not normalised.
///
/// `r`: a result; not NULL.
/// `out`: gets the weights; not NULL.
/// `out_len`: numbers that there is room for at `out`, n at least.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns as rg_result_draws; RG_ERR_UNSUPPORTED also if all draws weigh the same.
/// Threads: any, also several at once with the same result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_result_log_weights(
    r: *const rg_result,
    out: *mut f64,
    out_len: usize,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let r = borrow(r, "r")?;
            r.whole()?;
            let weights = r.weights()?.ok_or_else(|| Error::Missing {
                component: "rg_result_log_weights".into(),
                needed: "weights".into(),
                holder: "this run".into(),
                advice: "all its draws weigh the same".into(),
            })?;
            let n = weights.len();
            let weights = ArrayView2::from_shape((n, 1), &weights).map_err(|_| not_read())?;
            write("out", (r.rows()?.0, weights), out, 1, out_len)
        })
    }
}

/// One of the numbers that sum a run up: "log_z", "log_z_se", and what the sampler names, such as
/// "acceptance"; rg_result_json has them all.
///
/// `r`: a result; not NULL.
/// `key`: its name; not NULL.
/// `out`: gets the number; not NULL.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL; RG_ERR_UTF8; RG_ERR_UNSUPPORTED if the run has no such number, with those that it
/// has; RG_ERR_INCOMPLETE for log Z of a run that was stopped.
/// Threads: any, also several at once with the same result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_result_scalar(
    r: *const rg_result,
    key: *const c_char,
    out: *mut f64,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let r = borrow(r, "r")?;
            let key = text(key, "key")?;
            let out = place(out, "out")?;
            out.write(r.scalar(key)?);
            Ok(())
        })
    }
}

/// A result as a JSON object on one line, without its draws: for a job what its report.json holds, for other
/// runs the same keys as far as they apply: "complete", "seed", "simd", "chains", "evaluations", "log_z" (null, or
/// "value" and "se"), "scalars", "coordinates" (name, mean, sd, quantiles, effective sample sizes, R-hat),
/// "verdicts" (check, status, text, advice). A number that is not finite is null.
///
/// `r`: a result; not NULL.
/// `buf`, `cap`, `need`: as for rg_context_describe.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL; RG_ERR_BUFFER if `cap` is too small, and then `buf` is as it was.
/// Threads: any, also several at once with the same result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_result_json(
    r: *const rg_result,
    buf: *mut c_char,
    cap: usize,
    need: *mut usize,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let r = borrow(r, "r")?;
            TextOut::new(buf, cap, need)?.write(r.json())
        })
    }
}

/// Frees a result.
///
/// `r`: a result that was not freed yet and that no other thread is using, or NULL, which does nothing.
/// Threads: any, not necessarily the one that made it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_result_free(r: *mut rg_result) {
    // SAFETY: as the header says.
    unsafe { free(r) };
}
