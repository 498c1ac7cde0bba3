//! Densities that cannot be normalised are found, and heavy tails, walls and narrowing ridges are not.

use ndarray::{Array2, ArrayView2};
use retrograde_core::check::{Tails, tails};
use retrograde_core::*;
use std::sync::Arc;

/// 400 normal draws, scaled by 3 and moved by 0.7.
fn draws(d: usize) -> Array2<f64> {
    let mut x = Array2::zeros((400, d));
    let mut rt = Runtime::new(5, 1).unwrap();
    rt.enter("draws", 0, |cx| cx.fill_normal(x.view_mut()));
    x * 3.0 + 0.7
}

/// Without a gradient of use: directions without slope need one, and are tested apart.
fn density(d: usize, f: impl Fn(&[f64]) -> f64 + Send + Sync + 'static) -> impl Target {
    PointTarget::new(d, move |x, g| {
        g.iter_mut().for_each(|g| *g = 1.0);
        f(x)
    })
}

fn look(target: &dyn Target, x: ArrayView2<'_, f64>, threads: usize) -> Tails {
    let mut rt = Runtime::new(9, threads).unwrap();
    let before = rt.counts().clone();
    let found = rt.enter("tails", 0, |cx| tails(cx, target, x));
    assert_eq!(*rt.counts(), before, "counted apart");
    found
}

fn words(target: &dyn Target) -> Option<String> {
    let x = draws(target.dim());
    let found = look(target, x.view(), 1);
    assert_eq!(found, look(target, x.view(), 2));
    let flag = found.flag?;
    assert_eq!(flag.key, "not_normalisable");
    assert_eq!(flag.severity, Severity::Failure);
    Some(flag.text)
}

#[track_caller]
fn assert_found(target: &dyn Target, place: &str) {
    let text = words(target).unwrap_or_else(|| panic!("nothing found: {place}"));
    let wanted = format!("does not fall off faster than {place}, up to");
    assert!(text.contains(&wanted), "{text}");
}

fn square(x: &[f64]) -> f64 {
    x.iter().map(|v| v * v).sum()
}

#[test]
fn densities_that_cannot_be_normalised_are_found() {
    assert_found(&density(1, |_| 0.0), "1/r as `x0` grows");
    assert_found(&density(4, |_| -7.0), "1/r as `x0` grows");
    assert_found(
        &density(1, |x| -0.25 * (x[0] * x[0]).ln_1p()),
        "1/r as `x0` grows",
    );
    // 1/|x| itself, seen from beside its pole.
    assert_found(&density(1, |x| -x[0].abs().ln()), "1/r as `x0` grows");
    // A wrong sign, and a floor that all draws stay above.
    assert_found(
        &density(2, |x| 0.5 * x[0] * x[0] - x[1] * x[1]),
        "1/r as `x0` grows",
    );
    assert_found(
        &density(1, |x| ((-0.5 * x[0] * x[0]).exp() + 1e-30).ln()),
        "1/r as `x0` grows",
    );
    // Level to one side only, in one of several coordinates.
    let one_sided = |x: &[f64]| -0.5 * (x[0] * x[0] + x[2] * x[2]) - numeric::softplus(x[1]);
    assert_found(&density(3, one_sided), "1/r as `x1` falls");
    // A ridge that narrows more slowly than it could: ∫ exp(−y²(1 + x²)/2) dx dy = ∫ dx/√(1 + x²).
    // Lines through draws fall here, and so do rays: it is not found.
    assert_eq!(
        words(&density(2, |x| -0.5 * x[1] * x[1] * (1.0 + x[0] * x[0]))),
        None
    );
    // Integrable on every line and not in the plane.
    assert_found(
        &density(2, |x| -0.75 * square(x).ln_1p()),
        "1/r^2 along rays from the middle of the draws",
    );
}

