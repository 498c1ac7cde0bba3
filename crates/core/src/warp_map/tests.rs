//! Inverses, determinants and derivatives against differences.

use super::*;

fn coupling(reverse: bool) -> WarpStep {
    let (w, v) = if reverse {
        (vec![vec![0.4, -0.7]], vec![vec![0.2, 0.5]])
    } else {
        (vec![vec![0.9], vec![-0.4]], vec![vec![0.3], vec![-0.6]])
    };
    let b = vec![0.2; w.len()];
    WarpStep {
        map: WarpKind::AffineCoupling,
        weights: Some(w),
        biases: Some(b.clone()),
        shift_weights: Some(v),
        shift_biases: Some(b),
        reverse,
        ..WarpStep::default()
    }
}

fn affine() -> WarpStep {
    WarpStep {
        map: WarpKind::Affine,
        shift: Some(vec![0.3, -1.0, 0.1].into()),
        scale: Some(vec![0.5, 2.0, 1.5].into()),
        ..WarpStep::default()
    }
}

/// Maps of three coordinates, each with a point of its domain.
fn maps() -> Vec<(WarpMap, [f64; 3])> {
    let one = |k: WarpKind| vec![WarpStep::new(k)];
    let any = [-1.2, 0.4, 2.0];
    vec![
        (one(WarpKind::Asinh).into(), any),
        (one(WarpKind::Log).into(), [0.3, 1.0, 4.0]),
        (one(WarpKind::Softplus).into(), [0.2, 1.0, 5.0]),
        (vec![affine()].into(), any),
        (vec![coupling(false)].into(), any),
        (vec![coupling(true)].into(), any),
        (
            vec![
                WarpStep::new(WarpKind::Softplus),
                coupling(false),
                affine(),
                coupling(true),
                WarpStep::new(WarpKind::Asinh),
            ]
            .into(),
            [0.2, 0.9, 1.7],
        ),
    ]
}

/// A derivative by Richardson's differences.
fn slope(f: impl Fn(f64) -> f64) -> f64 {
    let h = 2e-3;
    let d = |h: f64| (f(h) - f(-h)) / (2.0 * h);
    (d(2.0 * h) - 20.0 * d(h) + 64.0 * d(0.5 * h)) / 45.0
}

fn jacobian(f: impl Fn(&[f64; 3], &mut [f64]), x: &[f64; 3]) -> [[f64; 3]; 3] {
    std::array::from_fn(|i| {
        std::array::from_fn(|j| {
            slope(|h| {
                let (mut at, mut y) = (*x, [0.0; 3]);
                at[j] += h;
                f(&at, &mut y);
                y[i]
            })
        })
    })
}

fn det(m: &[[f64; 3]; 3]) -> f64 {
    m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
        - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
        + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
}

