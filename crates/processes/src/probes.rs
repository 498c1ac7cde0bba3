//! What tests of processes share: quadrature, differences, the field of the reference law.

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2};
use retrograde_core::registry::{Folder, Parts};
use retrograde_core::{
    BatchTarget, Build, Cx, Field, ForwardProcess, Marginal, Result, Score, Target, Times, Traits,
};
use retrograde_testkit::with_cx;
use std::sync::Arc;

/// The process of `settings` for a target of dimension `d`.
pub(crate) fn build(
    settings: impl Build<dyn ForwardProcess>,
    d: usize,
) -> Result<Arc<dyn ForwardProcess>> {
    let target = BatchTarget::new(d, |_, mut l, mut g| {
        l.fill(0.0);
        g.fill(0.0);
    });
    build_for(settings, Arc::new(target))
}

pub(crate) fn build_for(
    settings: impl Build<dyn ForwardProcess>,
    target: Arc<dyn Target>,
) -> Result<Arc<dyn ForwardProcess>> {
    let folder = Folder::default();
    settings.build(&Parts::new(&folder).with_target(target))
}

/// ∫ f over [lo, hi] by four Gauss–Legendre points in each of `panels`.
pub(crate) fn integrate(lo: f64, hi: f64, panels: usize, f: impl Fn(f64) -> f64) -> f64 {
    const RULE: [(f64, f64); 2] = [
        (0.339_981_043_584_856_26, 0.652_145_154_862_546_1),
        (0.861_136_311_594_052_6, 0.347_854_845_137_453_85),
    ];
    let half = 0.5 * (hi - lo) / panels as f64;
    (0..panels)
        .map(|i| {
            let middle = lo + half * (2 * i + 1) as f64;
            RULE.iter()
                .map(|(x, w)| w * (f(middle - half * x) + f(middle + half * x)))
                .sum::<f64>()
        })
        .sum::<f64>()
        * half
}

/// ∫ f over (0, ∞) for f that is smooth in ln x.
pub(crate) fn integrate_positive(lo: f64, hi: f64, f: impl Fn(f64) -> f64) -> f64 {
    integrate(lo.ln(), hi.ln(), 1500, |u| u.exp() * f(u.exp()))
}

/// A derivative by differences of sixth order, at step h.
pub(crate) fn slope(h: f64, f: impl Fn(f64) -> f64) -> f64 {
    let d = |k: f64| f(k * h) - f(-k * h);
    (45.0 * d(1.0) - 9.0 * d(2.0) + d(3.0)) / (60.0 * h)
}

fn row(x: &[f64]) -> Array2<f64> {
    Array2::from_shape_fn((1, x.len()), |(_, j)| x[j])
}

/// log p(x | r) and its gradient.
pub(crate) fn kernel(
    p: &dyn ForwardProcess,
    s: f64,
    t: f64,
    r: &[f64],
    x: &[f64],
) -> (f64, Vec<f64>) {
    let (mut l, mut g) = (Array1::zeros(1), Array2::zeros((1, x.len())));
    with_cx(0, |cx| {
        p.transition().expect("a transition").score(
            cx,
            s,
            t,
            row(r).view(),
            row(x).view(),
            Some(l.view_mut()),
            Some(g.view_mut()),
        )
    })
    .expect("it evaluates");
    (l[0], g.into_raw_vec_and_offset().0)
}

/// log q_t and its gradient.
pub(crate) fn marginal(m: &dyn Marginal, t: f64, x: &[f64]) -> (f64, Vec<f64>) {
    let (mut l, mut g) = (Array1::zeros(1), Array2::zeros((1, x.len())));
    with_cx(0, |cx| {
        m.eval(
            cx,
            Times::Shared(t),
            row(x).view(),
            Some(l.view_mut()),
            Some(g.view_mut()),
        )
    })
    .expect("it evaluates");
    (l[0], g.into_raw_vec_and_offset().0)
}

/// Log density of the reference law and its gradient.
pub(crate) fn reference(p: &dyn ForwardProcess, x: &[f64]) -> (f64, Vec<f64>) {
    let (mut l, mut g) = (Array1::zeros(1), Array2::zeros((1, x.len())));
    with_cx(0, |cx| {
        p.reference_eval(cx, row(x).view(), Some(l.view_mut()), Some(g.view_mut()))
    })
    .expect("it evaluates");
    (l[0], g.into_raw_vec_and_offset().0)
}

