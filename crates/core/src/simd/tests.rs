//! Vector functions against those of the standard library, at every level of the machine.

use super::*;
use crate::Runtime;
use ndarray::{Array1, Array2, Axis, s};

/// Distance in units of the last place; finite numbers of one sign.
fn ulps(a: f64, b: f64) -> u64 {
    a.to_bits().abs_diff(b.to_bits())
}

/// A million arguments from `low` to `high`, none of them special.
fn spread(low: f64, high: f64) -> Vec<f64> {
    let n = 1_000_000;
    (0..n)
        .map(|i| low + (high - low) * (f64::from(i) * 0.618_033_988_749_894_9).fract())
        .collect()
}

#[test]
fn exp_is_within_two_units_in_the_last_place() {
    for level in SimdLevel::available() {
        for (low, high) in [(-708.0, 709.782_7), (-1.0, 1.0), (-1e-9, 1e-9)] {
            let x = spread(low, high);
            let mut y = x.clone();
            exp_in_place(level, &mut y);
            let worst = x.iter().zip(&y).map(|(x, y)| ulps(x.exp(), *y)).max();
            println!("{level} exp on [{low}, {high}]: {worst:?}");
            assert!(worst <= Some(2), "{level}, [{low}, {high}]: {worst:?}");
        }
    }
}

#[test]
fn ln_is_within_two_units_in_the_last_place() {
    for level in SimdLevel::available() {
        let tiny: Vec<f64> = (1..100_000u64).map(|i| f64::from_bits(i * i * i)).collect();
        let all: Vec<f64> = spread(-1022.0, 1023.999)
            .into_iter()
            .map(f64::exp2)
            .collect();
        for (what, x) in [
            ("all", all),
            ("around 1", spread(0.5, 2.0)),
            ("near 1", spread(1.0 - 1e-7, 1.0 + 1e-7)),
            ("to 1000", spread(1.0, 1000.0)),
            ("subnormal", tiny),
        ] {
            let mut y = x.clone();
            ln_in_place(level, &mut y);
            let worst = x.iter().zip(&y).map(|(x, y)| ulps(x.ln(), *y)).max();
            println!("{level} ln {what}: {worst:?}");
            assert!(worst <= Some(2), "{level}, {what}: {worst:?}");
        }
    }
}

#[test]
fn special_values() {
    let inf = f64::INFINITY;
    for level in SimdLevel::available() {
        let exp = |x: f64| {
            let mut v = [x];
            exp_in_place(level, &mut v);
            v[0]
        };
        assert_eq!(
            (exp(0.0), exp(-0.0), exp(inf), exp(-inf)),
            (1.0, 1.0, inf, 0.0)
        );
        assert_eq!((exp(1e300), exp(-1e300)), (inf, 0.0));
        // The last finite result and the next; the last one above the floor, and below it.
        let top = 709.782_712_893_384f64;
        assert!(exp(top).is_finite() && exp(top) > 1.797e308);
        assert_eq!(exp(top.next_up()), inf);
        assert!(exp(-708.0) > 3e-308 && exp((-708.0f64).next_down()) == 0.0);
        assert_eq!(exp(-740.0), 0.0);
        // NaN stays NaN whatever its payload, which must not leak into the exponent.
        for payload in [0, 1, 0x3ff, 0x7ff, 0xfff, (1 << 51) - 1] {
            for sign in [0, 1 << 63] {
                let nan = f64::from_bits(f64::NAN.to_bits() | payload | sign);
                assert!(exp(nan).is_nan(), "{level} {payload:#x}");
            }
        }
        let ln = |x: f64| {
            let mut v = [x];
            ln_in_place(level, &mut v);
            v[0]
        };
        assert_eq!(
            (ln(1.0), ln(0.0), ln(-0.0), ln(inf)),
            (0.0, -inf, -inf, inf)
        );
        assert!(
            [-1.0, -inf, f64::NAN, -1e-310]
                .iter()
                .all(|x| ln(*x).is_nan())
        );
    }
}

