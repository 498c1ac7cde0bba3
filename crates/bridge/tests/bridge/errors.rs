//! Statuses, words, panics: what is said on one side is heard on the other.

use crate::plugged::{closure_sampler, closure_target, eval, one_step, plug, with_cx};
use crate::samplers::{Watch, plugged, skew};
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_abi::*;
use retrograde_bridge::export::keep_panics;
use retrograde_bridge::{Foreign, host};
use retrograde_core::registry::{Folder, Parts};
use retrograde_core::{
    Algorithm, Build, Cx, Draws, Error, Flag, Flow, Result, Runtime, Sampler, Score, Sink, Status,
    Target, Times, Traits,
};
use std::sync::Arc;

/// Panics in the function that it is told to.
struct Panics(&'static str);

impl Target for Panics {
    fn dim(&self) -> usize {
        2
    }
    fn coordinate(&self, i: usize) -> String {
        assert_ne!(self.0, "name", "no name {i}");
        "x".into()
    }
    fn eval(
        &self,
        _: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        _: Option<ArrayViewMut1<'_, f64>>,
        _: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        assert_ne!(self.0, "eval", "{} rows are too many", x.nrows());
        Ok(())
    }
}

impl Score for Panics {
    fn dim(&self) -> usize {
        2
    }
    fn traits(&self) -> Traits {
        Traits::PURE
    }
    fn eval(
        &self,
        _: &mut Cx<'_>,
        _: Times<'_>,
        x: ArrayView2<'_, f64>,
        _: ArrayViewMut2<'_, f64>,
    ) -> Result {
        panic!("a score of {} rows", x.nrows())
    }
}

/// A panic is told with its words and its place, and the object is not used any more.
fn assert_panicked(error: &Error, words: &str) {
    let Error::Panic { message } = error else {
        panic!("{error}");
    };
    let place = concat!("tests/bridge/", "errors.rs:");
    assert!(
        message.contains(words) && message.contains(place),
        "{message}"
    );
}

#[test]
fn a_panic_is_an_error_with_words_and_place_and_ends_the_object() {
    keep_panics();
    let target: Foreign<rg_target_vtable> = plug(Arc::new(Panics("eval")) as Arc<dyn Target>);
    let error = with_cx(1, |cx| eval(&target, cx, 7)).unwrap_err();
    assert_panicked(&error, "7 rows are too many");
    let error = with_cx(1, |cx| eval(&target, cx, 7)).unwrap_err();
    assert!(matches!(error, Error::Poisoned { .. }), "{error}");

    // In a function that can return no error: the next call tells it.
    let target: Foreign<rg_target_vtable> = plug(Arc::new(Panics("name")) as Arc<dyn Target>);
    assert_eq!(target.coordinate(1), "x1");
    let error = with_cx(1, |cx| eval(&target, cx, 7)).unwrap_err();
    assert_panicked(&error, "no name 1");
    let error = with_cx(1, |cx| eval(&target, cx, 7)).unwrap_err();
    assert!(matches!(error, Error::Poisoned { .. }), "{error}");

    let score: Foreign<rg_score_vtable> = plug(Arc::new(Panics("")) as Arc<dyn Score>);
    let error = with_cx(1, |cx| {
        let (x, mut out) = (
            ndarray::Array2::zeros((3, 2)),
            ndarray::Array2::zeros((3, 2)),
        );
        Score::eval(&score, cx, Times::Shared(0.1), x.view(), out.view_mut())
    })
    .unwrap_err();
    assert_panicked(&error, "a score of 3 rows");
}

/// A sampler that fails in the way that it is told.
#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Failing {
    how: String,
}

struct FailingRun(Failing, Arc<dyn Target>);

impl Build<dyn Sampler> for Failing {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        match self.how.as_str() {
            "setting" => return Err(Error::setting("it", "how", "so", "otherwise")),
            "build" => panic!("cannot be built"),
            "file" => drop(parts.files.read("no such file".as_ref())?),
            _ => {}
        }
        let target = parts.require_target("failing")?;
        Ok(Arc::new(FailingRun(self, target)))
    }
}

