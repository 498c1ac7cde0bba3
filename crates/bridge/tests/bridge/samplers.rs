//! Whole runs of samplers made by `create` of the plugin side on parts that the host lends: the path of a
//! plugin in a file, but for the file.

use crate::plugged::{process, registry, score, table, target};
use retrograde_abi::{
    RG_KIND_SAMPLER, rg_call, rg_cfg, rg_component, rg_deps, rg_host, rg_ref, rg_status,
};
use retrograde_bridge::{Foreign, Settings, create, lend};
use retrograde_core::drive::{Checkpoint, Observer, drive};
use retrograde_core::registry::{Folder, Parts};
use retrograde_core::{
    Build, Cancel, Collected, Counts, Cx, Draws, Error, Flag, PointTarget, Result, Runtime,
    Sampler, Sink, Target, Traits,
};
use retrograde_samplers::*;
use std::sync::Arc;

type Create = unsafe extern "C" fn(
    *const rg_host,
    *mut rg_call,
    *const rg_cfg,
    *const rg_deps,
    *mut rg_ref,
) -> rg_status;

pub(crate) fn component(kind: i32, create: Create) -> rg_component {
    rg_component {
        struct_size: size_of::<rg_component>(),
        kind,
        needs: 0,
        name: c"test".as_ptr(),
        version: std::ptr::null(),
        doc: c"of a test".as_ptr(),
        params: std::ptr::null(),
        n_params: 0,
        schema: std::ptr::null(),
        vtable: std::ptr::null(),
        create: Some(create),
    }
}

pub(crate) type Plugged = Foreign<retrograde_abi::rg_sampler_vtable>;

/// A sampler with settings `S`, made by the plugin side.
pub(crate) fn plugged<S: Build<dyn Sampler>>(settings: &str, parts: &Parts<'_>) -> Result<Plugged> {
    let component = component(RG_KIND_SAMPLER, retrograde_plugin::create::<dyn Sampler, S>);
    let table = table(settings);
    let settings = Settings {
        label: "sampler test",
        table: &table,
        files: parts.files,
    };
    // SAFETY: a component of this very program.
    unsafe { create(&component, &settings, lend(parts)) }
}

/// Keeps everything and every checkpoint; may ask for the run to stop after a step.
pub(crate) struct Watch {
    pub(crate) out: Collected,
    stop_after: Option<u64>,
    cancel: Cancel,
    last: Option<Checkpoint>,
}

impl Watch {
    pub(crate) fn new(d: usize) -> Self {
        Self {
            out: Collected::new(d),
            stop_after: None,
            cancel: Cancel::default(),
            last: None,
        }
    }
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
    fn progress(&mut self, fraction: f64) {
        assert!((0.0..=1.0).contains(&fraction));
    }
}

impl Observer for Watch {
    fn after_step(
        &mut self,
        step: u64,
        _: &Counts,
        save: &mut dyn FnMut() -> Result<Checkpoint>,
    ) -> Result {
        if Some(step) == self.stop_after {
            self.last = Some(save()?);
            self.cancel.request();
        }
        Ok(())
    }
    fn cancelled(&mut self, checkpoint: Checkpoint) -> Result {
        self.last = Some(checkpoint);
        Ok(())
    }
}

/// Runs on `threads` threads, stopping and going on after each of the steps `stops`.
fn run(
    sampler: &dyn Sampler,
    d: usize,
    n: usize,
    threads: usize,
    stops: &[u64],
) -> Result<(Collected, Counts, u64, Option<Checkpoint>)> {
    let mut from: Option<Checkpoint> = None;
    let mut out = Collected::new(d);
    for stop in stops.iter().map(Some).chain([None]) {
        let cancel = Cancel::default();
        let mut runtime = Runtime::new(7, threads)?.with_cancel(cancel.clone());
        let mut watch = Watch {
            out,
            stop_after: stop.copied(),
            cancel,
            last: None,
        };
        let outcome = drive(sampler, &mut runtime, n, from.as_ref(), &mut watch)?;
        out = watch.out;
        if outcome.complete {
            return Ok((out, runtime.counts().clone(), outcome.steps, from));
        }
        from = watch.last;
        assert_eq!(from.as_ref().map(|c| Some(&c.step)), Some(stop));
    }
    unreachable!("the last attempt is not stopped")
}

