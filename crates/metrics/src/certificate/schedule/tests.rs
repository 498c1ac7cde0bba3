use super::*;
use crate::test_chains::{assert_close, normals};
use proptest::prelude::*;

mod undertrained;

const HIGH: f64 = 80.0;
const LOW: f64 = 0.002;

/// Levels of σ from 80 to 0.002 in `n` steps: geometric, ρ = 7, ρ = 3, VP-uniform, cosine.
fn schedules(n: usize) -> [Vec<f64>; 5] {
    let list = |f: &dyn Fn(f64) -> f64| -> Vec<f64> {
        let mut levels: Vec<f64> = (0..=n).map(|i| f(i as f64 / n as f64)).collect();
        (levels[0], levels[n]) = (HIGH, LOW);
        levels
    };
    let power = |rho: f64| {
        let (high, low) = (HIGH.powf(1.0 / rho), LOW.powf(1.0 / rho));
        list(&|u| (high + u * (low - high)).powf(rho))
    };
    // ln(1 + σ²) = ½ 19.9 t² + 0.1 t
    let time = |s: f64| ((0.01 + 2.0 * 19.9 * (s * s).ln_1p()).sqrt() - 0.1) / 19.9;
    let (first, last) = (time(HIGH), time(LOW));
    let (wide, narrow) = (HIGH.atan(), LOW.atan());
    [
        list(&|u| HIGH * (LOW / HIGH).powf(u)),
        power(7.0),
        power(3.0),
        list(&|u| {
            let t = first + u * (last - first);
            (0.5 * 19.9 * t * t + 0.1 * t).exp_m1().sqrt()
        }),
        list(&|u| (wide + u * (narrow - wide)).tan()),
    ]
}

fn atoms(spread: f64) -> Mixture1d {
    Mixture1d::new(
        &[0.2, 0.3, 0.15, 0.35],
        &[-0.9, -0.3, 0.25, 0.7],
        &[spread; 4],
    )
    .unwrap()
}

fn e_d(data: &Mixture1d, levels: &[f64]) -> f64 {
    discretisation_errors(data, levels).unwrap().iter().sum()
}

#[test]
fn sums_of_shares() {
    let table = [
        (10, [8.7989, 8.3433, 7.0847, 7.2849, 6.6183]),
        (18, [12.4546, 11.7708, 9.6994, 9.5382, 8.7477]),
        (40, [16.4518, 15.8220, 13.3327, 12.1367, 11.6559]),
        (100, [19.0981, 18.7360, 16.8749, 14.4314, 14.7321]),
    ];
    for (n, known) in table {
        for (levels, known) in schedules(n).iter().zip(known) {
            let u: f64 = step_shares(levels).unwrap().iter().sum();
            assert!((u - known).abs() <= 1e-4, "{n}: {u} {known}");
        }
    }
}

proptest! {
    /// Of all schedules with the same ends and number of steps the geometric one has the largest U.
    #[test]
    fn geometric_has_the_largest_sum(
        parts in prop::collection::vec(0.001..1.0f64, 2..40), high in 1.0..100.0f64, low in 1e-4..0.5f64
    ) {
        let all: f64 = parts.iter().sum();
        let ratio = low / high;
        let mut levels = vec![high];
        let mut done = 0.0;
        for p in &parts {
            done += p;
            levels.push(high * ratio.powf(done / all));
        }
        let n = parts.len();
        let geometric: Vec<f64> = (0..=n).map(|i| high * ratio.powf(i as f64 / n as f64)).collect();
        let u = |l: &[f64]| step_shares(l).unwrap().iter().sum::<f64>();
        prop_assert!(u(&geometric) >= u(&levels) - 1e-12);
        prop_assert!(u(&levels) <= 2.0 * (high / low).ln() + 1e-12);
    }
}

