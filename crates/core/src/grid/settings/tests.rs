use super::*;
use crate::{Cx, Times};
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use proptest::prelude::*;

/// dX = √(dσ²/dt) dW with σ(t) = tᵖ up to the level `end`, or one without a noise level.
struct Process {
    end: f64,
    power: f64,
    form: Option<Form>,
}

const EDM: Process = Process {
    end: 80.0,
    power: 1.0,
    form: Some(Form::Scalar),
};

#[rustfmt::skip]
impl ForwardProcess for Process {
    fn dim(&self) -> usize { 2 }
    fn t_end(&self) -> f64 { self.end.powf(self.power.recip()) }
    fn drift(&self, _: &mut Cx<'_>, _: Times<'_>, _: ArrayView2<'_, f64>, mut f: ArrayViewMut2<'_, f64>) -> Result {
        f.fill(0.0);
        Ok(())
    }
    fn apply_g(&self, _: &mut Cx<'_>, _: Times<'_>, _: ArrayView2<'_, f64>, z: ArrayView2<'_, f64>, mut out: ArrayViewMut2<'_, f64>) -> Result {
        out.assign(&z);
        Ok(())
    }
    fn apply_ggt(&self, _: &mut Cx<'_>, _: Times<'_>, _: ArrayView2<'_, f64>, v: ArrayView2<'_, f64>, mut out: ArrayViewMut2<'_, f64>) -> Result {
        out.assign(&v);
        Ok(())
    }
    fn reference_sample(&self, cx: &mut Cx<'_>, x: ArrayViewMut2<'_, f64>) -> Result {
        cx.fill_normal(x);
        Ok(())
    }
    fn reference_eval(&self, _: &mut Cx<'_>, _: ArrayView2<'_, f64>, _: Option<ArrayViewMut1<'_, f64>>, _: Option<ArrayViewMut2<'_, f64>>) -> Result {
        Ok(())
    }
    fn linear(&self) -> Option<&dyn Linear> {
        self.form.is_some().then_some(self as &dyn Linear)
    }
}

impl Linear for Process {
    fn form(&self) -> Form {
        self.form.unwrap()
    }

    fn at(&self, t: f64, alpha: &mut [f64], covariance: &mut [f64]) {
        alpha.fill(1.0);
        covariance.fill(t.powf(2.0 * self.power));
    }
}

fn times(grid: &Grid, process: &Process) -> Vec<f64> {
    let grid = grid.build("sampler heun", process).unwrap();
    grid.times().to_vec()
}

fn edm(spacing: Spacing, steps: usize) -> Grid {
    Grid {
        sigma_min: Some(0.002),
        sigma_max: Some(80.0),
        ..Grid::new(spacing, steps)
    }
}

/// Relative agreement to five digits, as the lists are printed.
fn is_list(got: &[f64], want: &[f64]) -> bool {
    got.len() == want.len()
        && got
            .iter()
            .zip(want)
            .all(|(g, w)| (g - w).abs() <= 0.5e-4 * w.abs())
}

/// Both published lists, whose small entries are printed to five decimals.
#[test]
fn levels_are_those_published_for_18() {
    let karras = [
        80.0, 57.586, 40.786, 28.375, 19.352, 12.910, 8.4009, 5.3152, 3.2568, 1.9233, 1.0882,
        0.58535, 0.29644, 0.13952,
    ];
    let rest = [0.05995, 0.02293, 0.00753, 0.002, 0.0];
    let got = times(&edm(Spacing::Edm, 18), &EDM);
    assert!(is_list(&got[..14], &karras), "{got:?}");
    let near = |(g, w): (&f64, &f64)| (g - w).abs() < 0.51e-5;
    assert!(got[14..].iter().zip(&rest).all(near), "{got:?}");
    assert_eq!(
        (got.len(), got[0], got[17], got[18]),
        (19, 80.0, 0.002, 0.0)
    );
    // With another exponent the same list is not met.
    let other = Grid {
        rho: Some(6.5),
        ..edm(Spacing::Edm, 18)
    };
    assert!(!is_list(&times(&other, &EDM)[..14], &karras));

    let geometric = [
        80.0, 42.892, 22.997, 12.330, 6.6108, 3.5444, 1.9004, 1.0189, 0.54628, 0.29289,
    ];
    let got = times(&edm(Spacing::Geometric, 18), &EDM);
    assert!(is_list(&got[..10], &geometric), "{got:?}");
    assert!((got[16] - 0.00373).abs() < 0.51e-5 && got[17] == 0.002 && got[18] == 0.0);
}

