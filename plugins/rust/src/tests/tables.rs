//! The same through the tables, as a host uses them.

use super::*;
use retrograde_plugin::abi::{RG_KIND_PROCESS, RG_KIND_SAMPLER, RG_KIND_TARGET};

fn process(toml: &str) -> Result<Foreign<rg_process_vtable>> {
    let files = Folder::default();
    let parts = Parts::new(&files).with_target(normal(1));
    made(RG_KIND_PROCESS, "birth-death", toml, &parts)
}

fn sampler(name: &str, toml: &str, d: usize) -> Result<Foreign<rg_sampler_vtable>> {
    let files = Folder::default();
    let parts = Parts::new(&files).with_target(normal(d));
    made(RG_KIND_SAMPLER, name, toml, &parts)
}

#[test]
fn the_process_satisfies_what_every_process_must() {
    let p = process("birth = 3.0\ndeath = 1.5\nt_end = 6.0").unwrap();
    assert_process("plugin", &p, array![[-1.2], [0.4], [3.1]].view());
    assert_eq!(p.support(), (-2.0, f64::INFINITY));
    assert!(p.autonomous() && p.traits() == Traits::PURE);
}

#[test]
fn the_target_has_its_names_outputs_and_hessian() {
    let files = Folder::default();
    let made =
        made::<rg_target_vtable>(RG_KIND_TARGET, "student-t", "dim = 2", &Parts::new(&files));
    let target = made.unwrap();
    assert_eq!((target.dim(), target.coordinate(1).as_str()), (2, "t1"));
    let x = array![[3.0, 4.0]];
    let direct = eval(
        &StudentT {
            dim: 2,
            degrees: 4.0,
            scale: 1.0,
        },
        &[3.0, 4.0],
    );
    assert_eq!(eval(&target, &[3.0, 4.0]), direct);
    let outputs = target.outputs().unwrap();
    let mut out = Array2::zeros((1, 1));
    with_cx(0, |cx| outputs.eval(cx, x.view(), out.view_mut())).unwrap();
    assert_eq!((outputs.name(0).as_str(), out[(0, 0)]), ("radius", 5.0));
    let mut out = Array2::zeros((1, 2));
    // At x along v = x: (−c + 2c r²/(ν + r²)) x, c = 6/29, r² = 25.
    with_cx(0, |cx| {
        target
            .hvp()
            .unwrap()
            .hvp(cx, x.view(), x.view(), out.view_mut())
    })
    .unwrap();
    let factor = 6.0 / 29.0 * (50.0 / 29.0 - 1.0);
    assert!(
        (out[(0, 0)] - 3.0 * factor).abs() < 1e-15 && (out[(0, 1)] - 4.0 * factor).abs() < 1e-15
    );
}

#[test]
fn samplers_have_the_same_bits_as_without_the_tables_on_any_threads() {
    let n = 3000;
    let own = Slice {
        chains: 1500,
        warmup: 10,
        ..Slice::default()
    };
    let direct = bits(&run(&Chains::new(own, normal(2)).unwrap(), 2, n, 1).unwrap());
    let plugin = sampler("slice", "chains = 1500\nwarmup = 10", 2).unwrap();
    for threads in [1, 2, 7] {
        assert_eq!(
            bits(&run(&plugin, 2, n, threads).unwrap()),
            direct,
            "{threads} threads"
        );
    }
    let files = Folder::default();
    let parts = Parts::new(&files).with_target(normal(2));
    let own = Ula {
        chains: 1500,
        warmup: 10,
        ..Ula::default()
    };
    let built_in: Arc<dyn Sampler> = own.build(&parts).unwrap();
    let direct = bits(&run(&*built_in, 2, n, 1).unwrap());
    let plugin = sampler("ula", "chains = 1500\nwarmup = 10", 2).unwrap();
    for threads in [1, 2, 7] {
        assert_eq!(
            bits(&run(&plugin, 2, n, threads).unwrap()),
            direct,
            "{threads} threads"
        );
    }
    // Another seed of the streams gives others.
    let other = sampler("ula", "chains = 1500\nwarmup = 11", 2).unwrap();
    assert_ne!(bits(&run(&other, 2, n, 1).unwrap()), direct);
}