/// Point masses seen from afar are 1/τ, and a Gaussian is 1/(v + τ).
#[test]
fn fisher_information_of_known_laws() {
    let gaussian = Mixture1d::normal(0.4, 0.3).unwrap();
    for sigma in [0.0, 0.01, 1.0, 50.0] {
        let known = 1.0 / (0.09 + sigma * sigma);
        assert_close(fisher_information(&gaussian, sigma).unwrap(), known, 1e-12);
    }
    let data = atoms(0.002);
    assert_close(fisher_information(&data, 0.002).unwrap(), 1.0 / 8e-6, 1e-9);
    // By pieces between the breaks of the law, where components overlap.
    for sigma in [0.1, 0.2, 0.5, 2.0] {
        let law = data.noised(1.0, sigma * sigma).unwrap();
        let edges = crate::law_1d::Law1d::breaks(&law);
        let fine = Rule::legendre(20).unwrap().pieces(&edges).unwrap();
        let known = fine.integrate(|x| {
            let score = law.score(x).0;
            score * score * crate::law_1d::Law1d::log_density(&law, x).exp()
        });
        assert_close(fisher_information(&data, sigma).unwrap(), known, 2e-4);
    }
    // E_D of a Gaussian is closed: ½ [ln((v + τ₀)/(v + τ₁)) − (τ₀ − τ₁)/(v + τ₀)].
    let closed = 0.5 * ((4.09f64 / 0.34).ln() - 3.75 / 4.09);
    assert_close(e_d(&gaussian, &[2.0, 0.5]), closed, 1e-11);
}

/// Atoms of spread 0.002, exact score, N = 10, 20, 40, 80, 160.
#[test]
fn near_point_data() {
    let table = [
        (10, [5.1340, 5.2382, 5.8168, 5.9006, 6.5225]),
        (20, [3.3431, 3.5828, 4.5257, 4.9297, 5.4299]),
        (40, [1.9454, 2.1597, 3.1919, 3.9677, 4.2959]),
        (80, [1.0547, 1.1984, 2.0301, 3.1797, 3.1781]),
        (160, [0.5499, 0.6331, 1.1728, 2.5061, 2.1823]),
    ];
    let data = atoms(0.002);
    for (n, known) in table {
        let found = schedules(n).map(|l| e_d(&data, &l));
        for (found, known) in found.iter().zip(known) {
            assert_close(*found, known, 0.002);
        }
        assert!(
            found[1..].iter().all(|e| *e > found[0]),
            "geometric is first"
        );
    }
}

/// The same atoms with spread 0.05: nothing below that scale to spend steps on, and ρ = 7 wins with an exact score.
#[test]
fn smoother_data() {
    let data = atoms(0.05);
    let table = [
        (10, 3.320, 2.948),
        (20, 2.153, 1.884),
        (40, 1.249, 1.076),
        (80, 0.676, 0.578),
    ];
    for (n, geometric, seven) in table {
        let [g, s, ..] = schedules(n).map(|l| e_d(&data, &l));
        assert_close(g, geometric, 0.002);
        assert_close(s, seven, 0.002);
        assert!(s < g);
    }
}

#[test]
fn crossovers_between_geometric_and_seven() {
    let data = atoms(0.002);
    // N, E_S of both for low noise, crossovers of both profiles.
    let table = [
        (10, 1.4851, 0.8686, 0.169, 0.458),
        (20, 2.3681, 1.6934, 0.355, 0.685),
        (40, 3.0840, 2.5549, 0.405, 0.681),
        (80, 3.5483, 3.2117, 0.427, 0.675),
    ];
    for (n, geometric, seven, low, uniform) in table {
        let [g, s, ..] = schedules(n);
        let budgets = |p| [&g, &s].map(|l| Budget::new(&data, l, p).unwrap());
        let [a, b] = budgets(Profile::LowNoise);
        assert_close(a.score, geometric, 0.002);
        assert_close(b.score, seven, 0.002);
        let at = a.crossover(&b).unwrap();
        assert!((at - low).abs() < 0.005, "{n}: {at}");
        assert_eq!(b.crossover(&a), Some(at));
        // Well trained: geometric; badly trained: ρ = 7.
        assert!(a.total(0.5 * at) < b.total(0.5 * at) && a.total(1.0) > b.total(1.0));
        let [a, b] = budgets(Profile::Uniform);
        let at = a.crossover(&b).unwrap();
        assert!((at - uniform).abs() < 0.005, "{n}: {at}");
        if n == 20 {
            let [a, b] = budgets(Profile::LowNoise);
            let totals = [a.total(0.1), b.total(0.1), a.total(1.0), b.total(1.0)];
            for (found, known) in totals.into_iter().zip([3.580, 3.752, 5.711, 5.276]) {
                assert_close(found, known, 0.002);
            }
        }
    }
    // Of a schedule that is better in both respects there is no crossover.
    let (a, b) = (
        Budget {
            discretisation: 1.0,
            score: 1.0,
        },
        Budget {
            discretisation: 2.0,
            score: 2.0,
        },
    );
    assert_eq!(a.crossover(&b), None);
    assert_eq!(a.crossover(&a), None);
}