/// A skew density in three dimensions.
pub(crate) fn skew() -> Arc<dyn Target> {
    Arc::new(PointTarget::new(3, |x, g| {
        let (a, b) = (x[1] - 0.5 * x[0] * x[0], x[2] - x[0]);
        g[0] = -x[0] + 4.0 * a * x[0] + 0.25 * b;
        g[1] = -4.0 * a;
        g[2] = -0.25 * b;
        -0.5 * x[0] * x[0] - 2.0 * a * a - 0.125 * b * b
    }))
}

static HERE: Folder = Folder(std::path::PathBuf::new());

struct Case {
    name: String,
    own: Arc<dyn Sampler>,
    plugged: Plugged,
    other: Option<Plugged>,
    d: usize,
    n: usize,
}

fn case<S: Build<dyn Sampler>>(
    kind: &str,
    settings: &str,
    other: &str,
    n: usize,
    parts: &dyn Fn() -> Parts<'static>,
) -> Case {
    // Each has parts of its own, since some remember what they were asked.
    let of_own = parts();
    let d = of_own.target.as_ref().map_or(0, |t| t.dim());
    let own = registry()
        .sampler(kind, table(settings), &of_own)
        .unwrap_or_else(|e| panic!("{kind} {settings}: {e}"));
    let plug = |settings: &str| {
        plugged::<S>(settings, &parts())
            .unwrap_or_else(|e| panic!("plugged {kind} {settings}: {e}"))
    };
    Case {
        name: format!("{kind} {settings}"),
        own,
        plugged: plug(settings),
        other: (!other.is_empty()).then(|| plug(other)),
        d,
        n,
    }
}

fn all() -> Vec<Case> {
    let skewed = || Parts::new(&HERE).with_target(skew());
    let (few, many) = ("warmup = 21\nchains = 4\n", "warmup = 21\nchains = 600\n");
    let mixture = target(
        "gaussian-mixture",
        "means = [[0.0, 1.0], [2.0, -1.0]]\nsd = 0.5",
    );
    let back = |kind: &str, score_kind: &str, score_settings: &str| {
        let mut parts = Parts::new(&HERE).with_target(mixture.clone());
        let process = process(kind, "", &mixture);
        parts.score = Some(score(score_kind, score_settings, &mixture, &process));
        parts.process = Some(process);
        parts
    };
    let vp = || back("vp", "exact", "");
    let ve = || back("ve", "exact", "");
    let chance = || back("vp", "monte-carlo", "samples = 8");
    let ou = || back("ou", "perturbed", "bias = 0.2");
    let grid = "grid = { steps = 9 }\n";
    let other = "grid = { steps = 8 }\n";
    let weighted = |w: &str| format!("{grid}weights = \"{w}\"\n");
    vec![
        case::<Ula>(
            "ula",
            &format!("{few}step_size = 0.02"),
            "step_size = 0.1",
            60,
            &skewed,
        ),
        case::<Ula>("ula", &format!("{many}step_size = 0.02"), "", 600, &skewed),
        case::<Mala>("mala", few, "warmup = 22\nchains = 4", 60, &skewed),
        case::<Mala>("mala", many, "", 600, &skewed),
        case::<Hmc>(
            "hmc",
            &format!("{few}leapfrog = 5"),
            "warmup = 5",
            40,
            &skewed,
        ),
        case::<Hmc>("hmc", &format!("{many}leapfrog = 5"), "", 600, &skewed),
        case::<Smc>("smc", "moves = 3", "moves = 4", 600, &skewed),
        case::<Smc>(
            "smc",
            "moves = 2\nmove = \"hmc\"\nfrozen = true",
            "",
            300,
            &skewed,
        ),
        case::<Baoab>("baoab", few, "warmup = 22", 60, &skewed),
        case::<Dilation>(
            "dilation",
            "steps = 40\ntail = 12\nmode_sd = 0.4",
            "steps = 41",
            600,
            &skewed,
        ),
        case::<AnnealedLangevin>(
            "annealed-langevin",
            "steps = 40\ntail = 12\nmala_moves = 10",
            "steps = 41",
            600,
            &skewed,
        ),
        case::<ReverseSde>("reverse-sde", grid, other, 600, &vp),
        case::<ReverseSde>("reverse-sde", grid, "", 300, &chance),
        case::<Ddim>("ddim", grid, other, 600, &vp),
        case::<Ddim>("ddim", grid, "", 300, &ou),
        case::<DpmSolver>("dpm-solver", grid, other, 600, &vp),
        case::<retrograde_samplers::Edm>("edm", grid, other, 600, &ve),
        case::<RdS>("rd-s", grid, other, 600, &vp),
        case::<RdQ>("rd-q", grid, other, 300, &vp),
        case::<RdF>("rd-f", grid, other, 600, &vp),
        case::<ProbabilityFlow>("probability-flow", grid, other, 600, &vp),
        case::<ProbabilityFlow>("probability-flow", &weighted("divergence"), "", 300, &vp),
        case::<Ancestral>("ancestral", grid, other, 600, &vp),
        case::<Ancestral>(
            "ancestral",
            "grid = { steps = 9, to_zero = false }\nweights = \"path\"",
            "",
            300,
            &vp,
        ),
        case::<PredictorCorrector>("predictor-corrector", grid, other, 300, &vp),
        case::<ExponentialIntegrator>("exponential-integrator", grid, other, 600, &vp),
    ]
}

