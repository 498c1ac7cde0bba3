//! The Girsanov bound of a stochastic sampler from averages over forward paths.
//!
//! Source: Chen, Chewi, Li, Li, Salim & Zhang (2023), ICLR, arXiv:2209.11215; Benton, De Bortoli, Doucet & Deligiannidis (2024),
//! ICLR, arXiv:2308.03686 (no split needed: the score is a martingale along the reverse path).
//!
//! KL(p₀ ‖ q) ≤ KL(p_T ‖ γ) + ½ Σₖ ∫ E Δₖ(t)² dt over the steps from t_k down to t_{k+1}, with X the *forward* process:
//!
//! | | Δₖ(t)² in total | score part | discretisation part |
//! | --- | --- | --- | --- |
//! | exponential integrator, frozen score | g² ‖s_θ(t_k, X_k) − s(t, X_t)‖² | g² ‖s_θ(t_k, X_k) − s(t_k, X_k)‖² | g² ‖s(t_k, X_k) − s(t, X_t)‖² |
//! | Euler–Maruyama, drift b | ‖b_θ(t_k, X_k) − b(t, X_t)‖²/g² | ‖b_θ(t_k, X_k) − b(t_k, X_k)‖²/g² | ‖b(t_k, X_k) − b(t, X_t)‖²/g² |
//!
//! The parts add up with ‖a + b‖² ≤ 2‖a‖² + 2‖b‖²; the total is smaller, and is what bounds. With t uniform in a step its
//! length times the mean of Δ² estimates the integral.
//!
//! A bound of this kind says nothing about deterministic samplers (Chen, Daras & Dimakis 2023, arXiv:2303.03384).

use crate::points::{same, wrong};
use ndarray::{ArrayView1, ArrayView2, ArrayViewMut1};
use retrograde_core::Result;

const NAME: &str = "Girsanov bound";

/// A number with its standard error.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// Its standard error; 0 if exact.
    pub standard_error: f64,
}

/// A step of a run.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Step {
    /// t_k, where it starts and the score is frozen.
    pub start: f64,
    /// t_{k+1} < t_k.
    pub end: f64,
    /// Noise level σ/α at t_k.
    pub noise: f64,
    /// σ² at t_k, which turns errors of the score into those of the predicted noise.
    pub sigma2: f64,
    /// ∫ over the step of what multiplies ‖s_θ(t_k, X_k) − s(t_k, X_k)‖² in the score part: ∫ g² dt for the exponential
    /// integrator, g(t_k)⁴ ∫ dt/g² for Euler–Maruyama.
    pub score_weight: f64,
}

/// Writes wᵢ ‖aᵢ − bᵢ‖² of the rows: a squared gap Δ² of the table above.
///
/// # Shapes
/// `a`, `b`: (n, d); `weights` and `out`: (n).
///
/// # Errors
/// [`retrograde_core::Error::Shape`] when they do not fit.
pub fn weighted_gaps(
    a: ArrayView2<'_, f64>,
    b: ArrayView2<'_, f64>,
    weights: ArrayView1<'_, f64>,
    mut out: ArrayViewMut1<'_, f64>,
) -> Result {
    same(NAME, "`b`", "rows", a.nrows(), b.nrows())?;
    same(NAME, "`b`", "columns", a.ncols(), b.ncols())?;
    same(NAME, "`weights`", "numbers", a.nrows(), weights.len())?;
    same(NAME, "`out`", "numbers", a.nrows(), out.len())?;
    for (((a, b), w), out) in a
        .rows()
        .into_iter()
        .zip(b.rows())
        .zip(weights)
        .zip(&mut out)
    {
        let square: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
        *out = w * square;
    }
    Ok(())
}

/// Sums of weighted values, for their mean and its standard error.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    count: u64,
    w: f64,
    wx: f64,
    ww: f64,
    wwx: f64,
    wwxx: f64,
}

