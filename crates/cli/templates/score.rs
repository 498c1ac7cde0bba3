//! my-component: a score. Write here what it is, and where it comes from.
//!
//! ∇ log p_t(x) = −x/(α² s² + C),   X_t = α X_0 + √C z,   X_0 ~ N(0, s² I)
//!
//! As it stands it is the exact score of normal data under a process whose law of X_t given X_0 is
//! linear with numbers α(t) and C(t): replace settings, `eval` and the known answers of the tests by your
//! own, for example by a network that was trained elsewhere. A score is told the process that it belongs
//! to; `parts.require_target` gives the target where it needs that as well.

use retrograde::core::registry::Parts;
use retrograde::core::{
    Build, Cx, Error, Form, ForwardProcess, Result, Score, Times, Traits, register,
};
use retrograde::ndarray::{ArrayView2, ArrayViewMut2};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NAME: &str = "score my-component";

/// Settings, as written under `[score]` with `kind = "my-component"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MyComponent {
    /// Standard deviation s of the data, > 0.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub data_sd: f64,
}

impl Default for MyComponent {
    fn default() -> Self {
        Self { data_sd: 1.0 }
    }
}

impl Build<dyn Score> for MyComponent {
    /// Checks what the schema cannot, reads files (`parts.files`), computes what every call needs.
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Score>> {
        let s = self.data_sd;
        if !(s > 0.0 && s.is_finite()) {
            return Err(Error::setting(NAME, "data_sd", s, "a number above 0"));
        }
        let process = parts.require_process(NAME)?;
        if process.linear().is_none_or(|l| l.form() != Form::Scalar) {
            return Err(Error::Missing {
                component: NAME.into(),
                needed: "a linear law with a number for α and C".into(),
                holder: "the process".into(),
                advice: "choose a process that has one".into(),
            });
        }
        Ok(Arc::new(NormalData {
            process,
            variance: s * s,
        }))
    }
}

struct NormalData {
    process: Arc<dyn ForwardProcess>,
    variance: f64,
}

impl NormalData {
    /// α² s² + C at time t.
    fn variance_at(&self, t: f64) -> f64 {
        let (mut alpha, mut c) = ([1.0], [0.0]);
        if let Some(law) = self.process.linear() {
            law.at(t, &mut alpha, &mut c);
        }
        alpha[0] * alpha[0] * self.variance + c[0]
    }
}

impl Score for NormalData {
    fn dim(&self) -> usize {
        self.process.dim()
    }

    /// The weaker of its own and those of what it calls.
    fn traits(&self) -> Traits {
        Traits::PURE.and(self.process.traits())
    }

    /// `x` and `out` are n × d, times are one for all rows or one a row. What is given is written whole.
    fn eval(
        &self,
        _cx: &mut Cx<'_>,
        t: Times<'_>,
        x: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let shared = match t {
            Times::Shared(t) => Some(self.variance_at(t)),
            Times::PerRow(_) => None,
        };
        for (i, (x, mut out)) in x.outer_iter().zip(out.outer_iter_mut()).enumerate() {
            let variance = shared.unwrap_or_else(|| self.variance_at(t.at(i)));
            out.zip_mut_with(&x, |o, x| *o = -x / variance);
        }
        Ok(())
    }
}

register! {
    score "my-component" => MyComponent, needs PROCESS,
        summary "One sentence for `list`",
        source "Author (year), title";
}

#[cfg(test)]
mod tests {
    use super::*;
    use retrograde::core::registry::Folder;
    use retrograde::core::{Linear, Runtime};
    use retrograde::ndarray::{Array1, Array2, ArrayViewMut1};

    const DIM: usize = 2;

    /// dX = −X dt + √2 dW, of which tests need no more than the law.
    struct Ou;

    impl Linear for Ou {
        fn form(&self) -> Form {
            Form::Scalar
        }

        fn at(&self, t: f64, alpha: &mut [f64], covariance: &mut [f64]) {
            alpha[0] = (-t).exp();
            covariance[0] = -(-2.0 * t).exp_m1();
        }
    }

    type X<'a> = ArrayView2<'a, f64>;
    type Out<'a> = ArrayViewMut2<'a, f64>;

    impl ForwardProcess for Ou {
        fn dim(&self) -> usize {
            DIM
        }

        fn t_end(&self) -> f64 {
            10.0
        }

        fn linear(&self) -> Option<&dyn Linear> {
            Some(self)
        }

        fn drift(&self, _: &mut Cx<'_>, _: Times<'_>, x: X<'_>, mut f: Out<'_>) -> Result {
            f.zip_mut_with(&x, |f, x| *f = -x);
            Ok(())
        }

