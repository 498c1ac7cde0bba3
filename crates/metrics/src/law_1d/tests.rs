use super::*;
use crate::test_chains::assert_close;
use crate::transport::Order;
use ndarray::{Array1, array};

pub(crate) fn gmm1() -> Mixture1d {
    Mixture1d::new(&[0.3, 0.7], &[-2.0, 1.5], &[0.5, 0.8]).unwrap()
}

fn normal(mean: f64, spread: f64) -> Mixture1d {
    Mixture1d::normal(mean, spread).unwrap()
}

/// Closed forms of Gaussians, and their table of values.
#[test]
fn two_gaussians() {
    let (p, q) = (normal(0.0, 1.0), normal(0.5, 1.2));
    assert_close(kl(&p, &q).unwrap(), 0.116_349_334_571_73, 1e-12);
    assert_close(kl(&q, &p).unwrap(), 0.162_678_443_206_05, 1e-12);
    let w2 = wasserstein(&p, &q, Order::Two).unwrap();
    assert_close(w2, 0.29f64.sqrt(), 1e-12);
    assert_close(w2, 0.538_516_480_713_45, 1e-12);
    // W₁ of N(0, 1) and N(m, s²) is E|m + (s − 1) z|, a folded normal.
    let (m, s) = (0.5, 0.2f64);
    let folded = s * (2.0 / std::f64::consts::PI).sqrt() * (-0.5 * (m / s).powi(2)).exp()
        + m * (1.0 - 2.0 * phi_below(-m / s));
    assert_close(wasserstein(&p, &q, Order::One).unwrap(), folded, 1e-12);
    assert_close(
        hellinger_squared(&p, &q).unwrap(),
        0.033_311_924_714_612,
        1e-12,
    );
    assert_close(
        total_variation(&p, &q).unwrap(),
        0.192_988_495_556_29,
        1e-12,
    );
    let at = crossings(&p, &q).unwrap();
    assert_eq!(at.len(), 2);
    assert!((at[0] + 2.883_613_36).abs() < 5e-9 && (at[1] - 0.610_886_09).abs() < 5e-9);
    assert_close(chi_squared(&p, &q).unwrap(), 0.199_597_337_704_91, 1e-12);
    // ∫ p²/q diverges once var p ≥ 2 var q; near that it has long tails: 1.9 against 1.
    let heavy = |v: f64| chi_squared(&normal(0.0, v.sqrt()), &normal(0.0, 1.0)).unwrap();
    assert_eq!(heavy(2.0), f64::INFINITY);
    assert_eq!(heavy(3.0), f64::INFINITY);
    assert_close(heavy(1.9), (1.9f64 * 0.1).sqrt().recip() - 1.0, 1e-10);
}

#[test]
fn mixture_against_gaussian() {
    let (p, q) = (gmm1(), normal(0.5, 2.0));
    assert_close(p.mean(), 0.45, 1e-14);
    assert_close(p.variance(), 3.0955, 1e-14);
    assert_close(entropy(&p).unwrap(), 1.655_587_116_370_1, 1e-12);
    assert_close(kl(&p, &q).unwrap(), 0.343_748_597_394_53, 1e-12);
    // On [−14, 14], 6.75 standard deviations of q on the right, it is 0.7381278961565; the tails add 8·10⁻¹⁰.
    let cut = Rule::legendre(60).unwrap();
    let term = |x: f64| q.log_density(x).exp() * (q.log_density(x) - p.log_density(x));
    let middle = cut.panels(-14.0, 14.0, 56).unwrap().integrate(term);
    assert_close(middle, 0.738_127_896_156_5, 1e-12);
    let right = cut.panels(14.0, 30.0, 16).unwrap().integrate(term);
    let left = cut.panels(-30.0, -14.0, 16).unwrap().integrate(term);
    assert!(right > 5e-10);
    assert_close(kl(&q, &p).unwrap(), middle + right + left, 1e-13);
    assert_close(
        total_variation(&p, &q).unwrap(),
        0.346_514_239_453_51,
        1e-12,
    );
    let known = [
        -2.902_658_283_37,
        -1.429_437_158_93,
        0.651_483_085_600,
        2.729_468_604_76,
    ];
    let at = crossings(&p, &q).unwrap();
    assert_eq!(at.len(), 4);
    for (found, known) in at.iter().zip(known) {
        assert!((found - known).abs() < 6e-12, "{found} {known}");
    }
    // A Gauss rule over quantiles that ignores the kinks of |P⁻¹ − Q⁻¹| would give 0.51164455.
    let w1 = wasserstein(&p, &q, Order::One).unwrap();
    let fine = Rule::trapezoid(-20.0, 20.0, 400_000).unwrap();
    let areas = fine.integrate(|x| (p.cdf(x) - q.cdf(x)).abs());
    assert_close(w1, areas, 1e-9);
    assert_close(w1, 0.511_639_685_622_33, 1e-12);
    assert_close(
        wasserstein(&p, &q, Order::Two).unwrap(),
        0.635_812_755_082_93,
        1e-10,
    );
    let standard = normal(0.0, 1.0);
    let w2 = wasserstein(&p, &standard, Order::Two).unwrap();
    assert_close(w2, 0.975_258_391_280_53, 1e-10);
    // Control: the same without one of the crossings is another number.
    let three = [at[0], at[1], at[3]];
    let gap = |x: f64| p.cdf(x) - q.cdf(x);
    let mut values = vec![0.0];
    values.extend(three.map(gap));
    values.push(0.0);
    let short: f64 = values.windows(2).map(|v| 0.5 * (v[1] - v[0]).abs()).sum();
    assert!(0.346_514_239_453_51 - short > 0.1);
}

