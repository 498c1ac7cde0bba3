use super::LogisticRegression;
use crate::dense::{cholesky, lower_inverse};
use ndarray::{Array1, Array2, Axis};
use retrograde_core::numeric::{
    effective_sample_size, log_mean_exp, sigmoid, softmax_in_place, softplus,
};
use retrograde_core::registry::{Files, Folder, Parts};
use retrograde_core::{Build, Result, Target};
use retrograde_testkit::*;
use std::path::Path;
use std::sync::Arc;

fn shipped(settings: LogisticRegression) -> Arc<dyn Target> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/data");
    let files = Folder(folder.into());
    settings
        .build(&Parts::new(&files))
        .expect("the file is good")
}

#[test]
fn shipped_data() {
    for (name, d, at_point, at_zero) in [
        (
            "ionosphere",
            35,
            Row(
                -378.672878649980,
                65.178944661123,
                -45.259593019870,
                1136.197676810548,
                98090.98012770,
            ),
            Row(
                -275.457509038704,
                49.5,
                -10.804263605285,
                960.121677586665,
                51839.47067214,
            ),
        ),
        (
            "sonar",
            61,
            Row(
                -280.884383476079,
                3.247814069427,
                -25.935815556337,
                -1002.244303322697,
                38185.79583838,
            ),
            Row(
                -200.229864081954,
                -7.0,
                -9.344498174392,
                -808.953066776122,
                26821.72535457,
            ),
        ),
    ] {
        let settings = LogisticRegression::from_file(format!("{name}.csv"));
        let target = shipped(settings.clone());
        assert_row(name, &*target, &point(d), at_point, 1e-10);
        assert_row(name, &*target, &vec![0.0; d], at_zero, 1e-10);
        let points = Array2::from_shape_fn((5, d), |(i, j)| (i as f64 - 2.0) * point(d)[j]);
        assert_target(name, &*target, points.view());
        assert_eq!(target.coordinate(0), "intercept");
        assert_eq!(target.coordinate(d - 1), format!("x{}", d - 1));

        // The intercept belongs first: moving it last, or leaving it out, must show.
        let mut last = settings.clone();
        last.intercept = false;
        let without = shipped(last);
        assert_eq!(without.dim(), d - 1);
        let (_, g) = eval(&*without, &vec![0.0; d - 1]);
        assert!((g[0] - at_zero.1).abs() > 1.0);
    }
}

/// n draws of N(mean, factor factorᵀ) and their log importance weights.
fn weighted(
    target: &dyn Target,
    mean: &Array1<f64>,
    factor: &Array2<f64>,
    (n, seed): (usize, u64),
) -> (Array2<f64>, Vec<f64>) {
    let d = mean.len();
    let log_det: f64 = factor.diag().iter().map(|v| v.ln()).sum();
    with_cx(seed, |cx| {
        let mut z = Array2::zeros((n, d));
        cx.fill_normal(z.view_mut());
        let x = z.dot(&factor.t()) + mean;
        let mut l = Array1::zeros(n);
        cx.eval_target(target, x.view(), Some(l.view_mut()), None)
            .expect("it evaluates");
        let constant = log_det + 0.5 * d as f64 * std::f64::consts::TAU.ln();
        let weights = l.iter().zip(z.rows());
        let weights = weights.map(|(l, z)| l + 0.5 * z.dot(&z) + constant);
        let weights = weights.collect();
        (x, weights)
    })
}

