//! The outer loop: a resumed run has the bits of an uninterrupted one.

use ndarray::{Array2, Axis};
use retrograde_core::*;

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
