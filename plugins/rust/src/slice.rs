//! Slice sampling, coordinate by coordinate.
//!
//! For each coordinate in turn: a height ln y = ℓ(x) − E, E ~ Exp(1); an interval of width w laid at random
//! over x, stepped out by w at either end while the ends lie above y, at most m widths in all; then points
//! uniform in the interval, which shrinks to those that lie below y, until one does not.
//!
//! The target is left invariant whatever the width: it changes the number of evaluations only.
//!
//! Source: Neal (2003), Ann. Statist. 31, 705, figs. 3 and 5.
//!
//! Cost: about 6 densities a coordinate, sweep and chain, where w is of the size of the scale.

use rand_distr::{Distribution, Exp1, Open01};
use retrograde_plugin::core::Sampler;
use retrograde_plugin::core::Stream;
use retrograde_plugin::core::settings::PerCoordinate;
use retrograde_plugin::ndarray::{Array1, Array2};
use retrograde_plugin::prelude::*;

const NAME: &str = "sampler slice";
/// Points tried in one interval. It halves or so with each, so that a density that is the same when it is
/// asked again never comes near.
const TRIES: usize = 10_000;

/// Settings, as written under `[sampler]` with `kind = "demo-rust/slice"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Slice {
    /// Width w of the first interval, > 0, about the scale of a coordinate; a number, or one a coordinate.
    pub(crate) width: PerCoordinate,
    /// Widths m that an interval may have, ≥ 1.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) most: u32,
    /// Sweeps before the first draw, ≥ 0.
    pub(crate) warmup: u64,
    /// Sweeps from a draw to the next one, ≥ 1.
    #[schemars(range(min = 1))]
    pub(crate) thin: u64,
    /// Chains, a divisor of the number of draws. As many as draws give independent draws, one a chain.
    #[schemars(range(min = 1))]
    pub(crate) chains: usize,
    /// Standard deviation of the normal law around 0 that chains start from, > 0.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub(crate) start_sd: f64,
}

impl Default for Slice {
    fn default() -> Self {
        Self {
            width: PerCoordinate::All(2.0),
            most: 32,
            warmup: 200,
            thin: 1,
            chains: 4,
            start_sd: 1.0,
        }
    }
}

impl Build<dyn Sampler> for Slice {
    fn build(self, parts: &Parts<'_>) -> Result<Arc<dyn Sampler>> {
        Ok(Arc::new(Chains::new(self, parts.require_target(NAME)?)?))
    }
}

pub(crate) struct Chains {
    settings: Slice,
    width: Vec<f64>,
    target: Arc<dyn Target>,
    /// Factor of the exponential variable, 1.
    pub(crate) drop: f64,
    /// Share of the random place of an interval, 1.
    pub(crate) lean: f64,
}

impl Chains {
    pub(crate) fn new(settings: Slice, target: Arc<dyn Target>) -> Result<Self> {
        let s = &settings;
        let above = |v: f64| v > 0.0 && v.is_finite();
        if !above(s.start_sd) {
            return Err(Error::setting(
                NAME,
                "start_sd",
                s.start_sd,
                "a number above 0",
            ));
        }
        for (key, value) in [("most", u64::from(s.most)), ("thin", s.thin)] {
            if value == 0 {
                return Err(Error::setting(NAME, key, value, "at least 1"));
            }
        }
        if s.chains == 0 {
            return Err(Error::setting(NAME, "chains", s.chains, "at least 1"));
        }
        let width = s
            .width
            .expand(target.dim(), NAME, "width", above, "a number above 0")?;
        Ok(Self {
            settings,
            width,
            target,
            drop: 1.0,
            lean: 1.0,
        })
    }

    /// Sweeps of a run that leaves `n` draws.
    fn sweeps(&self, n: usize) -> Result<u64> {
        let s = &self.settings;
        if n == 0 || !n.is_multiple_of(s.chains) {
            let allowed = format!("a divisor of the number of draws, {n}");
            return Err(Error::setting(NAME, "chains", s.chains, allowed));
        }
        let draws = (n / s.chains) as u64;
        draws
            .checked_mul(s.thin)
            .and_then(|m| m.checked_add(s.warmup))
            .ok_or_else(|| {
                Error::setting(NAME, "thin", s.thin, "so small that sweeps can be counted")
            })
    }
}

/// What the next sweep needs.
#[derive(Serialize, Deserialize)]
pub(crate) struct State {
    x: Array2<f64>,
    log_density: Array1<f64>,
    done: u64,
    sweeps: u64,
}

impl Algorithm for Chains {
    type State = State;

    fn name(&self) -> &str {
        NAME
    }

    fn traits(&self) -> Traits {
        self.target.traits()
    }

    fn rows(&self, _: usize) -> usize {
        self.settings.chains
    }

    fn signature(&self) -> Signature {
        Signature::new(self.target.dim(), &self.settings)
    }

    fn check_state(&self, n: usize, s: &State) -> std::result::Result<(), String> {
        let chains = self.settings.chains;
        let found = (s.x.dim(), s.log_density.len());
        let expected = ((chains, self.target.dim()), chains);
        let sweeps = self.sweeps(n).map_err(|e| e.to_string())?;
        if found != expected || s.sweeps != sweeps || s.done >= sweeps {
            return Err(format!(
                "sizes {found:?} after {} of {} sweeps, not {expected:?} and {sweeps}",
                s.done, s.sweeps
            ));
        }
        Ok(())
    }

