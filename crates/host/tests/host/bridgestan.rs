//! The target `bridgestan` on libraries made of bridgestan.c, whose evidence is known.

mod job;
mod refusals;
mod stan;

use ndarray::{Array1, Array2, ArrayView2, Axis, array, s};
use retrograde_core::drive::{Observer, drive};
use retrograde_core::registry::{Folder, Parts};
use retrograde_core::{
    Collected, Cx, Error, Level, Registry, Result, Runtime, Target, Threading, check,
};
use retrograde_testkit::compiler::{cc, root, run, workshop};
use retrograde_testkit::{
    assert_close, assert_target, assert_z, eval, importance_log_z, mean_se, with_cx,
};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const Y: [f64; 8] = [1.2, -0.3, 2.1, 0.8, 1.9, 0.1, 1.4, 0.6];

/// A folder with `model.so`, compiled with those definitions, and `data.json`.
fn folder(name: &str, defines: &[&str]) -> PathBuf {
    let folder = workshop(env!("CARGO_TARGET_TMPDIR"), &format!("bridgestan-{name}"));
    let source = root().join("crates/host/tests/host/bridgestan.c");
    run(cc()
        .args(["-std=c11", "-shared", "-fPIC", "-O2"])
        .args(defines.iter().map(|d| format!("-D{d}")))
        .arg(source)
        .arg("-o")
        .arg(folder.join("model.so"))
        .arg("-lm"));
    std::fs::write(
        folder.join("data.json"),
        json!({"N": 8, "y": Y}).to_string(),
    )
    .unwrap();
    folder
}

fn registry() -> Registry {
    retrograde_host::link();
    retrograde_samplers::link();
    Registry::builtin().unwrap()
}

/// The target of those settings, files looked for in `folder`.
fn build(folder: &Path, settings: &serde_json::Value) -> Result<Arc<dyn Target>> {
    let files = Folder(folder.to_owned());
    registry().target("bridgestan", settings.clone(), &Parts::new(&files))
}

fn usual() -> serde_json::Value {
    json!({"library": "model.so", "data": "data.json"})
}

fn all() -> serde_json::Value {
    json!({
        "library": "model.so", "data": "data.json", "seed": 4_000_000_000_u32,
        "transformed_parameters": true, "generated_quantities": true,
    })
}

fn target(name: &str, defines: &[&str]) -> Arc<dyn Target> {
    build(&folder(name, defines), &usual()).unwrap()
}

/// A counter of the library of a target: another handle of the same file shows the same one.
fn counter(folder: &Path, name: &str) -> i32 {
    // SAFETY: the library is loaded already, and the counters are atomic `int`s.
    unsafe {
        let library = libloading::Library::new(folder.join("model.so")).unwrap();
        let counter = library.get::<*const AtomicI32>(name).unwrap();
        (**counter).load(Ordering::SeqCst)
    }
}

/// ln N(x | mean, sd²).
fn log_normal(x: f64, mean: f64, sd: f64) -> f64 {
    let z = (x - mean) / sd;
    -0.5 * z * z - sd.ln() - 0.5 * (2.0 * std::f64::consts::PI).ln()
}

/// The log density of (μ, ln σ), written down factor by factor.
fn log_density(mu: f64, u: f64) -> f64 {
    let (sigma, a, b) = (u.exp(), 2.0f64, 1.5f64);
    let data: f64 = Y.iter().map(|y| log_normal(*y, mu, sigma)).sum();
    let prior_mean = log_normal(mu, 0.0, sigma / 0.5f64.sqrt());
    let s = sigma * sigma;
    // Γ(2) = 1; dσ²/dσ = 2 σ; dσ/du = σ.
    let prior_variance = a * b.ln() - (a + 1.0) * s.ln() - b / s;
    data + prior_mean + prior_variance + (2.0 * sigma).ln() + u
}

/// The log evidence, by conjugacy: Murphy (2007), "Conjugate Bayesian analysis of the Gaussian
/// distribution", eq. 95 and the like for the scaled inverse gamma.
fn log_evidence() -> f64 {
    let (n, k, a, b) = (8.0f64, 0.5f64, 2.0f64, 1.5f64);
    let mean = Y.iter().sum::<f64>() / n;
    let spread: f64 = Y.iter().map(|y| (y - mean).powi(2)).sum();
    let (k_n, a_n) = (k + n, a + n / 2.0);
    let b_n = b + spread / 2.0 + k * n * mean * mean / (2.0 * k_n);
    // ln Γ(6) − ln Γ(2)
    120f64.ln() + a * b.ln() - a_n * b_n.ln() + 0.5 * (k / k_n).ln()
        - n / 2.0 * (2.0 * std::f64::consts::PI).ln()
}

