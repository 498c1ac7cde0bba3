use super::*;
use ndarray::{ArrayView2, ArrayViewMut2};
use retrograde_core::{Algorithm, BatchTarget, Collected, Runtime, Sampler, Traits, drive::drive};
use std::sync::Arc;

/// x′ = x + 0.1 ∇ℓ(x) + noise, for ten moves.
struct Plain(Arc<dyn Target>, f64);

impl Guide for Plain {
    fn component(&self) -> &'static str {
        "sampler plain"
    }
    fn target(&self) -> &dyn Target {
        &*self.0
    }
    fn moves(&self) -> u64 {
        10
    }
    fn place(&self, _: u64, x: &[f64], y: &mut [f64]) {
        y.copy_from_slice(x);
    }
    fn shift(&self, _: u64, x: &[f64], gradient: &[f64], z: &mut [f64]) {
        for (z, (x, g)) in z.iter_mut().zip(x.iter().zip(gradient)) {
            *z = x + 0.1 * g + self.1 * *z;
        }
    }
    fn arrive(&self, _: &mut [f64]) {}
    fn step_size(&self) -> f64 {
        0.1
    }
    fn drift_cap(&self) -> f64 {
        f64::INFINITY
    }
    fn mala_moves(&self) -> u64 {
        0
    }
}

impl Algorithm for Plain {
    type State = Particles;
    fn name(&self) -> &str {
        "plain"
    }
    fn traits(&self) -> Traits {
        self.0.traits()
    }
    /// Particle i starts at i.
    fn init(&self, _: &mut Cx<'_>, n: usize) -> Result<Particles> {
        let x = Array2::from_shape_fn((n, 1), |(i, _)| i as f64);
        Ok(Particles::new(self, x))
    }
    fn step(&self, cx: &mut Cx<'_>, state: &mut Particles, sink: &mut dyn Sink) -> Result<Flow> {
        state.step(self, cx, sink)
    }
}

/// The same target, to be called on all rows at once.
struct Whole(Arc<dyn Target>);

impl Target for Whole {
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn traits(&self) -> Traits {
        Traits {
            threading: Threading::Caller,
            rowwise: false,
            ..Traits::PURE
        }
    }
    fn eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        l: Option<ArrayViewMut1<'_, f64>>,
        g: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        self.0.eval(cx, x, l, g)
    }
}

/// ∇ℓ = f(x) on the line.
fn slope(f: fn(f64) -> f64) -> Arc<dyn Target> {
    Arc::new(BatchTarget::new(1, move |x, mut l, mut g| {
        l.fill(0.0);
        g.assign(&x.mapv(f));
    }))
}

fn run(target: Arc<dyn Target>, noise: f64, n: usize) -> Result<(Collected, u64)> {
    let (mut out, mut runtime) = (Collected::new(1), Runtime::new(3, 2)?);
    let sampler: &dyn Sampler = &Plain(target, noise);
    drive(sampler, &mut runtime, n, None, &mut out)?;
    Ok((out, runtime.counts().failed))
}

#[test]
fn particles_with_a_gradient_that_is_not_finite_die_where_they_are() {
    // NaN from 950 on, 0 by right from 900 on: the one kills, the other does not.
    let broken = || {
        slope(|x| match x {
            950.0.. => f64::NAN,
            900.0.. => 0.0,
            _ => 1.0,
        })
    };
    let whole: Arc<dyn Target> = Arc::new(Whole(broken()));
    for target in [broken(), whole] {
        let (out, failed) = run(target, 0.0, 1000).unwrap();
        for (i, x) in out.rows().iter().enumerate() {
            let drift = if i < 900 { 1.0 } else { 0.0 };
            // Those that come to 900 stand still there.
            let want = (i as f64 + drift).min((i as f64).max(900.0));
            assert!((x - want).abs() < 1e-9, "{i}: {x}");
        }
        assert_eq!(out.scalars["dead"], 50.0);
        let flag = &out.flags["dead"];
        assert_eq!(flag.severity, Severity::Failure);
        assert!(
            flag.text.starts_with("50 of 1000 particles died"),
            "{}",
            flag.text
        );
        // Each fails in its batch, again alone, and as a draw at the end; not at every move.
        assert_eq!(failed, 150);
    }
}

#[test]
fn particles_that_leave_every_range_die() {
    let (out, _) = run(slope(|x| if x > 950.5 { 1e60 } else { 0.0 }), 0.0, 1000).unwrap();
    assert_eq!(out.scalars["dead"], 49.0);
    assert!(out.rows().iter().enumerate().all(|(i, x)| *x == i as f64));
}

#[test]
fn a_run_ends_when_most_particles_are_dead() {
    let error = run(slope(|x| if x > 10.0 { 1e60 } else { 0.0 }), 0.0, 100).unwrap_err();
    assert!(matches!(&error, Error::Breakdown { .. }), "{error}");
    let error = error.to_string();
    assert!(
        error.contains("89 of 100") && error.contains("step_size"),
        "{error}"
    );
}

#[test]
fn rows_have_the_same_noise_in_blocks_and_all_at_once() {
    let target = || slope(|x| -x);
    let blocks = run(target(), 0.5, 1000).unwrap().0;
    let at_once = run(Arc::new(Whole(target())), 0.5, 1000).unwrap().0;
    assert!(blocks == at_once);
}

#[test]
fn moments_are_those_of_the_rows() {
    let x = [1.0, 10.0, 3.0, 10.0, 5.0, 16.0];
    let (mut mean, mut sd) = ([0.0; 2], [0.0; 2]);
    moments(x.chunks_exact(2), &mut mean, &mut sd);
    assert!((mean[0] - 3.0).abs() < 1e-14 && (mean[1] - 12.0).abs() < 1e-14);
    assert!((sd[0] - (8.0f64 / 3.0).sqrt()).abs() < 1e-14 && (sd[1] - 8.0f64.sqrt()).abs() < 1e-14);
}