#[test]
fn inverses_determinants_and_derivatives_are_those_of_the_map() {
    for (w, x) in maps() {
        w.check(3, "test", "warp").unwrap();
        let mut scratch = vec![0.0; w.scratch_len(3)];
        let (mut y, mut back) = ([0.0; 3], [0.0; 3]);
        let log_det = w.forward(&x, &mut y);
        w.inverse(&y, &mut back);
        let near = |what: &str, a: &[f64], b: &[f64], tolerance: f64| {
            for (a, b) in a.iter().zip(b) {
                let error = (a - b).abs() / (1.0 + b.abs());
                assert!(error < tolerance, "{what} of {w:?}: {a} and {b}");
            }
        };
        near("inverse", &back, &x, 1e-14);
        let j = jacobian(
            |x, y| {
                w.forward(x, y);
            },
            &x,
        );
        near("log det", &[log_det], &[det(&j).abs().ln()], 1e-8);
        let inv = jacobian(|y, x| w.inverse(y, x), &y);
        let (u, mut out) = ([0.7, -1.1, 0.4], [0.0; 3]);
        let mul = |m: &[[f64; 3]; 3], u: &[f64; 3]| -> [f64; 3] {
            std::array::from_fn(|i| (0..3).map(|k| m[i][k] * u[k]).sum())
        };
        let mul_t = |m: &[[f64; 3]; 3], u: &[f64; 3]| -> [f64; 3] {
            std::array::from_fn(|i| (0..3).map(|k| m[k][i] * u[k]).sum())
        };
        w.pull(&x, &u, &mut out, &mut scratch);
        near("Jᵀu", &out, &mul_t(&j, &u), 1e-8);
        w.push(&y, &u, &mut out, &mut scratch);
        near("J⁻¹u", &out, &mul(&inv, &u), 1e-8);
        w.push_back(&y, &u, &mut out, &mut scratch);
        near("J⁻ᵀu", &out, &mul_t(&inv, &u), 1e-8);
        let grad: [f64; 3] = std::array::from_fn(|j| {
            slope(|h| {
                let (mut at, mut y) = (x, [0.0; 3]);
                at[j] += h;
                w.forward(&at, &mut y)
            })
        });
        w.pull_score(&x, &[0.0; 3], &mut out, &mut scratch);
        near("∇ ln det", &out, &grad, 1e-7);
        let laplacian: [f64; 3] = std::array::from_fn(|i| {
            (0..3)
                .map(|k| {
                    slope(|h| {
                        let (mut at, mut e, mut col) = (y, [0.0; 3], [0.0; 3]);
                        at[k] += h;
                        e[k] = 1.0;
                        let mut scratch = vec![0.0; w.scratch_len(3)];
                        w.push(&at, &e, &mut col, &mut scratch);
                        col[i]
                    })
                })
                .sum()
        });
        w.laplacian(&y, &mut out, &mut scratch);
        near("Laplacian", &out, &laplacian, 1e-7);
        // A control: the Laplacian without its last term would be seen.
        if w.steps.len() > 1 {
            assert!(laplacian.iter().any(|v| v.abs() > 1e-2), "{laplacian:?}");
        }
    }
}

#[test]
fn large_and_outside_points_stay_finite() {
    let softplus: WarpMap = vec![WarpStep::new(WarpKind::Softplus)].into();
    let mut y = [0.0];
    assert_eq!(softplus.forward(&[800.0], &mut y), 0.0);
    assert_eq!(y[0], 800.0);
    for kind in [WarpKind::Log, WarpKind::Softplus] {
        let w: WarpMap = vec![WarpStep::new(kind)].into();
        let mut scratch = vec![0.0; w.scratch_len(1)];
        for x in [0.0, -3.0] {
            let mut out = [0.0];
            assert_eq!(w.forward(&[x], &mut y), f64::NEG_INFINITY);
            assert!(y[0].is_finite());
            w.laplacian(&y, &mut out, &mut scratch);
            assert!(out[0].is_finite());
            w.pull_score(&[x], &[0.3], &mut out, &mut scratch);
            assert!(out[0].is_finite());
        }
        let mut least = [0.0];
        w.inverse(&[-1e4], &mut least);
        assert!(least[0] > 0.0, "an underflow leaves the domain");
        assert_eq!(w.support(2), (0.0, f64::INFINITY));
    }
    let shifted: WarpMap = vec![affine(), WarpStep::new(WarpKind::Log)].into();
    assert_eq!(shifted.support(3), (-1.0, f64::INFINITY));
    let coupled: WarpMap = vec![coupling(false), WarpStep::new(WarpKind::Log)].into();
    assert_eq!(coupled.support(3).0, f64::NEG_INFINITY);
}

#[test]
fn wrong_parameters_name_their_key() {
    let says = |step: WarpStep, d: usize, says: &str| {
        let w: WarpMap = vec![WarpStep::new(WarpKind::Asinh), step].into();
        let error = w.check(d, "process p", "warp").unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    says(
        coupling(false),
        1,
        "`warp[1].map` is affine-coupling in 1 dimension",
    );
    says(coupling(false), 5, "`warp[1].weights` is 2 rows");
    says(affine(), 2, "`warp[1].shift` is a list of 3 numbers");
    let zero = WarpStep {
        scale: Some(0.0.into()),
        ..WarpStep::new(WarpKind::Affine)
    };
    says(zero, 2, "`warp[1].scale` is 0");
    let lost = WarpStep {
        scale: Some(1.0.into()),
        ..WarpStep::new(WarpKind::Log)
    };
    says(lost, 2, "belongs to the map `affine`");
    let biases = WarpStep {
        biases: Some(vec![1.0]),
        ..coupling(false)
    };
    says(biases, 3, "`warp[1].biases` is a list of 1");
}