/// The evidence by quadrature over a grid that holds all the mass; the trapezium rule converges faster
/// than any power for a smooth density that vanishes at the ends.
fn log_evidence_by_quadrature() -> f64 {
    let (n, h) = (1200, 0.02);
    let mut sum = 0.0;
    for i in 0..n {
        for j in 0..n / 2 {
            let (mu, u) = (-11.0 + h * f64::from(i), -4.0 + h * f64::from(j));
            sum += (log_density(mu, u) + 20.0).exp();
        }
    }
    (sum * h * h).ln() - 20.0
}

fn points() -> Array2<f64> {
    array![
        [0.4, -0.2],
        [1.0, 0.1],
        [-0.7, 0.9],
        [2.5, -0.6],
        [0.9, -0.05]
    ]
}

#[test]
fn values_gradients_and_hessian_vector_products_are_those_of_the_density() {
    let target = target("values", &[]);
    assert_eq!(target.dim(), 2);
    assert_eq!(target.traits().threading, Threading::Concurrent);
    let x = points();
    assert_target("bridgestan", target.as_ref(), x.view());
    let hvp = target.hvp().expect("it is exported");
    for row in x.rows() {
        let x = row.to_vec();
        let (value, _) = eval(target.as_ref(), &x);
        assert_close("log density", value, log_density(x[0], x[1]), 1e-13);
        // The product with v against the difference of gradients along v.
        let v = [0.3, -1.1];
        let mut out = Array2::zeros((1, 2));
        let row = row.insert_axis(Axis(0));
        with_cx(1, |cx| {
            hvp.hvp(cx, row, array![[v[0], v[1]]].view(), out.view_mut())
        })
        .unwrap();
        let h = 1e-4;
        let slope = |h: f64| eval(target.as_ref(), &[x[0] + h * v[0], x[1] + h * v[1]]).1;
        let (up, down) = (slope(h), slope(-h));
        for j in 0..2 {
            let difference = (up[j] - down[j]) / (2.0 * h);
            assert_close("Hessian-vector product", out[(0, j)], difference, 1e-6);
        }
    }
}

#[test]
fn a_wrong_gradient_is_found() {
    let target = target("gradient", &["WRONG_GRADIENT"]);
    let report = with_cx(1, |cx| {
        check::gradient(cx, target.as_ref(), points().view())
    })
    .unwrap();
    assert!(report.worst > 1e-3, "{report:?}");
    assert_eq!(report.at.unwrap().coordinate, 1);
}

#[test]
fn hessian_vector_products_are_there_if_the_library_has_them() {
    assert!(target("no-hvp", &["NO_HVP"]).hvp().is_none());
}

#[test]
fn names_are_those_of_stan_and_outputs_the_constrained_parameters() {
    let folder = folder("names", &[]);
    let names = |target: &dyn Target| -> (Vec<String>, Vec<String>) {
        let outputs = target.outputs().unwrap();
        (
            (0..target.dim()).map(|i| target.coordinate(i)).collect(),
            (0..outputs.count()).map(|i| outputs.name(i)).collect(),
        )
    };
    let outputs = |target: &dyn Target, x: ArrayView2<'_, f64>| {
        let outputs = target.outputs().unwrap();
        let mut out = Array2::zeros((x.nrows(), outputs.count()));
        with_cx(1, |cx| outputs.eval(cx, x, out.view_mut())).unwrap();
        out
    };
    let x = array![[0.5, 2.0f64.ln()], [-1.0, 0.0]];
    let plain = build(&folder, &usual()).unwrap();
    let (coordinates, columns) = names(plain.as_ref());
    assert_eq!(coordinates, ["mu_unc", "sigma_unc"]);
    assert_eq!(columns, ["mu", "sigma"]);
    assert_eq!(
        outputs(plain.as_ref(), x.view()),
        array![[0.5, 2.0], [-1.0, 1.0]]
    );

    let everything = build(&folder, &all()).unwrap();
    let (_, columns) = names(everything.as_ref());
    assert_eq!(columns, ["mu", "sigma", "z[1]", "z[2]", "made", "y_new"]);
    let out = outputs(everything.as_ref(), x.view());
    let known = array![[0.5, 2.0, 0.25, 4.0, 4e9], [-1.0, 1.0, -1.0, 1.0, 4e9]];
    assert_eq!(out.slice(s![.., ..5]), known);

    let mut settings = all();
    settings["transformed_parameters"] = json!(false);
    let (_, columns) = names(build(&folder, &settings).unwrap().as_ref());
    assert_eq!(columns, ["mu", "sigma", "y_new"]);
}