#[test]
fn log_z_and_means_of_shipped_data() {
    // Known from sequential Monte Carlo with 10 × 4000 particles, with the error given.
    for (name, known, error, means) in [
        ("ionosphere", -111.608, 0.007, [-0.045, 2.874, 0.002]),
        ("sonar", -108.392, 0.007, [-0.874, -0.951, -0.202]),
    ] {
        let target = shipped(LogisticRegression::from_file(format!("{name}.csv")));
        let d = target.dim();
        // The Laplace approximation, with the curvature from differences of the gradient …
        let mut mean = Array1::zeros(d);
        let mut factor = Array2::eye(d);
        for _ in 0..8 {
            let slope = |x: &Array1<f64>| Array1::from_vec(eval(&*target, &x.to_vec()).1);
            let mut curvature = Array2::zeros((d, d));
            for j in 0..d {
                let (mut up, mut down) = (mean.clone(), mean.clone());
                up[j] += 1e-4;
                down[j] -= 1e-4;
                let column = (slope(&down) - slope(&up)) / 2e-4;
                curvature.column_mut(j).assign(&column);
            }
            // L⁻ᵀ of the Cholesky factor L is a square root of the inverse.
            let inverse = lower_inverse(&cholesky(curvature).expect("a peak"));
            mean += &inverse.t().dot(&inverse.dot(&slope(&mean)));
            factor = cholesky(inverse.t().dot(&inverse)).expect("positive definite");
        }
        // … is 1 to 3 nats off. Its weighted draws give a better Gaussian.
        for round in 0..6 {
            let (x, mut w) = weighted(&*target, &mean, &factor, (40_000, round));
            // Tempered, so that no draw has it all.
            let ess = effective_sample_size(&w) / w.len() as f64;
            let power = (4.0 * ess).sqrt().min(1.0);
            w.iter_mut().for_each(|w| *w *= power);
            softmax_in_place(&mut w);
            let w = Array1::from_vec(w);
            mean = w.dot(&x);
            let centred = x - &mean;
            let weighted = &centred * &w.view().insert_axis(Axis(1));
            factor = cholesky(centred.t().dot(&weighted)).expect("positive definite");
        }
        let n = 200_000;
        let (x, mut w) = weighted(&*target, &mean, &factor, (n, 99));
        let ess = effective_sample_size(&w);
        let se = ((n as f64 / ess - 1.0) / n as f64).sqrt();
        let log_z = log_mean_exp(&w);
        assert!(se < 0.05, "{name}: a standard error of {se} checks little");
        assert_z(name, log_z, known, se.hypot(error));
        softmax_in_place(&mut w);
        for (j, known) in means.into_iter().enumerate() {
            let mean: f64 = x.column(j).iter().zip(&w).map(|(x, w)| w * x).sum();
            let terms = x.column(j).into_iter().zip(&w);
            let se = terms
                .map(|(x, w)| (w * (x - mean)).powi(2))
                .sum::<f64>()
                .sqrt();
            assert_z(name, mean, known, se.hypot(0.005));
        }
    }
}

