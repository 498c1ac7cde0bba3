//! Forward simulation against laws that are known.

use crate::test_processes::{Alike, Ou};
use ndarray::Array2;
use retrograde_core::Linear;
use retrograde_core::forward::forward;
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
