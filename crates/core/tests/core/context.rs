//! The call context: same bits on any number of threads, exact counts, failures located.

use ndarray::{Array1, Array2, Axis, s};
use retrograde_core::*;

fn normals(threads: usize, n: usize, d: usize) -> Array2<f64> {
    let mut rt = Runtime::new(7, threads).unwrap();
    let mut z = Array2::zeros((n, d));
    rt.enter("test", 0, |cx| cx.fill_normal(z.view_mut()));
    z
}

#[test]
fn a_fill_is_the_same_on_any_number_of_threads_and_for_any_n() {
    let z = normals(1, 5000, 3);
    for threads in [2, 7] {
        assert_eq!(z, normals(threads, 5000, 3));
    }
    assert_eq!(z.slice(s![..1000, ..]), normals(2, 1000, 3));
    let (mean, var) = (z.mean().unwrap(), z.mapv(|v| v * v).mean().unwrap());
    assert!(mean.abs() < 4.5 / 15000f64.sqrt(), "{mean}");
    assert!((var - 1.0).abs() < 4.5 * (2.0 / 15000f64).sqrt(), "{var}");
}

#[test]
fn fills_inside_blocks_are_those_outside() {
    for threads in [1, 2, 7] {
        let mut rt = Runtime::new(7, threads).unwrap();
        let (mut a, mut b, mut after) = (
            Array2::zeros((5000, 3)),
            Array2::zeros((5000, 3)),
            Array2::zeros((600, 2)),
        );
        rt.enter("test", 0, |cx| {
            cx.rows(5000, (a.view_mut(), b.view_mut()), |cx, _, (mut a, b)| {
                cx.fill_normal(a.view_mut());
                cx.fill_normal(b);
                Ok(())
            })
            .unwrap();
            cx.fill_normal(after.view_mut());
        });
        assert_eq!(a, normals(1, 5000, 3));
        assert_ne!(a, b);
        // The fill after the blocks repeats none of theirs.
        assert!(after.iter().all(|v| !a.iter().chain(&b).any(|w| w == v)));
    }
}

#[test]
fn streams_of_rows_and_of_their_own_do_not_meet() {
    use rand_core::Rng;
    let mut rt = Runtime::new(7, 1).unwrap();
    rt.enter("test", 0, |cx| {
        let per_row = cx.row_streams();
        let numbers = [
            per_row(0).next_u64(),
            per_row(1).next_u64(),
            cx.rng().next_u64(),
            cx.rng().next_u64(),
        ];
        for i in 0..4 {
            assert!((0..i).all(|j| numbers[i] != numbers[j]));
        }
        assert_eq!(per_row(1).next_u64(), numbers[1]);
    });
}

fn quadratic(d: usize) -> PointTarget<impl Fn(&[f64], &mut [f64]) -> f64 + Send + Sync> {
    PointTarget::new(d, |x, g| {
        g.iter_mut().zip(x).for_each(|(g, x)| *g = -x);
        -0.5 * x.iter().map(|v| v * v).sum::<f64>()
    })
}

#[test]
fn evaluations_are_counted_in_rows_by_what_was_asked_for() {
    for threads in [1, 3] {
        let mut rt = Runtime::new(1, threads).unwrap();
        let (x, mut l, mut g) = (
            Array2::ones((1000, 2)),
            Array1::zeros(1000),
            Array2::zeros((1000, 2)),
        );
        rt.enter("test", 0, |cx| {
            let t = quadratic(2);
            cx.eval_target(&t, x.view(), Some(l.view_mut()), None)
                .unwrap();
            cx.eval_target(&t, x.view(), None, Some(g.view_mut()))
                .unwrap();
            cx.eval_target(
                &t,
                x.slice(s![..7, ..]),
                Some(l.slice_mut(s![..7])),
                Some(g.slice_mut(s![..7, ..])),
            )
            .unwrap();
            cx.rows(300, (), |cx, range, ()| {
                let rows = range.len();
                let (x, mut l) = (Array2::zeros((rows, 2)), Array1::zeros(rows));
                cx.eval_target(&t, x.view(), Some(l.view_mut()), None)
            })
            .unwrap();
        });
        let c = rt.counts();
        assert_eq!(
            (c.density_evals, c.gradient_evals, c.score_evals, c.rows),
            (1307, 1007, 0, 2307)
        );
        assert_eq!(l[999], -1.0);
    }
}