#[test]
fn generated_quantities_have_their_law() {
    let folder = folder("law", &[]);
    let target = build(&folder, &all()).unwrap();
    let (n, mu, u) = (20_000, 0.7, 0.4);
    let x = Array2::from_shape_fn((n, 2), |(_, j)| if j == 0 { mu } else { u });
    let mut out = Array2::zeros((n, 6));
    with_cx(3, |cx| {
        target.outputs().unwrap().eval(cx, x.view(), out.view_mut())
    })
    .unwrap();
    let y = out.column(5);
    let (mean, se) = mean_se(y.iter().copied());
    assert_z("mean of y_new", mean, mu, se);
    let (variance, se) = mean_se(y.iter().map(|y| (y - mu).powi(2)));
    assert_z("variance of y_new", variance, (2.0 * u).exp(), se);
    // Neighbours are independent: the generators of rows have nothing in common.
    let (covariance, se) = mean_se((0..n / 2).map(|i| (y[2 * i] - mu) * (y[2 * i + 1] - mu)));
    assert_z("covariance of neighbours", covariance, 0.0, se);
    assert_eq!(
        counter(&folder, "test_rngs"),
        0,
        "generators that were not freed"
    );
}

/// Outputs of n rows on that many threads.
fn on_threads(target: &dyn Target, n: usize, threads: usize) -> Array2<f64> {
    let x = Array2::from_shape_fn((n, 2), |(i, j)| ((7 * i + 3 * j) % 11) as f64 / 8.0 - 0.5);
    let outputs = target.outputs().unwrap();
    let mut out = Array2::zeros((n, outputs.count()));
    Runtime::new(5, threads)
        .unwrap()
        .enter("outputs", 0, |cx| {
            outputs.eval(cx, x.view(), out.view_mut())
        })
        .unwrap();
    out
}

#[test]
fn outputs_have_the_same_bits_on_any_number_of_threads() {
    let threaded = build(&folder("bits", &[]), &all()).unwrap();
    let one = on_threads(threaded.as_ref(), 3000, 1);
    for threads in [2, 3] {
        assert_eq!(
            one,
            on_threads(threaded.as_ref(), 3000, threads),
            "{threads} threads"
        );
    }
    // A library without threads draws the same numbers.
    let serial = build(&folder("bits-serial", &["THREADS=0"]), &all()).unwrap();
    assert_eq!(one, on_threads(serial.as_ref(), 3000, 2));
    // Rows do not depend on those before them, nor on where a batch is cut.
    let mut cut = Array2::zeros((3000, 6));
    let x = Array2::from_shape_fn((3000, 2), |(i, j)| {
        ((7 * i + 3 * j) % 11) as f64 / 8.0 - 0.5
    });
    Runtime::new(5, 1).unwrap().enter("outputs", 0, |cx| {
        for (first, last) in [(0, 100), (100, 1111), (1111, 3000)] {
            let rows = s![first..last, ..];
            let outputs = threaded.outputs().unwrap();
            outputs
                .eval(&mut cx.from_row(first), x.slice(rows), cut.slice_mut(rows))
                .unwrap();
        }
    });
    assert_eq!(one, cut);
    // Another place in the streams gives other numbers.
    let mut other = Array2::zeros((3000, 6));
    Runtime::new(6, 1)
        .unwrap()
        .enter("outputs", 0, |cx| {
            threaded
                .outputs()
                .unwrap()
                .eval(cx, x.view(), other.view_mut())
        })
        .unwrap();
    assert_eq!(one.slice(s![.., ..5]), other.slice(s![.., ..5]));
    let same = (0..3000).filter(|i| one[(*i, 5)] == other[(*i, 5)]).count();
    assert!(
        same < 3,
        "{same} of 3000 generated quantities do not depend on the seed"
    );
}

