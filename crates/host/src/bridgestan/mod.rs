//! A Stan model as a target: a shared library that BridgeStan made of a Stan program.
//!
//! Source: Roualdes, Ward, Carpenter, Seyboldt & Axen (2023), "BridgeStan: efficient in-memory access to
//! the methods of a Stan model", JOSS 8(87), 5236; Stan Reference Manual, "Constraint transforms".
//!
//! ```text
//! log π(u) = log p(θ(u), data) + log |det ∂θ/∂u|
//! ```
//!
//! for the unconstrained coordinates u of the parameters θ. All constants are kept, so that log Z is the
//! log evidence of the data, if the program itself keeps them: `y ~ normal(mu, sigma)` does, as this
//! target asks for it, and so does `target += normal_lpdf(y | mu, sigma)`; `normal_lupdf` need not. A
//! truncated law (`T[a, b]`) is normalised by Stan, a limit that is only declared (`real<lower=0>` under
//! a normal law) is not.
//!
//! The outputs are the constrained parameters, and on request transformed parameters and generated
//! quantities. Random numbers of the latter come from a generator of the library for each draw, whose
//! seed (32 bits) is of the run's own streams: the same bits on any number of threads.
//!
//! Cost: that of the model; a log density alone is computed without derivatives, and may differ in its
//! last bits from one with them. Products with the Hessian are differences of gradients, unless the
//! library was built with `BRIDGESTAN_AD_HESSIAN=true`. Only a library that was built with
//! `STAN_THREADS=true` is called on several threads at once.

mod library;
mod model;
mod names;

use library::{Refusal, open};
use model::{Call, Model, Unmade, With};
use ndarray::{ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2};
use rand_core::Rng;
use retrograde_core::registry::Parts;
use retrograde_core::{
    Build, Cx, Error, Hvp, Level, Outputs, Result, Target, Threading, Traits, register,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ffi::CString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const NAME: &str = "target bridgestan";

/// Settings, as written under `[target]` with `kind = "bridgestan"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BridgeStan {
    /// The shared library that BridgeStan 2 made of a Stan program, relative to the job. Its code runs
    /// as that of this program does: name only what you trust.
    pub library: PathBuf,
    /// JSON file with the data of the program, relative to the job. None for a program without data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Seed of random numbers in the block `transformed data`. Default 1.
    #[serde(default = "one")]
    pub seed: u32,
    /// Write transformed parameters beside the draws. Default false.
    #[serde(default)]
    pub transformed_parameters: bool,
    /// Write generated quantities beside the draws. Default false.
    #[serde(default)]
    pub generated_quantities: bool,
}

fn one() -> u32 {
    1
}

impl BridgeStan {
    /// All defaults for the library at `library`, without data.
    pub fn from_library(library: impl Into<PathBuf>) -> Self {
        Self {
            library: library.into(),
            data: None,
            seed: one(),
            transformed_parameters: false,
            generated_quantities: false,
        }
    }

    /// The data as they are handed over: text, which BridgeStan tells from a path by its end.
    fn json(&self, parts: &Parts<'_>) -> Result<Option<CString>> {
        let Some(file) = &self.data else {
            return Ok(None);
        };
        let mut bytes = parts.files.read(file)?;
        let wrong = |line: Option<usize>, message: &str| Error::Data {
            file: file.clone(),
            line: line.map(|l| l as u64),
            column: None,
            message: message.into(),
        };
        if bytes.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
            return Err(wrong(
                None,
                "is no JSON object; the data of a Stan program are one, such as {\"N\": 2, \"y\": [1, 2]}",
            ));
        }
        bytes.push(b'\n');
        CString::new(bytes).map(Some).map_err(|e| {
            let before = &e.into_vec();
            let zero = before.iter().position(|b| *b == 0).unwrap_or(0);
            let line = before[..zero].iter().filter(|b| **b == b'\n').count() + 1;
            wrong(Some(line), "has a zero byte, which no JSON text has")
        })
    }
}

