//! Data as a target: the law of point masses at the rows of a table. It has no density, but draws (rows
//! with replacement) and, under a process with noise, a score.

use ndarray::{Array1, ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::registry::Parts;
use retrograde_core::table::Rows;
use retrograde_core::{
    Build, Cx, Error, Exact, ExactSampler, GaussianMixture, Result, Target, Truth, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

const NAME: &str = "target data";

/// Settings, as written under `[target]` with `kind = "data"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// CSV file (a line of column names first, if any) or NPY file (n × d, `<f8` or `<f4`), relative to
    /// the job. Each row is a point; every row has the same weight.
    pub file: PathBuf,
    /// Names of the columns to use, in this order; all if it is not given. Without names in the file
    /// they are `x0`, `x1`, ….
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
}

impl Build<dyn Target> for Data {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        let rows = Rows::read(NAME, parts.files, &self.file, self.columns.as_deref())?;
        let weights = Array1::ones(rows.values.nrows());
        Ok(Arc::new(OfRows {
            names: rows.names,
            law: GaussianMixture::points(weights, rows.values)?,
        }))
    }
}

struct OfRows {
    names: Vec<String>,
    law: GaussianMixture,
}

impl Target for OfRows {
    fn dim(&self) -> usize {
        self.names.len()
    }

    fn eval(
        &self,
        _cx: &mut Cx<'_>,
        _x: ArrayView2<'_, f64>,
        _log_density: Option<ArrayViewMut1<'_, f64>>,
        _gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        Err(Error::Missing {
            component: "the caller".into(),
            needed: "a log density".into(),
            holder: NAME.into(),
            advice: "use a sampler that needs only a score".into(),
        })
    }

    fn has_density(&self) -> bool {
        false
    }

    fn has_gradient(&self) -> bool {
        false
    }

    fn coordinate(&self, i: usize) -> String {
        self.names[i].clone()
    }

    fn mixture(&self) -> Option<&GaussianMixture> {
        Some(&self.law)
    }

    fn exact(&self) -> Option<&dyn Exact> {
        Some(self)
    }
}

impl Exact for OfRows {
    fn truth(&self) -> Truth {
        Truth {
            mean: Some(self.law.mean().to_vec()),
            variance: Some(self.law.variance().to_vec()),
            source: "moments of the rows".into(),
            ..Truth::default()
        }
    }

    fn sampler(&self) -> Option<&dyn ExactSampler> {
        Some(self)
    }
}

impl ExactSampler for OfRows {
    fn sample(&self, cx: &mut Cx<'_>, out: ArrayViewMut2<'_, f64>) -> Result {
        self.law.sample(cx, out)
    }
}

register! {
    target "data" => Data, needs NOTHING,
        summary "Rows of a CSV or NPY file as a law: no density, but draws and noised scores",
        source "the file";
}

#[cfg(test)]
mod tests {
    use super::Data;
    use ndarray::Array2;
    use retrograde_core::registry::{Files, Parts};
    use retrograde_core::{Build, Result, Target};
    use retrograde_testkit::{assert_exact_sampler, with_cx};
    use std::path::Path;
    use std::sync::Arc;

    struct Text(&'static str);

    impl Files for Text {
        fn read(&self, _path: &Path) -> Result<Vec<u8>> {
            Ok(self.0.into())
        }
    }

    fn build(text: &'static str, columns: Option<Vec<String>>) -> Result<Arc<dyn Target>> {
        let file = "d.csv".into();
        Data { file, columns }.build(&Parts::new(&Text(text)))
    }

    const TABLE: &str = "a,name,b\n1,x,2\n3,y,5\n-1,z,0.5\n0,w,7\n";

    #[test]
    fn draws_are_rows_with_their_moments() {
        let target = build(TABLE, Some(vec!["b".into(), "a".into()])).unwrap();
        assert_eq!((target.coordinate(0), target.dim()), ("b".into(), 2));
        assert_exact_sampler("data", &*target, 20_000, 1);
        let mut x = Array2::zeros((50, 2));
        with_cx(2, |cx| {
            let exact = target.exact().unwrap();
            exact.sampler().unwrap().sample(cx, x.view_mut())
        })
        .unwrap();
        let rows = [[2.0, 1.0], [5.0, 3.0], [0.5, -1.0], [7.0, 0.0]];
        assert!(
            x.rows()
                .into_iter()
                .all(|x| rows.iter().any(|r| x.to_vec() == r))
        );
        assert!(!target.has_density() && target.mixture().is_some());
    }

    #[test]
    fn a_cell_that_is_no_number_is_named() {
        let says = build(TABLE, None).err().unwrap().to_string();
        assert!(says.contains("d.csv:2:2: column `name` has `x`"), "{says}");
        // It cannot be evaluated.
        let target = build(TABLE, Some(vec!["a".into()])).unwrap();
        let says = with_cx(0, |cx| {
            let mut l = ndarray::Array1::zeros(1);
            let x = Array2::zeros((1, 1));
            cx.eval_target(&*target, x.view(), Some(l.view_mut()), None)
        });
        assert!(says.unwrap_err().to_string().contains("a log density"));
    }
}
