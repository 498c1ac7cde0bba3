//! Draws with importance weights, from the sampler to the files of a run: raw in `weighted_posterior`,
//! resampled in `posterior`, and in the pictures. Needs the feature `zarr`.
#![cfg(feature = "zarr")]

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::registry::Parts;
use retrograde_core::{
    Algorithm, Build, Cx, Draws, Flow, Registry, Result, Sampler, Sink, Target, Traits, register,
};
use retrograde_job::config::Document;
use retrograde_job::{Options, Plan, Silent, run};
use std::path::Path;
use std::sync::Arc;

/// N(1, 1) in one coordinate.
#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Shifted {}

impl Target for Shifted {
    fn dim(&self) -> usize {
        1
    }

    fn eval(
        &self,
        _: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        if let Some(mut l) = log_density {
            l.assign(&x.column(0).mapv(|v| -0.5 * (v - 1.0).powi(2)));
        }
        if let Some(mut g) = gradient {
            g.column_mut(0).assign(&x.column(0).mapv(|v| 1.0 - v));
        }
        Ok(())
    }
}

impl Build<dyn Target> for Shifted {
    fn build(self, _: &Parts<'_>) -> Result<Arc<dyn Target>> {
        Ok(Arc::new(self))
    }
}

/// Draws from N(0, 1) with the weights of N(1, 1): ln w = x, up to a constant.
#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Importance {}

impl Algorithm for Importance {
    type State = usize;

    fn name(&self) -> &str {
        "sampler importance"
    }

    fn traits(&self) -> Traits {
        Traits::PURE
    }

    fn init(&self, _: &mut Cx<'_>, n: usize) -> Result<usize> {
        Ok(n)
    }

    fn step(&self, cx: &mut Cx<'_>, n: &mut usize, sink: &mut dyn Sink) -> Result<Flow> {
        let mut x = Array2::zeros((*n, 1));
        cx.fill_normal(x.view_mut());
        let log_weights: Array1<f64> = x.column(0).to_owned();
        let lp = x.column(0).mapv(|v| -0.5 * (v - 1.0).powi(2));
        sink.emit(&Draws {
            x: x.view(),
            log_weights: Some(log_weights.view()),
            stats: &[("lp", lp.view())],
        })?;
        Ok(Flow::Done)
    }
}

impl Build<dyn Sampler> for Importance {
    fn build(self, _: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        Ok(Arc::new(self))
    }
}

register! {
    target "shifted" => Shifted, needs NOTHING, summary "N(1, 1)", source "closed form";
    sampler "importance" => Importance, needs NOTHING, summary "Importance draws", source "closed form";
}

fn numbers(path: &Path) -> Vec<f64> {
    let bytes = std::fs::read(path).unwrap();
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().map(|w| f64::from_le_bytes(*w)).collect()
}

#[test]
fn particles_are_kept_raw_and_resampled_with_their_statistics() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let text = format!(
        "draws = 20000\n[target]\nkind = \"shifted\"\n[sampler]\nkind = \"importance\"\n[output]\n\
         directory = '{}'\n",
        out.display()
    );
    let document = Document::parse("job.toml", &text).unwrap();
    let registry = Registry::builtin().unwrap();
    let base = folder.path();
    let plan = Plan::new(&document, &registry, base).unwrap();
    run(
        &document,
        &plan,
        "job",
        None,
        base,
        &Options::default(),
        &mut Silent,
    )
    .unwrap();

    let store = out.join("draws.zarr");
    let of = |path: &str| numbers(&store.join(path).join("c/0/0"));
    let raw = of("weighted_posterior/x0");
    let weights = of("weighted_sample_stats/log_weight");
    assert_eq!(raw.len(), 20_000);
    assert_eq!(raw, weights, "in this example");
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    assert!(mean(&raw).abs() < 4.5 / 20_000_f64.sqrt());

    // By the delta method, Var μ̂ = e^{m²}(1 + m²)/n for m = 1, and resampling adds less than the
    // variance of as many draws.
    let resampled = of("posterior/x0");
    assert_eq!(resampled.len(), 20_000);
    let se = ((2.0 * 1_f64.exp() + 1.0) / 20_000.0).sqrt();
    assert!(
        (mean(&resampled) - 1.0).abs() < 4.5 * se,
        "{}",
        mean(&resampled)
    );
    // Each draw is a particle, and has its statistic.
    for (x, lp) in resampled.iter().zip(of("sample_stats/lp")) {
        assert_eq!(lp, -0.5 * (x - 1.0).powi(2));
    }
    let whole: std::collections::BTreeSet<u64> = raw.iter().map(|x| x.to_bits()).collect();
    assert!(resampled.iter().all(|x| whole.contains(&x.to_bits())));
    let root = std::fs::read_to_string(store.join("zarr.json")).unwrap();
    assert!(root.contains("systematically"));
    assert!(
        !store.join("sample_stats/log_weight").exists(),
        "they are equal there"
    );

    // ESS/n of these weights is e^{-1}.
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("<figure id=\"weights\">") && page.contains("<figure id=\"marginals\">"));
    let report = retrograde_job::read_report(&out).unwrap();
    let share = report.weights.unwrap().ess / 20_000.0;
    assert!((share - (-1_f64).exp()).abs() < 0.06, "{share}");
    let files = retrograde_job::plot(&out, &registry, &["weights".into()], &out).unwrap();
    let svg = std::fs::read_to_string(&files[0]).unwrap();
    assert!(page.contains(&svg));
}
