//! What the Markov chain samplers share: starts, the count of moves, the kept draws of a step.

use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2};
use retrograde_core::settings::PerCoordinate;
use retrograde_core::{Cx, Draws, Error, Flag, Result, Severity, Sink, Target};
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;

/// A coordinate beyond this has left every range where a density has mass. Far below the largest
/// number, so that targets may still take powers of it.
pub(crate) const FAR: f64 = 1e50;

/// The length of a run and how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Chains, the rows of the batch.
    pub(crate) chains: usize,
    /// Moves before the first kept draw's interval.
    pub(crate) warmup: u64,
    thin: u64,
    /// Draws kept of each chain.
    draws: u64,
    /// Moves done.
    pub(crate) done: u64,
}

impl Plan {
    /// A run that leaves `n` draws in all.
    pub(crate) fn new(
        component: &str,
        n: usize,
        chains: usize,
        warmup: u64,
        thin: u64,
    ) -> Result<Self> {
        check(component, "chains", chains, chains > 0, "at least 1")?;
        if n == 0 || !n.is_multiple_of(chains) {
            let near = (n / chains).max(1).saturating_mul(chains);
            return Err(Error::setting(
                component,
                "chains",
                chains,
                format!(
                    "a divisor of the number of draws, {n}: ask for {near} draws, or set `chains` \
                     to a divisor (chains = {n} gives independent draws, one a chain)"
                ),
            ));
        }
        let draws = (n / chains) as u64;
        let moves = draws.checked_mul(thin).and_then(|m| m.checked_add(warmup));
        if thin == 0 || moves.is_none() {
            return Err(Error::setting(
                component,
                "thin",
                thin,
                "at least 1, and so small that the moves can be counted",
            ));
        }
        Ok(Self {
            chains,
            warmup,
            thin,
            draws,
            done: 0,
        })
    }

    /// Whether a saved plan is one of this run: all but the moves done is the same.
    pub(crate) fn check_saved(&self, made: Result<Self>) -> std::result::Result<(), String> {
        let made = made.map_err(|e| e.to_string())?;
        let done = self.done.min(made.moves());
        if *self == (Self { done, ..made }) {
            return Ok(());
        }
        Err(format!("{self:?} is no part of {made:?}"))
    }

    fn moves(&self) -> u64 {
        self.warmup + self.draws * self.thin
    }

    /// Moves after the warm-up.
    pub(crate) fn length(&self) -> u64 {
        self.draws * self.thin
    }

    /// Moves of a step that does at most `most`.
    pub(crate) fn moves_now(&self, most: u64) -> u64 {
        most.min(self.moves() - self.done)
    }

    /// Moves to the next one whose state is a draw, that one included.
    pub(crate) fn until_draw(&self) -> u64 {
        let over = self.done.saturating_sub(self.warmup);
        (self.warmup.saturating_sub(self.done)) + self.thin - over % self.thin
    }

    /// Whether the next move belongs to the warm-up.
    pub(crate) fn warming_up(&self) -> bool {
        self.done < self.warmup
    }

    /// Counts a move; true if the state after it is a draw.
    pub(crate) fn count_move(&mut self) -> bool {
        self.done += 1;
        self.done > self.warmup && (self.done - self.warmup).is_multiple_of(self.thin)
    }

    /// Whether all moves are done.
    pub(crate) fn is_done(&self) -> bool {
        self.done == self.moves()
    }

    pub(crate) fn fraction(&self) -> f64 {
        self.done as f64 / self.moves() as f64
    }

    /// Chains to declare: chains that leave one draw each are independent draws, one chain.
    pub(crate) fn declared_chains(&self) -> usize {
        if self.draws == 1 { 1 } else { self.chains }
    }
}

/// Refuses a saved array of another length than it should have.
pub(crate) fn check_length(
    what: &str,
    found: usize,
    expected: usize,
) -> std::result::Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{found} {what}, not {expected}"))
}

/// Moves of a step, at most `most`: a batch so large that one move takes long is given one, whose draws
/// are then handed on from where they are.
pub(crate) fn moves_of_step(chains: usize, d: usize, most: u64) -> u64 {
    const LARGE: usize = 1 << 16;
    if chains * d < LARGE { most } else { 1 }
}

/// Kept draws of a step and `S` statistics of each, handed on in one piece. Where a step has one move
/// nothing is copied: the draws are those of the chains as they stand.
pub(crate) struct Kept<const S: usize> {
    x: Vec<f64>,
    stats: [Vec<f64>; S],
    d: usize,
    rows: usize,
    copies: bool,
}