type Batch<'a> = &'a dyn Fn(&mut Cx<'_>, ArrayView2<'_, f64>, ArrayViewMut2<'_, f64>) -> Result;

fn one(x: &[f64], f: Batch<'_>) -> Vec<f64> {
    let mut out = Array2::from_elem((1, x.len()), f64::NAN);
    with_cx(0, |cx| f(cx, row(x).view(), out.view_mut())).expect("it evaluates");
    out.into_raw_vec_and_offset().0
}

/// f at a point.
pub(crate) fn drift(p: &dyn ForwardProcess, t: f64, x: &[f64]) -> Vec<f64> {
    one(x, &|cx, x, out| p.drift(cx, Times::Shared(t), x, out))
}

/// D v at a point.
pub(crate) fn ggt(p: &dyn ForwardProcess, t: f64, x: &[f64], v: &[f64]) -> Vec<f64> {
    one(x, &|cx, x, out| {
        p.apply_ggt(cx, Times::Shared(t), x, row(v).view(), out)
    })
}

/// G z at a point, where the noise has the dimension of the state.
pub(crate) fn noise(p: &dyn ForwardProcess, t: f64, x: &[f64], z: &[f64]) -> Vec<f64> {
    one(x, &|cx, x, out| {
        p.apply_g(cx, Times::Shared(t), x, row(z).view(), out)
    })
}

/// ∇·D at a point; zero where G is constant.
pub(crate) fn div_ggt(p: &dyn ForwardProcess, t: f64, x: &[f64]) -> Vec<f64> {
    match p.div_ggt() {
        None => vec![0.0; x.len()],
        Some(div) => one(x, &|cx, x, out| div.div_ggt(cx, Times::Shared(t), x, out)),
    }
}

/// ∂ₜ log q + ∇·v + v·∇log q with v = f − ½∇·D − ½D s: the continuity equation, which is that of
/// Fokker and Planck, divided by q. Zero where `log_q` (with its gradient) is the law of the process.
pub(crate) fn fokker_planck(
    p: &dyn ForwardProcess,
    t: f64,
    x: &[f64],
    h: f64,
    log_q: impl Fn(f64, &[f64]) -> (f64, Vec<f64>),
) -> f64 {
    let velocity = |x: &[f64]| -> Vec<f64> {
        let (f, div) = (drift(p, t, x), div_ggt(p, t, x));
        let ds = ggt(p, t, x, &log_q(t, x).1);
        (0..x.len())
            .map(|i| f[i] - 0.5 * div[i] - 0.5 * ds[i])
            .collect()
    };
    let by_time = slope(h, |e| log_q(t + e, x).0);
    let divergence: f64 = (0..x.len())
        .map(|i| {
            slope(h, |e| {
                let mut at = x.to_vec();
                at[i] += e;
                velocity(&at)[i]
            })
        })
        .sum();
    let along: f64 = velocity(x)
        .iter()
        .zip(&log_q(t, x).1)
        .map(|(v, s)| v * s)
        .sum();
    by_time + divergence + along
}

/// That D = G Gᵀ (by columns of G), and that ∇·D is its divergence, at a point.
pub(crate) fn assert_noise(what: &str, p: &dyn ForwardProcess, t: f64, x: &[f64], h: f64) {
    let d = x.len();
    let unit = |k: usize| {
        let mut e = vec![0.0; d];
        e[k] = 1.0;
        e
    };
    let columns: Vec<Vec<f64>> = (0..d).map(|k| noise(p, t, x, &unit(k))).collect();
    let scale: f64 = columns.iter().flatten().map(|v| v * v).sum();
    for j in 0..d {
        let column = ggt(p, t, x, &unit(j));
        for i in 0..d {
            let want: f64 = columns.iter().map(|g| g[i] * g[j]).sum();
            let error = (column[i] - want).abs() / scale;
            assert!(
                error < 1e-13,
                "{what}: D[{i}][{j}] is {} not {want}",
                column[i]
            );
        }
    }
    let div = div_ggt(p, t, x);
    for (i, got) in div.iter().enumerate() {
        let want: f64 = (0..d)
            .map(|j| {
                slope(h, |e| {
                    let mut at = x.to_vec();
                    at[j] += e;
                    ggt(p, t, &at, &unit(j))[i]
                })
            })
            .sum();
        let error = (got - want).abs() / (1.0 + want.abs());
        assert!(
            error < 1e-8,
            "{what}: ∇·D[{i}] is {got}, by differences {want}"
        );
    }
}

/// The gradient of the reference law as a score.
pub(crate) struct ReferenceScore(pub(crate) Arc<dyn ForwardProcess>);

impl Score for ReferenceScore {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn traits(&self) -> Traits {
        Traits::PURE
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        _t: Times<'_>,
        x: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.0.reference_eval(cx, x, None, Some(out))
    }
}

/// n draws of the reference law.
pub(crate) fn reference_draws(p: &dyn ForwardProcess, n: usize) -> Array2<f64> {
    let mut x = Array2::zeros((n, p.dim()));
    with_cx(3, |cx| p.reference_sample(cx, x.view_mut())).expect("it samples");
    x
}

/// The largest displacement of draws of the reference law by a step of Euler and one of Heun of the
/// probability flow with its gradient as the score, relative to 1 + |x|.
pub(crate) fn displacement(p: &Arc<dyn ForwardProcess>, h: f64) -> f64 {
    let x = reference_draws(&**p, 400);
    let score = ReferenceScore(p.clone());
    let field = Field {
        process: &**p,
        score: &score,
    };
    let t = Times::Shared(0.5 * p.t_end());
    let (mut v, mut v2) = (x.clone(), x.clone());
    with_cx(0, |cx| {
        field.velocity(cx, t, x.view(), v.view_mut())?;
        let y = &x - &(h * &v);
        field.velocity(cx, t, y.view(), v2.view_mut())
    })
    .expect("it evaluates");
    let heun = 0.5 * (&v + &v2);
    let mut worst = 0.0f64;
    for ((x, a), b) in x.iter().zip(&v).zip(&heun) {
        worst = worst.max(h * a.abs().max(b.abs()) / (1.0 + x.abs()));
    }
    worst
}

/// As [`displacement`] of one step of Euler without ∇·D: what a field that forgets it would do.
pub(crate) fn displacement_without_divergence(p: &Arc<dyn ForwardProcess>, h: f64) -> f64 {
    let x = reference_draws(&**p, 50);
    x.rows().into_iter().fold(0.0f64, |worst, x| {
        let x = x.to_vec();
        let (f, s) = (drift(&**p, 0.0, &x), reference(&**p, &x).1);
        let w = ggt(&**p, 0.0, &x, &s);
        f.iter()
            .zip(w)
            .fold(worst, |m, (f, w)| m.max(h * (f - 0.5 * w).abs()))
    })
}

/// That outside points, huge ones among them, give no NaN in drift and noise, nor in the law.
pub(crate) fn assert_finite_outside(p: &dyn ForwardProcess, points: &[f64]) {
    for x in points {
        let x = vec![*x; p.dim()];
        for v in [
            drift(p, 0.0, &x),
            ggt(p, 0.0, &x, &vec![1.0; x.len()]),
            noise(p, 0.0, &x, &vec![1.0; x.len()]),
            div_ggt(p, 0.0, &x),
            reference(p, &x).1,
        ] {
            assert!(v.iter().all(|v| v.is_finite()), "{v:?} at {x:?}");
        }
        let (lo, hi) = p.support();
        if x[0] <= lo || x[0] >= hi {
            assert_eq!(reference(p, &x).0, f64::NEG_INFINITY, "{x:?}");
        }
    }
}

/// The reference law has mass 1 and its draws have its mean and mean square, to 4.5 standard errors;
/// the first draws do not depend on n. For d = 1, the law within [lo, hi] but for 1e-13.
pub(crate) fn assert_reference_1d(what: &str, p: &dyn ForwardProcess, lo: f64, hi: f64) {
    assert_eq!(p.dim(), 1);
    let moment = |k: i32| integrate(lo, hi, 20_000, |x| x.powi(k) * reference(p, &[x]).0.exp());
    let mass = moment(0);
    assert!((mass - 1.0).abs() < 1e-10, "{what}: mass {mass}");
    let n = 40_000;
    let x = reference_draws(p, n);
    let first = reference_draws(p, 700);
    assert!(
        first
            .iter()
            .zip(&x)
            .all(|(a, b)| a.to_bits() == b.to_bits()),
        "{what}: the first draws depend on n"
    );
    for k in [1, 2] {
        let (m, se) = retrograde_testkit::mean_se(x.iter().map(|x| x.powi(k)));
        retrograde_testkit::assert_z(&format!("{what}: E x^{k}"), m, moment(k), se);
    }
    for x in [
        lo + 0.3 * (hi - lo),
        lo + 0.45 * (hi - lo),
        lo + 0.6 * (hi - lo),
    ] {
        let by = slope(1e-4 * (hi - lo).min(1.0), |h| reference(p, &[x + h]).0);
        let got = reference(p, &[x]).1[0];
        assert!(
            (got - by).abs() < 1e-7 * (1.0 + by.abs()),
            "{what}: slope at {x}: {got}, {by}"
        );
    }
}

/// Euler–Maruyama paths from `x0` to time t in `steps` steps; a column of n results.
pub(crate) fn simulate(
    p: &dyn ForwardProcess,
    x0: f64,
    t: f64,
    steps: usize,
    n: usize,
) -> Array2<f64> {
    let h = t / steps as f64;
    let mut x = Array2::from_elem((n, p.dim()), x0);
    let [mut z, mut f, mut g] = std::array::from_fn(|_| x.clone());
    with_cx(7, |cx| -> Result {
        for i in 0..steps {
            let at = Times::Shared(i as f64 * h);
            cx.fill_normal(z.view_mut());
            p.drift(cx, at, x.view(), f.view_mut())?;
            p.apply_g(cx, at, x.view(), z.view(), g.view_mut())?;
            x = &x + &(h * &f) + &(h.sqrt() * &g);
        }
        Ok(())
    })
    .expect("it evaluates");
    x
}