    fn init(&self, cx: &mut Cx<'_>, n: usize) -> Result<State> {
        let sweeps = self.sweeps(n)?;
        let chains = self.settings.chains;
        let (mut x, mut l) = (
            Array2::zeros((chains, self.target.dim())),
            Array1::zeros(chains),
        );
        cx.at("start", 0).fill_normal(x.view_mut());
        x *= self.settings.start_sd;
        cx.eval_target(&*self.target, x.view(), Some(l.view_mut()), None)?;
        if l.iter().all(|l| *l == f64::NEG_INFINITY) {
            return Err(Error::Breakdown {
                component: NAME.into(),
                message: format!("the log density is −∞ at all {chains} starting points"),
                advice: "set `start_sd` so that points have mass".into(),
            });
        }
        Ok(State {
            x,
            log_density: l,
            done: 0,
            sweeps,
        })
    }

    fn step(&self, cx: &mut Cx<'_>, s: &mut State, sink: &mut dyn Sink) -> Result<Flow> {
        let settings = &self.settings;
        let one_each = s.sweeps == settings.warmup + settings.thin;
        if s.done == 0 {
            // Chains that leave one draw each are independent draws: one chain.
            sink.set_chains(if one_each { 1 } else { settings.chains })?;
        }
        for j in 0..s.x.ncols() {
            self.update(&mut cx.at("coordinate", j as u64), s, j)?;
        }
        s.done += 1;
        if s.done > settings.warmup && (s.done - settings.warmup).is_multiple_of(settings.thin) {
            let stats = [("lp", s.log_density.view())];
            sink.emit(&Draws {
                x: s.x.view(),
                log_weights: None,
                stats: &stats,
            })?;
        }
        sink.progress(s.done as f64 / s.sweeps as f64);
        Ok(if s.done < s.sweeps {
            Flow::More
        } else {
            Flow::Done
        })
    }
}

/// A chain in the update of a coordinate. Its random numbers are a stream of its own, so that they do not
/// depend on how many the others take.
struct Update {
    chain: usize,
    rng: Stream,
    /// ln y.
    height: f64,
    ends: [f64; 2],
    /// Widths that each end may still go.
    left: [u32; 2],
    /// Where the density is asked next.
    at: f64,
}

impl Update {
    fn uniform(&mut self) -> f64 {
        Open01.sample(&mut self.rng)
    }

    /// A point of the interval.
    fn try_point(&mut self) {
        let u = self.uniform();
        let [low, high] = self.ends;
        self.at = (low + u * (high - low)).clamp(low, high);
    }
}

impl Chains {
    /// Updates coordinate `j` of all chains.
    fn update(&self, cx: &mut Cx<'_>, s: &mut State, j: usize) -> Result {
        let (w, most) = (self.width[j], self.settings.most);
        let streams = cx.row_streams();
        let mut all: Vec<Update> = (0..s.x.nrows())
            .map(|chain| {
                let mut rng = streams(chain);
                let e: f64 = Exp1.sample(&mut rng);
                let [u, v]: [f64; 2] = [Open01.sample(&mut rng), Open01.sample(&mut rng)];
                let low = s.x[(chain, j)] - w * (self.lean * u);
                let first = ((f64::from(most) * v) as u32).min(most - 1);
                Update {
                    chain,
                    rng,
                    height: s.log_density[chain] - self.drop * e,
                    ends: [low, low + w],
                    left: [first, most - 1 - first],
                    at: 0.0,
                }
            })
            .collect();
        for (end, sign) in [(0, -1.0), (1, 1.0)] {
            let mut active: Vec<&mut Update> = all.iter_mut().collect();
            loop {
                active.retain(|c| c.left[end] > 0);
                if active.is_empty() {
                    break;
                }
                active.iter_mut().for_each(|c| c.at = c.ends[end]);
                let l = self.densities(cx, s, j, &active)?;
                for (c, l) in active.iter_mut().zip(l) {
                    if l > c.height {
                        c.left[end] -= 1;
                        c.ends[end] += sign * w;
                    } else {
                        c.left[end] = 0;
                    }
                }
            }
        }
        let mut active: Vec<&mut Update> = all.iter_mut().collect();
        for _ in 0..TRIES {
            active.iter_mut().for_each(|c| c.try_point());
            let l = self.densities(cx, s, j, &active)?;
            let mut found = l.iter();
            active.retain_mut(|c| {
                let l = found.next().copied().unwrap_or(f64::NEG_INFINITY);
                let x = &mut s.x[(c.chain, j)];
                if l >= c.height {
                    *x = c.at;
                    s.log_density[c.chain] = l;
                    return false;
                }
                c.ends[usize::from(c.at >= *x)] = c.at;
                true
            });
            if active.is_empty() {
                return Ok(());
            }
        }
        Err(Error::Breakdown {
            component: NAME.into(),
            message: format!(
                "{} chains found no point as high as where they stand",
                active.len()
            ),
            advice: "the log density must be the same whenever it is asked at the same point"
                .into(),
        })
    }

    /// Log densities with coordinate `j` moved to `at`, of the chains of `active`.
    fn densities(
        &self,
        cx: &mut Cx<'_>,
        s: &State,
        j: usize,
        active: &[&mut Update],
    ) -> Result<Vec<f64>> {
        cx.check_cancelled()?;
        let d = s.x.ncols();
        let mut x = Array2::zeros((active.len(), d));
        for (mut x, c) in x.rows_mut().into_iter().zip(active) {
            x.assign(&s.x.row(c.chain));
            x[j] = c.at;
        }
        let mut l = vec![0.0; active.len()];
        cx.eval_target(&*self.target, x.view(), Some((&mut l[..]).into()), None)?;
        Ok(l)
    }
}
