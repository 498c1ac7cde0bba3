use super::*;
use ndarray::{Array1, Array2, array};
use retrograde_core::{Form, Times};
use retrograde_testkit::{assert_close, assert_process, with_cx};

fn build(rate: &str, noise: &str, t_end: f64, d: usize) -> Result<Arc<dyn ForwardProcess>> {
    let read = |text: &str| serde_json::from_str(text).unwrap();
    let ou = Ou {
        rate: read(rate),
        noise: read(noise),
        t_end,
    };
    ou.process(d)
}

fn law(p: &dyn ForwardProcess, t: f64) -> (Vec<f64>, Vec<f64>) {
    let linear = p.linear().unwrap();
    let len = linear.form().len(p.dim());
    let (mut a, mut c) = (vec![0.0; len], vec![0.0; len]);
    linear.at(t, &mut a, &mut c);
    (a, c)
}

#[test]
fn the_default_is_the_standard_process() {
    let p = Ou::default().process(1).unwrap();
    let (mut f, mut d) = (array![[0.0]], array![[0.0]]);
    with_cx(1, |cx| {
        let x = array![[3.0]];
        p.drift(cx, Times::Shared(2.0), x.view(), f.view_mut())?;
        p.apply_ggt(cx, Times::Shared(2.0), x.view(), x.view(), d.view_mut())
    })
    .unwrap();
    assert_eq!((f[(0, 0)], d[(0, 0)]), (-3.0, 6.0));
    for t in [1e-9f64, 0.3, 3.0] {
        let (a, c) = law(&*p, t);
        assert_close("α", a[0], (-t).exp(), 1e-15);
        assert_close("C/t", c[0] / t, -(-2.0 * t).exp_m1() / t, 1e-15);
    }
    let mut l = Array1::zeros(1);
    let x = array![[0.0]];
    with_cx(1, |cx| {
        p.reference_eval(cx, x.view(), Some(l.view_mut()), None)
    })
    .unwrap();
    assert_close("log N(0; 0, 1)", l[0], -0.918_938_533_204_672_7, 1e-15);
}

#[test]
fn every_form_satisfies_what_a_process_must() {
    for (rate, noise, d, form) in [
        ("1.0", "1.0", 1, Form::Scalar),
        ("-0.3", "0.7", 2, Form::Scalar),
        ("0", "1", 1, Form::Scalar),
        ("[[0.8]]", "2", 1, Form::Scalar),
        ("[0.5, 2.0, 0.0]", "1.5", 3, Form::Diagonal),
        ("1", "[0.5, 2]", 2, Form::Diagonal),
        ("[[1, 2], [-2, 0.5]]", "1", 2, Form::Dense),
        ("[1, 0.3]", "[[1, 0.4], [0.4, 0.5]]", 2, Form::Dense),
        // No stationary law.
        (
            "[[0.2, 1, 0], [0, -0.4, 0.3], [0.1, 0, 0]]",
            "[1, 0.5, 2]",
            3,
            Form::Dense,
        ),
        // Noise on the velocity alone: the position has it from there.
        ("[[0, -1], [1, 1.5]]", "[[0, 0], [0, 1]]", 2, Form::Dense),
    ] {
        let p = build(rate, noise, 2.0, d).unwrap();
        assert_eq!(p.linear().unwrap().form(), form, "{rate} {noise}");
        let points = Array2::from_shape_fn((2, d), |(i, j)| 0.4 * (i + 2 * j) as f64 - 0.7);
        assert_process(&format!("ou {rate} {noise}"), &*p, points.view());
    }
}

/// A rotation that shrinks, a Jordan block and a matrix with a common eigenbasis, by hand.
#[test]
fn matrices_have_the_exponentials_of_the_books() {
    let t = 1.7f64;
    let p = build("[[0.4, -3], [3, 0.4]]", "1", 5.0, 2).unwrap();
    let (a, c) = law(&*p, t);
    let (e, (s, k)) = ((-0.4 * t).exp(), (3.0 * t).sin_cos());
    for (got, want) in a.iter().zip([e * k, e * s, -e * s, e * k]) {
        assert_close("rotation", *got, want, 1e-14);
    }
    let v = -(-0.8 * t).exp_m1() / 0.4;
    for (got, want) in c.iter().zip([v, 0.0, 0.0, v]) {
        assert_close("its covariance", *got, want, 1e-14);
    }
    let p = build("[[0.5, 1], [0, 0.5]]", "1", 5.0, 2).unwrap();
    let e = (-0.5 * t).exp();
    for (got, want) in law(&*p, t).0.iter().zip([e, -t * e, 0.0, e]) {
        assert_close("Jordan block", *got, want, 1e-14);
    }
    // R = [[2, 1], [1, 2]], B = 1: rates 1 and 3 along (1, −1) and (1, 1).
    let p = build("[[2, 1], [1, 2]]", "1", 5.0, 2).unwrap();
    for t in [1e-8f64, 0.1, 40.0] {
        let (a, c) = law(&*p, t);
        let of = |x: f64, y: f64| [0.5 * (x + y), 0.5 * (y - x)];
        let [same, cross] = of((-t).exp(), (-3.0 * t).exp());
        assert_close("E", a[0], same, 1e-14);
        assert_close("E", a[1], cross, 1e-14);
        let [same, cross] = of(-(-2.0 * t).exp_m1(), -(-6.0 * t).exp_m1() / 3.0);
        assert!((c[0] / same - 1.0).abs() < 1e-13, "Q {} {same}", c[0]);
        assert!(
            (c[1] / same - cross / same).abs() < 1e-13,
            "Q {} {cross}",
            c[1]
        );
    }
}