#[test]
fn heavy_tails_walls_and_narrowing_ridges_are_no_finding() {
    let none: [(&str, Box<dyn Target>); 12] = [
        ("normal", Box::new(density(3, |x| -0.5 * square(x)))),
        (
            "scales",
            Box::new(density(2, |x| {
                -0.5 * (x[0] * x[0] * 1e12 + x[1] * x[1] * 1e-12)
            })),
        ),
        ("Cauchy", Box::new(density(1, |x| -square(x).ln_1p()))),
        (
            "Cauchy, far",
            Box::new(density(1, |x| -((x[0] - 1e6) * 1e3).powi(2).ln_1p())),
        ),
        (
            "Cauchy in space",
            Box::new(density(5, |x| -3.0 * square(x).ln_1p())),
        ),
        (
            "Cauchy each",
            Box::new(density(5, |x| {
                -x.iter().map(|v| (v * v).ln_1p()).sum::<f64>()
            })),
        ),
        (
            "Student, 0.01",
            Box::new(density(1, |x| -0.505 * square(x).ln_1p())),
        ),
        (
            "log-normal",
            Box::new(density(1, |x| {
                if x[0] > 0.0 {
                    -x[0].ln() - 0.5 * (x[0].ln() / 10.0).powi(2)
                } else {
                    f64::NEG_INFINITY
                }
            })),
        ),
        (
            "box",
            Box::new(density(2, |x| {
                if x.iter().all(|v| v.abs() < 50.0) {
                    0.0
                } else {
                    f64::NEG_INFINITY
                }
            })),
        ),
        // ∫ dy exp(−y²/2 − x⁴y²) falls like 1/x², and the crest is level.
        (
            "ridge",
            Box::new(density(2, |x| -x[1] * x[1] * (0.5 + x[0].powi(4)))),
        ),
        (
            "not a number",
            Box::new(density(2, |x| {
                if square(x) < 1e4 {
                    -square(x)
                } else {
                    f64::NAN
                }
            })),
        ),
        (
            "overflow",
            Box::new(density(2, |x| x[0] - x[0].exp() - x[1] * x[1])),
        ),
    ];
    for (name, target) in none {
        assert_eq!(words(target.as_ref()), None, "{name}");
    }
}

/// −½ Σₖ (gₖ · x)², with its gradient.
fn products(rows: Vec<Vec<f64>>) -> impl Target {
    let d = rows[0].len();
    PointTarget::new(d, move |x, gradient| {
        gradient.fill(0.0);
        let mut l = 0.0;
        for row in &rows {
            let p: f64 = row.iter().zip(x).map(|(a, b)| a * b).sum();
            l -= 0.5 * p * p;
            gradient.iter_mut().zip(row).for_each(|(g, a)| *g -= p * a);
        }
        l
    })
}

#[test]
fn combinations_that_the_density_does_not_depend_on_are_found() {
    let target = products(vec![vec![1.0, 1.0, 0.0], vec![0.0, 0.0, 2.0]]);
    assert_found(&target, "1/r along `x0 − x1`");
    let target = products(vec![vec![1.0, -2.5, 1.0], vec![0.3, 1.0, 1.0]]);
    // The cross product of the rows, (−3.5, −0.7, 1.75).
    assert_found(&target, "1/r along `x0 + 0.2 x1 − 0.5 x2`");
    // The third row makes it normalisable, if barely.
    let target = products(vec![
        vec![1.0, 1.0, 0.0],
        vec![0.0, 0.0, 2.0],
        vec![1e-3, -1e-3, 0.0],
    ]);
    assert_eq!(words(&target), None);
}

#[test]
fn few_draws_one_point_or_none_are_enough() {
    let flat = density(2, |_| 0.0);
    let normal = density(2, |x| -0.5 * square(x));
    for x in [Array2::zeros((1, 2)), Array2::from_elem((3, 2), -4.0)] {
        assert!(look(&flat, x.view(), 1).flag.is_some());
        assert!(look(&normal, x.view(), 1).flag.is_none());
    }
    for x in [Array2::zeros((0, 2)), Array2::from_elem((3, 2), f64::NAN)] {
        assert!(look(&flat, x.view(), 1).flag.is_some());
        assert!(look(&normal, x.view(), 1).flag.is_none());
    }
}