#[test]
fn failed_points_are_counted_located_and_lose_their_mass() {
    for threads in [1, 2] {
        let mut rt = Runtime::new(1, threads).unwrap();
        let target = PointTarget::new(1, |x, g| {
            g[0] = if x[0] == 444.0 { f64::NAN } else { 1.0 };
            if x[0] == 333.0 {
                f64::NAN
            } else if x[0] == 5.0 {
                f64::NEG_INFINITY
            } else {
                0.0
            }
        });
        let x = Array1::from_iter((0..1000).map(f64::from)).insert_axis(Axis(1));
        let (mut l, mut g) = (Array1::zeros(1000), Array2::zeros((1000, 1)));
        rt.enter("test", 0, |cx| {
            let mut cx = cx.at_step(12);
            cx.eval_target(&target, x.view(), Some(l.view_mut()), Some(g.view_mut()))
                .unwrap();
        });
        let c = rt.counts();
        assert_eq!(c.failed, 2);
        let first = c.first_failure.as_ref().unwrap();
        assert_eq!(
            (first.what.as_str(), first.row, first.step),
            ("log density", 333, Some(12))
        );
        assert_eq!((l[333], g[(333, 0)]), (f64::NEG_INFINITY, 0.0));
        assert_eq!((l[444], g[(444, 0)]), (f64::NEG_INFINITY, 0.0));
        assert_eq!((l[5], l[6]), (f64::NEG_INFINITY, 0.0));
    }
}

#[test]
fn a_target_that_fails_everywhere_stops_the_run_with_advice() {
    let mut rt = Runtime::new(1, 1).unwrap();
    let target = PointTarget::new(1, |_, _| f64::NAN);
    let (x, mut l) = (Array2::zeros((300, 1)), Array1::zeros(300));
    let error = rt
        .enter("test", 0, |cx| {
            cx.eval_target(&target, x.view(), Some(l.view_mut()), None)
        })
        .unwrap_err();
    assert_eq!(error.status(), Status::Numeric);
    let text = error.to_string();
    assert!(
        text.contains("300 of 300") && text.contains("bounds"),
        "{text}"
    );
}

#[test]
fn shapes_and_missing_abilities_are_errors() {
    let mut rt = Runtime::new(1, 1).unwrap();
    rt.enter("test", 0, |cx| {
        let t = quadratic(2);
        let x = Array2::zeros((3, 3));
        let e = cx.eval_target(&t, x.view(), None, None).unwrap_err();
        assert_eq!(
            (e.status(), e.to_string()),
            (
                Status::Dim,
                "target: x has shape (3, 3), expected shape (3, 2)".into()
            )
        );
        let t = PointTarget::density_only(3, |_, _| 0.0);
        let mut g = Array2::zeros((3, 3));
        let e = cx
            .eval_target(&t, x.view(), None, Some(g.view_mut()))
            .unwrap_err();
        assert_eq!(e.status(), Status::Unsupported);
    });
}

/// A caller-bound target: it must stay on the thread that entered, in one piece.
struct Bound(std::thread::ThreadId);
impl Target for Bound {
    fn dim(&self) -> usize {
        1
    }
    fn traits(&self) -> Traits {
        Traits {
            threading: Threading::Caller,
            ..Traits::PURE
        }
    }
    fn eval(
        &self,
        _: &mut Cx<'_>,
        x: ndarray::ArrayView2<'_, f64>,
        l: Option<ndarray::ArrayViewMut1<'_, f64>>,
        _: Option<ndarray::ArrayViewMut2<'_, f64>>,
    ) -> Result {
        assert_eq!(std::thread::current().id(), self.0);
        assert_eq!(x.nrows(), 2000);
        l.unwrap().fill(0.0);
        Ok(())
    }
}

#[test]
fn a_caller_bound_target_is_called_on_the_callers_thread_alone() {
    let mut rt = Runtime::new(1, 3).unwrap();
    let target = Bound(std::thread::current().id());
    let (x, mut l) = (Array2::zeros((2000, 1)), Array1::zeros(2000));
    rt.enter("test", 0, |cx| {
        cx.eval_target(&target, x.view(), Some(l.view_mut()), None)
            .unwrap();
        let from_a_block = cx.rows(2000, (x.view(), l.view_mut()), |cx, _, (x, l)| {
            cx.eval_target(&target, x, Some(l), None)
        });
        assert_eq!(from_a_block.unwrap_err().status(), Status::Thread);
    });
}