impl Build<dyn Target> for BridgeStan {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Target>> {
        let path = parts.files.locate(&self.library)?;
        let data = self.json(parts)?;
        let wrong = |words: String| {
            let given = format!("{}, {words}", path.display());
            let allowed =
                "a shared library that BridgeStan 2 made of a Stan program with parameters";
            Error::setting(NAME, "library", given, allowed)
        };
        let functions = open(&path).map_err(|e| match e {
            Refusal::Other(words) => wrong(words),
            Refusal::Changed => Error::setting(
                NAME,
                "library",
                format!(
                    "{}, which was loaded by this program before and has changed since",
                    path.display()
                ),
                "a library of another name, or the same one in a program that is started anew",
            ),
        })?;
        let with = With {
            transformed_parameters: self.transformed_parameters,
            generated_quantities: self.generated_quantities,
        };
        let model =
            Model::new(functions, data.as_deref(), self.seed, with).map_err(|e| match e {
                Unmade::Broken(words) => wrong(words),
                Unmade::Refused(words) => Error::Settings {
                    component: NAME.into(),
                    key: if self.data.is_some() {
                        "data"
                    } else {
                        "library"
                    }
                    .into(),
                    message: match &self.data {
                        Some(data) => {
                            format!("the model cannot be made from {}: {words}", data.display())
                        }
                        None => format!("the model cannot be made without `data`: {words}"),
                    },
                },
            })?;
        if model.dim() == 0 {
            let name = model.name();
            return Err(wrong(format!("whose model `{name}` has no parameters")));
        }
        let outputs: Vec<String> = model
            .output_names()
            .map_err(wrong)?
            .iter()
            .map(|name| names::column(name))
            .collect();
        let coordinates =
            names::coordinates(&model.unconstrained_names().map_err(wrong)?, &outputs);
        Ok(Arc::new(Stan {
            name: model.name(),
            model,
            coordinates,
            outputs,
            told: [AtomicBool::new(false), AtomicBool::new(false)],
        }))
    }
}

/// The target.
struct Stan {
    name: String,
    model: Model,
    coordinates: Vec<String>,
    outputs: Vec<String>,
    /// Whether the first failure of the density, and of the outputs, was told.
    told: [AtomicBool; 2],
}

/// What failed.
#[derive(Clone, Copy)]
enum Failed {
    Density,
    Outputs,
}

impl Stan {
    /// Logs the first failure of a kind; the others are counted where they are found as NaN.
    fn tell(&self, cx: &Cx<'_>, what: Failed, words: Option<String>) {
        let Some(words) = words else {
            return;
        };
        if self.told[what as usize].swap(true, Ordering::Relaxed) {
            return;
        }
        let name = &self.name;
        let consequence = match what {
            Failed::Density => "such points have no mass and are counted",
            Failed::Outputs => "such outputs are NaN",
        };
        cx.log(
            Level::Warn,
            &format!(
                "{NAME}: the model `{name}` failed at a point; {consequence}. It says: {words}"
            ),
        );
    }

    /// Works through the rows of `x` in turn: `work(call, row, point)`, with the words of the model where
    /// it fails. Rows that are not finite are not shown to it, and fail without words. Gives the first
    /// words.
    fn each(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut work: impl FnMut(&Call<'_>, usize, Option<&[f64]>) -> std::result::Result<(), String>,
    ) -> Result<Option<String>> {
        let mut point = cx.take(self.model.dim());
        let mut first = None;
        let call = self.model.call();
        for (r, row) in x.rows().into_iter().enumerate() {
            // Models may take long.
            cx.check_cancelled()?;
            copy(row, &mut point);
            let finite = point.iter().all(|v| v.is_finite());
            if let Err(words) = work(&call, r, finite.then_some(&point)) {
                first.get_or_insert(words);
            }
        }
        drop(call);
        cx.give(point);
        Ok(first)
    }
}

fn copy(row: ArrayView1<'_, f64>, to: &mut [f64]) {
    to.iter_mut().zip(row).for_each(|(to, v)| *to = *v);
}

/// Writes `values`, or NaN where there are none.
fn write(mut row: ArrayViewMut1<'_, f64>, values: Option<&[f64]>) {
    match values {
        Some(values) => row.iter_mut().zip(values).for_each(|(to, v)| *to = *v),
        None => row.fill(f64::NAN),
    }
}

impl Target for Stan {
    fn dim(&self) -> usize {
        self.model.dim()
    }