impl Sum {
    fn add(&mut self, w: f64, x: f64) {
        self.count += 1;
        self.w += w;
        self.wx += w * x;
        self.ww += w * w;
        self.wwx += w * w * x;
        self.wwxx += w * w * x * x;
    }

    /// `scale` times the mean. Self-normalised weights: the error is that of the ratio, Σ w² (x − m)² / (Σ w)².
    fn mean(&self, scale: f64) -> Estimate {
        let (n, m) = (self.count as f64, self.wx / self.w);
        let spread = (self.wwxx - 2.0 * m * self.wwx + m * m * self.ww).max(0.0);
        let small = n / (n - 1.0);
        Estimate {
            value: scale * m,
            standard_error: scale * (small * spread).sqrt() / self.w,
        }
    }
}

/// Collects Δ² along forward paths, a batch at a time.
#[derive(Debug, Clone)]
pub struct Girsanov {
    steps: Vec<Step>,
    /// Score, discretisation, total of each step.
    levels: Vec<[Sum; 3]>,
    /// Score, discretisation, total and split of whole rows: their errors count the dependence of steps that share a path.
    rows: [Sum; 4],
}

impl Girsanov {
    /// For the `steps` of a run, from t_0 = T down.
    ///
    /// # Errors
    /// [`retrograde_core::Error::Argument`] for no steps, a number that is not finite, a step that does not go down, and
    /// negative σ² or weight.
    pub fn new(steps: Vec<Step>) -> Result<Self> {
        if steps.is_empty() {
            return Err(wrong(NAME, "steps", "empty", "at least one step"));
        }
        for (k, s) in steps.iter().enumerate() {
            let at = |what: &str| format!("steps[{k}].{what}");
            if !s.start.is_finite() {
                return Err(wrong(NAME, at("start"), s.start, "finite"));
            }
            if !(s.end < s.start && s.end.is_finite()) {
                let allowed = format!("finite and below its start {}", s.start);
                return Err(wrong(NAME, at("end"), s.end, allowed));
            }
            let others = [("noise", s.noise), ("sigma2", s.sigma2)];
            for (what, v) in others.into_iter().chain([("score_weight", s.score_weight)]) {
                if !(v >= 0.0 && v.is_finite()) {
                    return Err(wrong(NAME, at(what), v, "at least 0 and finite"));
                }
            }
        }
        Ok(Self {
            levels: vec![[Sum::default(); 3]; steps.len()],
            rows: [Sum::default(); 4],
            steps,
        })
    }

    /// Adds Δ² of `n` paths: row i holds the steps of one path, or of any independent ones, at a t uniform in each step.
    /// `weights` (of any scale, the same for all batches) where the data are a weighted sample.
    ///
    /// # Shapes
    /// `score`, `discretisation`, `total`: (n, steps); `weights`: (n).
    ///
    /// # Errors
    /// [`retrograde_core::Error::Shape`] when they do not fit; [`retrograde_core::Error::Argument`] for a value that is
    /// negative or not finite, before anything is added.
    pub fn add(
        &mut self,
        score: ArrayView2<'_, f64>,
        discretisation: ArrayView2<'_, f64>,
        total: ArrayView2<'_, f64>,
        weights: Option<ArrayView1<'_, f64>>,
    ) -> Result {
        let (n, k) = (score.nrows(), self.steps.len());
        let all = [
            ("score", score),
            ("discretisation", discretisation),
            ("total", total),
        ];
        for (name, x) in &all {
            same(NAME, &format!("`{name}`"), "rows", n, x.nrows())?;
            same(NAME, &format!("`{name}`"), "columns", k, x.ncols())?;
            let bad = |v: f64| !(v >= 0.0 && v.is_finite());
            if let Some(((i, j), v)) = x.indexed_iter().find(|(_, v)| bad(**v)) {
                let argument = format!("{name}[{i}][{j}]");
                return Err(wrong(NAME, argument, v, "at least 0 and finite"));
            }
        }
        if let Some(w) = &weights {
            same(NAME, "`weights`", "numbers", n, w.len())?;
            let bad = |w: &f64| !(*w >= 0.0 && w.is_finite());
            if let Some(i) = w.iter().position(bad) {
                let argument = format!("weights[{i}]");
                return Err(wrong(NAME, argument, w[i], "at least 0 and finite"));
            }
        }
        for i in 0..n {
            let w = weights.map_or(1.0, |w| w[i]);
            let mut row = [0.0; 3];
            for (j, step) in self.steps.iter().enumerate() {
                for (part, (_, x)) in all.iter().enumerate() {
                    self.levels[j][part].add(w, x[(i, j)]);
                    row[part] += 0.5 * (step.start - step.end) * x[(i, j)];
                }
            }
            let split = 2.0 * (row[0] + row[1]);
            for (sum, x) in self.rows.iter_mut().zip([row[0], row[1], row[2], split]) {
                sum.add(w, x);
            }
        }
        Ok(())
    }