#[test]
fn bounds_keep_log_z_and_the_gradient() {
    // Exponential on (0, ∞) times uniform on (−1, 3) times 2 − x on (−∞, 2): Z = 1 · 4 · ∫e^{x−2} = 4.
    let density = PointTarget::new(4, |x, g| {
        g.copy_from_slice(&[-1.0, 0.0, 1.0, -x[3]]);
        -x[0] + x[2] - 2.0 - 0.5 * x[3] * x[3]
    });
    let inf = f64::INFINITY;
    let bounded = Bounded::new(
        std::sync::Arc::new(density),
        &[0.0, -1.0, -inf, -inf],
        &[inf, 3.0, 2.0, inf],
    )
    .unwrap();
    let mut rt = Runtime::new(3, 1).unwrap();
    rt.enter("test", 0, |cx| {
        let mut y = Array2::zeros((200_000, 4));
        cx.fill_normal(y.view_mut());
        y.mapv_inplace(|v| 2.0 * v);
        let report = check::gradient(cx, &bounded, y.slice(s![..5, ..])).unwrap();
        assert!(report.worst < 1e-8 && report.points == 5, "{report:?}");
        let mut l = Array1::zeros(y.nrows());
        cx.eval_target(&bounded, y.view(), Some(l.view_mut()), None)
            .unwrap();
        let base = |y: ndarray::ArrayView1<'_, f64>| {
            -0.125 * y.dot(&y) - 4.0 * (2.0 * (2.0 * std::f64::consts::PI).sqrt()).ln()
        };
        let w: Vec<f64> = l
            .iter()
            .zip(y.rows())
            .map(|(l, y)| (l - base(y)).exp())
            .collect();
        let (n, mean) = (w.len() as f64, w.iter().sum::<f64>() / w.len() as f64);
        let se = (w.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / (n * (n - 1.0))).sqrt();
        let truth = 4.0 * (2.0 * std::f64::consts::PI).sqrt();
        assert!(
            (mean - truth).abs() < 4.5 * se && se < 0.05 * truth,
            "{mean} {truth} {se}"
        );
        let mut x = Array2::zeros(y.dim());
        bounded.to_natural(y.view(), x.view_mut());
        assert!(
            x.rows()
                .into_iter()
                .all(|x| x[0] > 0.0 && x[1] > -1.0 && x[1] < 3.0 && x[2] < 2.0)
        );
        let mut back = Array2::zeros(y.dim());
        bounded.to_unconstrained(x.view(), back.view_mut());
        assert!((&back - &y).iter().all(|e| e.abs() < 1e-6));
    });
}

#[test]
fn wrong_limits_are_refused_by_name() {
    let target: std::sync::Arc<dyn Target> = std::sync::Arc::new(quadratic(2));
    for (a, b, key) in [
        (vec![0.0], vec![1.0, 1.0], "bounds.lower"),
        (vec![0.0, 2.0], vec![1.0, 1.0], "bounds.lower[1]"),
        (vec![0.0, f64::NAN], vec![1.0, 1.0], "bounds.lower[1]"),
    ] {
        let e = Bounded::new(target.clone(), &a, &b)
            .unwrap_err()
            .to_string();
        assert!(e.contains(key), "{e}");
    }
}

#[test]
fn streams_of_their_own_differ_between_blocks_and_not_between_threads() {
    use rand_core::Rng;
    let draw = |threads| {
        let mut rt = Runtime::new(7, threads).unwrap();
        let mut first = Array1::<f64>::zeros(3000);
        rt.enter("test", 0, |cx| {
            cx.rows(3000, first.view_mut(), |cx, _, mut out| {
                out[0] = cx.rng().next_u32().into();
                Ok(())
            })
        })
        .unwrap();
        first.iter().copied().step_by(BLOCK).collect::<Vec<f64>>()
    };
    let one = draw(1);
    for i in 0..one.len() {
        assert!(!one[..i].contains(&one[i]), "block {i} repeats another");
    }
    assert_eq!(one, draw(3));
}

#[test]
fn a_run_of_rows_continues_the_fill_wherever_it_begins() {
    let z = normals(1, 5000, 3);
    for threads in [1, 3] {
        for from in [0, 1, 100, 256, 300] {
            let mut rt = Runtime::new(7, threads).unwrap();
            let (mut a, mut b) = (
                Array2::zeros((5000 - from, 3)),
                Array2::zeros((5000 - from, 3)),
            );
            rt.enter("test", 0, |cx| {
                cx.from_row(from).fill_normal(a.view_mut());
                cx.from_row(from)
                    .rows(5000 - from, b.view_mut(), |cx, _, b| {
                        cx.fill_normal(b);
                        Ok(())
                    })
            })
            .unwrap();
            assert!(
                a == z.slice(s![from.., ..]) && b == a,
                "from row {from} on {threads} threads"
            );
        }
    }
}

