//! What every sampler must keep: the same bits on any number of threads and after a resume, no
//! allocation in the step loop, exact counts, settings that are refused by name.

mod every;
mod saved_states;

use every::{all, all_on, banana, build};
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::drive::{self, Checkpoint, Observer};
use retrograde_core::registry::{Kind, Need, Parts};
use retrograde_core::{
    Build, Cancel, Collected, Counts, Cx, Draws, Error, Flag, PointTarget, Registry, Result,
    Runtime, Sampler, Sink, Target, Threading, Traits,
};
use retrograde_samplers::*;
use serde_json::json;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Counts what the calling thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is handed to the system's allocator unchanged; the counter is a plain cell.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|c| c.set(c.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `alloc` above, that is from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|c| c.set(c.get() + 1));
        // SAFETY: as for `dealloc`, with the caller's contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Keeps everything and every checkpoint; may ask for the run to stop after a step.
struct Watch {
    out: Collected,
    stop_after: Option<u64>,
    cancel: Cancel,
    last: Option<Checkpoint>,
}

impl Sink for Watch {
    fn set_chains(&mut self, chains: usize) -> Result {
        self.out.set_chains(chains)
    }
    fn emit(&mut self, draws: &Draws<'_>) -> Result {
        self.out.emit(draws)
    }
    fn scalar(&mut self, key: &str, value: f64) {
        self.out.scalar(key, value);
    }
    fn record(&mut self, table: &str, row: &[(&str, f64)]) {
        self.out.record(table, row);
    }
    fn flag(&mut self, flag: Flag) {
        self.out.flag(flag);
    }
    fn progress(&mut self, _: f64) {}
}

impl Observer for Watch {
    fn after_step(
        &mut self,
        step: u64,
        _: &Counts,
        save: &mut dyn FnMut() -> Result<Checkpoint>,
    ) -> Result {
        self.last = Some(save()?);
        if Some(step) == self.stop_after {
            self.cancel.request();
        }
        Ok(())
    }
    fn cancelled(&mut self, checkpoint: Checkpoint) -> Result {
        self.last = Some(checkpoint);
        Ok(())
    }
}

/// Runs on `threads` threads, stopping and taking up again after each of the steps `stops`.
fn run(
    sampler: &dyn Sampler,
    d: usize,
    n: usize,
    seed: u64,
    threads: usize,
    stops: &[u64],
) -> Result<(Collected, Counts, u64)> {
    let mut from: Option<Checkpoint> = None;
    let mut out = Collected::new(d);
    for stop in stops.iter().map(Some).chain([None]) {
        let cancel = Cancel::default();
        let mut runtime = Runtime::new(seed, threads)?.with_cancel(cancel.clone());
        let mut watch = Watch {
            out,
            stop_after: stop.copied(),
            cancel,
            last: None,
        };
        let outcome = drive::drive(sampler, &mut runtime, n, from.as_ref(), &mut watch)?;
        out = watch.out;
        if outcome.complete {
            return Ok((out, runtime.counts().clone(), outcome.steps));
        }
        from = watch.last;
        assert_eq!(from.as_ref().map(|c| Some(&c.step)), Some(stop));
    }
    unreachable!("the last attempt is not stopped")
}

#[test]
fn every_run_has_the_same_bits_on_any_threads_and_after_any_stop() {
    for (name, sampler, n) in all() {
        let d = 3;
        let (whole, counts, steps) = run(&*sampler, d, n, 7, 1, &[]).unwrap();
        assert_eq!(whole.len(), n, "{name}");
        assert!(whole.rows().iter().all(|v| v.is_finite()), "{name}");
        for threads in [2, 7] {
            let (other, c, _) = run(&*sampler, d, n, 7, threads, &[]).unwrap();
            assert!(other == whole && c == counts, "{name}: {threads} threads");
        }
        let stops = [1, steps / 3, steps / 2, steps - 1];
        let mut stops: Vec<u64> = stops.into_iter().filter(|s| *s > 0 && *s < steps).collect();
        stops.dedup();
        assert!(
            stops.len() >= 2,
            "{name}: {steps} steps are too few to stop in"
        );
        let (other, c, _) = run(&*sampler, d, n, 7, 2, &stops).unwrap();
        assert!(other == whole && c == counts, "{name}: stops at {stops:?}");
        let (seed, ..) = run(&*sampler, d, n, 8, 1, &[]).unwrap();
        assert!(
            seed.rows() != whole.rows(),
            "{name}: the seed has no effect"
        );
    }
}

/// A target that may be called on the thread that made it alone.
struct Bound(Arc<dyn Target>, std::thread::ThreadId);

