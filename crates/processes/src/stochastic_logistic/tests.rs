use super::*;
use crate::probes;
use ndarray::{Array2, ArrayView2};
use retrograde_core::Times;
use retrograde_testkit::*;

fn process(d: usize) -> Arc<dyn ForwardProcess> {
    probes::build(StochasticLogistic::default(), d).unwrap()
}

#[test]
fn the_gamma_law_stands_still() {
    probes::assert_reference_1d("logistic", &*process(1), 0.0, 8.0);
    assert!(probes::displacement(&process(2), 0.1) < 1e-12);
    assert!(probes::displacement_without_divergence(&process(2), 0.1) > 1e-3);
    probes::assert_noise("logistic", &*process(2), 0.0, &[0.3, 1.7], 1e-3);
    probes::assert_finite_outside(&*process(2), &[0.0, -1e-3, -1e50, 1e100]);
}

/// Root mean square error at T of Euler–Maruyama or Milstein in `steps` steps, against the formula for
/// the path, whose integral is taken on `fine` steps of the same Brownian motion.
fn strong_error(
    p: &dyn ForwardProcess,
    dw: ArrayView2<'_, f64>,
    steps: usize,
    milstein: bool,
) -> f64 {
    let (n, fine) = dw.dim();
    let StochasticLogistic {
        rate: r,
        capacity: k,
        sigma,
        ..
    } = StochasticLogistic::default();
    let (t, x0) = (1.0, 0.4);
    let (h, tiny) = (t / steps as f64, t / fine as f64);
    let mut x = Array2::from_elem((n, 1), x0);
    let [mut f, mut g, mut z] = std::array::from_fn(|_| x.clone());
    for i in 0..steps {
        let per = fine / steps;
        for row in 0..n {
            z[(row, 0)] = (i * per..(i + 1) * per).map(|j| dw[(row, j)]).sum();
        }
        with_cx(0, |cx| {
            p.drift(cx, Times::Shared(0.0), x.view(), f.view_mut())?;
            p.apply_g(cx, Times::Shared(0.0), x.view(), z.view(), g.view_mut())
        })
        .unwrap();
        for row in 0..n {
            let correction = if milstein {
                // ½ G G′ (ΔW² − h), and (D)′ = 2 G G′.
                let div = probes::div_ggt(p, 0.0, &[x[(row, 0)]])[0];
                0.25 * div * (z[(row, 0)].powi(2) - h)
            } else {
                0.0
            };
            x[(row, 0)] += h * f[(row, 0)] + g[(row, 0)] + correction;
        }
    }
    let mut sum = 0.0;
    for row in 0..n {
        let (mut w, mut integral, mut m) = (0.0, 0.0, 1.0f64);
        for j in 0..fine {
            w += dw[(row, j)];
            let next = ((r - 0.5 * sigma * sigma) * (j + 1) as f64 * tiny + sigma * w).exp();
            integral += 0.5 * tiny * (m + next);
            m = next;
        }
        sum += (x[(row, 0)] - x0 * m / (1.0 + r / k * x0 * integral)).powi(2);
    }
    (sum / n as f64).sqrt()
}

#[test]
fn paths_are_those_of_the_formula() {
    let p = process(1);
    let (n, fine) = (800, 1024);
    let mut dw = Array2::zeros((n, fine));
    with_cx(4, |cx| cx.fill_normal(dw.view_mut()));
    dw *= (1.0 / fine as f64).sqrt();
    let order = |milstein: bool| {
        let e = |steps| strong_error(&*p, dw.view(), steps, milstein);
        (e(8), e(64))
    };
    let ((a, b), (c, d)) = (order(false), order(true));
    let slope = |a: f64, b: f64| (a / b).log2() / 3.0;
    assert!(
        (slope(a, b) - 0.5).abs() < 0.12,
        "Euler: {a} {b}: {}",
        slope(a, b)
    );
    assert!(
        (slope(c, d) - 1.0).abs() < 0.15,
        "Milstein: {c} {d}: {}",
        slope(c, d)
    );
    // A drift that is wrong by a twentieth leaves an error that does not fall.
    let wrong = StochasticLogistic {
        rate: 1.05,
        ..StochasticLogistic::default()
    };
    let wrong = probes::build(wrong, 1).unwrap();
    assert!(strong_error(&*wrong, dw.view(), 64, true) > 3.0 * d);
}

#[test]
fn mistakes_are_named() {
    let loud = StochasticLogistic {
        sigma: 1.5,
        ..StochasticLogistic::default()
    };
    let error = probes::build(loud, 1).err().unwrap().to_string();
    assert!(
        error.contains("`sigma` is 1.5") && error.contains("below"),
        "{error}"
    );
}

#[test]
fn it_is_what_a_process_must_be() {
    let x = ndarray::array![[0.3, 0.8], [1.6, 0.5]];
    assert_process("logistic", &*process(2), x.view());
}