#[test]
fn weights_have_a_floor_and_spread_what_is_no_number() {
    for level in SimdLevel::available() {
        let weight = |x: f64| {
            let mut v = [x];
            dispatch!(level.level(), s => tile::map(s, &mut v, math::exp_weight));
            v[0]
        };
        for x in spread(-700.0, 0.0).into_iter().step_by(97) {
            assert!(ulps(weight(x), x.exp()) <= 2, "{level} {x}");
        }
        assert_eq!(weight(0.0), 1.0);
        assert!(weight(-700.0) > 9e-305 && weight((-700.0f64).next_down()) == 0.0);
        assert_eq!((weight(f64::NEG_INFINITY), weight(-1e300)), (0.0, 0.0));
        let nan = f64::from_bits(f64::NAN.to_bits() | 0xfff);
        assert!(weight(nan).is_nan());
    }
}

#[test]
fn a_number_s_result_does_not_depend_on_its_place() {
    for level in SimdLevel::available() {
        let x = spread(-30.0, 30.0);
        for f in [exp_in_place, ln_in_place] {
            for n in 1..40 {
                for first in 0..9 {
                    let mut part = x[first..first + n].to_vec();
                    f(level, &mut part);
                    for (i, y) in part.iter().enumerate() {
                        let mut one = [x[first + i]];
                        f(level, &mut one);
                        assert_eq!(one[0].to_bits(), y.to_bits(), "{level} {n} {first}");
                    }
                }
            }
        }
    }
}

#[test]
fn levels_have_names_and_a_machine_has_those_up_to_its_best() {
    let levels = SimdLevel::available();
    assert_eq!(levels.first(), Some(&SimdLevel::baseline()));
    assert_eq!(levels.last(), Some(&SimdLevel::best()));
    for level in &levels {
        assert_eq!(SimdLevel::named(level.name()).unwrap(), *level);
    }
    assert_eq!(SimdLevel::named("auto").unwrap(), SimdLevel::best());
    assert_eq!(SimdLevel::named("baseline").unwrap(), SimdLevel::baseline());
    let message = SimdLevel::named("avx1024").unwrap_err().to_string();
    assert!(message.contains("`avx1024`"), "{message}");
    assert!(message.contains(levels[0].name()), "{message}");
}

/// Log likelihood and gradient of `points` (n × d) on signed `data` (m × d).
fn logistic(
    level: SimdLevel,
    data: &Array2<f64>,
    points: &Array2<f64>,
) -> (Array1<f64>, Array2<f64>) {
    let mut runtime = Runtime::new(1, 1).unwrap().with_simd(level);
    let (mut l, mut g) = (Array1::zeros(points.nrows()), Array2::zeros(points.dim()));
    runtime.enter("logistic", 0, |cx| {
        let rows = LogisticRows::new(data.view());
        rows.eval(cx, points.view(), Some(l.view_mut()), Some(g.view_mut()));
        // What is asked for alone is the same.
        let (mut l_alone, mut g_alone) = (l.clone(), g.clone());
        rows.eval(cx, points.view(), Some(l_alone.view_mut()), None);
        rows.eval(cx, points.view(), None, Some(g_alone.view_mut()));
        assert!(
            l.iter()
                .zip(&l_alone)
                .all(|(a, b)| a.to_bits() == b.to_bits())
        );
        assert!(
            g.iter()
                .zip(&g_alone)
                .all(|(a, b)| a.to_bits() == b.to_bits())
        );
    });
    (l, g)
}

#[test]
fn logistic_likelihoods_of_one_margin_agree_with_those_of_one_number() {
    use crate::numeric::{sigmoid, softplus};
    let one = Array2::from_elem((1, 1), 1.0);
    for level in SimdLevel::available() {
        for (low, high) in [(-690.0, 690.0), (-40.0, 40.0), (-1.0, 1.0), (-1e-9, 1e-9)] {
            let margins =
                Array2::from_shape_vec((spread(low, high).len(), 1), spread(low, high)).unwrap();
            let (l, g) = logistic(level, &one, &margins);
            let (mut loss, mut slope) = (0.0f64, 0);
            for (i, m) in margins.iter().enumerate() {
                // In units of the last place of the term, or of 1 if that is larger.
                let exact = softplus(-m);
                loss = loss.max((l[i] + exact).abs() / (exact.max(1.0) * f64::EPSILON));
                slope = slope.max(ulps(g[[i, 0]], sigmoid(-m)));
            }
            println!("{level} on [{low}, {high}]: loss {loss}, slope {slope}");
            assert!(
                loss <= 2.0 && slope <= 4,
                "{level} on [{low}, {high}]: {loss}, {slope}"
            );
        }
    }
}