#[test]
fn whole_runs_have_the_bits_of_built_in_samplers_on_any_threads() {
    let cases = all();
    let (mut flags, mut tables, mut weights, mut stats, mut scalars) = (0, 0, 0, 0, 0);
    for c in &cases {
        assert_eq!(c.own.rows(c.n), c.plugged.rows(c.n), "{}", c.name);
        assert_eq!(c.own.traits(), c.plugged.traits(), "{}", c.name);
        let mut last = None;
        for threads in [1, 2, 7] {
            let (whole, counts, steps, _) = run(&*c.own, c.d, c.n, threads, &[]).unwrap();
            assert!(!whole.is_empty(), "{}", c.name);
            let (out, n, s, _) = run(&c.plugged, c.d, c.n, threads, &[])
                .unwrap_or_else(|e| panic!("{}: {e}", c.name));
            let at = format!("{}, {threads} threads", c.name);
            assert_eq!(whole.flags, out.flags, "{at}");
            assert_eq!(whole.scalars, out.scalars, "{at}");
            assert_eq!(whole.tables, out.tables, "{at}");
            assert_eq!(whole.chains(), out.chains(), "{at}");
            assert!(whole == out, "{at}: draws, weights or statistics differ");
            assert_eq!((&counts, steps), (&n, s), "{at}");
            last = Some(whole);
        }
        let whole = last.unwrap();
        flags += whole.flags.len();
        tables += whole.tables.len();
        weights += whole.log_weights.len();
        stats += whole.stats.len();
        scalars += whole.scalars.len();
    }
    // There was something to compare of each sort.
    assert!(
        [flags, tables, weights, stats, scalars]
            .iter()
            .all(|n| *n > 0),
        "{flags} {tables} {weights} {stats} {scalars}"
    );
}

#[test]
fn stopped_runs_go_on_to_the_same_bits_and_other_states_are_refused() {
    for c in &all() {
        let (whole, counts, steps, _) = run(&*c.own, c.d, c.n, 1, &[]).unwrap();
        let mut stops: Vec<u64> = [1, steps / 2, steps - 1]
            .into_iter()
            .filter(|s| *s > 0 && *s < steps)
            .collect();
        stops.dedup();
        assert!(!stops.is_empty(), "{}", c.name);
        let (out, n, _, last) = run(&c.plugged, c.d, c.n, 2, &stops).unwrap();
        assert!(
            out == whole && n == counts,
            "{}: stops at {stops:?}",
            c.name
        );
        let last = last.unwrap();
        let bytes = last.state.clone().unwrap();
        let resume = |sampler: &dyn Sampler, bytes: Vec<u8>| {
            let from = Checkpoint {
                state: Some(bytes),
                ..last.clone()
            };
            let mut runtime = Runtime::new(7, 1).unwrap();
            drive(
                sampler,
                &mut runtime,
                c.n,
                Some(&from),
                &mut Watch::new(c.d),
            )
            .map(|_| ())
        };
        resume(&c.plugged, bytes.clone()).unwrap();
        let mut damaged = bytes.clone();
        *damaged.last_mut().unwrap() ^= 1;
        let short = bytes[..bytes.len() / 2].to_vec();
        for (what, bytes) in [("damaged", damaged), ("short", short), ("none", Vec::new())] {
            let error = resume(&c.plugged, bytes).unwrap_err();
            assert!(
                matches!(error, Error::State { .. }),
                "{}, {what}: {error}",
                c.name
            );
        }
        if let Some(other) = &c.other {
            let error = resume(other, bytes.clone()).unwrap_err();
            assert!(matches!(error, Error::State { .. }), "{}: {error}", c.name);
        }
    }
}

