//! Scores under the shipped processes.

use super::{data, target};
use retrograde::core::registry::Parts;
use retrograde::core::{
    Cx, ForwardProcess, GammaMixture, GaussianMixture, Law, LogMarginal, Result, Runtime, Score,
    Target, Tilt, Times,
};
use retrograde::ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1, ArrayViewMut2, array};
use retrograde::scores::{ScoreReport, check_score};
use serde_json::{Value, json};
use std::sync::Arc;

/// Process and score by name, for a target.
fn build(
    target: &Arc<dyn Target>,
    (process, process_settings): (&str, Value),
    (score, score_settings): (&str, Value),
) -> Result<(Arc<dyn ForwardProcess>, Arc<dyn Score>)> {
    let (registry, files) = (retrograde::registry()?, data());
    let mut parts = Parts::new(&files).with_target(target.clone());
    let process = registry.process(process, process_settings, &parts)?;
    parts.process = Some(process.clone());
    let score = registry.score(score, score_settings, &parts)?;
    Ok((process, score))
}

fn with_cx<R>(f: impl FnOnce(&mut Cx<'_>) -> R) -> R {
    Runtime::new(5, 1).unwrap().enter("test", 0, f)
}

fn report(
    target: &Arc<dyn Target>,
    process: (&str, Value),
    score: (&str, Value),
    points: &Array2<f64>,
    times: &[f64],
) -> ScoreReport {
    let (process, score) = build(target, process, score).unwrap();
    let draws = target
        .exact()
        .and_then(|e| e.sampler())
        .map(|s| (s, 10_000));
    with_cx(|cx| check_score(cx, &*process, &*score, points.view(), draws, times)).unwrap()
}

fn eval(score: &dyn Score, t: f64, x: &Array2<f64>) -> Array2<f64> {
    let mut out = Array2::zeros(x.dim());
    with_cx(|cx| cx.eval_score(score, Times::Shared(t), x.view(), out.view_mut())).unwrap();
    out
}

/// A target known by its law alone, or by its log density on the half-line.
struct Known {
    base: GaussianMixture,
    tilt: Option<Tilt>,
    gamma: Option<GammaMixture>,
}

impl Target for Known {
    fn dim(&self) -> usize {
        self.base.dim()
    }

    fn has_density(&self) -> bool {
        self.gamma.is_some()
    }

    fn eval(
        &self,
        _cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        if let Some(mut g) = gradient {
            g.fill(f64::NAN);
        }
        if let (Some(mut l), Some(gamma)) = (log_density, &self.gamma) {
            l.zip_mut_with(&x.column(0), |l, x| {
                let sum: f64 = gamma
                    .weights
                    .iter()
                    .zip(&gamma.scales)
                    .map(|(w, b)| w * (-x / b).exp() / b.powf(gamma.shape))
                    .sum();
                *l = (gamma.shape - 1.0) * x.ln() + sum.ln();
            });
        }
        Ok(())
    }

    fn law(&self) -> Option<Law<'_>> {
        match (&self.tilt, &self.gamma) {
            (Some(tilt), _) => Some(Law::Tilted {
                tilt,
                base: &self.base,
            }),
            (_, Some(gamma)) => Some(Law::Gamma(gamma)),
            _ => Some(Law::Mixture(&self.base)),
        }
    }
}

#[test]
fn exact_scores_under_vp_and_a_wrong_factor() {
    let gmm9 = target("gmm9", json!({}));
    let points = Array2::from_shape_fn((5, 2), |(i, j)| i as f64 - 2.0 + 0.4 * j as f64);
    let vp = || ("vp", json!({}));
    let times = [0.05, 0.5];
    let found = report(&gmm9, vp(), ("exact", json!({})), &points, &times);
    assert!(found.holds() && found.checks.len() == 6, "{found:?}");
    let wrong = ("perturbed", json!({ "relative": 0.3 }));
    let found = report(&gmm9, vp(), wrong, &points, &times);
    assert!(!found.holds(), "{found:?}");
}

#[test]
fn data_from_a_file_have_one_score_by_three_ways() {
    let points = target("data", json!({ "file": "points.csv" }));
    let x = array![[0.2, 0.3], [1.0, 0.5], [-0.5, 0.0]];
    let score = |target: &Arc<dyn Target>, kind: &str, settings: Value| {
        let (_, score) = build(target, ("vp", json!({})), (kind, settings)).unwrap();
        eval(&*score, 0.1, &x)
    };
    let exact = score(&points, "exact", json!({}));
    assert_eq!(exact, score(&points, "empirical", json!({})));
    let normal = target(
        "gaussian-mixture",
        json!({ "means": [[0.0, 0.0]], "sd": 1.0 }),
    );
    assert_eq!(
        exact,
        score(&normal, "empirical", json!({ "file": "points.csv" }))
    );
    assert_ne!(exact, score(&normal, "exact", json!({})));
    let error = build(&normal, ("vp", json!({})), ("empirical", json!({})))
        .err()
        .unwrap();
    assert!(error.to_string().contains("data points"), "{error}");
}