/// Stops after ten steps.
struct Stop(Collected, Cancel, Option<Checkpoint>);

impl Sink for Stop {
    fn set_chains(&mut self, chains: usize) -> Result {
        self.0.set_chains(chains)
    }
    fn emit(&mut self, draws: &Draws<'_>) -> Result {
        self.0.emit(draws)
    }
    fn scalar(&mut self, _: &str, _: f64) {}
    fn record(&mut self, _: &str, _: &[(&str, f64)]) {}
    fn flag(&mut self, _: Flag) {}
    fn progress(&mut self, _: f64) {}
}

impl Observer for Stop {
    fn after_step(
        &mut self,
        step: u64,
        _: &Counts,
        _: &mut dyn FnMut() -> Result<Checkpoint>,
    ) -> Result {
        if step == 10 {
            self.1.request();
        }
        Ok(())
    }
    fn cancelled(&mut self, checkpoint: Checkpoint) -> Result {
        self.2 = Some(checkpoint);
        Ok(())
    }
}

#[test]
fn a_resumed_run_has_the_bits_of_an_uninterrupted_one() {
    let toml = "chains = 50\nwarmup = 8";
    let (first, second) = (
        sampler("slice", toml, 2).unwrap(),
        sampler("slice", toml, 2).unwrap(),
    );
    let n = 1000;
    let mut runtime = Runtime::new(3, 1).unwrap();
    let mut stop = Stop(Collected::new(2), runtime.cancel(), None);
    drive(&first, &mut runtime, n, None, &mut stop).unwrap();
    let checkpoint = stop.2.as_ref().unwrap();
    assert!(checkpoint.state.is_some() && checkpoint.step == 10);
    // By another object, as after a restart.
    let mut rest = Collected::new(2);
    drive(
        &second,
        &mut Runtime::new(3, 2).unwrap(),
        n,
        Some(checkpoint),
        &mut rest,
    )
    .unwrap();
    let mut all = bits(&stop.0);
    assert_eq!(all.len(), 2 * 50 * 2);
    all.extend(bits(&rest));
    assert_eq!(all, bits(&run(&first, 2, n, 1).unwrap()));
    // The state of other settings is refused.
    let other = sampler("slice", "chains = 50\nwarmup = 9", 2).unwrap();
    let again = drive(
        &other,
        &mut Runtime::new(3, 1).unwrap(),
        n,
        Some(checkpoint),
        &mut rest,
    );
    assert!(matches!(again, Err(Error::State { .. })), "{again:?}");
}

#[test]
fn wrong_parameters_arrive_with_their_key_and_what_would_be_right() {
    let error = process("birth = 0.1\ndeath = 8.0").map(|_| ()).unwrap_err();
    let Error::Setting {
        key,
        given,
        allowed,
        ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!((key.as_str(), given.as_str()), ("birth", "0.1"));
    assert!(allowed.contains("at least death/4 = 2"), "{allowed}");
    let error = sampler("slice", "withd = 2.0", 1)
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(error.contains("withd"), "{error}");
    let error = sampler("slice", "width = [1.0, 2.0]", 3)
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(error.contains("a list of 3"), "{error}");
}

#[test]
fn rows_outside_of_the_support_and_nan_do_no_harm() {
    let p = process("").unwrap();
    let x = aview1(&[-7.0, f64::NAN, 1.0]).insert_axis(retrograde_plugin::ndarray::Axis(1));
    let (mut l, mut g) = (Array1::zeros(3), Array2::zeros((3, 1)));
    with_cx(0, |cx| {
        p.reference_eval(cx, x, Some(l.view_mut()), Some(g.view_mut()))
    })
    .unwrap();
    assert_eq!((l[0], g[(0, 0)]), (f64::NEG_INFINITY, 0.0));
    assert!(l[1].is_nan() && l[2].is_finite());
    let none = Array2::zeros((0, 1));
    let mut out = Array2::zeros((0, 1));
    with_cx(0, |cx| {
        p.drift(cx, Times::Shared(0.1), none.view(), out.view_mut())
    })
    .unwrap();
}