#[test]
fn a_proper_density_costs_little() {
    for d in [1, 7, 60] {
        let target = products(
            (0..d)
                .map(|k| (0..d).map(|j| f64::from(u8::from(j == k))).collect())
                .collect(),
        );
        let found = look(&target, draws(d).view(), 1);
        let gradients = if d == 1 { 0 } else { d as u64 + 8 };
        assert_eq!(found.counts.density_evals, 4 * d as u64 + 32, "{d}");
        assert_eq!(found.counts.gradient_evals, gradients, "{d}");
    }
}

#[test]
fn limits_are_looked_at_on_the_natural_scale() {
    let inf = f64::INFINITY;
    let half = |f: fn(f64) -> f64| {
        let inner = density(1, move |x| f(x[0]));
        Bounded::new(Arc::new(inner), &[0.0], &[inf]).unwrap()
    };
    let x = draws(1).mapv(f64::exp);
    let found = |b: &Bounded| look(&b.natural(), x.view(), 1).flag.is_some();
    assert!(found(&half(|_| 0.0)) && found(&half(|x| -x.ln())));
    assert!(!found(&half(|x| -x)) && !found(&half(|x| -2.0 * x.ln_1p())));
    let both = Bounded::new(Arc::new(density(1, |_| 0.0)), &[-1.0], &[2.0]).unwrap();
    assert!(!found(&both));
}

/// Steps of a walk have a scale that hardly grows along a ray on which the steps do: the density rises as far as the ray is
/// followed, and falls beyond.
#[test]
fn a_ray_that_grazes_an_edge_is_no_finding() {
    let target = density(32, |x| {
        let scale = numeric::softplus(x[0]);
        let steps = square(&x[1..]) / (scale * scale);
        -32.0 * scale.ln() - 0.125 * scale.ln().powi(2) - 0.5 * steps
    });
    let mut x = draws(32).mapv(|v| (v - 0.7) / 30.0);
    x.column_mut(0).mapv_inplace(|v| 3.5 * v - 2.2);
    let found = |seed: &u64| {
        let mut rt = Runtime::new(*seed, 1).unwrap();
        let look = rt.enter("tails", 0, |cx| tails(cx, &target, x.view()));
        look.flag.is_some()
    };
    assert_eq!((0..2000).filter(found).count(), 0);
}

#[test]
fn falls_like_a_power_are_told_with_the_power() {
    let told = |target: &dyn Target| {
        let x = draws(target.dim());
        look(target, x.view(), 1).heavy.map(|f| f.text)
    };
    let heavy: [(&str, Box<dyn Target>); 3] = [
        ("1/r^2.0,", Box::new(density(1, |x| -square(x).ln_1p()))),
        (
            "1/r^6.0,",
            Box::new(density(5, |x| -3.0 * square(x).ln_1p())),
        ),
        (
            "1/r^6.0,",
            Box::new(density(3, |x| {
                -x.iter().map(|v| (v * v).ln_1p()).sum::<f64>()
            })),
        ),
    ];
    for (power, target) in heavy {
        let text = told(target.as_ref()).unwrap_or_else(|| panic!("{power}"));
        assert!(text.contains(power), "{text}");
    }
    let normal = density(3, |x| -0.5 * square(x));
    let laplace = density(3, |x| -x.iter().map(|v| v.abs()).sum::<f64>());
    // Heavy in one direction alone.
    let one = density(3, |x| -x[0].powi(2).ln_1p() - square(&x[1..]));
    let slow = density(3, |x| -square(x).powf(0.15));
    let light: [&dyn Target; 4] = [&normal, &laplace, &one, &slow];
    for target in light {
        assert_eq!(told(target), None);
    }
    assert_eq!(told(&density(2, |_| 0.0)), None, "no integral at all");
}
