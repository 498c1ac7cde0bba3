//! Saved states that are damaged, or of another run: refused with an error, and never a panic.

use retrograde_core::drive::{Checkpoint, start};
use retrograde_core::registry::{Folder, Parts};
use retrograde_core::{
    Build, Collected, Counts, Error, Flow, PointTarget, Result, Runtime, Sampler,
};
use retrograde_samplers::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// −½ Σ xⱼ⁴/(j + 1).
fn build(settings: impl Build<dyn Sampler>, d: usize) -> Arc<dyn Sampler> {
    let target = PointTarget::new(d, |x, g| {
        let mut sum = 0.0;
        for (j, (x, g)) in x.iter().zip(g).enumerate() {
            let s = 1.0 / (j + 1) as f64;
            *g = -2.0 * s * x.powi(3);
            sum -= 0.5 * s * x.powi(4);
        }
        sum
    });
    let folder = Folder::default();
    let parts = Parts::new(&folder).with_target(Arc::new(target));
    settings.build(&parts).unwrap()
}

/// Every sampler with its number of draws, and the steps after which it is saved: in and after
/// warm-up, in the first and in the second run of `frozen`.
fn all(d: usize) -> Vec<(&'static str, Arc<dyn Sampler>, usize, u32)> {
    let ula = Ula {
        warmup: 20,
        chains: 3,
        ..Ula::default()
    };
    let mala = Mala {
        warmup: 20,
        chains: 3,
        ..Mala::default()
    };
    let hmc = Hmc {
        warmup: 30,
        chains: 3,
        leapfrog: 4,
        ..Hmc::default()
    };
    let smc = |frozen, kernel| Smc {
        frozen,
        kernel,
        moves: 1,
        base_sd: 3.0.into(),
        // Those of a pilot run are tried with another sampler.
        pilot_moves: 0,
        ..Smc::default()
    };
    let baoab = Baoab {
        warmup: 20,
        chains: 3,
        ..Baoab::default()
    };
    let dilation = |mala_moves| Dilation {
        steps: 40,
        tail: 0,
        mala_moves,
        ..Dilation::default()
    };
    let annealed = AnnealedLangevin {
        steps: 40,
        tail: 0,
        ..AnnealedLangevin::default()
    };
    let tempering = ParallelTempering {
        pilot_moves: 0,
        chains: 2,
        temperatures: 2,
        rounds: 3,
        leapfrog: 1,
        thin: 2,
        ..ParallelTempering::default()
    };
    let ais = Ais {
        pilot_moves: 0,
        pilot_particles: 4,
        temperatures: 40,
        leapfrog: 1,
        ..Ais::default()
    };
    let pdds = |whiten, moves| Pdds {
        pilot_chains: 32,
        whiten,
        moves,
        steps: 3,
        pilot_moves: 8,
        vi_steps: 20,
        pilot_particles: 4,
        ..Pdds::default()
    };
    let rdsmc = Rdsmc {
        pilot_moves: 0,
        levels: 4,
        auxiliary_draws: 2,
        moves: 1,
        ..Rdsmc::default()
    };
    let slips = Slips {
        pilot_moves: 0,
        levels: 6,
        start_moves: 1,
        chains: 1,
        moves: 2,
        ..Slips::default()
    };
    let rdmc = Rdmc {
        pilot_moves: 0,
        levels: 6,
        start_moves: 1,
        chains: 1,
        moves: 2,
        ..Rdmc::default()
    };
    vec![
        ("pdds, pilot", build(pdds(PddsWhiten::Vi, 0), d), 24, 1),
        (
            "pdds, step sizes",
            build(pdds(PddsWhiten::None, 1), d),
            24,
            2,
        ),
        ("pdds", build(pdds(PddsWhiten::None, 0), d), 24, 1),
        ("pdds, guided", build(pdds(PddsWhiten::Pilot, 0), d), 24, 3),
        ("pdds, back", build(pdds(PddsWhiten::None, 0), d), 24, 4),
        ("rdmc", build(rdmc, d), 24, 3),
        ("rdsmc", build(rdsmc, d), 24, 2),
        ("slips", build(slips, d), 24, 3),
        ("ais, pilot", build(ais.clone(), d), 24, 1),
        ("ais", build(ais, d), 24, 30),
        ("parallel tempering", build(tempering.clone(), d), 24, 1),
        ("parallel tempering, later", build(tempering, d), 24, 2),
        ("baoab", build(baoab, d), 60, 1),
        ("dilation", build(dilation(0), d), 24, 2),
        ("dilation, corrected", build(dilation(30), d), 24, 4),
        ("annealed Langevin", build(annealed, d), 24, 2),
        ("ula", build(ula, d), 60, 1),
        ("mala", build(mala, d), 60, 2),
        ("hmc", build(hmc.clone(), d), 60, 2),
        ("hmc, later", build(hmc, d), 60, 9),
        ("smc", build(smc(false, Kernel::Mala), d), 24, 2),
        ("smc, frozen", build(smc(true, Kernel::Hmc), d), 24, 2),
        ("smc, second run", build(smc(true, Kernel::Hmc), d), 24, 8),
    ]
}

fn runtime() -> Runtime {
    Runtime::new(3, 1).unwrap()
}

fn saved(sampler: &dyn Sampler, d: usize, n: usize, steps: u32) -> Vec<u8> {
    let mut sink = Collected::new(d);
    runtime().enter("test", 0, |cx| {
        let mut run = sampler.start(cx, n).unwrap();
        for _ in 0..steps {
            assert_eq!(run.step(cx, &mut sink).unwrap(), Flow::More);
        }
        run.save().unwrap().unwrap()
    })
}