/// ρ → ∞ is geometric, with a gap of ln²(σ_max/σ_min)/(8ρ).
#[test]
fn a_large_exponent_is_geometric() {
    let geometric = times(&edm(Spacing::Geometric, 18), &EDM);
    for (rho, most) in [(1e4, 2e-3), (1e5, 2e-4)] {
        let grid = Grid {
            rho: Some(rho),
            ..edm(Spacing::Edm, 18)
        };
        let gap = times(&grid, &EDM)
            .iter()
            .zip(&geometric[..18])
            .map(|(a, b)| (a / b - 1.0).abs())
            .fold(0.0, f64::max);
        let expected = (80.0f64 / 0.002).ln().powi(2) / (8.0 * rho);
        assert!(
            gap < most && (gap / expected - 1.0).abs() < 0.05,
            "{gap} {expected}"
        );
    }
}

#[test]
fn other_rules_space_what_they_say_evenly() {
    let even = |v: &[f64], of: fn(f64) -> f64| {
        let steps: Vec<f64> = v.windows(2).map(|w| of(w[0]) - of(w[1])).collect();
        steps.iter().all(|s| (s / steps[0] - 1.0).abs() < 1e-9)
    };
    // σ = t²: levels and times differ.
    let process = Process { power: 2.0, ..EDM };
    let without = |g: Grid| {
        times(
            &Grid {
                to_zero: false,
                ..g
            },
            &process,
        )
    };
    let level = |v: Vec<f64>| v.iter().map(|t| t * t).collect::<Vec<f64>>();
    assert!(even(&level(without(edm(Spacing::Cosine, 30))), f64::atan));
    assert!(even(&level(without(edm(Spacing::Geometric, 30))), f64::ln));
    let ends = |spacing| Grid {
        t_min: Some(0.01),
        ..Grid::new(spacing, 30)
    };
    let snr = without(ends(Spacing::LogSnr));
    assert!(even(&level(snr.clone()), f64::ln));
    assert_eq!((snr[0], snr[30]), (process.t_end(), 0.01));
    assert!(even(&without(ends(Spacing::Uniform)), |t| t));
    assert!(even(&without(ends(Spacing::GeometricT)), f64::ln));
    assert!(even(&without(ends(Spacing::Power)), |t| t.powf(1.0 / 7.0)));
    // "auto" is one of them, as the process has a noise level or has none.
    let auto = |form| times(&Grid::default(), &Process { form, ..EDM });
    assert_eq!(
        auto(Some(Form::Scalar)),
        times(&edm(Spacing::Edm, 40), &EDM)
    );
    for form in [None, Some(Form::Diagonal)] {
        assert_eq!(auto(form), times(&Grid::new(Spacing::Power, 40), &EDM));
    }
    // Uniform steps go all the way.
    assert_eq!(
        times(&Grid::new(Spacing::Uniform, 4), &EDM),
        [80.0, 60.0, 40.0, 20.0, 0.0]
    );
    let list = Grid {
        times: Some(vec![3.0, 1.0, 0.5]),
        ..Grid::new(Spacing::List, 2)
    };
    assert_eq!(times(&list, &EDM), [3.0, 1.0, 0.5]);
    let fine = Grid { refine: 2, ..list };
    assert_eq!(times(&fine, &EDM), [3.0, 2.0, 1.0, 0.75, 0.5]);
}

/// The levels of the discrete chain the rule comes from, in its own words: σ_j² + 1 = 1/ᾱ′_j, ᾱ′ a product
/// of ratios, each at least C₁.
#[test]
fn iddpm_levels_are_those_of_the_cosine_chain() {
    let bar = |j: usize| (FRAC_PI_2 * j as f64 / 1008.0).sin().powi(2);
    let product =
        |j: usize| -> f64 { (j..1000).map(|i| (bar(i) / bar(i + 1)).max(1e-3)).product() };
    let chain: Vec<f64> = (0..1000)
        .map(|j| (product(j).recip() - 1.0).sqrt())
        .collect();
    let got = times(&edm(Spacing::Iddpm, 100), &EDM);
    assert_eq!((got.len(), got[100]), (101, 0.0));
    let mut last = None;
    for v in &got[..100] {
        let j = chain.iter().position(|c| (c / v - 1.0).abs() < 1e-9);
        assert!(j.is_some() && j > last, "{v} is no level, or out of order");
        last = j;
    }
    // The outermost levels inside the ends are kept.
    let inside = |v: &f64| (0.002..=80.0).contains(v);
    let all: Vec<f64> = chain.into_iter().filter(inside).collect();
    assert!((got[0] / all[0] - 1.0).abs() < 1e-9);
    assert!((got[99] / all[all.len() - 1] - 1.0).abs() < 1e-9);
    let many = edm(Spacing::Iddpm, 2000).build("sampler heun", &EDM);
    let message = many.unwrap_err().to_string();
    assert!(
        message.contains(&format!("at most {}, the levels", all.len())),
        "{message}"
    );
    assert_eq!(
        times(&edm(Spacing::Iddpm, all.len()), &EDM).len(),
        all.len() + 1
    );
}

