//! Runs in memory: watched, cancelled, weighted.

use ndarray::{Array1, Array2};
use retrograde::core::registry::Parts;
use retrograde::core::{
    Algorithm, Build, Cancel, Cx, Draws, Error, Flow, Result, Sampler, Severity, Sink, Target,
    Traits,
};
use retrograde::prelude::*;
use std::sync::Arc;

/// N(1, ½²).
fn normal() -> impl Target {
    PointTarget::new(1, |x, g| {
        g[0] = -4.0 * (x[0] - 1.0);
        -2.0 * (x[0] - 1.0) * (x[0] - 1.0)
    })
}

#[test]
fn a_watched_run_shows_every_step_and_gives_the_same_draws() {
    let run = || {
        Run::new(normal())
            .sampler(Hmc::default())
            .draws(400)
            .seed(3)
    };
    let mut seen: Vec<(u64, Option<f64>, usize, u64)> = Vec::new();
    let watched = run()
        .run_watched(|p| {
            assert!(
                p.scalars.contains_key("acceptance") || p.draws == 0,
                "{p:?}"
            );
            seen.push((p.step, p.fraction, p.draws, p.counts.rows));
        })
        .unwrap();
    let plain = run().run().unwrap();
    assert!(plain.is_complete() && watched.is_complete());
    assert_eq!(plain.draws(), watched.draws());
    for (k, step) in seen.iter().enumerate() {
        assert_eq!(step.0, k as u64 + 1);
    }
    assert!(seen.is_sorted_by(|a, b| a.1 <= b.1 && a.2 <= b.2 && a.3 < b.3));
    let last = seen.last().unwrap();
    assert_eq!(
        (last.1, last.2, last.3),
        (Some(1.0), 400, plain.counts().rows)
    );
}

#[test]
fn a_cancelled_run_keeps_its_draws_and_says_so() {
    let run = |cancel: Cancel| {
        Run::new(normal())
            .sampler(Hmc::default())
            .seed(3)
            .cancel(cancel)
    };
    let whole = run(Cancel::default()).run().unwrap();
    let cancel = Cancel::default();
    let part = run(cancel.clone())
        .run_watched(|p| {
            if p.draws >= 200 {
                cancel.request();
            }
        })
        .unwrap();
    assert!(whole.is_complete() && !part.is_complete());
    let n = part.rows().nrows();
    assert!((200..300).contains(&n), "{n}");
    assert_eq!(part.rows(), whole.rows().slice(ndarray::s![..n, ..]));
    assert_eq!(part.draws().dim(), (4, n / 4, 1));
    let flag = part.flags().find(|f| f.key == "cancelled").unwrap();
    assert_eq!(flag.severity, Severity::Failure);
    assert!(
        flag.text.contains(&format!("with {n} of 4000 draws")),
        "{}",
        flag.text
    );
    assert!(whole.flags().all(|f| f.key != "cancelled"));

    // Particles on their way have a log Z of their own, which is not that of the target.
    let cancel = Cancel::default();
    let run = Run::new(normal())
        .sampler(Smc {
            pilot_moves: 0,
            ..Smc::default()
        })
        .draws(200)
        .cancel(cancel.clone());
    let part = run.run_watched(|_| cancel.request()).unwrap();
    assert!(part.collected().scalars.contains_key("log_z"));
    assert_eq!((part.log_z(), part.rows().nrows()), (None, 0));
    assert_eq!(part.summary().len(), 1);

    // Before the first step there is nothing.
    let cancel = Cancel::default();
    cancel.request();
    let none = Run::new(normal())
        .sampler(Ula::default())
        .cancel(cancel)
        .run();
    assert!(none.is_ok_and(|r| !r.is_complete() && r.rows().is_empty()));
}

#[test]
fn a_watched_run_that_fails_is_an_error() {
    let target = PointTarget::new(1, |_, g| {
        g[0] = f64::NAN;
        f64::NAN
    });
    let error = Run::new(target).sampler(Hmc::default()).run_watched(|_| {});
    assert!(matches!(error, Err(Error::NonFinite { .. })), "{error:?}");
}

/// Draws from N(0, 1) with weights for the target.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Importance {}

struct Weighted(Arc<dyn Target>);

impl Build<dyn Sampler> for Importance {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        Ok(Arc::new(Weighted(parts.require_target("importance")?)))
    }
}

impl Algorithm for Weighted {
    type State = usize;

    fn name(&self) -> &str {
        "importance"
    }

    fn traits(&self) -> Traits {
        self.0.traits()
    }

    fn init(&self, _: &mut Cx<'_>, n: usize) -> Result<usize> {
        Ok(n)
    }

    fn step(&self, cx: &mut Cx<'_>, n: &mut usize, sink: &mut dyn Sink) -> Result<Flow> {
        let (mut x, mut w) = (Array2::zeros((*n, 1)), Array1::zeros(*n));
        cx.fill_normal(x.view_mut());
        cx.eval_target(self.0.as_ref(), x.view(), Some(w.view_mut()), None)?;
        w += &x.column(0).mapv(|x| 0.5 * x * x);
        sink.emit(&Draws {
            x: x.view(),
            log_weights: Some(w.view()),
            stats: &[],
        })?;
        Ok(Flow::Done)
    }
}

#[test]
fn weighted_draws_are_summed_up_with_their_weights() {
    let run = Run::new(normal())
        .sampler(Importance {})
        .draws(20_000)
        .seed(5);
    let result = run.run().unwrap();
    let row = result.summary()[0];
    let weighted = result.weighted_summary().unwrap()[0];
    // The draws have mean 0 and sd 1, the target mean 1 and sd ½, quantiles 1 ∓ 1.645/2.
    let z = (row.mean - 1.0) / row.mcse_mean;
    assert!(z.abs() < 4.5, "{z}");
    // Errors of sd and quantiles: 1/√ESS up to a factor of 2.
    let e = 4.5 * 2.0 * 0.5 / weighted.ess.sqrt();
    assert!(
        (row.sd - 0.5).abs() < e && (row.q95 - 1.822).abs() < e,
        "{row:?}"
    );
    assert!(
        weighted.ess > 2000.0 && weighted.ess < 15_000.0,
        "{weighted:?}"
    );
    assert_eq!((row.mean, row.q05), (weighted.mean, weighted.q05));
    assert!(row.rhat.is_nan() && row.ess_bulk.is_nan() && row.mcse_sd.is_nan());
    let equal = Run::new(normal())
        .sampler(Ula::default())
        .draws(40)
        .run()
        .unwrap();
    assert!(equal.weighted_summary().is_none() && equal.summary()[0].ess_bulk > 0.0);
}
