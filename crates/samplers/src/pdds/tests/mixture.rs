//! The potential of a mixture that is fitted to pilot chains, and powers of the naive one.

use super::*;
use crate::pdds::fit::Fit;
use crate::pdds::guide::Guide;

#[test]
fn the_potential_of_a_mixture_is_that_of_its_formula_and_so_is_its_slope() {
    let law = || {
        GaussianMixture::diagonal(
            array![0.6, 0.4],
            array![[-0.8, 0.3], [0.7, -0.2]],
            array![[0.1, 0.3], [0.2, 0.05]],
        )
    };
    let rows = law().unwrap();
    let mut x = Array2::zeros((400, 2));
    with_cx(1, |cx| rows.sampler().unwrap().sample(cx, x.view_mut())).unwrap();
    let x = x.as_slice().unwrap();
    let many = with_cx(2, |cx| Fit::of(cx, x, 2)).unwrap();
    let one = Fit::dense(x, 2).unwrap();
    assert!(many.components() > 1);
    // Another density than that of the mixture, so that the ratio counts.
    let target = normal(2, 0.4, 0.9);
    let base = Gaussian::new("test", 2, ["", ""], &0.3.into(), &1.7.into(), true).unwrap();
    let levels = Levels::new(PddsSchedule::Cosine, 10, 12.0);
    for fit in [many, one] {
        let mut guide = Guide::new(fit, None);
        for (level, exponent) in [(1, None), (3, None), (7, None), (2, Some(0.3))] {
            let led = guide.at(&levels, level, exponent).unwrap();
            let guided = Guided {
                target: &*target,
                law: &base,
                signal: levels.signal[level],
                lead: Lead::Mixture(led),
            };
            let at = |y: [f64; 2]| {
                let (mut l, mut g) = (array![0.0], Array2::zeros((1, 2)));
                let y = ArrayView2::from_shape((1, 2), &y).unwrap();
                with_cx(1, |cx| {
                    guided.eval(cx, y, Some(l.view_mut()), Some(g.view_mut()))
                })
                .unwrap();
                (l[0], [g[(0, 0)], g[(0, 1)]])
            };
            for y in [[0.0, 0.0], [-0.4, 0.9], [0.6, -0.3]] {
                let (_, slope) = at(y);
                let h = 1e-5;
                for j in 0..2 {
                    let off = |s: f64| {
                        let mut y = y;
                        y[j] += s * h;
                        at(y).0
                    };
                    let want = (off(1.0) - off(-1.0)) / (2.0 * h);
                    assert!(
                        (slope[j] - want).abs() < 1e-6 * (1.0 + want.abs()),
                        "{slope:?} {want}"
                    );
                }
            }
        }
        // To the power 0 nothing of the target is left, not even slopes that are no numbers.
        let nowhere = PointTarget::new(2, |_, g| {
            g.fill(f64::NAN);
            f64::NEG_INFINITY
        });
        let led = guide.at(&levels, 5, Some(0.0)).unwrap();
        let guided = Guided {
            target: &nowhere,
            law: &base,
            signal: levels.signal[5],
            lead: Lead::Mixture(led),
        };
        let y = array![[0.1, 0.2]];
        let [mut l, mut want] = [array![0.0], array![0.0]];
        let [mut g, mut slope] = [Array2::zeros((1, 2)), Array2::zeros((1, 2))];
        with_cx(1, |cx| {
            guided.eval(cx, y.view(), Some(l.view_mut()), Some(g.view_mut()))?;
            (led.noised).eval(cx, y.view(), Some(want.view_mut()), Some(slope.view_mut()))
        })
        .unwrap();
        assert_eq!((l, g), (want, slope));
        // With a target that is the mixture, π̂_t is its noised law times a constant.
        let led = guide.at(&levels, 4, None).unwrap();
        let own = led.law.clone();
        let unit = Gaussian::new("test", 2, ["", ""], &0.0.into(), &1.0.into(), true).unwrap();
        let guided = Guided {
            target: &own,
            law: &unit,
            signal: levels.signal[4],
            lead: Lead::Mixture(led),
        };
        let y = array![[0.1, 0.2], [-3.0, 0.4]];
        let [mut l, mut want] = std::array::from_fn(|_| Array1::zeros(2));
        with_cx(1, |cx| {
            guided.eval(cx, y.view(), Some(l.view_mut()), None)?;
            led.noised.eval(cx, y.view(), Some(want.view_mut()), None)
        })
        .unwrap();
        assert!((&l - &want).iter().all(|v| v.abs() < 1e-9), "{l} {want}");
    }
}