    fn traits(&self) -> Traits {
        Traits {
            threading: if self.model.threads() {
                Threading::Concurrent
            } else {
                Threading::Serial
            },
            ..Traits::PURE
        }
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let mut slope = cx.take(self.model.dim());
        let words = self.each(cx, x, |call, r, point| {
            let value = match (point, &gradient) {
                (None, _) => Ok(f64::NAN),
                (Some(x), Some(_)) => call.log_density_gradient(x, &mut slope),
                (Some(x), None) => call.log_density(x),
            };
            if let Some(l) = &mut log_density {
                l[r] = *value.as_ref().unwrap_or(&f64::NAN);
            }
            if let Some(g) = &mut gradient {
                write(
                    g.row_mut(r),
                    (point.is_some() && value.is_ok()).then_some(&slope),
                );
            }
            value.map(|_| ())
        })?;
        cx.give(slope);
        self.tell(cx, Failed::Density, words);
        Ok(())
    }

    fn coordinate(&self, i: usize) -> String {
        self.coordinates[i].clone()
    }

    fn hvp(&self) -> Option<&dyn Hvp> {
        self.model.has_hvp().then_some(self)
    }

    fn outputs(&self) -> Option<&dyn Outputs> {
        Some(self)
    }
}

impl Hvp for Stan {
    fn hvp(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        v: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result {
        let d = self.model.dim();
        let (mut direction, mut product) = (cx.take(d), cx.take(d));
        let words = self.each(cx, x, |call, r, point| {
            copy(v.row(r), &mut direction);
            let done = point.map_or(Ok(()), |x| call.hvp(x, &direction, &mut product));
            write(
                out.row_mut(r),
                (point.is_some() && done.is_ok()).then_some(&product),
            );
            done
        })?;
        cx.give(product);
        cx.give(direction);
        self.tell(cx, Failed::Density, words);
        Ok(())
    }
}

impl Outputs for Stan {
    fn count(&self) -> usize {
        self.model.outputs()
    }

    fn name(&self, i: usize) -> String {
        self.outputs[i].clone()
    }

    fn eval(&self, cx: &mut Cx<'_>, x: ArrayView2<'_, f64>, out: ArrayViewMut2<'_, f64>) -> Result {
        // A generator a row, so that no row depends on where the batch is split.
        let streams = self.model.draws().then(|| cx.row_streams());
        let work =
            |cx: &mut Cx<'_>,
             first: usize,
             (x, mut out): (ArrayView2<'_, f64>, ArrayViewMut2<'_, f64>)| {
                let mut values = cx.take(self.model.outputs());
                let words = self.each(cx, x, |call, r, point| {
                    let seed = streams.as_ref().map(|of| of(first + r).next_u32());
                    let done = point.map_or(Ok(()), |x| call.outputs(x, seed, &mut values));
                    write(
                        out.row_mut(r),
                        (point.is_some() && done.is_ok()).then_some(&values),
                    );
                    done
                })?;
                cx.give(values);
                self.tell(cx, Failed::Outputs, words);
                Ok(())
            };
        if self.model.threads() {
            cx.rows(x.nrows(), (x, out), |cx, rows, parts| {
                work(cx, rows.start, parts)
            })
        } else {
            work(cx, 0, (x, out))
        }
    }
}

register! {
    target "bridgestan" => BridgeStan, needs NOTHING,
        summary "A Stan model: a library that BridgeStan made of it, on its unconstrained scale",
        source "Roualdes et al. (2023), JOSS 8(87), 5236; Stan Reference Manual";
}