#[test]
fn times_that_are_not_finite_give_no_numbers() {
    let p = build("[[2, 1], [1, 2]]", "1", 5.0, 2).unwrap();
    for t in [f64::INFINITY, f64::NAN] {
        let (a, c) = law(&*p, t);
        assert!(a.iter().chain(&c).all(|v| v.is_nan()), "{t}: {a:?} {c:?}");
    }
}

#[test]
fn a_full_matrix_that_is_diagonal_is_the_diagonal_process() {
    let full = build("[[0.5, 0], [0, 2]]", "[[1.5, 0], [0, 0.4]]", 3.0, 2).unwrap();
    let each = build("[0.5, 2]", "[1.5, 0.4]", 3.0, 2).unwrap();
    for t in [0.2, 3.0] {
        let ((a, c), (b, v)) = (law(&*full, t), law(&*each, t));
        for i in 0..2 {
            assert_close("α", a[3 * i], b[i], 1e-14);
            assert_close("C", c[3 * i], v[i], 1e-14);
        }
        assert!(a[1] == 0.0 && c[2] == 0.0);
    }
    let x = array![[0.3, -1.0], [2.0, 0.1]];
    let eval = |p: &dyn ForwardProcess| {
        let (mut l, mut g) = (Array1::zeros(2), x.clone());
        let done = with_cx(1, |cx| {
            p.reference_eval(cx, x.view(), Some(l.view_mut()), Some(g.view_mut()))
        });
        done.unwrap();
        (l, g)
    };
    let ((l, g), (m, h)) = (eval(&*full), eval(&*each));
    assert!((&l - &m).iter().all(|e| e.abs() < 1e-13), "{l} {m}");
    assert!((&g - &h).iter().all(|e| e.abs() < 1e-13), "{g} {h}");
}

/// R C + C Rᵀ = 2 B Bᵀ, from the gradient −C⁻¹ x of the reference law.
#[test]
fn the_reference_law_is_stationary_where_there_is_one() {
    let rate = array![[1.0, 2.0], [-2.0, 0.5]];
    let p = build("[[1, 2], [-2, 0.5]]", "[1, 0.3]", 0.1, 2).unwrap();
    let (eye, mut g) = (Array2::eye(2), Array2::zeros((2, 2)));
    with_cx(1, |cx| {
        p.reference_eval(cx, eye.view(), None, Some(g.view_mut()))
    })
    .unwrap();
    // With P = C⁻¹ = −g: P R + Rᵀ P = 2 P B Bᵀ P.
    let (precision, bbt) = (-g, array![[1.0, 0.0], [0.0, 0.09]]);
    let residual =
        precision.dot(&rate) + rate.t().dot(&precision) - 2.0 * precision.dot(&bbt).dot(&precision);
    assert!(residual.iter().all(|r| r.abs() < 1e-11), "{residual}");
}

#[test]
fn wrong_settings_are_refused() {
    for (rate, noise, t_end, d, says) in [
        (
            "1",
            "0",
            1.0,
            2,
            "`noise` is 0, but must be a number above 0",
        ),
        ("1", "1", -1.0, 2, "`t_end` is -1"),
        (
            "[1, 2, 3]",
            "1",
            1.0,
            2,
            "`rate` is a list of 3, but must be a number, a list of 2",
        ),
        ("[1, 1e9]", "1", 1.0, 2, "`rate[1]` is 1000000000"),
        ("1", "[1, -1]", 1.0, 2, "`noise[1]` is -1"),
        (
            "[[1, 2]]",
            "1",
            1.0,
            2,
            "`rate` is a list of 1, but must be 2 lists of 2",
        ),
        ("[[1, 2], [3]]", "1", 1.0, 2, "`rate[1]` is a list of 1"),
        (
            "[[1e9, 0], [0, 1]]",
            "1",
            1.0,
            2,
            "`rate` is a matrix of norm",
        ),
        (
            "[[1, 0], [0, 1]]",
            "[[1, 1], [1, 1]]",
            1.0,
            2,
            "reaches every direction",
        ),
    ] {
        let error = build(rate, noise, t_end, d).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    let p = build("[[1, 0], [0, 1]]", "[[1, 0], [0.5, 1]]", 1.0, 2).unwrap();
    let x = array![[0.0, 0.0]];
    let mut out = x.clone();
    with_cx(1, |cx| {
        let map = p.forward_map().unwrap();
        for (s, t) in [(0.5, 0.5), (0.6, 0.5), (f64::NAN, 0.5)] {
            let error = map.solve_noise(cx, s, t, x.view(), x.view(), out.view_mut());
            assert!(error.unwrap_err().to_string().contains("before t = 0.5"));
        }
    });
}

#[test]
fn coefficients_are_read_and_written_back() {
    for text in ["1.5", "[1.0,2.0]", "[[1.0,2.0],[0.0,1.0]]"] {
        let c: Coefficient = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&c).unwrap(), text);
    }
    let mixed = serde_json::from_str::<Coefficient>("[1, [2]]").unwrap_err();
    assert!(mixed.to_string().contains("mixed"), "{mixed}");
    let word = serde_json::from_str::<Coefficient>("\"one\"").unwrap_err();
    assert!(word.to_string().contains("a number, a list"), "{word}");
}