#[test]
fn a_power_of_the_naive_potential_is_that_and_has_its_slope() {
    let (target, power, signal) = (normal(1, 0.4, 0.7), 0.3, 0.8);
    let base = Gaussian::new("test", 1, ["", ""], &0.3.into(), &1.7.into(), true).unwrap();
    let at = |y: f64, power: f64| {
        let guided = Guided {
            target: &*target,
            law: &base,
            signal,
            lead: Lead::Naive(power),
        };
        let (mut l, mut g) = (array![0.0], Array2::zeros((1, 1)));
        let y = ArrayView2::from_shape((1, 1), std::slice::from_ref(&y)).unwrap();
        with_cx(1, |cx| {
            guided.eval(cx, y, Some(l.view_mut()), Some(g.view_mut()))
        })
        .unwrap();
        (l[0], g[(0, 0)])
    };
    for y in [-1.2, 0.0, 0.9] {
        let [none, part, all] = [0.0, power, 1.0].map(|e| at(y, e));
        let reference = -0.5 * (y * y + TAU.ln());
        assert!((none.0 - reference).abs() < 1e-12 && (none.1 + y).abs() < 1e-12);
        let want = reference + power * (all.0 - reference);
        assert!((part.0 - want).abs() < 1e-12, "{part:?} {want}");
        let slope = (at(y + 1e-5, power).0 - at(y - 1e-5, power).0) / 2e-5;
        assert!((part.1 - slope).abs() < 1e-8, "{part:?} {slope}");
    }
}

/// 0.7 N(−1, 0.2²) + 0.3 N(1.5, 0.3²), normalised.
fn two_modes() -> Arc<dyn Target> {
    Arc::new(PointTarget::new(1, |x, g| {
        let part = |w: f64, m: f64, s: f64| {
            let z = (x[0] - m) / s;
            ((w / s).ln() - 0.5 * (z * z + TAU.ln()), -z / s)
        };
        let ((p, a), (q, b)) = (part(0.7, -1.0, 0.2), part(0.3, 1.5, 0.3));
        let share = 1.0 / (1.0 + (q - p).exp());
        g[0] = share * a + (1.0 - share) * b;
        p.max(q) + (-(p - q).abs()).exp().ln_1p()
    }))
}

#[test]
fn z_is_unbiased_with_a_mixture_for_potential() {
    let bias = |fault| {
        let settings = Pdds {
            potential: Potential::Mixture,
            whiten: Whiten::Pilot,
            pilot_chains: 64,
            resample_threshold: 0.9,
            moves: 1,
            pilot_particles: 30,
            ..published(8)
        };
        let mut sampler = build(settings, two_modes(), None);
        sampler.fault = fault;
        let runs: Vec<Collected> = (0..200).map(|s| run(&sampler, 50, s)).collect();
        let several = runs.iter().filter(|r| r.scalars["components"] > 1.0);
        assert!(several.count() >= 190);
        let (mean, se) = mean_se(runs.iter().map(|r| log_z(r).exp()));
        println!("mixture, {fault:?}: {mean} ± {se}");
        (mean - 1.0) / se
    };
    let z = bias(Fault::None);
    assert!(z.abs() < 3.0, "{z}");
    for fault in [Fault::NoKernelTerm, Fault::WrongEnd, Fault::OwnBest] {
        let z = bias(fault);
        assert!(z.abs() > 3.0, "{fault:?}: {z}");
    }
}