/// E_D by forward paths, ½ Σ ∫ E (s(X_τ) − s(X_k))² dτ: 10⁵ paths, 16 midpoints in ln τ of each of 20 steps. What the
/// martingale is for: without the path from τ to τₖ the number would be another.
#[test]
fn identity_on_forward_paths() {
    let data = atoms(0.002);
    let levels = &schedules(20)[0];
    let mut next = normals(7);
    let substeps = 16;
    // Levels, and those in the middle of substeps, ascending; with laws.
    let run = |paths: usize, coupled: bool, next: &mut dyn FnMut() -> f64| {
        let mut sum = 0.0;
        let mut x: Vec<f64> = (0..paths)
            .map(|i| {
                // Atoms in proportion, their spread and the last level at once.
                let u = (i as f64 + 0.5) / paths as f64;
                let k = [0.2, 0.5, 0.65, 1.0]
                    .iter()
                    .position(|c| u < *c)
                    .unwrap_or(3);
                let (_, m, s) = data.components()[k];
                m + (s * s + LOW * LOW).sqrt() * next()
            })
            .collect();
        for k in (0..20).rev() {
            let (low, high) = (levels[k + 1].powi(2), levels[k].powi(2));
            let edge = |j: usize| low * (high / low).powf(j as f64 / substeps as f64);
            let middle = |j: usize| (edge(j) * edge(j + 1)).sqrt();
            let laws: Vec<Mixture1d> = (0..substeps)
                .map(|j| data.noised(1.0, middle(j)).unwrap())
                .collect();
            let top = data.noised(1.0, high).unwrap();
            for x in &mut x {
                let (mut at, mut tau) = (*x, low);
                let mut scores = [0.0; 16];
                for j in 0..substeps {
                    at += (middle(j) - tau).sqrt() * next();
                    tau = middle(j);
                    scores[j] = laws[j].score(at).0;
                }
                *x = at + (high - tau).sqrt() * next();
                let frozen = if coupled { top.score(*x).0 } else { 0.0 };
                for (j, s) in scores.iter().enumerate() {
                    sum += 0.5 * (edge(j + 1) - edge(j)) * (s - frozen) * (s - frozen);
                }
            }
        }
        sum / paths as f64
    };
    let known = e_d(&data, levels);
    let found = run(100_000, true, &mut next);
    assert_close(found, known, 0.015);
    // Control: the information itself in place of its increase is no E_D.
    let broken = run(2_000, false, &mut next);
    assert!((broken / known - 1.0).abs() > 0.5, "{broken}");
}

#[test]
fn bad_input_is_told() {
    let told = |l: &[f64]| step_shares(l).unwrap_err().to_string();
    assert!(told(&[1.0]).contains("1 numbers"));
    assert!(
        told(&[1.0, 1.0]).contains("`levels[1]` is 1, but must be below the level before it, 1")
    );
    assert!(told(&[1.0, -1.0]).contains("levels[1]"));
    assert!(told(&[f64::NAN, 1.0]).contains("levels[0]"));
    let data = atoms(0.1);
    assert!(discretisation_errors(&data, &[1.0, 0.0]).is_err());
    assert!(score_errors(&[1.0, 0.5], &[1.0, 2.0]).is_err());
    assert!(score_errors(&[1.0, 0.5], &[f64::NAN]).is_err());
    assert!(
        fisher_information(&data, -1.0).is_err() && fisher_information(&data, f64::NAN).is_err()
    );
}