#[test]
fn a_library_with_threads_is_called_on_several() {
    let folder = folder("several", &[]);
    let target = build(&folder, &usual()).unwrap();
    let started = Instant::now();
    // The machine may be busy.
    while counter(&folder, "test_threads") < 2 && started.elapsed() < Duration::from_secs(30) {
        on_threads(target.as_ref(), 100_000, 2);
    }
    assert!(counter(&folder, "test_threads") >= 2);
}

/// Calls two targets of the library in two threads until calls met, or for a while.
fn calls_that_met(folder: &Path, patience: Duration) -> i32 {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let target = build(folder, &all()).unwrap();
                let x = Array2::from_shape_fn((5000, 2), |(i, j)| (i + j) as f64 / 5000.0);
                while started.elapsed() < patience && counter(folder, "test_met") == 0 {
                    let (mut l, mut g) = (Array1::zeros(5000), Array2::zeros((5000, 2)));
                    let mut out = Array2::zeros((5000, 6));
                    with_cx(1, |cx| {
                        target
                            .eval(cx, x.view(), Some(l.view_mut()), Some(g.view_mut()))
                            .unwrap();
                        let outputs = target.outputs().unwrap();
                        outputs.eval(cx, x.view(), out.view_mut()).unwrap();
                        let hvp = target.hvp().unwrap();
                        hvp.hvp(cx, x.view(), x.view(), g.view_mut()).unwrap();
                    });
                }
            });
        }
    });
    counter(folder, "test_met")
}

#[test]
fn a_library_without_threads_is_called_once_at_a_time() {
    let serial = folder("serial", &["THREADS=0"]);
    let target = build(&serial, &usual()).unwrap();
    assert_eq!(target.traits().threading, Threading::Serial);
    assert!(target.traits().rowwise && target.traits().deterministic);
    // Even by two targets in two runs, for they share what the library keeps.
    assert_eq!(calls_that_met(&serial, Duration::from_secs(2)), 0);
    // The same calls do meet where they may.
    let threaded = folder("meeting", &["THREADS=1"]);
    assert!(calls_that_met(&threaded, Duration::from_secs(60)) > 0);
}

/// log Z and its standard error by SMC from the registry.
fn smc(target: Arc<dyn Target>, draws: usize, log: Arc<Mutex<Vec<String>>>) -> Result<(f64, f64)> {
    let files = Folder::default();
    let settings = json!({"base_sd": 2.0});
    let sampler = registry().sampler(
        "smc",
        settings,
        &Parts::new(&files).with_target(target.clone()),
    )?;
    let mut runtime = Runtime::new(1, 2)?.with_log(move |level, text| {
        assert_eq!(level, Level::Warn);
        log.lock().unwrap().push(text.into());
    });
    let mut collected = Collected::new(target.dim());
    drive(
        sampler.as_ref(),
        &mut runtime,
        draws,
        None,
        &mut collected as &mut dyn Observer,
    )?;
    Ok((collected.scalars["log_z"], collected.scalars["log_z_se"]))
}

#[test]
fn the_evidence_is_that_of_the_model() {
    let known = log_evidence();
    // The closed form and the density are of one model.
    assert_close(
        "evidence by quadrature",
        log_evidence_by_quadrature(),
        known,
        1e-10,
    );
    let right = target("evidence", &[]);
    let log = Arc::default();
    let (log_z, se) = smc(right.clone(), 4000, Arc::clone(&log)).unwrap();
    assert!(se < 0.05, "{se}");
    assert_z("log Z by SMC", log_z, known, se);
    assert!(log.lock().unwrap().is_empty());
    // By another way, whose standard error is another as well.
    let (log_z, se) = importance_log_z(right.as_ref(), &[0.9, 0.0], &[0.6, 0.4], 40_000, 1);
    assert!(se < 0.01, "{se}");
    assert_z("log Z by importance sampling", log_z, known, se);

    // Without the Jacobian, and without the constants, it is another.
    for (name, define) in [("jacobian", "NO_JACOBIAN"), ("constants", "PROPTO")] {
        let wrong = target(name, &[define]);
        let (log_z, se) = smc(Arc::clone(&wrong), 4000, Arc::default()).unwrap();
        let z = (log_z - known) / se;
        assert!(z.abs() > 6.0, "{define}: {log_z} ± {se}, not {known}");
        let (log_z, se) = importance_log_z(wrong.as_ref(), &[0.9, 0.0], &[0.6, 0.4], 40_000, 1);
        let z = (log_z - known) / se;
        assert!(z.abs() > 20.0, "{define}: {log_z} ± {se}, not {known}");
    }
}