struct Text(&'static [u8]);
impl Files for Text {
    fn read(&self, _: &Path) -> Result<Vec<u8>> {
        Ok(self.0.to_vec())
    }
}

fn build(csv: &'static [u8], f: impl Fn(&mut LogisticRegression)) -> Result<Arc<dyn Target>> {
    let mut settings = LogisticRegression::from_file("t.csv");
    f(&mut settings);
    settings.build(&Parts::new(&Text(csv)))
}

#[test]
fn a_posterior_by_hand() {
    // No intercept, no scaling: π(w) ∝ N(w; 0, 4) σ(w)·σ(−3w)·σ(−2w).
    let csv = b"\xef\xbb\xbfy, a ,note\nyes,1,p\nno,3,q\n\nno,2,NA\n";
    let target = build(csv, |s| {
        s.label = "y".into();
        s.columns = Some(vec!["a".into()]);
        (s.standardise, s.intercept, s.prior_sd) = (false, false, 2.0);
    })
    .expect("the table is good");
    let log_likelihood = |w: f64| -softplus(-w) - softplus(3.0 * w) - softplus(2.0 * w);
    for w in [-1.5, 0.0, 0.75] {
        let (l, g) = eval(&*target, &[w]);
        let normal = 0.5 * std::f64::consts::TAU.ln() + 2f64.ln();
        assert_close("value", l, log_likelihood(w) - w * w / 8.0 - normal, 1e-14);
        let slope = sigmoid(-w) - 3.0 * sigmoid(3.0 * w) - 2.0 * sigmoid(2.0 * w) - w / 4.0;
        assert_close("slope", g[0], slope, 1e-14);
    }
    assert_target(
        "by hand",
        &*target,
        ndarray::aview1(&[-1.5, 0.0, 0.75]).insert_axis(Axis(1)),
    );
    // Evidence by the trapezium rule, which is exact to rounding for a function this smooth.
    let h = 0.05;
    let z: f64 = (-600..=600)
        .map(|i| eval(&*target, &[f64::from(i) * h]).0.exp() * h)
        .sum();
    let (log_z, se) = importance_log_z(&*target, &[0.0], &[2.0], 200_000, 3);
    assert_z("log Z", log_z, z.ln(), se);
}

#[test]
fn the_larger_label_is_class_one_and_constant_columns_are_dropped() {
    for csv in [
        &b"a,label\n1,-1\n2,+1\n4,1.0\n"[..],
        b"a,label\n1,2\n2,10\n4,10\n",
        b"a,label\n1,bad\n2,good\n4,good\n",
    ] {
        let (_, g) = eval(&*build(csv, |_| ()).expect("two classes"), &[0.0, 0.0]);
        assert_eq!(g[0], 0.5, "two of three rows are of class 1");
        assert!(g[1] > 0.0);
    }
    // The mean of three times 0.1 is not 0.1: the column must still count as constant.
    let constant = build(b"a,label\n0.1,0\n0.1,1\n0.1,1\n", |_| ()).expect("it is good");
    assert_eq!(eval(&*constant, &[0.0, 3.0]).1[1], -3.0);
}

#[test]
fn mistakes_in_the_file() {
    let cases: [(&'static [u8], &str); 17] = [
        (
            b"a,label\n1,0\n2\n",
            "t.csv:3: cells in this row: 1, in the first line: 2",
        ),
        (
            b"a,label\n1,0\nx7,1\n",
            "t.csv:3:1: column `a` has `x7`, which is not a number",
        ),
        (
            b"a,label\n1,0\ninf,1\n",
            "t.csv:3:1: column `a` has `inf`, which is not finite",
        ),
        (
            b"a,label\n1,0\n,1\n",
            "t.csv:3:1: missing value (an empty cell) in column `a`",
        ),
        (
            b"a,label\nNA,0\n2,1\n",
            "t.csv:2:1: missing value (`NA`) in column `a`",
        ),
        (
            b"a,label\n1,0\nnan,1\n",
            "t.csv:3:1: missing value (`nan`) in column `a`",
        ),
        (
            b"a,label\n1,0\n2,?\n",
            "t.csv:3:2: missing value (`?`) in column `label`",
        ),
        (
            b"a,label\n1,0\n2,1\n3,2\n",
            "t.csv:4:2: the label column `label` has 3 classes (0, 1, 2), but must have two",
        ),
        (b"a,label\n1,u\n2,v\n3,w\n", "has 3 classes (u, v, w)"),
        (
            b"a,label\n1,0\n2,0\n",
            "t.csv: the label column `label` has 1 class (0), but must have two",
        ),
        (
            b"a,labels\n1,0\n2,1\n",
            "t.csv:1: there is no label column `label`; did you mean `labels`?",
        ),
        (
            b"a,y\n1,0\n2,1\n",
            "there is no label column `label`; the columns are a, y",
        ),
        (
            b"a,label\n",
            "t.csv: the file has a line of names but no rows",
        ),
        (b"", "t.csv: the file is empty"),
        (
            b"a,a,label\n1,2,0\n",
            "t.csv:1:2: `a` is the name of column 1 already",
        ),
        (b"a,label\n1,0\n\xff,1\n", "t.csv:3: not valid UTF-8"),
        (
            b"intercept,label\n1,0\n1,1\n",
            "t.csv:1:1: a column is called `intercept`",
        ),
    ];
    for (csv, says) in cases {
        let error = build(csv, |_| ()).err().map(|e| e.to_string());
        let error = error.unwrap_or_else(|| panic!("{says}: it was accepted"));
        assert!(error.contains(says), "`{error}` does not say `{says}`");
    }
}

#[test]
fn mistakes_in_the_settings() {
    let csv = b"age,height,label\n1,2,0\n3,5,1\n";
    type Spoil = fn(&mut LogisticRegression);
    let cases: [(Spoil, &str); 5] = [
        (|s| s.prior_sd = 0.0, "`prior_sd` is 0, but must be > 0"),
        (
            |s| s.columns = Some(vec!["hieght".into()]),
            "there is no column `hieght`; did you mean `height`?",
        ),
        (
            |s| s.columns = Some(vec!["age".into(), "label".into()]),
            "`columns[1]` is `label`",
        ),
        (
            |s| s.columns = Some(vec!["age".into(), "age".into()]),
            "`columns[1]` is `age`",
        ),
        (
            |s| (s.columns, s.intercept) = (Some(vec![]), false),
            "`intercept` is false",
        ),
    ];
    for (spoil, says) in cases {
        let error = build(csv, spoil).err().map(|e| e.to_string());
        let error = error.unwrap_or_else(|| panic!("{says}: it was accepted"));
        assert!(error.contains(says), "`{error}` does not say `{says}`");
    }
    let missing = LogisticRegression::from_file("nowhere.csv");
    let error = missing.build(&Parts::new(&Folder("/nonexistent".into())));
    assert!(
        error
            .err()
            .expect("no such file")
            .to_string()
            .contains("nowhere.csv")
    );
}
