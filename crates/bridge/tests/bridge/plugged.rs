//! What the tests share: components plugged in, arrays with gaps, and objects made of closures.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis, s};
use retrograde_abi::*;
use retrograde_bridge::export::Export;
use retrograde_bridge::foreign::Asked;
use retrograde_bridge::{Exported, Foreign, Made, Side, host};
use retrograde_core::registry::{Folder, Parts, make};
use retrograde_core::{
    BatchTarget, Cx, ForwardProcess, Registry, Result, Runtime, Sampler, Score, SettingsReader,
    Signature, Target, Traits,
};
use std::ffi::c_void;
use std::sync::{Arc, OnceLock};

/// All built-ins.
pub(crate) fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        retrograde_targets::link();
        retrograde_processes::link();
        retrograde_scores::link();
        retrograde_samplers::link();
        Registry::builtin().unwrap()
    })
}

pub(crate) fn table(text: &str) -> toml::Table {
    text.parse().unwrap()
}

pub(crate) fn target(kind: &str, settings: &str) -> Arc<dyn Target> {
    let files = Folder(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/data").into());
    registry()
        .target(kind, table(settings), &Parts::new(&files))
        .unwrap_or_else(|e| panic!("{kind}: {e}"))
}

/// A target that is asked for its dimension only.
pub(crate) fn flat(d: usize) -> Arc<dyn Target> {
    Arc::new(BatchTarget::new(d, |_, mut l, mut g| {
        l.fill(0.0);
        g.fill(0.0);
    }))
}

pub(crate) fn process(
    kind: &str,
    settings: &str,
    target: &Arc<dyn Target>,
) -> Arc<dyn ForwardProcess> {
    use retrograde_processes::*;
    let files = Folder::default();
    let mut parts = Parts::new(&files).with_target(target.clone());
    // Not by the registry unless it is needed: its schemas take an interpreter too long.
    if settings.contains("formula") {
        parts.registry = Some(registry());
    }
    macro_rules! of {
        ($($name:literal $settings:ty),*) => {
            match kind {
                $($name => make::<dyn ForwardProcess, $settings>,)*
                _ => panic!("no process {kind}"),
            }
        };
    }
    let make = of!(
        "ou" Ou, "vp" Vp, "ve" Ve, "cosine" Cosine, "sub-vp" SubVp, "edm" Edm,
        "flow-matching" FlowMatching, "polynomial-decay" PolynomialDecay, "benes" Benes,
        "jacobi" Jacobi, "cir" Cir, "langevin" Langevin,
        "stochastic-logistic" StochasticLogistic, "warped-ou" WarpedOu
    );
    SettingsReader::with(kind, table(settings), |reader| make(reader, &parts))
        .unwrap_or_else(|e| panic!("{kind} {settings}: {e}"))
}

pub(crate) fn score(
    kind: &str,
    settings: &str,
    target: &Arc<dyn Target>,
    process: &Arc<dyn ForwardProcess>,
) -> Arc<dyn Score> {
    let files = Folder::default();
    let mut parts = Parts::new(&files).with_target(target.clone());
    parts.process = Some(process.clone());
    registry()
        .score(kind, table(settings), &parts)
        .unwrap_or_else(|e| panic!("{kind} {settings}: {e}"))
}

pub(crate) fn made(reference: rg_ref) -> Made {
    Made {
        made: reference,
        label: "the component under test".into(),
        host: None,
        parts: Traits::PURE,
        keep: Box::new(()),
        signature: Signature::default(),
    }
}

/// Takes an object up.
pub(crate) fn take_up<T: Asked>(reference: rg_ref) -> Result<Foreign<T>> {
    // SAFETY: the tests hand out tables of this type.
    unsafe { Foreign::new(made(reference)) }
}

/// A component as if it were of a plugin.
pub(crate) fn plug<K, T>(component: Arc<K>) -> Foreign<T>
where
    K: ?Sized + Export<Table = T>,
    T: Asked,
{
    take_up(Exported::give(component, Side::Plugin(host()))).unwrap()
}

pub(crate) fn with_cx<R>(threads: usize, f: impl FnOnce(&mut Cx<'_>) -> R) -> R {
    Runtime::new(5, threads).unwrap().enter("test", 0, f)
}

/// Rows and columns, with gaps between the numbers or not.
pub(crate) struct Rows {
    values: Array2<f64>,
    gaps: bool,
}

impl Rows {
    pub(crate) fn new(n: usize, d: usize, gaps: bool) -> Self {
        // What is not written shows.
        let values = if gaps {
            Array2::from_elem((2 * d, n), f64::from_bits(0x7ff8_0000_dead_beef))
        } else {
            Array2::from_elem((n, d), f64::from_bits(0x7ff8_0000_dead_beef))
        };
        Self { values, gaps }
    }

    pub(crate) fn of(x: &Array2<f64>, gaps: bool) -> Self {
        let mut rows = Self::new(x.nrows(), x.ncols(), gaps);
        rows.view_mut().assign(x);
        rows
    }

    pub(crate) fn view(&self) -> ArrayView2<'_, f64> {
        if self.gaps {
            self.values.slice(s![..;-2, ..]).reversed_axes()
        } else {
            self.values.view()
        }
    }

    pub(crate) fn view_mut(&mut self) -> ArrayViewMut2<'_, f64> {
        if self.gaps {
            self.values.slice_mut(s![..;-2, ..]).reversed_axes()
        } else {
            self.values.view_mut()
        }
    }

    pub(crate) fn column(&self) -> ArrayView1<'_, f64> {
        self.view().index_axis_move(Axis(1), 0)
    }

    pub(crate) fn column_mut(&mut self) -> ArrayViewMut1<'_, f64> {
        self.view_mut().index_axis_move(Axis(1), 0)
    }

    pub(crate) fn bits(&self) -> Vec<u64> {
        self.view().iter().map(|v| v.to_bits()).collect()
    }
}