    /// The bound so far.
    ///
    /// # Errors
    /// [`retrograde_core::Error::Argument`] for fewer than two paths, or none with weight.
    pub fn bound(&self) -> Result<GirsanovBound> {
        let paths = self.rows[0].count;
        if paths < 2 || self.rows[0].w <= 0.0 {
            return Err(wrong(NAME, "paths", paths, "at least 2 with weight"));
        }
        let levels = self.steps.iter().zip(&self.levels);
        Ok(GirsanovBound {
            paths,
            score: self.rows[0].mean(1.0),
            discretisation: self.rows[1].mean(1.0),
            total: self.rows[2].mean(1.0),
            split: self.rows[3].mean(1.0),
            levels: levels
                .map(|(step, [score, discretisation, total])| {
                    let length = step.start - step.end;
                    // t is independent of X_k, so the mean of Δ² is that of the weight times that of the error.
                    let noise_error = (step.score_weight > 0.0)
                        .then(|| score.mean(length * step.sigma2 / step.score_weight));
                    LevelRow {
                        start: step.start,
                        end: step.end,
                        noise: step.noise,
                        noise_error,
                        score: score.mean(0.5 * length),
                        discretisation: discretisation.mean(0.5 * length),
                        total: total.mean(0.5 * length),
                    }
                })
                .collect(),
        })
    }
}

/// The path-space part of a bound on KL(p₀ ‖ q), in nats; the initialisation comes on top.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct GirsanovBound {
    /// Paths it was estimated from.
    pub paths: u64,
    /// ½ Σ ∫ of the score part.
    pub score: Estimate,
    /// ½ Σ ∫ of the discretisation part, an upper bound of order h where the error is of order h².
    pub discretisation: Estimate,
    /// ½ Σ ∫ of Δ² in total: the bound.
    pub total: Estimate,
    /// 2 (score + discretisation) ≥ total.
    pub split: Estimate,
    /// Step by step.
    pub levels: Vec<LevelRow>,
}