#[test]
fn a_state_that_the_plugin_refuses_is_an_error_of_the_state_in_its_words() {
    let files = Folder::default();
    let parts = Parts::new(&files).with_target(skew());
    let ula = plugged::<Ula>("chains = 4\nstep_size = 0.02", &parts).unwrap();
    let settings = table("chains = 4\nstep_size = 0.02").to_string();
    let signature = retrograde_core::Signature::new(3, &settings);
    let forged = retrograde_core::seal("sampler test", 8, signature, b"no state").unwrap();
    let mut runtime = Runtime::new(7, 1).unwrap();
    let error = runtime
        .enter("sampler", 0, |cx| ula.resume(cx, &forged).err())
        .unwrap();
    assert!(
        matches!(&error, Error::State { component, message } if component == "sampler test" && message.len() > 10),
        "{error}"
    );
}

/// NaN everywhere, or where x₀ > 0.
struct Broken(bool);

impl Target for Broken {
    fn dim(&self) -> usize {
        3
    }
    fn traits(&self) -> Traits {
        Traits::PURE
    }
    fn eval(
        &self,
        _: &mut Cx<'_>,
        x: ndarray::ArrayView2<'_, f64>,
        log_density: Option<ndarray::ArrayViewMut1<'_, f64>>,
        gradient: Option<ndarray::ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let bad = |x: ndarray::ArrayView1<'_, f64>| self.0 || x[0] > 1.5;
        if let Some(mut l) = log_density {
            for (l, x) in l.iter_mut().zip(x.rows()) {
                *l = if bad(x) { f64::NAN } else { -0.5 * x.dot(&x) };
            }
        }
        if let Some(mut g) = gradient {
            for (mut g, x) in g.rows_mut().into_iter().zip(x.rows()) {
                g.assign(&x.mapv(|v| if bad(x) { f64::NAN } else { -v }));
            }
        }
        Ok(())
    }
}

#[test]
fn values_that_are_not_finite_stop_a_run_with_the_same_numbers() {
    for everywhere in [true, false] {
        let parts = || Parts::new(&HERE).with_target(Arc::new(Broken(everywhere)));
        let mut compared = 0;
        let mut compare = |c: Case| {
            let told = |sampler: &dyn Sampler, threads| {
                run(sampler, 3, c.n, threads, &[])
                    .map(|(out, counts, ..)| (out, counts))
                    .map_err(|e| (e.status(), e.to_string()))
            };
            let own = told(&*c.own, 1);
            compared += usize::from(own.is_err());
            for threads in [1, 2, 7] {
                let other = told(&c.plugged, threads);
                match (&own, &other) {
                    (Ok(a), Ok(b)) => assert!(a == b, "{} on {threads}", c.name),
                    // Words of the plugin's own are told with its status.
                    (Err(a), Err(b)) => assert!(
                        a.0 == b.0 && (a.1 == b.1 || b.1.ends_with(&format!("status 12: {}", a.1))),
                        "{} on {threads}: {a:?}, {b:?}",
                        c.name
                    ),
                    (a, b) => panic!(
                        "{} on {threads}: {:?}, {:?}",
                        c.name,
                        a.as_ref().err(),
                        b.as_ref().err()
                    ),
                }
            }
        };
        let many = "warmup = 21\nchains = 900\n";
        compare(case::<Ula>(
            "ula",
            &format!("{many}step_size = 0.02"),
            "",
            900,
            &parts,
        ));
        compare(case::<Mala>("mala", many, "", 900, &parts));
        compare(case::<Hmc>("hmc", many, "", 900, &parts));
        compare(case::<Smc>(
            "smc",
            "moves = 3\npilot_moves = 0",
            "",
            900,
            &parts,
        ));
        compare(case::<Dilation>(
            "dilation",
            "steps = 40\nmode_sd = 0.4",
            "",
            900,
            &parts,
        ));
        compare(case::<AnnealedLangevin>(
            "annealed-langevin",
            "steps = 40",
            "",
            900,
            &parts,
        ));
        assert!(!everywhere || compared > 2, "{compared}");
    }
}

#[test]
fn a_run_that_is_cancelled_inside_a_step_is_cancelled() {
    let files = Folder::default();
    let parts = Parts::new(&files).with_target(skew());
    let smc = plugged::<Smc>("moves = 3", &parts).unwrap();
    let cancel = Cancel::default();
    let mut runtime = Runtime::new(7, 1).unwrap().with_cancel(cancel.clone());
    let error = runtime.enter("sampler", 0, |cx| {
        let mut run = smc.start(cx, 300).unwrap();
        cancel.request();
        cancel.request();
        let mut watch = Watch::new(3);
        (0..100).find_map(|step| run.step(&mut cx.at_step(step), &mut watch).err())
    });
    assert!(matches!(error, Some(Error::Cancelled)), "{error:?}");
}