/// Flat, and remembers the largest batch; −∞ and a gradient of ∞ where a coordinate is 0 or infinite.
struct Watched {
    traits: Traits,
    dim: usize,
    largest: std::sync::atomic::AtomicUsize,
}

impl Watched {
    fn new(threading: Threading, dim: usize) -> Self {
        Self {
            traits: Traits {
                threading,
                ..Traits::PURE
            },
            dim,
            largest: 0.into(),
        }
    }
}

impl Target for Watched {
    fn dim(&self) -> usize {
        self.dim
    }
    fn traits(&self) -> Traits {
        self.traits
    }
    fn eval(
        &self,
        _: &mut Cx<'_>,
        x: ndarray::ArrayView2<'_, f64>,
        l: Option<ndarray::ArrayViewMut1<'_, f64>>,
        g: Option<ndarray::ArrayViewMut2<'_, f64>>,
    ) -> Result {
        self.largest
            .fetch_max(x.nrows(), std::sync::atomic::Ordering::Relaxed);
        if let Some(mut l) = l {
            l.assign(
                &x.rows()
                    .into_iter()
                    .map(|x| x.sum().ln())
                    .collect::<Array1<_>>(),
            );
        }
        if let Some(mut g) = g {
            for (mut g, x) in g.rows_mut().into_iter().zip(x.rows()) {
                g.fill(1.0 / x.sum());
            }
        }
        Ok(())
    }
}

#[test]
fn a_serial_target_cannot_be_called_from_blocks() {
    let target = Watched::new(Threading::Serial, 1);
    for threads in [1, 3] {
        let mut rt = Runtime::new(1, threads).unwrap();
        let (x, mut l) = (Array2::ones((2000, 1)), Array1::zeros(2000));
        rt.enter("test", 0, |cx| {
            cx.eval_target(&target, x.view(), Some(l.view_mut()), None)
                .unwrap();
            let from_a_block = cx.rows(2000, (x.view(), l.view_mut()), |cx, _, (x, l)| {
                cx.eval_target(&target, x, Some(l), None)
            });
            assert_eq!(from_a_block.unwrap_err().status(), Status::Thread);
        });
    }
    assert_eq!(target.largest.into_inner(), 2000, "a serial batch is whole");
}

#[test]
fn beyond_a_limit_there_is_no_slope_and_no_failure() {
    // The density is −∞ and its slope ∞ on the limit itself, where far points are rounded to.
    let target = std::sync::Arc::new(Watched::new(Threading::Concurrent, 1));
    let bounded = Bounded::new(target, &[0.0], &[f64::INFINITY]).unwrap();
    let y = ndarray::array![[-800.0], [800.0], [-1e40], [0.5]];
    for density in [true, false] {
        let mut rt = Runtime::new(1, 1).unwrap();
        let (mut l, mut g) = (Array1::zeros(4), Array2::zeros((4, 1)));
        rt.enter("test", 0, |cx| {
            let l = density.then(|| l.view_mut());
            cx.eval_target(&bounded, y.view(), l, Some(g.view_mut()))
        })
        .unwrap();
        assert_eq!(rt.counts().failed, 0, "{:?}", rt.counts());
        // ln x + ln |dx/dy| = 2y.
        assert_eq!(g.column(0).slice(s![..3]), ndarray::array![0.0, 0.0, 0.0]);
        assert!((g[(3, 0)] - 2.0).abs() < 1e-12);
        let want = if density { f64::NEG_INFINITY } else { 0.0 };
        assert_eq!(l.slice(s![..3]), ndarray::array![want, want, want]);
    }
}

#[test]
fn the_gradient_of_many_coordinates_is_checked_in_small_batches() {
    // A serial target gets each batch whole.
    let target = Watched::new(Threading::Serial, 300);
    let mut rt = Runtime::new(3, 1).unwrap();
    let x = Array2::from_shape_fn((2, 300), |(_, j)| 1.0 + j as f64);
    let report = rt
        .enter("test", 0, |cx| check::gradient(cx, &target, x.view()))
        .unwrap();
    assert!(report.worst < 1e-8 && report.points == 2, "{report:?}");
    assert_eq!(rt.counts().rows, 2 * (1 + 4 * 300));
    assert!(target.largest.into_inner() <= 256);
}