impl Target for Bound {
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn traits(&self) -> Traits {
        Traits {
            threading: Threading::Caller,
            ..Traits::PURE
        }
    }
    fn eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        assert_eq!(std::thread::current().id(), self.1);
        self.0.eval(cx, x, log_density, gradient)
    }
}

#[test]
fn a_target_bound_to_the_callers_thread_gives_the_same_bits() {
    let bound: Arc<dyn Target> = Arc::new(Bound(banana(), std::thread::current().id()));
    for ((name, free, n), (_, bound, _)) in all().into_iter().zip(all_on(&bound)) {
        assert_eq!(bound.traits().threading, Threading::Caller, "{name}");
        let (whole, counts, _) = run(&*free, 3, n, 7, 1, &[]).unwrap();
        let (other, c, _) = run(&*bound, 3, n, 7, 3, &[]).unwrap();
        assert!(other == whole && c == counts, "{name}");
    }
}

#[test]
fn a_run_cancelled_inside_a_step_goes_on_from_its_last_checkpoint() {
    let evaluations = Arc::new(AtomicU64::new(0));
    let cancel = Arc::new(Mutex::new(Cancel::default()));
    let (count, flag) = (evaluations.clone(), cancel.clone());
    // The density of `banana`, which asks the run to stop when the count reaches 0.
    let stopping: Arc<dyn Target> = Arc::new(PointTarget::new(3, move |x, g| {
        if count.fetch_sub(1, Ordering::Relaxed) == 1 {
            flag.lock().unwrap().request();
        }
        let (l, gradient) = retrograde_testkit::eval(&*banana(), x);
        g.copy_from_slice(&gradient);
        l
    }));
    for (name, sampler, n) in all_on(&stopping) {
        evaluations.store(u64::MAX / 2, Ordering::Relaxed);
        let (whole, counts, steps) = run(&*sampler, 3, n, 7, 1, &[]).unwrap();
        // Not at the end of a step: those are at whole numbers of moves.
        evaluations.store(counts.rows / 2 + 1, Ordering::Relaxed);
        let mut runtime = Runtime::new(7, 1).unwrap();
        *cancel.lock().unwrap() = runtime.cancel();
        let mut watch = Watch {
            out: Collected::new(3),
            stop_after: None,
            cancel: Cancel::default(),
            last: None,
        };
        let outcome = drive::drive(&*sampler, &mut runtime, n, None, &mut watch).unwrap();
        assert!(!outcome.complete && outcome.steps < steps, "{name}");
        let from = watch.last.take().unwrap();
        assert_eq!(from.step, outcome.steps, "{name}");
        let mut runtime = Runtime::new(7, 1).unwrap();
        drive::drive(&*sampler, &mut runtime, n, Some(&from), &mut watch).unwrap();
        assert!(watch.out == whole && *runtime.counts() == counts, "{name}");
    }
}

/// Keeps nothing, and notes how much each step allocated. Steps that found something to say, which
/// takes text, are left out, but not the first.
struct Nothing {
    flagged: bool,
    before: u64,
    steps: Vec<u64>,
}

impl Sink for Nothing {
    fn set_chains(&mut self, _: usize) -> Result {
        Ok(())
    }
    fn emit(&mut self, _: &Draws<'_>) -> Result {
        Ok(())
    }
    fn scalar(&mut self, _: &str, _: f64) {}
    fn record(&mut self, _: &str, _: &[(&str, f64)]) {}
    fn flag(&mut self, _: Flag) {
        self.flagged = true;
    }
    fn progress(&mut self, _: f64) {}
}

impl Observer for Nothing {
    fn after_step(
        &mut self,
        _: u64,
        _: &Counts,
        _: &mut dyn FnMut() -> Result<Checkpoint>,
    ) -> Result {
        let now = ALLOCATIONS.with(Cell::get);
        if !std::mem::take(&mut self.flagged) || self.steps.is_empty() {
            self.steps.push(now - self.before);
        }
        self.before = ALLOCATIONS.with(Cell::get);
        Ok(())
    }
}

#[test]
fn no_step_but_the_first_allocates() {
    for (name, sampler, n) in all() {
        let mut sink = Nothing {
            flagged: false,
            before: 0,
            steps: Vec::with_capacity(10_000),
        };
        let mut runtime = Runtime::new(7, 1).unwrap();
        drive::drive(&*sampler, &mut runtime, n, None, &mut sink).unwrap();
        assert!(sink.steps.len() > 2, "{name}");
        assert!(sink.steps[0] > 0, "{name}: the counter counts");
        let later = &sink.steps[1..];
        assert!(
            later.iter().all(|a| *a == 0),
            "{name}: allocations a step {later:?}"
        );
    }
}