/// The chains as they stand: positions, and `S` statistics of each.
pub(crate) type Now<'a, const S: usize> = (ArrayView2<'a, f64>, [ArrayView1<'a, f64>; S]);

impl<const S: usize> Kept<S> {
    /// Room for what a step of `moves` moves can keep, whether or not this one does: the first step
    /// then takes all that later ones need.
    pub(crate) fn take(cx: &mut Cx<'_>, plan: &Plan, moves: u64, d: usize) -> Self {
        let sweeps = moves.div_ceil(plan.thin).min(plan.draws);
        let copies = moves > 1;
        let rows = if copies {
            usize::try_from(sweeps).unwrap_or(usize::MAX) * plan.chains
        } else {
            0
        };
        Self {
            x: cx.take(rows * d),
            stats: std::array::from_fn(|_| cx.take(rows)),
            d,
            rows: 0,
            copies,
        }
    }

    /// Keeps the current state of all chains.
    pub(crate) fn push(&mut self, (x, stats): Now<'_, S>) {
        let rows = self.rows..self.rows + x.nrows();
        if !self.copies {
            self.rows = rows.end;
            return;
        }
        let at = rows.start * self.d..rows.end * self.d;
        matrix_mut(&mut self.x[at], self.d).assign(&x);
        for (all, now) in self.stats.iter_mut().zip(stats) {
            all[rows.clone()]
                .iter_mut()
                .zip(now)
                .for_each(|(a, v)| *a = *v);
        }
        self.rows = rows.end;
    }

    /// Hands them to the sink, if there are any. `now` is the state they were last kept of.
    pub(crate) fn emit(
        self,
        cx: &mut Cx<'_>,
        sink: &mut dyn Sink,
        names: [&'static str; S],
        now: Now<'_, S>,
    ) -> Result {
        if self.rows > 0 {
            let (x, stats) = if self.copies {
                let stat = |s: usize| ArrayView1::from(&self.stats[s][..self.rows]);
                let x = matrix(&self.x[..self.rows * self.d], self.d);
                (x, std::array::from_fn(stat))
            } else {
                now
            };
            let stats: [(&str, ArrayView1<'_, f64>); S] =
                std::array::from_fn(|s| (names[s], stats[s]));
            sink.emit(&Draws {
                x,
                log_weights: None,
                stats: &stats,
            })?;
        }
        cx.give(self.x);
        self.stats.into_iter().for_each(|s| cx.give(s));
        Ok(())
    }
}

/// Rows of length `d` of a buffer.
pub(crate) fn matrix(buffer: &[f64], d: usize) -> ArrayView2<'_, f64> {
    ArrayView2::from_shape((buffer.len() / d, d), buffer).expect("buffers hold whole rows")
}

/// Rows of length `d` of a buffer.
pub(crate) fn matrix_mut(buffer: &mut [f64], d: usize) -> ArrayViewMut2<'_, f64> {
    ArrayViewMut2::from_shape((buffer.len() / d, d), buffer).expect("buffers hold whole rows")
}

/// The numbers of a block of rows, which arrays and buffers of this crate hold densely.
pub(crate) fn dense<'a>(x: &ArrayView2<'a, f64>) -> &'a [f64] {
    x.to_slice().expect("rows are dense")
}

/// The numbers of a block of rows, to be changed.
pub(crate) fn dense_mut(x: ArrayViewMut2<'_, f64>) -> &mut [f64] {
    x.into_slice().expect("rows are dense")
}

/// n × d zeros, or an error where memory cannot be had.
pub(crate) fn zeros(component: &str, n: usize, d: usize) -> Result<Array2<f64>> {
    let mut buffer = Vec::new();
    let room = n.checked_mul(d).filter(|len| {
        // ndarray counts bytes in isize.
        *len <= isize::MAX as usize / 8 && buffer.try_reserve_exact(*len).is_ok()
    });
    let Some(len) = room else {
        return Err(Error::Memory {
            what: format!("{component}: {n} rows of {d} coordinates"),
            bytes: 8 * n as u128 * d as u128,
            advice: "ask for fewer draws or chains".into(),
        });
    };
    buffer.resize(len, 0.0);
    Ok(Array2::from_shape_vec((n, d), buffer).expect("n × d numbers"))
}

/// A law N(mean, diag(sd²)), from which chains start and particles come.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Gaussian {
    pub(crate) mean: Vec<f64>,
    pub(crate) sd: Vec<f64>,
    /// 1/s².
    pub(crate) precision: Vec<f64>,
    /// Σ (ln s + ½ ln 2π).
    pub(crate) log_normaliser: f64,
}

