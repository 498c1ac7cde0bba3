//! Forward simulation of any process.

use ndarray::{ArrayView2, ArrayViewMut2};
use retrograde_core::{Cx, Error, ForwardProcess, Result, Times};

/// Moves the rows of `x` (n × d) from time `s` to `t` > `s`: by the transition of the process where it
/// has one, else by `substeps` ≥ 1 equal Euler–Maruyama steps,
/// x ← x + h f(x) + √h G(x) z (Maruyama 1955), which is biased by O(h). What leaves the process's support
/// in a step is put back by reflection at its end.
///
/// # Errors
/// [`Error::Argument`] for times that do not rise; what the process returns.
pub fn forward(
    cx: &mut Cx<'_>,
    process: &dyn ForwardProcess,
    (s, t): (f64, f64),
    substeps: usize,
    mut x: ArrayViewMut2<'_, f64>,
) -> Result {
    if !(t > s && s.is_finite() && t.is_finite() && substeps > 0) {
        return Err(Error::Argument {
            component: "forward simulation".into(),
            argument: "t".into(),
            given: format!("{t} in {substeps} steps"),
            allowed: format!("a time after {s} in at least one step"),
        });
    }
    let (n, d) = x.dim();
    let m = process.noise_dim();
    if let Some(transition) = process.transition() {
        let mut from = cx.take(n * d);
        let mut xs = ArrayViewMut2::from_shape((n, d), &mut from[..]).expect("n × d");
        xs.assign(&x);
        let outcome = transition.sample(&mut cx.at("forward", 0), s, t, xs.view(), x);
        cx.give(from);
        return outcome;
    }
    let (low, high) = process.support();
    let h = (t - s) / substeps as f64;
    let [mut f, mut gz, mut z] = [n * d, n * d, n * m].map(|len| cx.take(len));
    let mut outcome = Ok(());
    for step in 0..substeps {
        let now = Times::Shared(h.mul_add(step as f64, s));
        let mut fv = ArrayViewMut2::from_shape((n, d), &mut f[..]).expect("n × d");
        let mut gv = ArrayViewMut2::from_shape((n, d), &mut gz[..]).expect("n × d");
        let mut zv = ArrayViewMut2::from_shape((n, m), &mut z[..]).expect("n × m");
        let mut cx = cx.at("forward", step as u64);
        cx.fill_normal(zv.view_mut());
        let here: ArrayView2<'_, f64> = x.view();
        outcome = process
            .drift(&mut cx, now, here, fv.view_mut())
            .and_then(|()| process.apply_g(&mut cx, now, here, zv.view(), gv.view_mut()));
        if outcome.is_err() {
            break;
        }
        for ((x, f), g) in x.iter_mut().zip(&fv).zip(&gv) {
            *x += h.mul_add(*f, h.sqrt() * g);
            if *x <= low {
                *x = (2.0 * low - *x).max(low + f64::EPSILON).min(high);
            } else if *x >= high {
                *x = (2.0 * high - *x).min(high - f64::EPSILON).max(low);
            }
        }
    }
    [f, gz, z].into_iter().for_each(|b| cx.give(b));
    outcome
}

#[cfg(test)]
mod tests {
    use super::forward;
    use crate::test_processes::{Alike, Ou};
    use ndarray::Array2;
    use retrograde_core::Linear;
    use retrograde_testkit::{assert_z, mean_se, with_cx};

    #[test]
    fn the_moments_of_an_ou_process_come_out() {
        let (n, t) = (40_000, 0.7);
        let mut x = Array2::from_elem((n, 1), 1.5);
        with_cx(1, |cx| {
            forward(cx, &Ou::scalar(1, 1.0), (0.0, t), 400, x.view_mut())
        })
        .unwrap();
        let (alpha, sd) = Linear::scalar(&Ou::scalar(1, 1.0), t);
        let (m, se) = mean_se(x.iter().copied());
        // Bias of Euler–Maruyama: t h/2 of the mean, a tenth of a standard error.
        assert_z("mean", m, alpha * 1.5, se);
        let (v, se) = mean_se(x.iter().map(|x| (x - alpha * 1.5).powi(2)));
        assert_z("variance", v, sd * sd, se);
        assert!((v - 1.1 * sd * sd).abs() > 6.0 * se);
    }

    #[test]
    fn times_must_rise() {
        let mut x = Array2::zeros((1, 1));
        let process = Alike::sinh(1);
        let e = with_cx(1, |cx| forward(cx, &process, (1.0, 0.5), 4, x.view_mut()));
        assert!(e.unwrap_err().to_string().contains("a time after 1"));
    }
}
