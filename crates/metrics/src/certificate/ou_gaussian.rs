//! A Gaussian under the Ornstein–Uhlenbeck process: exact laws of stochastic samplers and their bounds, the oracle of
//! certificates.
//!
//! Source: Chen, Chewi, Li, Li, Salim & Zhang (2023), ICLR, arXiv:2209.11215 (Girsanov for score-based samplers, here
//! with all expectations in closed form); Gelbrich (1990), Math. Nachr. 147, 185 (W₂).
//!
//! dX = −X dt + √2 dW from N(m, v), so p_t = N(m e^{−t}, v_t), v_t = v e^{−2t} + 1 − e^{−2t}, s = −(x − m e^{−t})/v_t.
//! A step of length h backwards from t is affine, x′ = A x + B + noise:
//!
//! | scheme | A | B | variance of the noise |
//! | --- | --- | --- | --- |
//! | Euler–Maruyama | 1 + h − 2h/v_t | 2h m e^{−t}/v_t | 2h |
//! | exponential integrator | e^h − 2(e^h − 1)/v_t | 2(e^h − 1) m e^{−t}/v_t | e^{2h} − 1 |
//!
//! Girsanov, X the forward process, over the steps from t_k: discretisation = ∫ E|s(t_k, X_{t_k}) − s(t, X_t)|² dt with
//! E|·|² = 1/v_t + 1/v_k − 2 e^{−(t_k − t)}/v_k, and for Euler–Maruyama ∫ E|b(t_k, X_{t_k}) − b(t, X_t)|²/4 dt with the
//! drift b = x + 2s. The split bound |a + b|² ≤ 2|a|² + 2|b|² doubles both.

use crate::points::wrong;
use crate::quadrature::Rule;
use retrograde_core::Result;

const NAME: &str = "Gaussian under OU";
/// Nodes of the integral over a step.
const NODES: usize = 20;

/// How a reverse step is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// All of the drift frozen at the start of the step.
    EulerMaruyama,
    /// Score frozen, linear part exact.
    Exponential,
}

/// N(m, v) on the line, noised by OU up to the time T.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OuGaussian {
    mean: f64,
    variance: f64,
    horizon: f64,
}

impl OuGaussian {
    /// N(`mean`, `variance`) up to the time `horizon`.
    ///
    /// # Errors
    /// [`retrograde_core::Error::Argument`] unless all are finite, variance and horizon positive.
    pub fn new(mean: f64, variance: f64, horizon: f64) -> Result<Self> {
        if !mean.is_finite() {
            return Err(wrong(NAME, "mean", mean, "finite"));
        }
        for (name, v) in [("variance", variance), ("horizon", horizon)] {
            if !(v > 0.0 && v.is_finite()) {
                return Err(wrong(NAME, name, v, "positive and finite"));
            }
        }
        Ok(Self {
            mean,
            variance,
            horizon,
        })
    }

    /// Mean and variance of p_t.
    #[must_use]
    pub fn law(&self, t: f64) -> (f64, f64) {
        let variance = self.variance * (-2.0 * t).exp() - (-2.0 * t).exp_m1();
        (self.mean * (-t).exp(), variance)
    }

    /// Mean and variance of p_T.
    #[must_use]
    pub fn last(&self) -> (f64, f64) {
        self.law(self.horizon)
    }

    /// Times of the uniform grid with `steps` steps, T first.
    fn times(&self, steps: usize) -> Result<Vec<f64>> {
        if steps == 0 {
            return Err(wrong(NAME, "steps", 0, "at least 1"));
        }
        let time = |k: usize| self.horizon * ((steps - k) as f64 / steps as f64);
        Ok((0..=steps).map(time).collect())
    }

