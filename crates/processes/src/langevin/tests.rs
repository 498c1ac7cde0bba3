use super::*;
use crate::probes;
use ndarray::{Array2, array};
use retrograde_core::{BatchTarget, Field, GaussianMixture};
use retrograde_testkit::*;

fn wells(d: usize) -> Arc<dyn ForwardProcess> {
    let settings = Langevin {
        k: 2.0,
        g: 0.9,
        ..Langevin::default()
    };
    probes::build(settings, d).unwrap()
}

fn down(target: impl Target + 'static) -> Result<Arc<dyn ForwardProcess>> {
    let settings = Langevin {
        potential: Potential::Target,
        g: 1.4,
        spread: 2.0,
        ..Langevin::default()
    };
    probes::build_for(settings, Arc::new(target))
}

/// log π = −Σ (x_j − 1)⁴/4 + 5, without anything exact.
fn quartic(d: usize) -> impl Target + use<> {
    BatchTarget::new(d, |x, mut l, mut g| {
        for ((x, l), mut g) in x.rows().into_iter().zip(&mut l).zip(g.rows_mut()) {
            *l = 5.0 - x.iter().map(|x| 0.25 * (x - 1.0).powi(4)).sum::<f64>();
            g.iter_mut()
                .zip(x)
                .for_each(|(g, x)| *g = -(x - 1.0).powi(3));
        }
    })
}

#[test]
fn the_stationary_laws_stand_still() {
    probes::assert_reference_1d("double well", &*wells(1), -3.5, 3.5);
    probes::assert_noise("double well", &*wells(2), 0.0, &[0.3, -1.2], 1e-3);
    let mixture = GaussianMixture::isotropic(
        array![0.3, 0.7],
        array![[-1.0, 0.0], [1.0, 0.5]],
        array![0.5, 0.3],
    )
    .unwrap()
    .with_log_scale(3.0)
    .unwrap();
    let of_mixture = down(mixture).unwrap();
    assert!(of_mixture.flags().is_empty());
    let line = down(quartic(1)).unwrap();
    assert!(line.flags().is_empty());
    probes::assert_reference_1d("quartic", &*line, -5.0, 7.0);
    for p in [wells(3), of_mixture, line] {
        let moved = probes::displacement(&p, 0.1);
        assert!(moved < 1e-12, "{moved}");
    }
    // Where the law is not known, N(0, 4 I) stands in, moves, and says so.
    let stand_in = down(quartic(2)).unwrap();
    assert!(probes::displacement(&stand_in, 0.1) > 1e-2);
    assert_eq!(stand_in.flags()[0].severity, Severity::Warning);
    let mass = probes::integrate(-20.0, 20.0, 100, |a| {
        probes::integrate(-20.0, 20.0, 100, |b| {
            probes::reference(&*stand_in, &[a, b]).0.exp()
        })
    });
    assert!((mass - 1.0).abs() < 1e-9);
}

/// A step of restoration and degradation from the stationary law, x' = x − h f + c D s with
/// c = l − √(l(l − h)), moves by −2(c − h/2) U′.
#[test]
fn a_step_back_moves_stationary_points_by_its_excess_alone() {
    let p = wells(1);
    let x = probes::reference_draws(&*p, 200);
    let score = probes::ReferenceScore(p.clone());
    let field = Field {
        process: &*p,
        score: &score,
    };
    let (mut f, mut w) = (x.clone(), x.clone());
    with_cx(0, |cx| {
        field.parts(cx, Times::Shared(1.0), x.view(), f.view_mut(), w.view_mut())
    })
    .unwrap();
    let (h, l) = (0.05, 0.4);
    let c = h / (1.0 + (1.0f64 - h / l).sqrt());
    for ((x, f), w) in x.iter().zip(&f).zip(&w) {
        let step = -h * f + c * w;
        let want = -2.0 * (c - 0.5 * h) * 2.0 * x * (x * x - 1.0);
        assert!((step - want).abs() < 1e-14 * (1.0 + want.abs()));
    }
}

#[test]
fn the_flow_solves_its_equation_and_the_map_comes_to_the_law() {
    let own = Wells::new(2.0, 0.9).unwrap();
    for x in [-3.0, -0.4, 0.0, 1e-3, 0.8, 1.0, 1.7] {
        let (steps, t) = (20_000, 0.7);
        let (h, mut y) = (t / f64::from(steps), x);
        for _ in 0..steps {
            let k1 = own.drift(y);
            let k2 = own.drift(y + 0.5 * h * k1);
            let k3 = own.drift(y + 0.5 * h * k2);
            let k4 = own.drift(y + h * k3);
            y += h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4);
        }
        assert!(
            (own.flow(t, x) - y).abs() < 1e-9,
            "{x}: {} {y}",
            own.flow(t, x)
        );
    }
    assert!((own.flow(0.3, 1e200) - 1.0 / (1.0 - (-1.2f64).exp()).sqrt()).abs() < 1e-14);
    let x = own.to(0.2, 0.4, 1.3);
    assert!((own.noise_of(0.2, 0.4, x) - 1.3).abs() < 1e-13);
    // Paths of the process come to E x² of the law.
    let p = wells(1);
    let x = probes::simulate(&*p, 0.3, 6.0, 600, 5_000);
    let want = probes::integrate(-3.5, 3.5, 2000, |x| {
        x * x * probes::reference(&*p, &[x]).0.exp()
    });
    let (m, se) = mean_se(x.iter().map(|x| x * x));
    // Euler's bias is of order h.
    assert!((m - want).abs() < 4.5 * se + 0.02, "{m} {want} {se}");
}

#[test]
fn jacobians_are_those_of_the_drift() {
    let (p, x, v) = (wells(2), array![[0.3, -1.2]], array![[0.5, 2.0]]);
    let mut out = Array2::zeros((1, 2));
    with_cx(0, |cx| {
        p.drift_jvp()
            .unwrap()
            .drift_jvp(cx, Times::Shared(0.0), x.view(), v.view(), out.view_mut())
    })
    .unwrap();
    for j in 0..2 {
        let by = probes::slope(1e-3, |h| {
            probes::drift(&*p, 0.0, &[0.3 + 0.5 * h, -1.2 + 2.0 * h])[j]
        });
        assert!((out[(0, j)] - by).abs() < 1e-9);
    }
}

#[test]
fn mistakes_are_named() {
    let flat = BatchTarget::new(1, |_, mut l, mut g| {
        l.fill(0.0);
        g.fill(0.0);
    });
    let error = down(flat).err().unwrap().to_string();
    assert!(
        error.contains("`potential`") && error.contains("confine"),
        "{error}"
    );
    let points = GaussianMixture::points(array![1.0], array![[0.0]]).unwrap();
    let error = down(points).err().unwrap().to_string();
    assert!(error.contains("gradient"), "{error}");
    let none = Langevin {
        k: -1.0,
        ..Langevin::default()
    };
    let error = probes::build(none, 1).err().unwrap().to_string();
    assert!(error.contains("`k` is -1"), "{error}");
}

#[test]
fn they_are_what_a_process_must_be() {
    let x = array![[0.3, -0.8], [1.6, 0.5]];
    assert_process("double well", &*wells(2), x.view());
    assert_process("double well", &*wells(1), x.slice(ndarray::s![.., ..1]));
    assert_process(
        "quartic",
        &*down(quartic(1)).unwrap(),
        x.slice(ndarray::s![.., ..1]),
    );
    assert_process("stand-in", &*down(quartic(2)).unwrap(), x.view());
}