/// Everything that a component gave, in order: bits, or the status of the error.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Trace(pub(crate) Vec<(String, std::result::Result<Vec<u64>, i32>)>);

impl Trace {
    pub(crate) fn put(&mut self, what: impl Into<String>, result: Result, rows: &[&Rows]) {
        let bits = result
            .map(|()| rows.iter().flat_map(|r| r.bits()).collect())
            .map_err(|e| e.status() as i32);
        self.0.push((what.into(), bits));
    }

    pub(crate) fn note(&mut self, what: impl Into<String>, values: &[f64]) {
        let bits = values.iter().map(|v| v.to_bits()).collect();
        self.0.push((what.into(), Ok(bits)));
    }

    /// The other gave the same.
    pub(crate) fn assert_same(&self, other: &Self, what: &str) {
        assert_eq!(self.0.len(), other.0.len(), "{what}");
        for (a, b) in self.0.iter().zip(&other.0) {
            assert!(a == b, "{what}: {} differs from {}", a.0, b.0);
        }
    }
}

pub(crate) fn uniform(n: usize, seed: f64, from: f64, to: f64) -> Array1<f64> {
    Array1::from_shape_fn(n, |i| {
        let u = ((i as f64 + 1.0) * 0.754_877_666 + seed).fract();
        from + (to - from) * u
    })
}

// ---- objects made of closures -----------------------------------------------------------------

type Eval = dyn Fn(*mut rg_call, usize, &[f64], *mut f64, *mut f64) -> rg_status + Send + Sync;

/// A target of dimension 2 whose `eval` is a closure: call, n, x, log density, gradient.
pub(crate) struct ClosureTarget {
    pub(crate) eval: Box<Eval>,
}

unsafe extern "C" fn closure_dim(_: *mut c_void, _: *mut rg_call, d: *mut usize) -> rg_status {
    // SAFETY: the host's place for it.
    unsafe { d.write(2) };
    RG_OK
}

unsafe extern "C" fn closure_eval(
    object: *mut c_void,
    call: *mut rg_call,
    n: usize,
    d: usize,
    x: *const f64,
    logp: *mut f64,
    grad: *mut f64,
) -> rg_status {
    // SAFETY: the object of `closure_target`, and n × d numbers.
    unsafe {
        let target = &*object.cast::<ClosureTarget>();
        (target.eval)(call, n, std::slice::from_raw_parts(x, n * d), logp, grad)
    }
}