    /// Mean and variance of the output of `steps` equal steps from N(`start`).
    ///
    /// # Errors
    /// [`retrograde_core::Error::Argument`] for no steps.
    pub fn output(&self, scheme: Scheme, steps: usize, start: (f64, f64)) -> Result<(f64, f64)> {
        let times = self.times(steps)?;
        Ok(times.windows(2).fold(start, |(m, v), pair| {
            let h = pair[0] - pair[1];
            let (at, vt) = self.law(pair[0]);
            let (a, pull, noise) = match scheme {
                Scheme::EulerMaruyama => (1.0 + h - 2.0 * h / vt, 2.0 * h / vt, 2.0 * h),
                Scheme::Exponential => {
                    let pull = 2.0 * h.exp_m1() / vt;
                    (h.exp() - pull, pull, (2.0 * h).exp_m1())
                }
            };
            (a * m + pull * at, a * a * v + noise)
        }))
    }

    /// Mean and variance of the output of the exact reverse diffusion from N(`start`).
    #[must_use]
    pub fn exact_output(&self, start: (f64, f64)) -> (f64, f64) {
        let (mt, vt) = self.last();
        // x₀ given x_T is Gaussian with this slope.
        let slope = self.shrink(self.horizon);
        let left = self.variance - slope * slope * vt;
        (
            self.mean + slope * (start.0 - mt),
            left + slope * slope * start.1,
        )
    }

    /// The exact flow of the probability-flow ODE from N(`start`): an affine map that takes p_T to p₀.
    #[must_use]
    pub fn exact_flow_output(&self, start: (f64, f64)) -> (f64, f64) {
        let (mt, vt) = self.last();
        let slope = (self.variance / vt).sqrt();
        (self.mean + slope * (start.0 - mt), slope * slope * start.1)
    }

    /// Cov(x₀, x_t)/v_t.
    fn shrink(&self, t: f64) -> f64 {
        (-t).exp() * self.variance / self.law(t).1
    }

    /// KL(p₀ ‖ N(`output`)), of which the Girsanov bounds speak.
    #[must_use]
    pub fn kl_to(&self, output: (f64, f64)) -> f64 {
        kl_normal((self.mean, self.variance), output)
    }

    /// KL(N(`output`) ‖ p₀).
    #[must_use]
    pub fn kl_from(&self, output: (f64, f64)) -> f64 {
        kl_normal(output, (self.mean, self.variance))
    }

    /// W₂ between N(`output`) and p₀.
    #[must_use]
    pub fn wasserstein_2(&self, output: (f64, f64)) -> f64 {
        (output.0 - self.mean).hypot(output.1.sqrt() - self.variance.sqrt())
    }

    /// Discretisation part ½ ∫ |Δ drift|²/g² of the Girsanov bound in each of `steps` equal steps, T first; their sum
    /// bounds KL(p₀ ‖ q) for an exact score and a start from p_T, twice the sum is the term of the split bound.
    ///
    /// # Errors
    /// [`retrograde_core::Error::Argument`] for no steps.
    pub fn girsanov(&self, scheme: Scheme, steps: usize) -> Result<Vec<f64>> {
        let rule = Rule::legendre(NODES)?;
        let step = |pair: &[f64]| {
            let (mk, vk) = self.law(pair[0]);
            let inside = rule.pieces(&[pair[1], pair[0]])?;
            Ok(inside.integrate(|t| {
                let ((mt, vt), decay) = (self.law(t), (t - pair[0]).exp());
                match scheme {
                    Scheme::Exponential => 1.0 / vt + 1.0 / vk - 2.0 * decay / vk,
                    Scheme::EulerMaruyama => {
                        // b = m + (1 − 2/v)(x − m) about the mean m of its time; Cov(X_t, X_k) = e^{−(t_k − t)} v_t.
                        let (a, b) = (1.0 - 2.0 / vk, 1.0 - 2.0 / vt);
                        let spread = a * a * vk + b * b * vt - 2.0 * a * b * decay * vt;
                        0.25 * ((mk - mt) * (mk - mt) + spread)
                    }
                }
            }))
        };
        self.times(steps)?.windows(2).map(step).collect()
    }