#[test]
fn two_dimensions_on_a_product_rule() {
    let components = [(0.4, -1.0, 0.0), (0.6, 1.0, 0.5)];
    let log_gauss = |x: f64, y: f64, s: f64| log_phi(x / s) + log_phi(y / s) - 2.0 * s.ln();
    let densities = |x: &Rule, y: &Rule| {
        let (nodes, weights) = x.product(y);
        let mixture = |r: ndarray::ArrayView1<'_, f64>| {
            let term = |(w, a, b): (f64, f64, f64)| w * log_gauss(r[0] - a, r[1] - b, 0.7).exp();
            components.map(term).iter().sum::<f64>().ln()
        };
        let p: Array1<f64> = nodes.rows().into_iter().map(mixture).collect();
        let q: Array1<f64> = nodes
            .rows()
            .into_iter()
            .map(|r| log_gauss(r[0], r[1], 1.0))
            .collect();
        (p, q, weights)
    };
    let rule = Rule::legendre(20).unwrap().panels(-9.0, 9.0, 18).unwrap();
    let (p, q, w) = densities(&rule, &rule);
    let forward = kl_at(p.view(), q.view(), w.view()).unwrap();
    assert_close(forward, 0.275_777_572_097_84, 1e-11);
    let backward = kl_at(q.view(), p.view(), w.view()).unwrap();
    assert_close(backward, 0.362_299_588_531_4, 1e-11);
    let fine = Rule::trapezoid(-9.0, 9.0, 1800).unwrap();
    let (p, q, w) = densities(&fine, &fine);
    let tv = total_variation_at(p.view(), q.view(), w.view()).unwrap();
    assert!((tv - 0.292_138_15).abs() < 5e-8, "{tv}");
    assert!(kl_at(p.view(), q.view(), array![1.0].view()).is_err());
}

/// Laws of very different scales: the breaks of both count.
#[test]
fn scales_far_apart() {
    let (narrow, wide) = (normal(0.3, 1e-4), normal(0.0, 10.0));
    let closed = |m1: f64, s1: f64, m2: f64, s2: f64| {
        0.5 * ((s1 / s2).powi(2) + ((m2 - m1) / s2).powi(2) - 1.0) - (s1 / s2).ln()
    };
    assert_close(
        kl(&narrow, &wide).unwrap(),
        closed(0.3, 1e-4, 0.0, 10.0),
        1e-12,
    );
    assert_close(
        kl(&wide, &narrow).unwrap(),
        closed(0.0, 10.0, 0.3, 1e-4),
        1e-12,
    );
    let w2 = wasserstein(&narrow, &wide, Order::Two).unwrap();
    assert_close(w2 * w2, 0.09 + (10.0f64 - 1e-4).powi(2), 1e-12);
    let atoms = Mixture1d::new(&[1.0, 1.0], &[-0.9, 0.7], &[0.002, 0.002]).unwrap();
    // Components that do not overlap: entropy of the weights and of a component.
    let expected = 2f64.ln() + 0.5 * (TAU * std::f64::consts::E * 0.002f64.powi(2)).ln();
    assert_close(entropy(&atoms).unwrap(), expected, 1e-12);
}

