//! The gradient of the log density of a process's reference law, at every time.
//!
//! It is the exact score when the data have that law and it is the stationary law of the process:
//! then nothing may move in a run backwards, which is what it is for.

use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::registry::Parts;
use retrograde_core::{
    Build, Cx, Flag, ForwardProcess, LogMarginal, Result, Score, Severity, Times, Traits, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Settings, as written under `[score]` with `kind = "reference"`: none.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reference {}

impl Build<dyn Score> for Reference {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Score>> {
        let process = parts.require_process("score reference")?;
        Ok(Arc::new(OfReference { process }))
    }
}

struct OfReference {
    process: Arc<dyn ForwardProcess>,
}

impl Score for OfReference {
    fn dim(&self) -> usize {
        self.process.dim()
    }

    fn traits(&self) -> Traits {
        self.process.traits()
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        _t: Times<'_>,
        x: ArrayView2<'_, f64>,
        out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        self.process.reference_eval(cx, x, None, Some(out))
    }

    fn log_marginal(&self) -> Option<&dyn LogMarginal> {
        Some(self)
    }

    fn flags(&self) -> Vec<Flag> {
        vec![Flag::new(
            Severity::Warning,
            "score-of-reference",
            "the score is that of the reference law of the process at every time, whatever the target \
             is: draws have the reference law",
            "choose another score unless this is a test of stationarity",
        )]
    }
}

impl LogMarginal for OfReference {
    fn log_marginal(
        &self,
        cx: &mut Cx<'_>,
        _t: Times<'_>,
        x: ArrayView2<'_, f64>,
        out: ArrayViewMut1<'_, f64>,
    ) -> Result {
        self.process.reference_eval(cx, x, Some(out), None)
    }
}

register! {
    score "reference" => Reference, needs PROCESS,
        summary "Score of the reference law at every time, for tests of stationarity",
        source "definition of a stationary law";
}

#[cfg(test)]
mod tests {
    use super::OfReference;
    use crate::test_processes::Ou;
    use ndarray::{Array2, array};
    use retrograde_core::{Field, Times};
    use retrograde_testkit::with_cx;
    use std::sync::Arc;

    /// Largest velocity of the probability flow under the reference score, for an OU process whose
    /// reference law has `factor` times the stationary variance.
    fn speed(factor: f64) -> f64 {
        let process = Ou::scalar(2, 1.3).with_reference(factor);
        let process = Arc::new(process);
        let score = OfReference {
            process: process.clone(),
        };
        let x = array![[0.3, -1.2], [2.0, 0.1]];
        let mut v = Array2::zeros((2, 2));
        let field = Field {
            process: &*process,
            score: &score,
        };
        with_cx(0, |cx| {
            field.velocity(cx, Times::Shared(0.7), x.view(), v.view_mut())
        })
        .unwrap();
        v.iter().fold(0.0f64, |m, v| m.max(v.abs()))
    }

    #[test]
    fn nothing_moves_at_the_stationary_law_and_only_there() {
        assert!(speed(1.0) < 1e-14);
        assert!(speed(1.2) > 1e-2);
    }
}