#[test]
fn ula_keeps_the_known_bias_in_long_chains() {
    let settings = Ula {
        step_size: 0.5,
        warmup: 100,
        chains: 64,
        ..Ula::default()
    };
    let normal = Arc::new(PointTarget::new(2, |x, g| {
        g.iter_mut().zip(x).for_each(|(g, x)| *g = -x);
        -0.5 * (x[0] * x[0] + x[1] * x[1])
    }));
    let sampler = build(settings, normal).unwrap();
    let (out, counts, _) = run(&*sampler, 2, 64 * 2000, 5, 1, &[]).unwrap();
    assert_eq!(out.chains(), 64);
    assert_eq!(
        (counts.density_evals, counts.gradient_evals),
        (64, 64 * 2100)
    );
    let (variance, se) = chain_mean(&out, |x| x[0] * x[0]);
    retrograde_testkit::assert_z("variance at h = 0.5", variance, 4.0 / 3.0, se);
    assert!((variance - 1.0).abs() > 4.5 * se, "the bias is visible");
}

/// Mean of `f` over all draws, and its standard error from the spread over chains.
fn chain_mean(out: &Collected, f: impl Fn(&[f64]) -> f64) -> (f64, f64) {
    let x = out.by_chain();
    retrograde_testkit::mean_se(x.outer_iter().map(|chain: ArrayView2<'_, f64>| {
        let sum: f64 = chain.outer_iter().map(|row| f(&row.to_vec())).sum();
        sum / chain.nrows() as f64
    }))
}

/// A function of one point.
type Function = fn(&[f64]) -> f64;

/// Moments of [`banana`], in closed form.
const MOMENTS: [(&str, f64, Function); 6] = [
    ("E x0", 0.0, |x| x[0]),
    ("E x0²", 1.0, |x| x[0] * x[0]),
    ("E x1", 0.5, |x| x[1]),
    ("Var x1", 0.75, |x| (x[1] - 0.5).powi(2)),
    ("Var x2", 5.0, |x| x[2] * x[2]),
    ("Cov x0, x2", 1.0, |x| x[0] * x[2]),
];

#[test]
fn mala_and_hmc_have_the_moments_of_a_skew_density() {
    let (chains, draws) = (64, 10_000);
    let mala = Mala {
        thin: 10,
        chains,
        ..Mala::default()
    };
    // The density is stiff in its tails: larger steps would enter them too seldom.
    let hmc = Hmc {
        chains,
        target_acceptance: 0.95,
        leapfrog: 20,
        ..Hmc::default()
    };
    for (name, sampler, aim, per_move) in [
        ("mala", build(mala, banana()).unwrap(), 0.65, 1),
        ("hmc", build(hmc, banana()).unwrap(), 0.95, 20),
    ] {
        let (out, counts, _) = run(&*sampler, 3, chains * draws, 5, 1, &[]).unwrap();
        for (what, truth, f) in MOMENTS {
            let (got, se) = chain_mean(&out, f);
            println!("{name}: {what} {got:.4} ± {se:.4}, true {truth}");
            retrograde_testkit::assert_z(&format!("{name}: {what}"), got, truth, se);
        }
        let thin = if name == "mala" { 10 } else { 1 };
        let moves = chains as u64 * (1000 + thin * draws as u64);
        assert_eq!(counts.density_evals, chains as u64 + moves, "{name}");
        assert_eq!(
            counts.gradient_evals,
            chains as u64 + per_move * moves,
            "{name}"
        );
        let accept = out.stat("accept_stat").unwrap().mean().unwrap();
        assert!((accept - aim).abs() < 0.06, "{name}: acceptance {accept}");
        let steps = out.stat("step_size").unwrap();
        assert!(
            name == "hmc" || steps.iter().all(|s| *s == steps[(0, 0)]),
            "frozen"
        );
        // `lp` belongs to the draw it stands beside.
        for (x, lp) in out.rows().outer_iter().zip(&out.stats["lp"]).take(200) {
            let (l, _) = retrograde_testkit::eval(&*banana(), &x.to_vec());
            assert_eq!(l, *lp);
        }
    }
}

#[test]
fn divergences_are_counted_and_flagged() {
    let settings = Hmc {
        step_size: 3.0,
        adapt: false,
        adapt_mass: false,
        warmup: 0,
        ..Hmc::default()
    };
    let (out, ..) = run(&*build(settings, banana()).unwrap(), 3, 400, 1, 1, &[]).unwrap();
    let diverging = out.stats["diverging"].iter().sum::<f64>();
    assert!(diverging > 0.0 && out.scalars["divergences"] == diverging);
    assert!(
        out.flags["divergences"]
            .advice
            .contains("target_acceptance")
    );
    assert!(out.rows().iter().all(|v| v.is_finite()));
}

