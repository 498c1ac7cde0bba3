//! What a certificate is made from: the parts of a job, data, and a score to hold its score against.

use ndarray::{Array1, Array2};
use retrograde_core::registry::{Folder, Parts};
use retrograde_core::{
    Cx, Error, ForwardProcess, Kind, Registry, Result, ReverseRun, Runtime, Sampler, Score,
    StartedAt, Target, drive::drive,
};
use retrograde_metrics::certificate::Method;
use std::sync::Arc;

use super::sink::Kept;
use crate::plan::Plan;

/// The parts of a reverse run.
pub(super) struct Setting<'a> {
    pub(super) plan: &'a Plan,
    registry: &'a Registry,
    pub(super) process: Arc<dyn ForwardProcess>,
    pub(super) score: Arc<dyn Score>,
    /// The exact score, or the best that there is; none where none can be made.
    pub(super) truth: Option<(Arc<dyn Score>, &'static str)>,
    pub(super) run: ReverseRun,
    /// Data: exact draws, or draws of the sampler.
    pub(super) data: Array2<f64>,
    /// Log weights of the data, where they are draws of the sampler that have some.
    pub(super) weights: Option<Array1<f64>>,
    /// Whether the data are the sampler's own draws.
    pub(super) self_referenced: bool,
}

/// Scores that stand for the truth, the best first.
const TRUTHS: [(&str, &str); 2] = [("exact", "exact"), ("fokker-planck", "fokker-planck grid")];

impl<'a> Setting<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        registry: &'a Registry,
        runtime: &mut Runtime,
        paths: usize,
    ) -> Result<Self> {
        let missing = |what: &str, table: &str| Error::Missing {
            component: "certify".into(),
            needed: what.into(),
            holder: "the job".into(),
            advice: format!("add a {table} table"),
        };
        let process = plan.process.clone();
        let process = process.ok_or_else(|| missing("a forward process", "[process]"))?;
        let score = plan
            .score
            .clone()
            .ok_or_else(|| missing("a score", "[score]"))?;
        let Some(run) = plan.sampler.reverse() else {
            return Err(Error::Missing {
                component: "certify".into(),
                needed: "a sampler that runs a forward process backwards".into(),
                holder: format!("the sampler {}", plan.component(Kind::Sampler)),
                advice: "choose one such as probability-flow, rd-f or reverse-sde".into(),
            });
        };
        let mut setting = Self {
            plan,
            registry,
            process,
            score,
            truth: None,
            run,
            data: Array2::zeros((0, plan.target.dim())),
            weights: None,
            self_referenced: false,
        };
        setting.find_truth();
        setting.find_data(runtime, paths)?;
        Ok(setting)
    }

    fn target(&self) -> &dyn Target {
        self.plan.target.as_ref()
    }

    fn find_truth(&mut self) {
        let files = Folder::default();
        let mut parts = Parts::new(&files).with_target(self.plan.target.clone());
        parts.process = Some(self.process.clone());
        for (name, words) in TRUTHS {
            if self.plan.component(Kind::Score) == name {
                self.truth = Some((self.score.clone(), words));
                return;
            }
            let settings = toml::Value::Table(toml::Table::new());
            if let Ok(score) = self.registry.score(name, settings, &parts) {
                self.truth = Some((score, words));
                return;
            }
        }
    }

    fn find_data(&mut self, runtime: &mut Runtime, paths: usize) -> Result {
        if let Some(exact) = self.target().exact().and_then(|exact| exact.sampler()) {
            let mut data = Array2::zeros((paths, self.target().dim()));
            runtime.enter("certify data", 0, |cx| exact.sample(cx, data.view_mut()))?;
            self.data = data;
            return Ok(());
        }
        self.self_referenced = true;
        let kept = self.sample(runtime, self.plan.sampler.as_ref(), paths)?;
        (self.data, self.weights) = (kept.x, kept.log_weights);
        Ok(())
    }

    /// How averages over the data are made.
    pub(super) fn method(&self) -> Method {
        if self.self_referenced {
            Method::SelfReferenced
        } else {
            Method::MonteCarlo
        }
    }

    /// The sampler of the job on other parts: started at given points, under another score, each step
    /// of its grid cut into `refine` parts, which share their noise with a run of fewer.
    pub(super) fn sampler(
        &self,
        start: Option<&Array2<f64>>,
        score: &Arc<dyn Score>,
        refine: i64,
    ) -> Result<Arc<dyn Sampler>> {
        let files = Folder::default();
        let mut parts = Parts::new(&files).with_target(self.plan.target.clone());
        parts.process = Some(match start {
            None => self.process.clone(),
            Some(x) => Arc::new(StartedAt::new(
                self.process.clone(),
                x.clone(),
                Array1::zeros(x.nrows()),
            )),
        });
        parts.score = Some(score.clone());
        let mut settings = self.plan.sampler_settings.clone();
        if let Some(table) = settings.as_table_mut() {
            if table.contains_key("weights") {
                table.insert("weights".into(), "none".into());
            }
            if start.is_some() && table.contains_key("start") {
                table.insert("start".into(), "reference".into());
            }
            let was = table.get("grid").and_then(|g| g.get("refine"));
            let was = was.and_then(toml::Value::as_integer).unwrap_or(1);
            if let Some(grid) = table.get_mut("grid").and_then(toml::Value::as_table_mut) {
                grid.insert("refine".into(), (was * refine).into());
            }
            if table.contains_key("noise_parts") {
                table.insert("noise_parts".into(), (was * super::FINEST).into());
            }
        }
        self.registry
            .sampler(self.plan.component(Kind::Sampler), settings, &parts)
    }

    /// Draws of a sampler.
    pub(super) fn sample(
        &self,
        runtime: &mut Runtime,
        sampler: &dyn Sampler,
        n: usize,
    ) -> Result<Kept> {
        let mut kept = Kept::new(self.target().dim());
        drive(sampler, runtime, n, None, &mut kept)?;
        Ok(kept)
    }

    /// The data carried forward from time s to t.
    pub(super) fn forward(
        &self,
        cx: &mut Cx<'_>,
        (s, t): (f64, f64),
        x: &Array2<f64>,
        out: &mut Array2<f64>,
    ) -> Result {
        let process = self.process.as_ref();
        retrograde_core::forward::simulate(cx, process, s, t, x.view(), out.view_mut())
    }
}