    /// A score that is off by the constant `bias`, all else exact: the Girsanov bound bias² T, the shift of the output's
    /// mean 2 bias ∫₀ᵀ Cov(x₀, x_t)/v_t dt, and KL of the shifted from the true law.
    ///
    /// # Errors
    /// [`retrograde_core::Error::Argument`] for a bias that is not finite.
    pub fn constant_bias(&self, bias: f64) -> Result<Bias> {
        if !bias.is_finite() {
            return Err(wrong(NAME, "bias", bias, "finite"));
        }
        let rule = Rule::legendre(60)?.panels(0.0, self.horizon, 32)?;
        let shift = 2.0 * bias * rule.integrate(|t| self.shrink(t));
        Ok(Bias {
            girsanov: bias * bias * self.horizon,
            shift,
            kl: 0.5 * shift * shift / self.variance,
        })
    }
}

/// What a constant error of the score does.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Bias {
    /// The bound, in nats.
    pub girsanov: f64,
    /// Shift of the mean of the output.
    pub shift: f64,
    /// The true KL, in nats.
    pub kl: f64,
}

/// KL between N(m₁, v₁) and N(m₂, v₂), accurate where they are near one another.
fn kl_normal(p: (f64, f64), q: (f64, f64)) -> f64 {
    let excess = (p.1 - q.1) / q.1;
    let shift = p.0 - q.0;
    0.5 * (excess - excess.ln_1p() + shift * shift / q.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_chains::assert_close;
    use Scheme::{EulerMaruyama as Em, Exponential as Ei};

    /// N(2, ¼), T = 3, from N(0, 1): mean, variance, KL(q ‖ p), W₂, KL(q ‖ p) from p_T.
    const OUTPUTS: [(Scheme, usize, [f64; 5]); 10] = [
        (
            Em,
            10,
            [
                1.898_829_794_559_4,
                0.668_993_102_009_27,
                0.366_300_609_298_9,
                0.333_629_326_331_46,
                0.366_039_287_407_39,
            ],
        ),
        (
            Em,
            20,
            [
                1.956_732_847_242_9,
                0.434_158_117_419_53,
                0.096_086_389_984_943,
                0.164_691_847_555_64,
                0.095_923_190_710_337,
            ],
        ),
        (
            Em,
            40,
            [
                1.979_748_073_467,
                0.332_562_429_243_39,
                0.023_261_798_677_136,
                0.079_311_471_802_891,
                0.023_175_029_058_866,
            ],
        ),
        (
            Em,
            80,
            [
                1.989_728_954_230_2,
                0.288_416_505_081_29,
                0.005_571_641_057_415_1,
                0.038_441_765_889_992,
                0.005_526_196_535_679_3,
            ],
        ),
        (
            Em,
            160,
            [
                1.994_357_350_869_9,
                0.268_445_190_931_57,
                0.001_361_138_521_296_2,
                0.018_975_351_455_052,
                0.001_336_778_840_136,
            ],
        ),
        (
            Ei,
            10,
            [
                1.999_837_463_320_9,
                0.849_599_629_309_06,
                0.587_547_163_297_96,
                0.421_737_319_982_15,
                0.587_547_103_469_94,
            ],
        ),
        (
            Ei,
            20,
            [
                1.999_387_685_914_2,
                0.470_114_698_187_27,
                0.124_472_253_348_83,
                0.185_650_116_962_33,
                0.124_471_437_661_59,
            ],
        ),
        (
            Ei,
            40,
            [
                1.999_089_334_602_5,
                0.342_079_451_120_01,
                0.027_369_508_144_842,
                0.084_880_471_331_054,
                0.027_367_765_810_548,
            ],
        ),
        (
            Ei,
            80,
            [
                1.998_927_224_701_3,
                0.291_678_536_634_65,
                0.006_263_686_946_863_3,
                0.040_087_071_120_685,
                0.006_261_323_585_753_8,
            ],
        ),
        (
            Ei,
            160,
            [
                1.998_843_545_588_5,
                0.269_777_777_699_39,
                0.001_489_401_827_211_8,
                0.019_435_800_492_647,
                0.001_486_690_286_695_5,
            ],
        ),
    ];

    fn ou() -> OuGaussian {
        OuGaussian::new(2.0, 0.25, 3.0).unwrap()
    }

    #[test]
    fn laws_of_the_outputs() {
        for (scheme, n, [mean, variance, kl, w2, from_last]) in OUTPUTS {
            let q = ou().output(scheme, n, (0.0, 1.0)).unwrap();
            assert_close(q.0, mean, 1e-10);
            assert_close(q.1, variance, 1e-10);
            assert_close(ou().kl_from(q), kl, 1e-10);
            assert_close(ou().wasserstein_2(q), w2, 1e-10);
            let q = ou().output(scheme, n, ou().last()).unwrap();
            assert_close(ou().kl_from(q), from_last, 1e-10);
            if scheme == Ei {
                assert_close(q.0, 2.0, 1e-13);
            }
        }
        let exact = ou().exact_output((0.0, 1.0));
        assert_close(exact.0, 1.998_758_315_540_6, 1e-12);
        assert_close(exact.1, 0.250_000_289_083_81, 1e-12);
        assert_close(ou().kl_from(exact), 3.083_560_927_586_4e-6, 1e-9);
        let back = ou().exact_output(ou().last());
        assert!((back.0 - 2.0).abs() < 1e-15 && (back.1 - 0.25).abs() < 1e-15);
        // The flow forgets nothing.
        let flow = ou().exact_flow_output((0.0, 1.0));
        assert_close(
            ou().kl_from(flow),
            kl_normal((0.0, 1.0), ou().last()),
            1e-12,
        );
        assert!((kl_normal((0.0, 1.0), ou().last()) - 0.004_967_6).abs() < 1e-4);
    }

    /// N, bound ½ ∫ |Δ drift|²/g², exact KL(p₀ ‖ q) from p_T.
    const BOUNDS: [(Scheme, usize, f64, f64); 10] = [
        (Ei, 10, 1.227_231_476_125_8, 0.258_780_270_556_6),
        (Ei, 20, 0.684_377_972_799_8, 0.081_650_416_610_4),
        (Ei, 40, 0.364_156_580_988_64, 0.022_203_177_482_96),
        (Ei, 80, 0.188_186_682_600_17, 0.005_649_622_856_072),
        (Ei, 160, 0.095_693_459_653_958, 0.001_413_110_718_042),
        (Em, 10, 0.509_306_985_100_16, 0.186_556_589_537_8),
        (Em, 20, 0.289_596_390_576_62, 0.065_949_453_090_44),
        (Em, 40, 0.155_965_024_979_23, 0.019_104_027_560_77),
        (Em, 80, 0.081_087_091_631_206, 0.005_016_846_113_29),
        (Em, 160, 0.041_350_093_191_965, 0.001_273_940_484_515),
    ];

    #[test]
    fn girsanov_bounds() {
        for (scheme, n, bound, exact) in BOUNDS {
            let found: f64 = ou().girsanov(scheme, n).unwrap().iter().sum();
            assert_close(found, bound, 1e-10);
            let q = ou().output(scheme, n, ou().last()).unwrap();
            assert_close(ou().kl_to(q), exact, 1e-10);
            assert!(exact <= found);
        }
    }

    #[test]
    fn constant_bias_of_the_score() {
        let bias = ou().constant_bias(0.1).unwrap();
        assert_close(bias.girsanov, 0.03, 1e-14);
        assert_close(bias.shift, 0.073_543_701_866_14, 1e-12);
        assert_close(bias.kl, 0.010_817_352_168_351, 1e-12);
    }

    #[test]
    fn bad_input_is_told() {
        assert!(OuGaussian::new(f64::NAN, 1.0, 1.0).is_err());
        assert!(OuGaussian::new(0.0, 0.0, 1.0).is_err());
        assert!(OuGaussian::new(0.0, 1.0, -1.0).is_err());
        assert!(ou().girsanov(Em, 0).is_err() && ou().output(Em, 0, (0.0, 1.0)).is_err());
        assert!(ou().constant_bias(f64::NAN).is_err());
    }
}