#[test]
fn draws_that_do_not_fit_the_chains_are_refused_with_advice() {
    for (name, sampler, _) in all().into_iter().filter(|s| s.0.contains("few")) {
        let error = run(&*sampler, 3, 101, 1, 1, &[]).unwrap_err().to_string();
        for words in ["`chains` is 4", "101", "100 draws"] {
            assert!(error.contains(words), "{name}: {error}");
        }
    }
}

#[test]
fn a_start_without_mass_is_refused() {
    let nowhere: Arc<dyn Target> = Arc::new(PointTarget::new(2, |_, _| f64::NEG_INFINITY));
    for sampler in [
        build(Ais::default(), nowhere.clone()).unwrap(),
        build(AnnealedLangevin::default(), nowhere.clone()).unwrap(),
        build(Baoab::default(), nowhere.clone()).unwrap(),
        build(Dilation::default(), nowhere.clone()).unwrap(),
        build(Ula::default(), nowhere.clone()).unwrap(),
        build(Mala::default(), nowhere.clone()).unwrap(),
        build(Hmc::default(), nowhere.clone()).unwrap(),
        build(ParallelTempering::default(), nowhere.clone()).unwrap(),
        build(Pdds::default(), nowhere.clone()).unwrap(),
        build(Rdmc::default(), nowhere.clone()).unwrap(),
        build(Rdsmc::default(), nowhere.clone()).unwrap(),
        build(Slips::default(), nowhere.clone()).unwrap(),
        build(Smc::default(), nowhere).unwrap(),
    ] {
        let error = run(&*sampler, 2, 400, 1, 1, &[]).unwrap_err();
        assert!(
            matches!(&error, Error::Breakdown { advice, .. } if advice.contains("_sd")),
            "{error}"
        );
    }
}

#[test]
fn all_are_registered_with_documented_keys() {
    let registry = Registry::builtin().unwrap();
    let names: Vec<&str> = registry.of(Kind::Sampler).map(|c| &*c.name).collect();
    assert_eq!(
        names.join(" "),
        "ais ancestral annealed-langevin baoab ddim dilation dpm-solver edm exponential-integrator hmc mala \
         parallel-tempering pdds predictor-corrector probability-flow rd-f rd-q rd-s rdmc rdsmc reverse-sde slips smc ula"
    );
    let alone = |c: &&retrograde_core::Component| c.needs.process != Need::Required;
    for component in registry.of(Kind::Sampler).filter(alone) {
        assert_eq!(component.needs.gradient, Need::Required);
        let schema = component.schema.as_value();
        assert_eq!(schema["additionalProperties"], false, "{}", component.name);
        for (key, property) in schema["properties"].as_object().unwrap() {
            let text = property["description"].as_str().unwrap_or("");
            assert!(
                text.contains("Default"),
                "{}: {key}: {text}",
                component.name
            );
        }
        // An empty table is enough, an unknown key is not.
        let folder = retrograde_core::registry::Folder::default();
        let parts = Parts::new(&folder).with_target(banana());
        let make = |settings| registry.sampler(&component.name, settings, &parts).err();
        assert!(make(json!({})).is_none(), "{}", component.name);
        let error = make(json!({ "step_sise": 0.1 })).unwrap().to_string();
        assert!(error.contains("step_sise"), "{error}");
        let error = make(json!({ "step_size": -0.1 })).unwrap().to_string();
        assert!(
            error.contains("`step_size` is -0.1") && error.contains("above 0"),
            "{error}"
        );
    }
}

#[test]
fn a_target_without_coordinates_is_refused() {
    let nothing: Arc<dyn Target> = Arc::new(PointTarget::new(0, |_, _| 0.0));
    let parts = retrograde_core::registry::Folder::default();
    let refused = |built: Result<Arc<dyn Sampler>>| {
        let error = built.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("coordinates"), "{error}");
    };
    let parts = || Parts::new(&parts).with_target(nothing.clone());
    refused(Ais::default().build(&parts()));
    refused(AnnealedLangevin::default().build(&parts()));
    refused(Baoab::default().build(&parts()));
    refused(Dilation::default().build(&parts()));
    refused(Ula::default().build(&parts()));
    refused(Mala::default().build(&parts()));
    refused(Hmc::default().build(&parts()));
    refused(ParallelTempering::default().build(&parts()));
    refused(Pdds::default().build(&parts()));
    refused(Rdmc::default().build(&parts()));
    refused(Rdsmc::default().build(&parts()));
    refused(Slips::default().build(&parts()));
    refused(Smc::default().build(&parts()));
}