impl Algorithm for FailingRun {
    type State = u64;
    fn name(&self) -> &str {
        "failing"
    }
    fn traits(&self) -> Traits {
        self.1.traits()
    }
    fn init(&self, _: &mut Cx<'_>, n: usize) -> Result<u64> {
        assert_ne!(self.0.how, "start", "no start of {n}");
        Ok(0)
    }
    fn step(&self, cx: &mut Cx<'_>, _: &mut u64, sink: &mut dyn Sink) -> Result<Flow> {
        let x = ndarray::Array2::zeros((600, self.1.dim()));
        let mut l = ndarray::Array1::zeros(600);
        match self.0.how.as_str() {
            "step" => panic!("no step"),
            "block" => cx.rows(600, (), |_, range, ()| {
                assert!(range.start < 256, "no block at {}", range.start);
                Ok(())
            })?,
            "breakdown" => {
                // An error of the host that it got over has nothing to do with its own.
                let _ = cx.eval_target(&*self.1, x.view(), Some(l.view_mut()), None);
                return Err(Error::Breakdown {
                    component: "failing".into(),
                    message: "it broke".into(),
                    advice: "mend it".into(),
                });
            }
            "target" => cx.eval_target(&*self.1, x.view(), Some(l.view_mut()), None)?,
            "target in blocks" => cx.rows(600, l.view_mut(), |cx, range, l| {
                let x = x.slice(ndarray::s![range, ..]);
                cx.eval_target(&*self.1, x, Some(l), None)
            })?,
            "emit" => sink.emit(&Draws {
                x: x.view(),
                log_weights: None,
                stats: &[],
            })?,
            "progress" => sink.progress(7.0),
            how => panic!("{how}?"),
        }
        Ok(Flow::Done)
    }
}

fn failing(how: &str, target: Arc<dyn Target>) -> Result<crate::samplers::Plugged> {
    let files = Folder::default();
    let parts = Parts::new(&files).with_target(target);
    plugged::<Failing>(&format!("how = {how:?}"), &parts)
}

fn step_error(how: &str, target: Arc<dyn Target>, threads: usize) -> Error {
    let sampler = failing(how, target).unwrap();
    one_step(&sampler, &mut Watch::new(3), threads).unwrap_err()
}

#[test]
fn panics_of_a_plugged_in_sampler_are_told_wherever_they_are() {
    keep_panics();
    assert_panicked(&failing("build", skew()).unwrap_err(), "cannot be built");
    assert_panicked(&step_error("start", skew(), 1), "no start of 4");
    assert_panicked(&step_error("step", skew(), 1), "no step");
    for threads in [1, 3] {
        // Also of a block on another thread.
        assert_panicked(&step_error("block", skew(), threads), "no block at");
    }
    let sampler = failing("step", skew()).unwrap();
    with_cx(1, |cx| {
        let mut run = sampler.start(cx, 4).unwrap();
        let mut sink = Watch::new(3);
        run.step(cx, &mut sink).unwrap_err();
        assert!(matches!(
            run.step(cx, &mut sink),
            Err(Error::Poisoned { .. })
        ));
        assert!(matches!(run.save(), Err(Error::Poisoned { .. })));
        assert!(matches!(
            sampler.start(cx, 4).err(),
            Some(Error::Poisoned { .. })
        ));
    });
}

/// Fails with an error that only the host knows in full.
struct Fails;

impl Target for Fails {
    fn dim(&self) -> usize {
        3
    }
    fn eval(
        &self,
        _: &mut Cx<'_>,
        _: ArrayView2<'_, f64>,
        _: Option<ArrayViewMut1<'_, f64>>,
        _: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        Err(Error::Data {
            file: "a.csv".into(),
            line: Some(3),
            column: Some(4),
            message: "no number".into(),
        })
    }
}

#[test]
fn an_error_of_the_host_deep_inside_a_plugin_comes_out_as_it_went_in() {
    for how in ["target", "target in blocks"] {
        for threads in [1, 3] {
            let error = step_error(how, Arc::new(Fails), threads);
            assert!(
                matches!(
                    &error,
                    Error::Data {
                        line: Some(3),
                        column: Some(4),
                        ..
                    }
                ),
                "{how} on {threads}: {error:?}"
            );
        }
    }
    // Of the sink.
    struct Full;
    impl Sink for Full {
        fn set_chains(&mut self, _: usize) -> Result {
            Ok(())
        }
        fn emit(&mut self, draws: &Draws<'_>) -> Result {
            Err(Error::Incomplete {
                what: format!("{} draws", draws.x.nrows()),
            })
        }
        fn scalar(&mut self, _: &str, _: f64) {}
        fn record(&mut self, _: &str, _: &[(&str, f64)]) {}
        fn flag(&mut self, _: Flag) {}
        fn progress(&mut self, _: f64) {}
    }
    let sampler = failing("emit", skew()).unwrap();
    let error = one_step(&sampler, &mut Full, 1).unwrap_err();
    assert!(
        matches!(&error, Error::Incomplete { what } if what == "600 draws"),
        "{error}"
    );
    // Of files and settings.
    let error = failing("file", skew()).unwrap_err();
    assert!(
        matches!(&error, Error::Io { path, .. } if path.ends_with("no such file")),
        "{error}"
    );
    let error = failing("setting", skew()).unwrap_err();
    assert!(
        matches!(&error, Error::Setting { component, key, .. } if component == "sampler test" && key == "how"),
        "{error}"
    );
}