        fn apply_g(
            &self,
            _: &mut Cx<'_>,
            _: Times<'_>,
            _: X<'_>,
            z: X<'_>,
            mut out: Out<'_>,
        ) -> Result {
            out.zip_mut_with(&z, |o, z| *o = 2f64.sqrt() * z);
            Ok(())
        }

        fn apply_ggt(
            &self,
            _: &mut Cx<'_>,
            _: Times<'_>,
            _: X<'_>,
            v: X<'_>,
            mut out: Out<'_>,
        ) -> Result {
            out.zip_mut_with(&v, |o, v| *o = 2.0 * v);
            Ok(())
        }

        fn reference_sample(&self, cx: &mut Cx<'_>, x: Out<'_>) -> Result {
            cx.fill_normal(x);
            Ok(())
        }

        fn reference_eval(
            &self,
            _: &mut Cx<'_>,
            _: X<'_>,
            _: Option<ArrayViewMut1<'_, f64>>,
            _: Option<Out<'_>>,
        ) -> Result {
            unreachable!("no score asks for it")
        }
    }

    fn built(data_sd: f64) -> Result<Arc<dyn Score>> {
        let files = Folder::default();
        let mut parts = Parts::new(&files);
        parts.process = Some(Arc::new(Ou));
        MyComponent { data_sd }.build(&parts)
    }

    fn with_cx<R>(f: impl FnOnce(&mut Cx<'_>) -> R) -> R {
        Runtime::new(1, 1).unwrap().enter("test", 0, f)
    }

    /// Data N(0, s²) moved to time t by the law of the process.
    fn noised(n: usize, s: f64, t: f64) -> Array2<f64> {
        let (mut alpha, mut c) = ([0.0], [0.0]);
        Ou.at(t, &mut alpha, &mut c);
        let (mut x, mut z) = (Array2::zeros((n, DIM)), Array2::zeros((n, DIM)));
        with_cx(|cx| {
            cx.at("data", 0).fill_normal(x.view_mut());
            cx.at("noise", 0).fill_normal(z.view_mut());
        });
        x * (alpha[0] * s) + z * c[0].sqrt()
    }

    /// E s(X)·X = −d for the score s of the law of X (Stein): how many standard errors the mean of
    /// −s·x/d is from 1, of a score that is `factor` times too large.
    fn stein(t: f64, factor: f64) -> f64 {
        let s = 1.7;
        let x = noised(20_000, s, t);
        let score = built(s).unwrap();
        let mut out = Array2::zeros(x.dim());
        with_cx(|cx| cx.eval_score(&*score, Times::Shared(t), x.view(), out.view_mut())).unwrap();
        let terms: Array1<f64> = (out * &x * -factor).into_iter().collect();
        let n = terms.len() as f64;
        (terms.mean().unwrap() - 1.0) / (terms.std(1.0) / n.sqrt())
    }

    #[test]
    fn it_is_the_score_of_noised_data_and_a_mistake_is_noticed() {
        for t in [0.0, 0.3, 5.0] {
            assert!(stein(t, 1.0).abs() < 4.5, "{t}: {}", stein(t, 1.0));
            assert!(stein(t, 1.1).abs() > 4.5, "{t}: {}", stein(t, 1.1));
        }
    }

    #[test]
    fn times_of_rows_are_those_of_each_row() {
        let score = built(0.6).unwrap();
        let x = noised(3, 0.6, 0.5);
        let t = Array1::from(vec![0.0, 0.5, 2.0]);
        let (mut all, mut one) = (Array2::zeros(x.dim()), Array2::zeros(x.dim()));
        with_cx(|cx| {
            cx.eval_score(&*score, Times::PerRow(t.view()), x.view(), all.view_mut())?;
            for i in 0..3 {
                cx.eval_score(&*score, Times::Shared(t[i]), x.view(), one.view_mut())?;
                assert_eq!(all.row(i), one.row(i));
            }
            Ok::<(), Error>(())
        })
        .unwrap();
    }

    #[test]
    fn it_is_found_by_name_and_wrong_settings_are_refused() {
        let registry = retrograde::registry().unwrap();
        assert!(registry.iter().any(|c| c.label() == "score my-component"));
        for data_sd in [0.0, -1.0, f64::NAN] {
            let error = built(data_sd).map(|_| ()).unwrap_err().to_string();
            assert!(
                error.contains("`data_sd`") && error.contains("above 0"),
                "{error}"
            );
        }
        let alone = MyComponent::default().build(&Parts::new(&Folder::default()));
        let error = alone.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("a forward process"), "{error}");
    }
}
