//! What a run gave.

use crate::error::rg_error;
use crate::ffi::{RowsOut, TextOut, borrow, ffi, free, place, text};
use retrograde::core::SimdLevel;
use retrograde::job::{DrawSet, Finished, Job, Material, Report};
use retrograde::ndarray::{Array3, ArrayView2, Axis, concatenate, s};
use retrograde::{Error, Result, RunResult};
use retrograde_abi::rg_status;
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
}

#[derive(Debug)]
enum Held {
    Memory(Box<Memory>),
    Job(Box<DrawSet>),
    /// A job that was complete already, and did not write what can be read.
    None,
}

#[derive(Debug)]
struct Memory {
    run: RunResult,
    job: Job,
    simd: SimdLevel,
    /// How many of the outputs are the coordinates: those of a limited target, within its limits.
    natural: usize,
}

/// The report of a run in memory, by the checks of a job as far as they apply.
fn report(memory: &Memory) -> String {
    let (run, natural) = (&memory.run, memory.natural);
    let mut values = if natural > 0 {
        Array3::zeros((0, 0, 0))
    } else {
        run.draws()
    };
    let mut names = run.names()[..run.names().len() - natural].to_vec();
    if let Some(outputs) = run.outputs() {
        names.extend(run.output_names().iter().cloned());
        values = match natural {
            0 => concatenate(Axis(2), &[values.view(), outputs.view()]).unwrap_or(values),
            _ => outputs,
        };
    }
    let collected = run.collected();
    let weights = run.log_weights();
    let report = Report::new(&Material {
        job: &memory.job,
        simd: memory.simd,
        complete: run.is_complete(),
        failure: None,
        steps: run.steps(),
        counts: run.counts(),
        tail_evaluations: run.tail_evaluations(),
        scalars: &collected.scalars,
        tables: &collected.tables,
        flags: run.flags().collect(),
        names: &names,
        values: values.view(),
        log_weights: (!weights.is_empty()).then(|| weights.into()),
        modes: None,
        replicates: &[],
    });
    serde_json::to_string(&report).unwrap_or_default()
}

impl rg_result {
    pub(crate) fn of_run(run: RunResult, limited: bool, job: Job, simd: SimdLevel) -> Self {
        Self {
            complete: run.is_complete(),
            scalars: run.collected().scalars.clone(),
            json: OnceLock::new(),
            held: Held::Memory(Box::new(Memory {
                natural: if limited { run.names().len() } else { 0 },
                run,
                job,
                simd,
            })),
        }
    }

    pub(crate) fn of_job(finished: Finished) -> Self {
        let report = &finished.report;
        Self {
            complete: report.complete,
            scalars: report.scalars.clone(),
            json: serde_json::to_string(report).unwrap_or_default().into(),
            held: finished
                .draws
                .map_or(Held::None, |draws| Held::Job(Box::new(draws))),
        }
    }

    fn json(&self) -> &str {
        self.json.get_or_init(|| match &self.held {
            Held::Memory(memory) => report(memory),
            Held::Job(_) | Held::None => String::new(),
        })
    }

    /// Chains, and the rows as they came: the draws of the chains by turns.
    fn rows(&self) -> Result<(usize, ArrayView2<'_, f64>)> {
        match &self.held {
            Held::Memory(memory) => {
                let (run, natural) = (&memory.run, memory.natural);
                let rows = match (natural, run.output_rows()) {
                    (1.., Some(rows)) => rows.slice_move(s![.., ..natural]),
                    _ => run.rows(),
                };
                Ok((run.collected().chains(), rows))
            }
            Held::Job(set) => Ok((set.chains(), set.points())),
            Held::None => Err(not_read()),
        }
    }

    fn outputs(&self) -> Result<Option<(usize, ArrayView2<'_, f64>)>> {
        match &self.held {
            Held::Memory(memory) => {
                let (run, natural) = (&memory.run, memory.natural);
                let rows = run.output_rows().map(|x| x.slice_move(s![.., natural..]));
                let rows = rows.filter(|x| x.ncols() > 0);
                Ok(rows.map(|rows| (run.collected().chains(), rows)))
            }
            Held::Job(set) => {
                let rows = set.outputs();
                Ok((rows.ncols() > 0).then(|| (set.chains(), rows)))
            }
            Held::None => Err(not_read()),
        }
    }

    fn weights(&self) -> Result<Option<Vec<f64>>> {
        match &self.held {
            Held::Memory(memory) => {
                let weights = memory.run.log_weights();
                Ok((!weights.is_empty()).then(|| weights.to_vec()))
            }
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
                    advice: match known[..] {
                        [] => "it has none".into(),
                        _ => format!("it has {}", known.join(", ")),
                    },
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
        holder: "a run that was complete before and wrote no draws.npy".into(),
        advice: "read the files that it wrote".into(),
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
/// was resumed and did not write its draws as npy.
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

/// Copies the draws of a complete run, n x d, chain after chain; those of a limited target lie within its limits.
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

/// Copies the outputs of the target at the draws of a complete run, n x k, chain after chain.
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

/// A result as a JSON object on one line, without its draws: what the report.json of a job holds, by the same checks,
/// but for those that need more than a run in memory has: "complete", "seed", "simd", "chains", "steps", "evaluations", "log_z"
/// (null, or "value" and "se"), "scalars", "coordinates" (and outputs: name, mean, sd, quantiles, effective sample sizes,
/// R-hat), "verdicts" (check, status, text, advice). A number that is not finite is null.
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
