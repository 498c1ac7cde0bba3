//! Time grids of linear processes: the same noise levels whatever the process.

use super::{all, build};
use retrograde_core::ForwardProcess;
use retrograde_core::grid::{Grid, Spacing};

const ENDS: (f64, f64) = (80.0, 0.002);

/// Noise levels of a grid.
fn levels(grid: &Grid, p: &dyn ForwardProcess) -> Vec<f64> {
    let grid = grid.build("sampler test", p).unwrap();
    let level = |t: &f64| {
        let (alpha, sd) = p.linear().unwrap().scalar(*t);
        sd / alpha
    };
    grid.times().iter().map(level).collect()
}

fn by_level(spacing: Spacing, steps: usize) -> Grid {
    Grid {
        sigma_max: Some(ENDS.0),
        sigma_min: Some(ENDS.1),
        to_zero: false,
        ..Grid::new(spacing, steps)
    }
}

/// U = Σ (1 − τ_{k+1}/τ_k), τ = σ²: how much of the noise each step removes.
fn removed(levels: &[f64]) -> f64 {
    levels.windows(2).map(|w| 1.0 - (w[1] / w[0]).powi(2)).sum()
}

/// Sums over the grids from 80 to 0.002 that were computed apart; columns geometric, ρ = 7, ρ = 3, even times of
/// VP between the times of these levels, cosine.
#[test]
fn grids_remove_noise_as_computed_apart() {
    let vp = build("vp", "{}", 1);
    let time = |sigma: f64| vp.linear().unwrap().time_of(sigma, 1.0).unwrap();
    for (steps, want) in [
        (10, [8.7989, 8.3433, 7.0847, 7.2849, 6.6183]),
        (18, [12.4546, 11.7708, 9.6994, 9.5382, 8.7477]),
        (40, [16.4518, 15.8220, 13.3327, 12.1367, 11.6559]),
        (100, [19.0981, 18.7360, 16.8749, 14.4314, 14.7321]),
    ] {
        let grids = [
            by_level(Spacing::Geometric, steps),
            by_level(Spacing::Edm, steps),
            Grid {
                rho: Some(3.0),
                ..by_level(Spacing::Edm, steps)
            },
            Grid {
                t_max: Some(time(ENDS.0)),
                t_min: Some(time(ENDS.1)),
                to_zero: false,
                ..Grid::new(Spacing::Uniform, steps)
            },
            by_level(Spacing::Cosine, steps),
        ];
        for (grid, want) in grids.iter().zip(want) {
            let got = removed(&levels(grid, &*vp));
            assert!((got - want).abs() < 1e-4, "{grid:?}: {got} {want}");
            // No grid of these ends and steps removes more than the geometric one.
            assert!(got <= removed(&levels(&grids[0], &*vp)) + 1e-12);
        }
    }
}

#[test]
fn even_times_of_vp_have_the_levels_of_its_formula() {
    let vp = build("vp", "{}", 1);
    let grid = Grid {
        t_min: Some(1e-3),
        ..Grid::new(Spacing::Uniform, 18)
    };
    let got = levels(&grid, &*vp);
    for (i, got) in got.iter().take(18).enumerate() {
        let t = 1.0 + i as f64 / 17.0 * (1e-3 - 1.0);
        let want = (0.5 * 19.9 * t * t + 0.1 * t).exp_m1().sqrt();
        assert!((got / want - 1.0).abs() < 1e-12, "{got} {want}");
    }
    assert_eq!((got.len(), got[18]), (19, 0.0));
}

#[test]
fn levels_are_the_same_for_every_process() {
    let edm = build("edm", "{}", 1);
    for (name, p) in all(2) {
        for spacing in [
            Spacing::Edm,
            Spacing::Geometric,
            Spacing::Cosine,
            Spacing::Iddpm,
        ] {
            let grid = Grid {
                sigma_max: Some(0.5),
                to_zero: true,
                ..by_level(spacing, 25)
            };
            let got = levels(&grid, &*p);
            for (got, want) in got.iter().zip(levels(&grid, &*edm)) {
                assert!(
                    (got - want).abs() <= 1e-11 * want,
                    "{name} {spacing:?}: {got} {want}"
                );
            }
        }
        // Left to itself a grid goes from T to 0.
        let times = Grid::default().build("sampler test", &*p).unwrap();
        let times = times.times();
        assert!(
            times[0] == p.t_end() && times[40] == 0.0 && times.len() == 41,
            "{name}"
        );
    }
}

#[test]
fn times_of_levels_invert_them() {
    for (name, p) in all(1) {
        let (linear, end) = (p.linear().unwrap(), p.t_end());
        for k in 0..200 {
            let t = end * 10f64.powf(-7.0 * f64::from(k) / 199.0);
            let (alpha, sd) = linear.scalar(t);
            let back = linear.time_of(sd / alpha, end).unwrap();
            // Where the level hardly depends on t it says less of t.
            let slope = {
                let (a, s) = linear.scalar(t * (1.0 - 1e-5));
                (1.0 - s / a / (sd / alpha)) / 1e-5
            };
            assert!(
                (back / t - 1.0).abs() < 1e-12 / slope.min(1.0),
                "{name} {t}: {back}"
            );
        }
    }
}