#[test]
fn the_plugins_own_words_are_not_lost_to_an_error_of_the_host_before_them() {
    let error = step_error("breakdown", Arc::new(Fails), 1);
    assert!(error.to_string().contains("it broke; mend it"), "{error}");
    assert_eq!(error.status(), Status::Numeric);
}

#[test]
fn what_the_sink_may_not_be_given_fails_the_step() {
    let error = step_error("progress", skew(), 1);
    assert!(error.to_string().contains("from 0 to 1"), "{error}");
}

#[test]
fn settings_that_cannot_be_read_name_their_key() {
    let files = Folder::default();
    let parts = Parts::new(&files).with_target(skew());
    let error = plugged::<Failing>("how = 3", &parts).unwrap_err();
    assert_eq!(error.status(), Status::Config);
    assert!(error.to_string().contains("how"), "{error}");
}

fn status(code: rg_status, words: Option<&'static std::ffi::CStr>) -> Error {
    let target = closure_target(RG_THREAD_SERIAL, move |call, _, _, _, _| {
        if let Some(words) = words {
            // SAFETY: as the header says.
            return unsafe { host().fail.unwrap()(call, code, words.as_ptr()) };
        }
        code
    });
    with_cx(1, |cx| eval(&target, cx, 1)).unwrap_err()
}

#[test]
fn statuses_keep_their_codes_and_words() {
    for code in [99, -7, i32::MIN, i32::MAX] {
        match status(code, None) {
            Error::Callback {
                code: told,
                component,
                ..
            } => {
                assert_eq!(told, code);
                assert_eq!(component, "the component under test");
            }
            other => panic!("{other}"),
        }
    }
    for code in 1..=20 {
        let (silent, said) = (status(code, None), status(code, Some(c"wörter")));
        assert_eq!(silent.status() as i32, code, "{silent}");
        assert_eq!(said.status() as i32, code, "{said}");
        if code != RG_ERR_CANCELLED && code != RG_ERR_POISONED {
            assert!(said.to_string().contains("wörter"), "{code}: {said}");
        }
    }
    assert!(matches!(status(RG_ERR_CANCELLED, None), Error::Cancelled));
    // `fail` with RG_OK is no success.
    assert_eq!(status(RG_OK, Some(c"x")).status(), Status::Callback);
    // Bytes that are no text are shown as far as they are.
    let bytes = c"caf\xe9";
    assert!(status(5, Some(bytes)).to_string().contains("caf\u{FFFD}"));
}

#[test]
fn words_of_a_plugin_for_an_error_of_the_host_keep_both() {
    let sampler = closure_sampler(|call, _| {
        let host = host();
        // SAFETY: as the header says.
        unsafe {
            let code = host.progress.unwrap()(call, 7.0);
            host.fail.unwrap()(call, code, c"while telling".as_ptr())
        }
    });
    let text = one_step(&sampler, &mut Watch::new(2), 1)
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("while telling") && text.contains("from 0 to 1"),
        "{text}"
    );
}

#[test]
fn a_sampler_that_does_not_say_whether_it_is_done_is_refused() {
    let sampler = closure_sampler(|_, done| {
        // SAFETY: the host's place.
        unsafe { done.write(7) };
        RG_OK
    });
    let error = one_step(&sampler, &mut Watch::new(2), 1).unwrap_err();
    assert!(error.to_string().contains("must be 0 or 1"), "{error}");
}

#[test]
fn a_call_that_was_moved_is_put_back() {
    let target = closure_target(RG_THREAD_SERIAL, |call, _, _, l, _| {
        let host = host();
        // SAFETY: as the header says.
        unsafe {
            let mut frame: rg_frame = std::mem::zeroed();
            frame.struct_size = size_of::<rg_frame>();
            host.tell.unwrap()(call, &raw mut frame);
            frame.key0 ^= 5;
            frame.fills = 77;
            frame.row0 = 3;
            frame.inside = 1;
            host.seek.unwrap()(call, &raw const frame);
            host.rng_normal.unwrap()(call, 1, 1, l);
        }
        RG_OK
    });
    let mut runtime = Runtime::new(1, 1).unwrap();
    runtime.enter("x", 0, |cx| {
        let before = cx.position();
        eval(&target, cx, 1).unwrap();
        assert_eq!(cx.position(), before);
    });
}