#[test]
fn between_two_limits_the_gradient_is_that_of_the_density() {
    let density = PointTarget::new(1, |x, g| {
        g[0] = 3.0 - x[0];
        3.0 * x[0] - 0.5 * x[0] * x[0]
    });
    let bounded = Bounded::new(std::sync::Arc::new(density), &[-1.0], &[4.0]).unwrap();
    let y = ndarray::array![[-6.0], [-1.0], [0.0], [0.7], [5.0]];
    let mut rt = Runtime::new(3, 1).unwrap();
    let report = rt
        .enter("test", 0, |cx| check::gradient(cx, &bounded, y.view()))
        .unwrap();
    assert!(report.worst < 1e-8 && report.points == 5, "{report:?}");
}

#[test]
fn a_batch_that_is_not_row_by_row_is_never_split() {
    let mut target = Watched::new(Threading::Concurrent, 1);
    target.traits.rowwise = false;
    for threads in [1, 3] {
        let mut rt = Runtime::new(1, threads).unwrap();
        let (x, mut l) = (Array2::ones((2000, 1)), Array1::zeros(2000));
        rt.enter("test", 0, |cx| {
            cx.eval_target(&target, x.view(), Some(l.view_mut()), None)
        })
        .unwrap();
        assert_eq!(
            target.largest.swap(0, std::sync::atomic::Ordering::Relaxed),
            2000
        );
    }
}

/// Its log density is noise: normals by row, and a stream of its own.
struct Noise;

impl Target for Noise {
    fn dim(&self) -> usize {
        1
    }
    fn traits(&self) -> Traits {
        Traits {
            deterministic: false,
            ..Traits::PURE
        }
    }
    fn eval(
        &self,
        cx: &mut Cx<'_>,
        _: ndarray::ArrayView2<'_, f64>,
        l: Option<ndarray::ArrayViewMut1<'_, f64>>,
        _: Option<ndarray::ArrayViewMut2<'_, f64>>,
    ) -> Result {
        use rand_core::Rng;
        let mut l = l.unwrap();
        cx.fill_normal_1(l.view_mut());
        let common = f64::from(cx.rng().next_u32());
        l += common;
        Ok(())
    }
}

#[test]
fn a_target_that_draws_numbers_has_the_same_bits_on_any_number_of_threads() {
    let values = |threads| {
        let mut rt = Runtime::new(1, threads).unwrap();
        let (x, mut l) = (Array2::zeros((1000, 1)), Array2::zeros((2, 1000)));
        rt.enter("test", 0, |cx| {
            for l in l.rows_mut() {
                cx.eval_target(&Noise, x.view(), Some(l), None).unwrap();
            }
        });
        l
    };
    let one = values(1);
    assert_ne!(one.row(0), one.row(1));
    for threads in [2, 3, 7] {
        assert_eq!(values(threads), one, "{threads} threads");
    }
}

#[test]
fn a_tenth_of_the_rows_may_fail() {
    let target = PointTarget::new(1, |x, _| if x[0] == 0.0 { f64::NAN } else { 0.0 });
    for (failing, stops) in [(100, false), (101, true)] {
        let mut rt = Runtime::new(1, 1).unwrap();
        let x = Array2::from_shape_fn((1000, 1), |(i, _)| f64::from(u8::from(i >= failing)));
        let mut l = Array1::zeros(1000);
        let outcome = rt.enter("test", 0, |cx| {
            cx.eval_target(&target, x.view(), Some(l.view_mut()), None)
        });
        assert_eq!(outcome.is_err(), stops, "{failing}");
        assert_eq!(rt.counts().failed, failing as u64);
    }
}

#[test]
fn no_gradient_is_asked_for_where_there_is_no_mass() {
    let target = PointTarget::new(1, |x, g| {
        g[0] = if x[0] > 0.0 { -1.0 } else { f64::NAN };
        if x[0] > 0.0 { -x[0] } else { f64::NEG_INFINITY }
    });
    let mut rt = Runtime::new(1, 1).unwrap();
    let x = ndarray::array![[-1.0], [2.0]];
    let (mut l, mut g) = (Array1::zeros(2), Array2::ones((2, 1)));
    rt.enter("test", 0, |cx| {
        cx.eval_target(&target, x.view(), Some(l.view_mut()), Some(g.view_mut()))
    })
    .unwrap();
    assert_eq!(rt.counts().failed, 0);
    assert_eq!((l[0], g[(0, 0)]), (f64::NEG_INFINITY, 0.0));
    assert_eq!((l[1], g[(1, 0)]), (-2.0, -1.0));
}
