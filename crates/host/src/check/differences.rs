//! Derivatives by Richardson-extrapolated central differences.

/// Steps, in units of max(|x|, 1): a smaller one where a larger one gives a number that is not finite, or
/// where halving it changes the slope.
const STEPS: [f64; 4] = [2e-3, 2e-4, 2e-5, 2e-6];
/// Relative change by halving the step that makes a slope one.
const SETTLED: f64 = 1e-4;
/// What a derivative may differ from differences, relative to its size or 1.
pub(crate) const TOLERANCE: f64 = 1e-5;

/// The largest disagreement of claimed derivatives with differences.
#[derive(Debug, Default)]
pub(crate) struct Worst {
    /// Relative; NaN counts as infinite.
    pub(crate) error: f64,
    /// What was claimed and what differences say, there.
    pub(crate) at: Option<(f64, f64)>,
    /// Numbers compared.
    pub(crate) compared: usize,
}

impl Worst {
    /// Compares a claim with a difference, on the scale of the numbers around.
    pub(crate) fn take(&mut self, claimed: f64, difference: f64, scale: f64) {
        self.compared += 1;
        let error = (claimed - difference).abs() / scale.max(1.0);
        let error = if error.is_nan() { f64::INFINITY } else { error };
        if error > self.error || self.at.is_none() {
            self.error = self.error.max(error);
            self.at = Some((claimed, difference));
        }
    }

    pub(crate) fn good(&self) -> bool {
        self.error <= TOLERANCE
    }

    /// "largest relative error 1.2e-9 in 96 numbers", with the numbers where it is wrong.
    pub(crate) fn words(&self) -> String {
        let all = format!(
            "largest relative error {:.1e} in {} numbers",
            self.error, self.compared
        );
        match self.at {
            Some((claimed, difference)) if !self.good() => {
                format!("{all}: it says {claimed:.8}, differences say {difference:.8}")
            }
            _ => all,
        }
    }
}

/// A function of points: `points` has rows of as many numbers as `x`, the result rows of `k`.
pub(crate) type Points<'a> = dyn FnMut(&[f64], usize) -> Result<Vec<f64>, String> + 'a;

/// The derivative of `f` at the rows of `x` (n × d) along `v` (n × d): n × k numbers, `None` where
/// differences do not settle. Times and other inputs of a row are the business of `f`, which is told rows in
/// groups of the same order as x: the points of one step for all rows, four times.
///
/// # Errors
/// Those of `f`.
pub(crate) fn along(
    f: &mut Points<'_>,
    x: &[f64],
    v: &[f64],
    n: usize,
    k: usize,
) -> Result<Vec<Option<f64>>, String> {
    let d = x.len() / n.max(1);
    let mut found: Vec<Option<(f64, f64)>> = vec![None; n * k];
    for step in STEPS {
        let h: Vec<f64> = (0..n)
            .map(|i| {
                let row = i * d..(i + 1) * d;
                let moving = row.clone().filter(|j| v[*j] != 0.0);
                let size = moving.fold(0.0f64, |m, j| m.max(v[j].abs()));
                let at = row.filter(|j| v[*j] != 0.0);
                let scale = at.fold(f64::INFINITY, |m, j| m.min(x[j].abs()));
                // In units of the smallest coordinate that moves: a wall is near where that is small.
                let scale = if scale.is_finite() {
                    scale.clamp(0.05, 1e6)
                } else {
                    1.0
                };
                step * scale / if size > 0.0 { size } else { 1.0 }
            })
            .collect();
        let mut at = |factor: f64| -> Result<Vec<f64>, String> {
            let p: Vec<f64> = (0..n * d)
                .map(|j| x[j] + factor * h[j / d] * v[j])
                .collect();
            f(&p, n)
        };
        let (a, b, c, e) = (at(1.0)?, at(-1.0)?, at(0.5)?, at(-0.5)?);
        for i in 0..n * k {
            let h = h[i / k];
            let (coarse, fine) = ((a[i] - b[i]) / (2.0 * h), (c[i] - e[i]) / h);
            if !(coarse.is_finite() && fine.is_finite()) {
                continue;
            }
            let change = (fine - coarse).abs() / fine.abs().max(1.0);
            if found[i].is_none_or(|(_, other)| change < other) {
                found[i] = Some((fine + (fine - coarse) / 3.0, change));
            }
        }
        if found
            .iter()
            .all(|f| f.is_some_and(|(_, change)| change < 1e-6))
        {
            break;
        }
    }
    Ok(found
        .into_iter()
        .map(|f| {
            f.filter(|(_, change)| *change < SETTLED)
                .map(|(slope, _)| slope)
        })
        .collect())
}