#[test]
fn a_point_at_which_the_model_fails_has_no_mass_and_is_counted() {
    let folder = folder("fails", &["FAILS=1.0", "GQ_FAILS=0.5"]);
    let target = build(&folder, &all()).unwrap();
    let log: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = Arc::clone(&log);
    let mut runtime = Runtime::new(1, 1)
        .unwrap()
        .with_log(move |_, text| sink.lock().unwrap().push(text.into()));
    let x = array![
        [0.0, 0.0],
        [2.0, 0.0],
        [f64::NAN, 0.0],
        [0.7, 0.0],
        [3.0, 0.0]
    ];
    let (mut l, mut g) = (Array1::zeros(5), Array2::zeros((5, 2)));
    let mut out = Array2::zeros((5, 6));
    runtime
        .enter("test", 0, |cx: &mut Cx<'_>| {
            cx.eval_target(
                target.as_ref(),
                x.view(),
                Some(l.view_mut()),
                Some(g.view_mut()),
            )?;
            cx.eval_target(target.as_ref(), x.view(), Some(l.view_mut()), None)?;
            target.outputs().unwrap().eval(cx, x.view(), out.view_mut())
        })
        .unwrap();
    let mass: Vec<bool> = l.iter().map(|l| l.is_finite()).collect();
    assert_eq!(mass, [true, false, false, true, false]);
    assert!(l.iter().all(|l| *l < f64::INFINITY), "{l}");
    assert!(g.iter().all(|g| g.is_finite()), "{g}");
    // Two failures a call; the point that is no point is nobody's fault.
    assert_eq!(runtime.counts().failed, 4);
    assert_eq!(runtime.counts().first_failure.as_ref().unwrap().row, 1);
    let found: Vec<bool> = out.column(5).iter().map(|v| v.is_finite()).collect();
    assert_eq!(found, [true, false, false, false, false]);
    assert!(out.slice(s![1..4, ..]).iter().all(|v| v.is_nan()), "{out}");
    assert_eq!(
        *log.lock().unwrap(),
        [
            "target bridgestan: the model `normal_model` failed at a point; such points have no mass and \
             are counted. It says: log_density() failed with exception: Exception: normal_lpdf: Location \
             parameter is too large (in 'normal.stan', line 9, column 2)",
            "target bridgestan: the model `normal_model` failed at a point; such outputs are NaN. It says: \
             param_constrain() failed with exception: Exception: normal_rng: Location parameter is too \
             large (in 'normal.stan', line 14, column 2)"
        ]
    );
    drop(target);
    for name in ["test_messages", "test_models", "test_rngs"] {
        assert_eq!(counter(&folder, name), 0, "{name}: not freed");
    }
}

#[test]
fn a_run_that_stops_for_failures_has_told_the_words_of_the_model() {
    let target = target("stops", &["FAILS=-9"]);
    let log: Arc<Mutex<Vec<String>>> = Arc::default();
    let error = smc(target, 1000, Arc::clone(&log)).unwrap_err();
    assert!(matches!(error, Error::NonFinite { .. }), "{error}");
    let log = log.lock().unwrap();
    assert_eq!(log.len(), 1);
    assert!(
        log[0].contains("Location parameter is too large"),
        "{}",
        log[0]
    );
}

/// The part of the next test that prints.
#[test]
fn prints() {
    if std::env::var_os("RETROGRADE_TEST_PRINTS").is_some() {
        target("prints", &["PRINTS"]);
    }
}

#[test]
fn what_a_model_prints_goes_to_standard_error() {
    let out = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["bridgestan::prints", "--exact", "--nocapture"])
        .env("RETROGRADE_TEST_PRINTS", "1")
        .output()
        .unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&out.stdout).into_owned(),
        String::from_utf8_lossy(&out.stderr).into_owned(),
    );
    assert!(out.status.success(), "{stdout}{stderr}");
    assert!(!stdout.contains("printed by the model"), "{stdout}");
    assert!(stderr.contains("printed by the model"), "{stderr}");
}
