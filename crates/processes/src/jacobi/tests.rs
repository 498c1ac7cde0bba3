use super::*;
use crate::probes;
use retrograde_testkit::*;

fn process(a: f64, b: f64, d: usize) -> Arc<dyn ForwardProcess> {
    probes::build(Jacobi { a, b, t_end: 5.0 }, d).unwrap()
}

#[test]
fn the_beta_law_stands_still() {
    probes::assert_reference_1d("jacobi", &*process(2.5, 3.0, 1), 0.0, 1.0);
    for (a, b) in [(2.5, 1.5), (1.0, 1.0), (4.0, 1.0)] {
        let p = process(a, b, 2);
        assert!(probes::displacement(&p, 0.05) < 1e-12);
        assert!(probes::displacement_without_divergence(&p, 0.05) > 1e-3);
    }
    probes::assert_noise("jacobi", &*process(2.0, 3.0, 2), 0.0, &[0.1, 0.7], 1e-3);
    probes::assert_finite_outside(&*process(2.0, 3.0, 2), &[0.0, 1.0, -0.1, 1.2, -1e100]);
}

/// Moments solve d/dt E x = ½(a − (a + b) E x) and
/// d/dt E x² = (a + 1) E x − (a + b + 1) E x².
#[test]
fn moments_relax_at_the_rates_of_the_eigenvalues() {
    let (a, b, x0, t) = (2.0, 3.0, 0.85, 0.4);
    let p = process(a, b, 1);
    let (n, m) = (40_000, a / (a + b));
    let want = |rate: f64| m + (x0 - m) * (-rate * (a + b) * t / 2.0).exp();
    // Euler–Maruyama is exact in the mean for a linear drift but for its order of the exponential:
    // (1 − λh)ⁿ with λ = 2.5, h = 1/500: relative 2.5e-3 of the decaying part, 1e-3; its noise is 0
    // outside of (0, 1), which changes nothing in the mean.
    let steps = 500;
    let x = probes::simulate(&*p, x0, t, steps, n);
    let (mean, se) = mean_se(x.iter().copied());
    let h = t / f64::from(steps as u32);
    let discrete = m + (x0 - m) * (1.0 - (a + b) * h / 2.0).powi(steps as i32);
    assert_z("E x_t", mean, discrete, se);
    assert!((discrete - want(1.0)).abs() < 1e-3);
    assert!(
        (mean - want(2.0)).abs() > 20.0 * se,
        "a wrong rate is not seen"
    );
    let second = (a + 1.0) / (a + b + 1.0) * m;
    let (l1, l2) = ((a + b) / 2.0, a + b + 1.0);
    let c = (a + 1.0) * (x0 - m) / (l2 - l1);
    let want = second + c * (-l1 * t).exp() + (x0 * x0 - second - c) * (-l2 * t).exp();
    let (square, se) = mean_se(x.iter().map(|x| x * x));
    // Euler's bias: of order h, with coefficients of order one.
    assert!(
        (square - want).abs() < 4.5 * se + 2e-3,
        "{square} {want} {se}"
    );
}

#[test]
fn mistakes_are_named() {
    let message = |a, b| {
        let settings = Jacobi { a, b, t_end: 1.0 };
        probes::build(settings, 1).err().unwrap().to_string()
    };
    assert!(message(0.5, 2.0).contains("`a` is 0.5"));
    assert!(message(2.0, f64::NAN).contains("`b` is NaN"));
}

#[test]
fn it_is_what_a_process_must_be() {
    let x = ndarray::array![[0.3, 0.8], [0.6, 0.15]];
    assert_process("jacobi", &*process(2.0, 3.0, 2), x.view());
}