proptest! {
    #[test]
    fn grids_fall_from_end_to_end(
        which in 0usize..8,
        steps in 1usize..200,
        rho in 0.5f64..30.0,
        max in 0.05f64..80.0,
        ratio in 1e-5f64..0.9,
        to_zero: bool,
        power in 0.5f64..2.0,
        refine in 1usize..4,
    ) {
        use Spacing::{Auto, Cosine, Edm, Geometric, GeometricT, LogSnr, Power, Uniform};
        let process = Process { power, ..EDM };
        let spacing = [Auto, Edm, Geometric, Cosine, LogSnr, Uniform, Power, GeometricT][which];
        let (min, level) = (max * ratio, spacing.axis() == Axis::Level);
        let max_t = max.powf(power.recip());
        let grid = Grid {
            rho: matches!(spacing, Auto | Edm | Power).then_some(rho),
            sigma_max: level.then_some(max),
            sigma_min: level.then_some(min),
            t_max: (!level).then_some(max_t),
            t_min: (!level).then_some(max_t * ratio),
            to_zero,
            refine,
            ..Grid::new(spacing, steps)
        };
        let got = times(&grid, &process);
        prop_assert_eq!(got.len(), steps * refine + 1);
        prop_assert!(got.windows(2).all(|w| w[1] < w[0]));
        prop_assert!((got[0] / max_t - 1.0).abs() < 1e-12);
        let lowest = if level { min.powf(power.recip()) } else { max_t * ratio };
        if to_zero {
            prop_assert_eq!(got[steps * refine], 0.0);
            if steps > 1 {
                prop_assert!((got[(steps - 1) * refine] / lowest - 1.0).abs() < 1e-12);
            }
        } else {
            prop_assert!((got[steps * refine] / lowest - 1.0).abs() < 1e-12);
        }
        if !level && !to_zero {
            // Ends given in t are met to the last bit.
            prop_assert_eq!((got[0], got[steps * refine]), (max_t, max_t * ratio));
        }
    }

    #[test]
    fn the_time_of_a_level_inverts_it(t in 1e-6f64..80.0, power in 0.5f64..2.0) {
        let process = Process { power, ..EDM };
        let t = t.min(process.t_end());
        let back = process.time_of(t.powf(power), process.t_end()).unwrap();
        prop_assert!((back / t - 1.0).abs() < 1e-12);
    }
}