unsafe extern "C" fn closure_destroy(object: *mut c_void) {
    // SAFETY: the box of `closure_target`.
    drop(unsafe { Box::from_raw(object.cast::<ClosureTarget>()) });
}

pub(crate) const fn target_table(threading: i32) -> rg_target_vtable {
    rg_target_vtable {
        struct_size: size_of::<rg_target_vtable>(),
        caps: RG_CAP_ROWWISE | RG_CAP_GRADIENT,
        threading,
        reserved: 0,
        destroy: Some(closure_destroy),
        dim: Some(closure_dim),
        eval: Some(closure_eval),
        hvp: None,
        name: None,
        n_outputs: None,
        output_name: None,
        outputs: None,
    }
}

static TARGETS: [rg_target_vtable; 3] = [
    target_table(RG_THREAD_CALLER),
    target_table(RG_THREAD_SERIAL),
    target_table(RG_THREAD_CONCURRENT),
];

/// The object of a target that is a closure.
pub(crate) fn closure_ref(threading: i32, eval: Box<Eval>) -> rg_ref {
    rg_ref {
        object: Box::into_raw(Box::new(ClosureTarget { eval })).cast(),
        vtable: (&raw const TARGETS[threading as usize]).cast(),
    }
}

pub(crate) fn closure_target(
    threading: i32,
    eval: impl Fn(*mut rg_call, usize, &[f64], *mut f64, *mut f64) -> rg_status + Send + Sync + 'static,
) -> Foreign<rg_target_vtable> {
    take_up(closure_ref(threading, Box::new(eval))).unwrap()
}

/// Evaluates a closure target at `n` rows of a context; log densities wanted.
pub(crate) fn eval(target: &dyn Target, cx: &mut Cx<'_>, n: usize) -> Result<Array1<f64>> {
    let x = Array2::from_elem((n, target.dim()), 0.5);
    let mut l = Array1::zeros(n);
    target.eval(cx, x.view(), Some(l.view_mut()), None)?;
    Ok(l)
}

type Step = dyn Fn(*mut rg_call, *mut i32) -> rg_status + Send + Sync;

unsafe extern "C" fn step_start(
    _: *mut c_void,
    _: *mut rg_call,
    _: usize,
    run: *mut *mut c_void,
) -> rg_status {
    // SAFETY: the host's place; any pointer that is not NULL will do.
    unsafe { run.write(std::ptr::dangling_mut::<u8>().cast()) };
    RG_OK
}

unsafe extern "C" fn step_step(
    object: *mut c_void,
    call: *mut rg_call,
    _: *mut c_void,
    done: *mut i32,
) -> rg_status {
    // SAFETY: the object of `closure_sampler`.
    unsafe { (*object.cast::<Box<Step>>())(call, done) }
}

unsafe extern "C" fn step_end(_: *mut c_void, _: *mut c_void) {}

unsafe extern "C" fn step_destroy(object: *mut c_void) {
    // SAFETY: the box of `closure_sampler`.
    drop(unsafe { Box::from_raw(object.cast::<Box<Step>>()) });
}

static SAMPLER: rg_sampler_vtable = rg_sampler_vtable {
    struct_size: size_of::<rg_sampler_vtable>(),
    caps: 0,
    threading: RG_THREAD_SERIAL,
    reserved: 0,
    destroy: Some(step_destroy),
    start: Some(step_start),
    step: Some(step_step),
    end: Some(step_end),
    save: None,
    load: None,
    rows: None,
};

/// A sampler whose `step` is a closure.
pub(crate) fn closure_sampler(
    step: impl Fn(*mut rg_call, *mut i32) -> rg_status + Send + Sync + 'static,
) -> Foreign<rg_sampler_vtable> {
    let step: Box<Step> = Box::new(step);
    take_up(rg_ref {
        object: Box::into_raw(Box::new(step)).cast(),
        vtable: (&raw const SAMPLER).cast(),
    })
    .unwrap()
}

/// One step of a sampler.
pub(crate) fn one_step(
    sampler: &dyn Sampler,
    sink: &mut dyn retrograde_core::Sink,
    threads: usize,
) -> Result<retrograde_core::Flow> {
    with_cx(threads, |cx| sampler.start(cx, 4)?.step(cx, sink))
}
