use super::*;
use crate::probes;
use retrograde_testkit::*;

fn settings() -> PolynomialDecay {
    PolynomialDecay {
        k: 0.7,
        g: 1.3,
        t_end: 8.0,
    }
}

fn process(d: usize) -> Arc<dyn ForwardProcess> {
    probes::build(settings(), d).unwrap()
}

#[test]
fn the_quartic_law_stands_still() {
    probes::assert_reference_1d("decay", &*process(1), -6.0, 6.0);
    assert!(probes::displacement(&process(3), 0.1) < 1e-12);
    probes::assert_noise("decay", &*process(2), 0.0, &[0.3, 1.7], 1e-3);
    let p = process(2);
    assert!((p.integral_g2().unwrap().integral_g2(0.5, 1.5) - 1.69).abs() < 1e-15);
    // Control: the law of another k moves.
    let other = probes::build(
        PolynomialDecay {
            k: 0.75,
            ..settings()
        },
        1,
    )
    .unwrap();
    let x = [0.9];
    let s = probes::reference(&*other, &x).1[0];
    let v = probes::drift(&*p, 0.0, &[0.9, 0.9])[0] - 0.5 * 1.69 * s;
    assert!(v.abs() > 1e-3);
}

#[test]
fn the_flow_solves_its_equation() {
    let own = Cubic::new(&settings()).unwrap();
    for x in [-3.0, -0.9, 0.0, 0.2, 1.1, 40.0] {
        // Runge–Kutta of fourth order.
        let (steps, t) = (20_000, 0.8);
        let (h, mut y) = (t / f64::from(steps), x);
        for _ in 0..steps {
            let k1 = own.drift(y);
            let k2 = own.drift(y + 0.5 * h * k1);
            let k3 = own.drift(y + 0.5 * h * k2);
            let k4 = own.drift(y + h * k3);
            y += h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4);
        }
        assert!(
            (own.flow(t, x) - y).abs() < 1e-8,
            "{x}: {} {y}",
            own.flow(t, x)
        );
        let half = own.flow(0.5, own.flow(0.3, x));
        assert!((half - own.flow(t, x)).abs() < 1e-14 * (1.0 + x.abs()));
    }
    assert!((own.flow(1.0, 1e200) - 1.0 / 1.4f64.sqrt()).abs() < 1e-14);
    let x = own.to(0.3, 2.0, -0.7);
    assert!((own.noise_of(0.3, 2.0, x) + 0.7).abs() < 1e-14);
}

/// Weak order: the splitting in steps reproduces E x² of the stationary law, and from one that is
/// wrong comes to it.
#[test]
fn steps_of_the_map_come_to_the_stationary_law() {
    let (p, own) = (process(1), Cubic::new(&settings()).unwrap());
    let n = 20_000;
    let mut x = ndarray::Array2::from_elem((n, 1), 3.0);
    let (h, steps) = (0.01, 400);
    let [mut z, mut y] = std::array::from_fn(|_| x.clone());
    with_cx(6, |cx| -> Result {
        for _ in 0..steps {
            cx.fill_normal(z.view_mut());
            let map = p.forward_map().unwrap();
            map.forward_map(cx, 0.0, h, x.view(), z.view(), y.view_mut())?;
            std::mem::swap(&mut x, &mut y);
        }
        Ok(())
    })
    .unwrap();
    // E x² = Γ(¾)/Γ(¼) c^{−½}.
    let want = (libm::lgamma(0.75) - libm::lgamma(0.25)).exp() / own.c.sqrt();
    let (m, se) = mean_se(x.iter().map(|x| x * x));
    assert!((m - want).abs() < 4.5 * se + h, "{m} {want} {se}");
    assert!((9.0 - want).abs() > 100.0 * se);
}

#[test]
fn mistakes_are_named() {
    let none = PolynomialDecay {
        g: 0.0,
        ..settings()
    };
    let error = probes::build(none, 1).err().unwrap().to_string();
    assert!(error.contains("`g` is 0"), "{error}");
}

#[test]
fn it_is_what_a_process_must_be() {
    let x = ndarray::array![[0.3, -0.8], [1.6, 0.5]];
    assert_process("decay", &*process(2), x.view());
}
