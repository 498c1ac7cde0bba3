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
fn a_wrong_gradient_is_found() {
    let target = PointTarget::new(2, |x, g| {
        g[0] = -x[0];
        g[1] = 2.0 * x[1];
        -0.5 * x[0] * x[0] - x[1] * x[1]
    });
    let mut rt = Runtime::new(3, 1).unwrap();
    let x = ndarray::array![[1.0, 1.0]];
    let report = rt
        .enter("test", 0, |cx| check::gradient(cx, &target, x.view()))
        .unwrap();
    let at = report.at.unwrap();
    assert!(report.worst > 1.0 && at.coordinate == 1 && (at.difference + 2.0).abs() < 1e-8);
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

/// Random walk that emits its position: the smallest algorithm with a state.
struct Walk;
impl Algorithm for Walk {
    type State = (Array2<f64>, usize);
    fn name(&self) -> &str {
        "walk"
    }
    fn traits(&self) -> Traits {
        Traits::PURE
    }
    fn init(&self, cx: &mut Cx<'_>, n: usize) -> Result<Self::State> {
        let mut x = Array2::zeros((n, 2));
        cx.fill_normal(x.view_mut());
        Ok((x, 0))
    }
    fn step(&self, cx: &mut Cx<'_>, (x, k): &mut Self::State, sink: &mut dyn Sink) -> Result<Flow> {
        let mut z = Array2::zeros(x.dim());
        cx.fill_normal(z.view_mut());
        *x += &z;
        *k += 1;
        sink.emit(&Draws {
            x: x.view(),
            log_weights: None,
            stats: &[],
        })?;
        Ok(if *k == 10 { Flow::Done } else { Flow::More })
    }
}

struct StopAfter(u64, Cancel, Collected, Option<drive::Checkpoint>);
impl Sink for StopAfter {
    fn set_chains(&mut self, c: usize) -> Result {
        self.2.set_chains(c)
    }
    fn emit(&mut self, d: &Draws<'_>) -> Result {
        self.2.emit(d)
    }
    fn scalar(&mut self, k: &str, v: f64) {
        self.2.scalar(k, v);
    }
    fn record(&mut self, t: &str, r: &[(&str, f64)]) {
        self.2.record(t, r);
    }
    fn flag(&mut self, f: Flag) {
        self.2.flag(f);
    }
    fn progress(&mut self, _: f64) {}
}
impl drive::Observer for StopAfter {
    fn after_step(
        &mut self,
        step: u64,
        _: &Counts,
        _: &mut dyn FnMut() -> Result<drive::Checkpoint>,
    ) -> Result {
        if step == self.0 {
            self.1.request();
        }
        Ok(())
    }
    fn cancelled(&mut self, c: drive::Checkpoint) -> Result {
        self.3 = Some(c);
        Ok(())
    }
}

#[test]
fn a_resumed_run_has_the_bits_of_an_uninterrupted_one() {
    let mut whole = Collected::new(2);
    let mut rt = Runtime::new(5, 1).unwrap();
    let outcome = drive::drive(&Walk, &mut rt, 300, None, &mut whole).unwrap();
    assert_eq!(
        outcome,
        drive::Outcome {
            complete: true,
            steps: 10
        }
    );

    let mut rt = Runtime::new(5, 2).unwrap();
    let mut first = StopAfter(4, rt.cancel(), Collected::new(2), None);
    let outcome = drive::drive(&Walk, &mut rt, 300, None, &mut first).unwrap();
    assert_eq!(
        outcome,
        drive::Outcome {
            complete: false,
            steps: 4
        }
    );
    let mut rest = Collected::new(2);
    let mut rt = Runtime::new(5, 7).unwrap();
    drive::drive(&Walk, &mut rt, 300, first.3.as_ref(), &mut rest).unwrap();
    let joined = ndarray::concatenate(Axis(0), &[first.2.rows(), rest.rows()]).unwrap();
    assert_eq!(whole.rows(), joined);

    let mut broken = first.3.unwrap();
    broken.state.as_mut().unwrap().truncate(20);
    let error = drive::drive(&Walk, &mut rt, 300, Some(&broken), &mut rest).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("walk: the saved state cannot be read"),
        "{error}"
    );
}

/// Asks to be stopped at its step, and looks whether it was at once.
struct Stubborn(Cancel, u32);
impl Algorithm for Stubborn {
    type State = u32;
    fn name(&self) -> &str {
        "stubborn"
    }
    fn traits(&self) -> Traits {
        Traits::PURE
    }
    fn init(&self, _: &mut Cx<'_>, _: usize) -> Result<u32> {
        Ok(0)
    }
    fn step(&self, cx: &mut Cx<'_>, steps: &mut u32, _: &mut dyn Sink) -> Result<Flow> {
        (0..self.1).for_each(|_| self.0.request());
        cx.check_cancelled()?;
        *steps += 1;
        Ok(Flow::More)
    }
}

#[test]
fn one_request_stops_after_a_step_and_two_inside_it() {
    for (requests, steps, saved) in [(1, 1, true), (2, 0, false)] {
        let mut rt = Runtime::new(5, 1).unwrap();
        let sampler = Stubborn(rt.cancel(), requests);
        let mut watch = StopAfter(u64::MAX, Cancel::default(), Collected::new(2), None);
        let outcome = drive::drive(&sampler, &mut rt, 1, None, &mut watch).unwrap();
        let stopped = drive::Outcome {
            complete: false,
            steps,
        };
        assert_eq!(outcome, stopped);
        assert_eq!(watch.3.is_some(), saved);
    }
}

/// Keeps a checkpoint of every step.
struct SaveAll(Collected, Vec<drive::Checkpoint>);
impl Sink for SaveAll {
    fn set_chains(&mut self, c: usize) -> Result {
        self.0.set_chains(c)
    }
    fn emit(&mut self, d: &Draws<'_>) -> Result {
        self.0.emit(d)
    }
    fn scalar(&mut self, _: &str, _: f64) {}
    fn record(&mut self, _: &str, _: &[(&str, f64)]) {}
    fn flag(&mut self, _: Flag) {}
    fn progress(&mut self, _: f64) {}
}
impl drive::Observer for SaveAll {
    fn after_step(
        &mut self,
        _: u64,
        _: &Counts,
        save: &mut dyn FnMut() -> Result<drive::Checkpoint>,
    ) -> Result {
        self.1.push(save()?);
        Ok(())
    }
}

#[test]
fn a_run_resumed_from_its_last_step_takes_no_further_one() {
    let mut rt = Runtime::new(5, 1).unwrap();
    let mut all = SaveAll(Collected::new(2), Vec::new());
    let whole = drive::drive(&Walk, &mut rt, 3, None, &mut all).unwrap();
    for (k, checkpoint) in all.1.iter().enumerate() {
        let mut rest = Collected::new(2);
        let outcome = drive::drive(&Walk, &mut rt, 3, Some(checkpoint), &mut rest).unwrap();
        assert_eq!(outcome, whole);
        assert_eq!(rest.rows().nrows(), 3 * (9 - k));
    }
}