#[test]
fn wrong_settings_name_their_key_and_what_would_be_right() {
    let no_level = Process { form: None, ..EDM };
    let base = Grid::default;
    let list = |times: &[f64]| Grid {
        times: Some(times.to_vec()),
        ..Grid::new(Spacing::List, 40)
    };
    let of = |spacing| Grid::new(spacing, 10);
    for (grid, says) in [
        (
            Grid { steps: 0, ..base() },
            "`grid.steps` is 0, but must be at least 1",
        ),
        (
            Grid {
                refine: 0,
                ..base()
            },
            "`grid.refine` is 0",
        ),
        (
            Grid {
                refine: usize::MAX,
                ..base()
            },
            "at most 10000000 steps",
        ),
        (
            Grid {
                rho: Some(0.0),
                ..base()
            },
            "`grid.rho` is 0",
        ),
        (
            Grid {
                rho: Some(f64::NAN),
                ..base()
            },
            "`grid.rho` is NaN",
        ),
        (
            Grid {
                rho: Some(7.0),
                ..of(Spacing::Uniform)
            },
            "absent: only the spacings",
        ),
        (
            Grid {
                sigma_min: Some(80.0),
                ..base()
            },
            "`grid.sigma_min` is 80, but must be below `grid.sigma_max`, 80",
        ),
        (
            Grid {
                sigma_min: Some(-1.0),
                ..base()
            },
            "`grid.sigma_min` is -1, but must be 0 or above",
        ),
        (
            Grid {
                sigma_min: Some(0.0),
                ..of(Spacing::Geometric)
            },
            "must be above 0",
        ),
        (
            Grid {
                sigma_min: Some(f64::NAN),
                ..base()
            },
            "`grid.sigma_min` is NaN",
        ),
        (
            Grid {
                sigma_max: Some(81.0),
                ..base()
            },
            "`grid.sigma_max` is 81, but must be above 0 and at most 80",
        ),
        (
            Grid {
                sigma_max: Some(0.0),
                ..base()
            },
            "`grid.sigma_max` is 0",
        ),
        (
            Grid {
                sigma_max: Some(f64::INFINITY),
                ..base()
            },
            "`grid.sigma_max` is inf",
        ),
        (
            Grid {
                t_min: Some(0.1),
                ..base()
            },
            "`grid.t_min` is 0.1, but must be absent: the spacing \"auto\", here \"edm\", takes `grid.sigma_min`",
        ),
        (
            Grid {
                sigma_max: Some(9.0),
                ..of(Spacing::Uniform)
            },
            "`grid.t_max`",
        ),
        (
            Grid {
                t_max: Some(90.0),
                ..of(Spacing::Power)
            },
            "`grid.t_max` is 90",
        ),
        (
            Grid {
                t_min: Some(0.0),
                ..of(Spacing::LogSnr)
            },
            "`grid.t_min` is 0",
        ),
        (
            Grid {
                t_max: Some(1.0),
                ..list(&[2.0, 1.0])
            },
            "takes `grid.times`",
        ),
        (
            Grid {
                times: Some(vec![1.0]),
                ..base()
            },
            "`grid.times` is a list of 1, but must be absent",
        ),
        (of(Spacing::List), "`grid.times` is absent"),
        (list(&[1.0]), "at least 2 times"),
        (
            list(&[3.0, 1.0, 2.0]),
            "`grid.times[2]` is 2, but must be below the time before it, 1",
        ),
        (
            list(&[81.0, 1.0]),
            "`grid.times[0]` is 81, but must be between 0 and T = 80",
        ),
        (list(&[2.0, f64::NAN]), "`grid.times[1]` is NaN"),
        (
            Grid {
                steps: 3,
                ..list(&[2.0, 1.0])
            },
            "absent or 1, the number of steps",
        ),
        (
            Grid {
                sigma_min: Some(80.0 * (1.0 - 1e-15)),
                ..of(Spacing::Edm)
            },
            "`grid.steps` is 10, but must be less",
        ),
    ] {
        let error = grid.build("sampler heun", &EDM).unwrap_err().to_string();
        assert!(
            error.starts_with("sampler heun: ") && error.contains(says),
            "{error}"
        );
    }
    for process in [
        no_level,
        Process {
            form: Some(Form::Dense),
            ..EDM
        },
    ] {
        let error = of(Spacing::Cosine).build("sampler heun", &process);
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("`grid.spacing` is \"cosine\"") && error.contains("geometric-t"),
            "{error}"
        );
        let error = Grid {
            sigma_min: Some(0.1),
            ..base()
        }
        .build("s", &process);
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("here \"power\", takes `grid.t_min`"),
            "{error}"
        );
    }
}

#[test]
fn jobs_write_names_in_kebab_case() {
    let grid: Grid =
        serde_json::from_str(r#"{"spacing": "geometric-t", "t_min": 1e-5, "steps": 8}"#).unwrap();
    assert_eq!(
        (grid.spacing, grid.t_min, grid.to_zero),
        (Spacing::GeometricT, Some(1e-5), true)
    );
    let got = times(&grid, &EDM);
    assert!((got.len(), got[0], got[7], got[8]) == (9, 80.0, 1e-5, 0.0));
    assert!(serde_json::from_str::<Grid>(r#"{"spacing": "log-snr", "sigma": 1}"#).is_err());
    use Spacing::*;
    for s in [
        Auto, Edm, Geometric, Cosine, LogSnr, Iddpm, Uniform, Power, GeometricT, List,
    ] {
        assert_eq!(serde_json::to_value(s).unwrap(), s.name());
    }
}