#[test]
fn logistic_likelihoods_are_the_sum_over_the_data_whatever_their_shape() {
    use crate::numeric::{sigmoid, softplus};
    for level in SimdLevel::available() {
        for m in [1, 2, 5, 6, 7, 29, 30, 31, 283] {
            for (d, n) in [(1, 1), (2, 7), (3, 8), (5, 9), (8, 16), (9, 17), (16, 40)] {
                let at = |i: usize, j: usize| (0.7 * i as f64 + 1.3 * (j * j) as f64).sin();
                let data = Array2::from_shape_fn((m, d), |(i, j)| at(i, j));
                let points = Array2::from_shape_fn((n, d), |(i, j)| 3.0 * at(i + 5, j + 2));
                let (l, g) = logistic(level, &data, &points);
                let margins = points.dot(&data.t());
                let exact =
                    margins.map_axis(Axis(1), |m| -m.iter().map(|m| softplus(-m)).sum::<f64>());
                let slopes = margins.mapv(|m| sigmoid(-m)).dot(&data);
                // Rounded in units of 1 in each term, and of the sum so far in each addition.
                let size = exact.mapv(|v| m as f64 - v);
                let off = (&l - &exact) / &size;
                let worst = off.iter().fold(0.0f64, |a, v| a.max(v.abs()));
                let off = (&g - &slopes) / m as f64;
                let steepest = off.iter().fold(0.0f64, |a, v| a.max(v.abs()));
                assert!(
                    worst < 3e-15 && steepest < 1e-15,
                    "{level} {m} {d} {n}: {worst} {steepest}"
                );
                // A point alone has the bits that it has among others.
                for i in 0..n {
                    let (l1, g1) = logistic(level, &data, &points.slice(s![i..=i, ..]).to_owned());
                    assert_eq!(l1[0].to_bits(), l[i].to_bits(), "{level} {m} {d} {n}");
                    assert!(
                        g1.iter()
                            .zip(g.row(i))
                            .all(|(a, b)| a.to_bits() == b.to_bits())
                    );
                }
            }
        }
    }
}

#[test]
fn logistic_likelihoods_at_the_ends() {
    let inf = f64::INFINITY;
    let one = Array2::from_elem((1, 1), 1.0);
    for level in SimdLevel::available() {
        let of = |m: f64| {
            let (l, g) = logistic(level, &one, &Array2::from_elem((1, 1), m));
            (-l[0], g[[0, 0]])
        };
        assert_eq!(of(0.0), (std::f64::consts::LN_2, 0.5));
        assert_eq!((of(1e300), of(inf)), ((0.0, 0.0), (0.0, 0.0)));
        assert_eq!((of(-1e300), of(-inf)), ((1e300, 1.0), (inf, 1.0)));
        assert!(of(f64::NAN).0.is_nan() && of(f64::NAN).1.is_nan());
        // A NaN among the data, and one among the points, which leaves its neighbours alone.
        let mut data = Array2::from_elem((50, 2), 1.0);
        let mut points = Array2::from_elem((9, 2), 0.5);
        points[[3, 1]] = f64::NAN;
        let (l, g) = logistic(level, &data, &points);
        for i in 0..9 {
            assert_eq!(
                (l[i].is_nan(), g[[i, 0]].is_nan()),
                (i == 3, i == 3),
                "{level}"
            );
        }
        data[[17, 0]] = f64::NAN;
        let (l, g) = logistic(level, &data, &points);
        assert!(l.iter().chain(&g).all(|v| v.is_nan()), "{level}");
    }
}