/// A step's share in the bound.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct LevelRow {
    /// t_k
    pub start: f64,
    /// t_{k+1}
    pub end: f64,
    /// σ/α at t_k.
    pub noise: f64,
    /// σ² E‖s_θ − s‖² at t_k, the squared error of the predicted noise; none where the score has no weight.
    pub noise_error: Option<Estimate>,
    /// Its score part.
    pub score: Estimate,
    /// Its discretisation part.
    pub discretisation: Estimate,
    /// Its total.
    pub total: Estimate,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::{OuGaussian, Scheme};
    use crate::test_chains::{assert_close, normals};
    use ndarray::{Array1, Array2, array};
    use statrs::distribution::{ContinuousCDF, Normal};

    const T: f64 = 3.0;

    /// Forward paths of OU from N(2, ¼), scores that are off by `bias`. `coupled` is what makes them paths.
    fn estimate(scheme: Scheme, steps: usize, bias: f64, coupled: bool) -> GirsanovBound {
        let ou = OuGaussian::new(2.0, 0.25, T).unwrap();
        let h = T / steps as f64;
        let grid: Vec<Step> = (0..steps)
            .map(|k| {
                let start = T - k as f64 * h;
                Step {
                    start,
                    end: start - h,
                    noise: (2.0 * start).exp_m1().sqrt(),
                    sigma2: -(-2.0 * start).exp_m1(),
                    score_weight: 2.0 * h,
                }
            })
            .collect();
        let score = |t: f64, x: f64| {
            let (m, v) = ou.law(t);
            -(x - m) / v
        };
        let (mut next, normal) = (normals(5), Normal::standard());
        let mut all = Girsanov::new(grid.clone()).unwrap();
        let n = 5_000;
        for _ in 0..20 {
            let mut parts = [(); 3].map(|()| Array2::zeros((n, steps)));
            let mut columns: [Array2<f64>; 4] = [(); 4].map(|()| Array2::zeros((n, 1)));
            for (k, step) in grid.iter().enumerate() {
                for i in 0..n {
                    // One uniform from a normal is enough for a test.
                    let t = step.end + h * normal.cdf(next());
                    let (m, v) = ou.law(t);
                    let x = m + v.sqrt() * next();
                    let decay = (t - step.start).exp();
                    let xk = if coupled {
                        decay * x + (1.0 - decay * decay).sqrt() * next()
                    } else {
                        let (m, v) = ou.law(step.start);
                        m + v.sqrt() * next()
                    };
                    let drift = |t: f64, x: f64, s: f64| match scheme {
                        Scheme::Exponential => s + 0.0 * t,
                        Scheme::EulerMaruyama => x + 2.0 * s,
                    };
                    let frozen = score(step.start, xk);
                    columns[0][(i, 0)] = drift(step.start, xk, frozen + bias);
                    columns[1][(i, 0)] = drift(step.start, xk, frozen);
                    columns[2][(i, 0)] = drift(t, x, score(t, x));
                }
                let weight = match scheme {
                    Scheme::Exponential => 2.0,
                    Scheme::EulerMaruyama => 0.5,
                };
                let weights = Array1::from_elem(n, weight);
                for (part, (a, b)) in [(0, 1), (1, 2), (0, 2)].into_iter().enumerate() {
                    let (a, b) = (columns[a].view(), columns[b].view());
                    weighted_gaps(a, b, weights.view(), parts[part].column_mut(k)).unwrap();
                }
            }
            let [score, discretisation, total] = &parts;
            all.add(score.view(), discretisation.view(), total.view(), None)
                .unwrap();
        }
        all.bound().unwrap()
    }

    fn within(found: Estimate, truth: f64) -> bool {
        (found.value - truth).abs() <= 4.0 * found.standard_error
    }

    /// 10⁵ draws a step against closed forms, and what happens when X_k does not belong to X_t.
    #[test]
    fn closed_forms_within_four_standard_errors() {
        let ou = OuGaussian::new(2.0, 0.25, T).unwrap();
        for (scheme, steps) in [
            (Scheme::Exponential, 10),
            (Scheme::Exponential, 40),
            (Scheme::EulerMaruyama, 10),
            (Scheme::EulerMaruyama, 20),
        ] {
            let exact = ou.girsanov(scheme, steps).unwrap();
            let sum: f64 = exact.iter().sum();
            let found = estimate(scheme, steps, 0.1, true);
            assert_eq!(found.paths, 100_000);
            assert!(within(found.discretisation, sum), "{found:?} {sum}");
            assert!(found.discretisation.standard_error < 0.01 * sum);
            // The bias of the score: ½ · 2 · 0.1² · 3. E s = 0, so the total is the sum of the parts, but for the cross
            // term 0.1 (E X_k − E X_t) of Euler–Maruyama, whose drift has the mean of X.
            let h = T / steps as f64;
            let cross = match scheme {
                Scheme::Exponential => 0.0,
                Scheme::EulerMaruyama => {
                    let left: f64 = (1..=steps).map(|j| 2.0 * h * (-h * j as f64).exp()).sum();
                    0.1 * (left + 2.0 * (-T).exp_m1())
                }
            };
            assert_close(found.score.value, 0.03, 1e-10);
            assert!(found.score.standard_error < 1e-8);
            assert!(within(found.total, sum + 0.03 + cross), "{found:?}");
            let split = 2.0 * (found.score.value + found.discretisation.value);
            assert_close(found.split.value, split, 1e-10);
            for (row, exact) in found.levels.iter().zip(exact) {
                // 100 rows at 4 standard errors: one in 150 runs of another seed would fall out.
                assert!(within(row.discretisation, exact), "{row:?} {exact}");
                let sigma2 = -(-2.0 * row.start).exp_m1();
                assert_close(row.noise_error.unwrap().value, 0.01 * sigma2, 1e-9);
            }
            // The bound holds for the output from p_T.
            let truth = ou.kl_to(ou.output(scheme, steps, ou.last()).unwrap());
            assert!(found.total.value > truth);
        }
        let broken = estimate(Scheme::Exponential, 10, 0.0, false);
        let sum: f64 = ou.girsanov(Scheme::Exponential, 10).unwrap().iter().sum();
        assert!(!within(broken.discretisation, sum));
    }

    #[test]
    fn weights_and_shared_paths() {
        let step = |start: f64| Step {
            start,
            end: start - 1.0,
            noise: 1.0,
            sigma2: 0.5,
            score_weight: 2.0,
        };
        let mut all = Girsanov::new(vec![step(2.0), step(1.0)]).unwrap();
        let x = array![[1.0, 1.0], [3.0, 3.0], [5.0, 5.0]];
        let zero = Array2::zeros((3, 2));
        all.add(x.view(), zero.view(), x.view(), None).unwrap();
        let found = all.bound().unwrap();
        // Rows ½(x + x) = 1, 3, 5: mean 3, variance 4. Steps taken for independent would give √½ of that error.
        assert_close(found.score.value, 3.0, 1e-14);
        assert_close(found.score.standard_error, (4.0f64 / 3.0).sqrt(), 1e-14);
        assert_close(found.levels[0].score.value, 1.5, 1e-14);
        assert_close(found.levels[0].noise_error.unwrap().value, 0.75, 1e-14);
        // A weight of zero is a path that is not there, and scale does not matter.
        let mut weighted = Girsanov::new(vec![step(2.0), step(1.0)]).unwrap();
        let y = array![[1.0, 1.0], [9.0, 9.0], [5.0, 5.0], [3.0, 3.0]];
        let w = array![7.0, 0.0, 7.0, 7.0];
        let zero = Array2::zeros((4, 2));
        weighted
            .add(y.view(), zero.view(), y.view(), Some(w.view()))
            .unwrap();
        assert_close(weighted.bound().unwrap().total.value, 3.0, 1e-14);
    }

    #[test]
    fn bad_input_is_told() {
        let good = Step {
            start: 1.0,
            end: 0.5,
            noise: 1.0,
            sigma2: 1.0,
            score_weight: 1.0,
        };
        assert!(Girsanov::new(vec![]).is_err());
        let told = |s: Step| Girsanov::new(vec![good, s]).unwrap_err().to_string();
        assert!(told(Step { end: 1.0, ..good }).contains("`steps[1].end` is 1"));
        assert!(
            told(Step {
                noise: f64::NAN,
                ..good
            })
            .contains("steps[1].noise")
        );
        let mut all = Girsanov::new(vec![good]).unwrap();
        let (x, nan) = (array![[1.0]], array![[f64::NAN]]);
        let told = all.add(x.view(), nan.view(), x.view(), None).unwrap_err();
        assert!(told.to_string().contains("discretisation[0][0]"));
        let wide = array![[1.0, 2.0]];
        assert!(all.add(wide.view(), x.view(), x.view(), None).is_err());
        let w = array![-1.0];
        assert!(
            all.add(x.view(), x.view(), x.view(), Some(w.view()))
                .is_err()
        );
        assert!(all.bound().is_err());
    }
}