#[test]
fn closures_and_quantiles() {
    // Exponential: everything is closed, and the support ends.
    let exponential = FnLaw::new(
        |x: f64| if x < 0.0 { f64::NEG_INFINITY } else { -x },
        |x: f64| if x < 0.0 { 0.0 } else { -(-x).exp_m1() },
        |x: f64| if x < 0.0 { 1.0 } else { (-x).exp() },
        (0..=80).map(f64::from).collect(),
    )
    .unwrap();
    let twice = FnLaw::new(
        |x: f64| {
            if x < 0.0 {
                f64::NEG_INFINITY
            } else {
                0.5f64.ln() - 0.5 * x
            }
        },
        |x: f64| if x < 0.0 { 0.0 } else { -(-0.5 * x).exp_m1() },
        |x: f64| if x < 0.0 { 1.0 } else { (-0.5 * x).exp() },
        (0..=80).map(|i| 2.0 * f64::from(i)).collect(),
    )
    .unwrap();
    assert_close(entropy(&exponential).unwrap(), 1.0, 1e-12);
    assert_close(kl(&exponential, &twice).unwrap(), 2f64.ln() - 0.5, 1e-12);
    assert_close(
        wasserstein(&exponential, &twice, Order::One).unwrap(),
        1.0,
        1e-12,
    );
    assert_close(
        wasserstein(&exponential, &twice, Order::Two).unwrap(),
        2f64.sqrt(),
        1e-9,
    );
    // Crossing at 2 ln 2; TV = e^{−ln 2} − e^{−2 ln 2} = ¼.
    assert_close(total_variation(&exponential, &twice).unwrap(), 0.25, 1e-12);
    // Mass where the other has none.
    assert_eq!(kl(&normal(0.0, 1.0), &exponential).unwrap(), f64::INFINITY);
    let far = exponential.quantile_at_normal(9.0);
    assert_close(far, -phi_below(-9.0).ln(), 1e-13);
    let p = gmm1();
    for z in [-30.0, -8.0, -1.0, 0.0, 0.5, 6.0, 30.0] {
        let x = p.quantile_at_normal(z);
        if z <= 0.0 {
            assert_close(p.cdf(x), phi_below(z), 1e-11);
        } else {
            assert_close(p.survival(x), phi_below(-z), 1e-11);
        }
    }
    assert_eq!(p.invert(0.0, 1.0), f64::NEG_INFINITY);
    assert_eq!(p.invert(1.0, 0.0), f64::INFINITY);
    assert!(p.invert(f64::NAN, 1.0).is_nan());
}

#[test]
fn scores_are_derivatives() {
    let p = gmm1();
    let h = 1e-5;
    for x in [-4.0, -1.1, 0.0, 0.7, 3.0] {
        let (s, s_x) = p.score(x);
        let first = (p.log_density(x + h) - p.log_density(x - h)) / (2.0 * h);
        assert!((s - first).abs() < 1e-8, "{s} {first}");
        let second = (p.score(x + h).0 - p.score(x - h).0) / (2.0 * h);
        assert!((s_x - second).abs() < 1e-8);
    }
    let noised = p.noised((-1.0f64).exp(), 1.0 - (-2.0f64).exp()).unwrap();
    let (s, s_x) = noised.score(0.7);
    assert_close(s, -0.334_715_370_995_04, 1e-12);
    assert_close(s_x, -0.832_827_586_330_75, 1e-12);
}

#[test]
fn mixtures_of_the_core() {
    let core =
        GaussianMixture::isotropic(array![3.0, 7.0], array![[-2.0], [1.5]], array![0.25, 0.64])
            .unwrap();
    let p = Mixture1d::try_from(&core).unwrap();
    for (a, b) in p.components().iter().zip(gmm1().components()) {
        assert_close(a.0, b.0, 1e-15);
        assert_eq!((a.1, a.2), (b.1, b.2));
    }
    let plane = GaussianMixture::isotropic(array![1.0], array![[0.0, 0.0]], array![1.0]).unwrap();
    assert!(Mixture1d::try_from(&plane).is_err());
    let points = GaussianMixture::points(array![1.0], array![[0.0]]).unwrap();
    assert!(
        Mixture1d::try_from(&points)
            .unwrap_err()
            .to_string()
            .contains("spreads[0]")
    );
}

#[test]
fn bad_input_is_told() {
    let told = |w: &[f64], m: &[f64], s: &[f64]| Mixture1d::new(w, m, s).unwrap_err().to_string();
    assert!(told(&[], &[], &[]).contains("`weights` is empty"));
    assert!(told(&[1.0], &[0.0, 1.0], &[1.0]).contains("`means` has 2 numbers, expected 1"));
    assert!(told(&[1.0], &[f64::NAN], &[1.0]).contains("means[0]"));
    assert!(told(&[-1.0], &[0.0], &[1.0]).contains("weights[0]"));
    let p = gmm1();
    assert!(p.noised(1.0, -0.1).is_err() && p.noised(f64::NAN, 1.0).is_err());
    assert!(p.noised(0.0, 0.0).is_err());
    let nan = FnLaw::new(|_| f64::NAN, |_| 0.5, |_| 0.5, vec![0.0, 1.0]).unwrap();
    assert!(kl(&nan, &p).is_err() && total_variation(&nan, &p).is_err());
    assert!(FnLaw::new(|_| 0.0, |_| 0.5, |_| 0.5, vec![1.0, 0.0]).is_err());
}