impl Gaussian {
    /// From the settings `keys` = (key of the mean, key of the sd); sd ≥ 0, or > 0 if `proper`.
    pub(crate) fn new(
        component: &str,
        d: usize,
        keys: [&str; 2],
        mean: &PerCoordinate,
        sd: &PerCoordinate,
        proper: bool,
    ) -> Result<Self> {
        if d == 0 {
            return Err(Error::Argument {
                component: component.into(),
                argument: "target".into(),
                given: "a target without coordinates".into(),
                allowed: "of dimension 1 or more".into(),
            });
        }
        let says = if proper {
            "a number above 0"
        } else {
            "a number ≥ 0"
        };
        let allowed = |s: f64| s.is_finite() && (s > 0.0 || s == 0.0 && !proper);
        let sd = sd.expand(d, component, keys[1], allowed, says)?;
        Ok(Self {
            mean: mean.expand(d, component, keys[0], f64::is_finite, "a finite number")?,
            precision: sd.iter().map(|s| 1.0 / (s * s)).collect(),
            log_normaliser: sd.iter().map(|s| s.ln() + 0.5 * TAU.ln()).sum(),
            sd,
        })
    }

    /// Makes the other numbers those of `sd`, after that was changed.
    pub(crate) fn refresh(&mut self) {
        for (p, s) in self.precision.iter_mut().zip(&self.sd) {
            *p = 1.0 / (s * s);
        }
        self.log_normaliser = self.sd.iter().map(|s| s.ln() + 0.5 * TAU.ln()).sum();
    }

    /// Whether a saved law is a normal law in dimension `d`.
    pub(crate) fn check_saved(&self, d: usize) -> std::result::Result<(), String> {
        for (what, found) in [
            ("means", &self.mean),
            ("standard deviations", &self.sd),
            ("precisions", &self.precision),
        ] {
            check_length(what, found.len(), d)?;
        }
        let mut right = self.clone();
        right.refresh();
        let sound = |v: &f64| v.is_finite();
        let positive = self.sd.iter().all(|s| *s > 0.0);
        if positive
            && self.mean.iter().chain(&self.precision).all(sound)
            && right.precision == self.precision
            && right.log_normaliser.to_bits() == self.log_normaliser.to_bits()
        {
            return Ok(());
        }
        Err("a base that is no normal law".into())
    }

    /// Fills `x` (n × d) with independent draws from the streams of `cx`.
    pub(crate) fn draw(&self, cx: &mut Cx<'_>, mut x: ArrayViewMut2<'_, f64>) {
        cx.fill_normal(x.view_mut());
        for row in dense_mut(x).chunks_exact_mut(self.mean.len()) {
            row.iter_mut()
                .zip(self.mean.iter().zip(&self.sd))
                .for_each(|(v, (m, s))| *v = m + s * *v);
        }
    }
}

/// Evaluates the log density of the starts `x`, and the gradient if asked for.
///
/// # Errors
/// [`Error::Breakdown`] when no start has mass.
pub(crate) fn evaluate_starts(
    cx: &mut Cx<'_>,
    component: &str,
    keys: [&str; 2],
    target: &dyn Target,
    x: ArrayView2<'_, f64>,
    mut log_density: ArrayViewMut1<'_, f64>,
    gradient: Option<ArrayViewMut2<'_, f64>>,
) -> Result {
    cx.eval_target(target, x, Some(log_density.view_mut()), gradient)?;
    if log_density.iter().all(|l| *l == f64::NEG_INFINITY) {
        return Err(Error::Breakdown {
            component: component.into(),
            message: format!(
                "the log density is −∞ at all {} starting points",
                log_density.len()
            ),
            advice: format!(
                "set `{}` and `{}` so that points have mass, or `bounds` on the target",
                keys[0], keys[1]
            ),
        });
    }
    Ok(())
}

/// The note of every Markov chain sampler.
pub(crate) fn note_no_evidence(sink: &mut dyn Sink) {
    sink.flag(Flag::new(
        Severity::Note,
        "no_log_z",
        "A Markov chain gives no estimate of log Z, and mode weights are right only if chains \
         travelled between the modes",
        "use a sampler such as smc where log Z or mode weights matter",
    ));
}

/// Refuses a setting that is not a finite number above 0.
pub(crate) fn check_positive(component: &str, key: &str, value: f64) -> Result {
    check(
        component,
        key,
        value,
        value > 0.0 && value.is_finite(),
        "a number above 0",
    )
}

/// Refuses a setting unless `right`.
pub(crate) fn check(
    component: &str,
    key: &str,
    value: impl std::fmt::Display,
    right: bool,
    allowed: &str,
) -> Result {
    if right {
        Ok(())
    } else {
        Err(Error::setting(component, key, value, allowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_is_kept_after_each_thinning_interval() {
        let mut plan = Plan::new("test", 6, 2, 2, 4).unwrap();
        let mut expected = Vec::new();
        let kept: Vec<u64> = (1..=14)
            .filter(|m| {
                expected.push(m - 1 + plan.until_draw());
                plan.count_move()
            })
            .collect();
        let next = |m: u64| [6, 10, 14].into_iter().find(|k| *k > m).unwrap();
        assert!(expected.into_iter().eq((0..14).map(next)));
        assert_eq!(kept, [6, 10, 14]);
        assert!(plan.is_done() && plan.moves_now(16) == 0);
    }
}