/// Resumes and does some steps; true if the state was taken. Draws of the wrong shape are an error
/// of the sink, which must not come.
fn go_on(sampler: &dyn Sampler, d: usize, bytes: &[u8]) -> bool {
    runtime().enter("test", 0, |cx| {
        let mut run = match sampler.resume(cx, bytes) {
            Ok(run) => run,
            Err(Error::State { .. }) => return false,
            Err(e) => panic!("{e}"),
        };
        let mut sink = Collected::new(d);
        for _ in 0..3 {
            match run.step(cx, &mut sink) {
                Ok(Flow::More) => {}
                Ok(Flow::Done) => break,
                Err(e) => {
                    assert!(!matches!(e, Error::Shape { .. }), "{e}");
                    break;
                }
            }
        }
        run.save().unwrap();
        true
    })
}

/// The checksum of a saved state, as its layout has it.
fn seal(bytes: &mut [u8]) {
    let (sum, rest) = bytes.split_at_mut(8);
    let mix = |h: u64, w: &[u8]| {
        let mut word = [0; 8];
        word[..w.len()].copy_from_slice(w);
        (h ^ u64::from_le_bytes(word)).wrapping_mul(0x0100_0000_01b3)
    };
    let words = rest.chunks_exact(8);
    let tail = words.remainder();
    let begin = mix(0xcbf2_9ce4_8422_2325, &(rest.len() as u64).to_le_bytes());
    sum.copy_from_slice(&mix(words.fold(begin, mix), tail).to_le_bytes());
}

#[test]
fn a_damaged_state_is_refused() {
    for (name, sampler, n, steps) in all(3) {
        let whole = saved(&*sampler, 3, n, steps);
        assert!(go_on(&*sampler, 3, &whole), "{name}");
        for at in 0..whole.len() {
            assert!(!go_on(&*sampler, 3, &whole[..at]), "{name}, cut at {at}");
            for mask in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= mask;
                assert!(!go_on(&*sampler, 3, &bytes), "{name}, byte {at}");
            }
        }
        let more = [whole, vec![0]].concat();
        assert!(!go_on(&*sampler, 3, &more), "{name}");
    }
}

/// The checksum made right again, as one who writes states by hand would do: what is then taken has
/// the right sizes, and goes on or ends with an error.
#[test]
fn no_state_makes_a_sampler_panic() {
    // A thread each: these are many short runs.
    std::thread::scope(|scope| {
        for (name, sampler, n, steps) in all(2) {
            scope.spawn(move || no_state_of_it_panics(name, &*sampler, n, steps));
        }
    });
}

fn no_state_of_it_panics(name: &str, sampler: &dyn Sampler, n: usize, steps: u32) {
    let whole = saved(sampler, 2, n, steps);
    let (mut taken, mut refused) = (0, 0);
    let mut attempt = |mut bytes: Vec<u8>, what: &str, at: usize| {
        seal(&mut bytes);
        let outcome = catch_unwind(AssertUnwindSafe(|| go_on(sampler, 2, &bytes)));
        match outcome {
            Ok(true) => taken += 1,
            Ok(false) => refused += 1,
            Err(_) => panic!("{name}: {what} {at}"),
        }
    };
    attempt(whole.clone(), "whole", 0);
    for at in 8..whole.len() {
        attempt(whole[..at].to_vec(), "cut at", at);
        for value in [0x00, 0x01, 0x7f, 0x80, 0xf0, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            attempt(bytes, "changed at", at);
        }
        // A number of eight bytes: NaN, −∞, a very large one.
        for value in [f64::NAN, f64::NEG_INFINITY, 1e300, -1e-300] {
            let mut bytes = whole.clone();
            if let Some(place) = bytes[at..].first_chunk_mut() {
                *place = value.to_le_bytes();
                attempt(bytes, "a number at", at);
            }
        }
    }
    attempt([whole, vec![0]].concat(), "longer", 0);
    // Both happen, else the test tries nothing.
    assert!(taken > 50 && refused > 50, "{name}: {taken}, {refused}");
}

#[test]
fn a_state_of_another_run_is_refused_by_name() {
    let refusal = |sampler: &dyn Sampler, n: usize, state: &[u8]| -> String {
        let checkpoint = Checkpoint {
            step: 2,
            counts: Counts::default(),
            done: false,
            state: Some(state.to_vec()),
        };
        let error = start(sampler, &mut runtime(), n, Some(&checkpoint)).map(|_| ());
        error.unwrap_err().to_string()
    };
    for ((name, sampler, n, steps), (_, other, ..)) in all(3).into_iter().zip(all(2)) {
        let state = saved(&*sampler, 3, n, steps);
        let text = refusal(&*other, n, &state);
        assert!(
            text.contains("it is of a target of dimension 3, not 2"),
            "{name}: {text}"
        );
        let text = refusal(&*sampler, n + 12, &state);
        assert!(
            text.contains(&format!("of {n} draws, not {}", n + 12)),
            "{name}: {text}"
        );
    }
    let ula = |step_size| {
        build(
            Ula {
                step_size,
                ..Ula::default()
            },
            2,
        )
    };
    let state = saved(&*ula(0.1), 2, 8, 1);
    let text = refusal(&*ula(0.2), 8, &state);
    assert!(
        text.contains("it is of a run with other settings"),
        "{text}"
    );
    let text = refusal(&*build(Mala::default(), 2), 8, &state);
    assert!(
        text.contains("sampler mala: ") && text.contains("it is of sampler ula"),
        "{text}"
    );
    let taken: Result<_> = start(
        &*ula(0.1),
        &mut runtime(),
        8,
        Some(&Checkpoint {
            step: 1,
            counts: Counts::default(),
            done: false,
            state: Some(state),
        }),
    )
    .map(|_| ());
    taken.unwrap();
}