#[test]
fn a_tilted_mixture_has_its_exact_score_under_benes_and_a_plain_one_has_none() {
    let base = GaussianMixture::isotropic(
        array![1.0, 2.0],
        array![[1.0, -0.5], [-1.0, 0.7]],
        array![0.4, 0.6],
    )
    .unwrap();
    let directions = array![[0.8, 0.3], [-0.5, 0.9]];
    let known = |tilt: Option<Tilt>| -> Arc<dyn Target> {
        Arc::new(Known {
            base: base.clone(),
            tilt,
            gamma: None,
        })
    };
    let tilt = Tilt::new(array![1.0, 1.0], directions).unwrap();
    let target = known(Some(tilt));
    let benes = || ("benes", json!({ "directions": [[0.8, 0.3], [-0.5, 0.9]] }));
    let points = Array2::from_shape_fn((5, 2), |(i, j)| i as f64 - 2.0 + 0.4 * j as f64);
    let times = [0.1, 0.8];
    let found = report(&target, benes(), ("exact", json!({})), &points, &times);
    assert!(found.holds() && found.checks.len() == 4, "{found:?}");
    let (process, _) = build(&target, benes(), ("exact", json!({}))).unwrap();
    // The score of the base alone is not that of the process.
    let plain = Untilted(base.clone());
    let found = with_cx(|cx| check_score(cx, &*process, &plain, points.view(), None, &times));
    assert!(!found.unwrap().holds());
    let error = build(&known(None), benes(), ("exact", json!({})))
        .err()
        .unwrap();
    assert!(
        error
            .to_string()
            .contains("stays closed for a Gaussian mixture"),
        "{error}"
    );
}

/// Σ wₖ N(mₖ, vₖ + t), without the tilt.
struct Untilted(GaussianMixture);

impl Score for Untilted {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn traits(&self) -> retrograde::core::Traits {
        retrograde::core::Traits::PURE
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.0.noised(1.0, t.at(0))?.eval(cx, x, None, Some(out))
    }

    fn log_marginal(&self) -> Option<&dyn LogMarginal> {
        Some(self)
    }
}

impl LogMarginal for Untilted {
    fn log_marginal(
        &self,
        cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        out: ArrayViewMut1<'_, f64>,
    ) -> Result {
        self.0.noised(1.0, t.at(0))?.eval(cx, x, Some(out), None)
    }
}

#[test]
fn gamma_data_have_their_exact_score_under_cir_and_so_has_the_grid() {
    // δ/2 = 2κθ/σ² = 4.
    let settings = json!({ "kappa": 1.0, "theta": 1.0, "sigma": 0.5f64.sqrt(), "t_end": 3.0 });
    let base = GaussianMixture::isotropic(array![1.0], array![[1.0]], array![1.0]).unwrap();
    let gamma = GammaMixture::new(array![1.0, 1.0], 4.0, array![0.1, 0.5], 1).unwrap();
    let target: Arc<dyn Target> = Arc::new(Known {
        base,
        tilt: None,
        gamma: Some(gamma),
    });
    let cir = || ("cir", settings.clone());
    let points = array![[0.3], [0.8], [1.5], [3.0]];
    let found = report(&target, cir(), ("exact", json!({})), &points, &[0.2, 1.5]);
    assert!(found.holds(), "{found:?}");
    let wrong = ("perturbed", json!({ "relative": 0.1 }));
    // Without its log marginal a score cannot be checked without draws.
    let (process, perturbed) = build(&target, cir(), wrong).unwrap();
    let refused =
        with_cx(|cx| check_score(cx, &*process, &*perturbed, points.view(), None, &[0.2]));
    assert!(refused.is_err());
    let (_, exact) = build(&target, cir(), ("exact", json!({}))).unwrap();
    let error = |cells: usize| {
        let grid = json!({ "lower": 0.0, "upper": 12.0, "cells": cells, "steps": cells / 4 });
        let (_, grid) = build(&target, cir(), ("fokker-planck", grid)).unwrap();
        let worst = |t: f64| {
            let error: Array1<f64> = (eval(&*grid, t, &points) - eval(&*exact, t, &points))
                .column(0)
                .to_owned();
            error.iter().fold(0.0f64, |m, e| m.max(e.abs()))
        };
        worst(0.2).max(worst(1.5))
    };
    let (coarse, fine) = (error(600), error(1200));
    assert!(fine < 2e-3 && fine < 0.4 * coarse, "{coarse} {fine}");
}
