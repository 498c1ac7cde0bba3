//! Deterministic maps on the line: the exact law of their output, and the exact flow of Ornstein–Uhlenbeck.
//!
//! Source: Chen, Rubanova, Bettencourt & Duvenaud (2018), NeurIPS, arXiv:1806.07366, and Song, Sohl-Dickstein, Kingma,
//! Kumar, Ermon & Poole (2021), ICLR, arXiv:2011.13456, §4.3 (change of variables); Villani (2009), Optimal Transport,
//! ch. 2 (the monotone map is optimal).
//!
//! x_T ~ γ = N(0, 1), x₀ = F(x_T) increasing, J = F′: log q(x₀) = log γ(x_T) − log J, and with w = p₀(x₀)/q(x₀)
//!
//! * Z = E w, which is 1 for any bijection *if J belongs to the map*
//! * KL(q ‖ p₀) = −E log w, ESS fraction (E w)²/E w²
//! * W₂² = E (F(z) − P₀⁻¹(Φ(z)))²
//!
//! by the 72 × 60 nodes of [`law_1d`](crate::law_1d). The exact flow between p_T and p₀ is F = P₀⁻¹ ∘ P_T, for the
//! probability-flow field v of any process on the line.

use crate::law_1d::{Law1d, Mixture1d, log_phi, matching, normal_panels};
use crate::points::wrong;
use retrograde_core::Result;

const NAME: &str = "map on the line";

/// What [`map_law`] finds.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct MapLaw {
    /// E w; away from 1 where `log_jacobian` is not that of the map, or where mass of the target is not reached.
    pub z: f64,
    /// KL(q ‖ p₀), nats.
    pub kl: f64,
    /// (E w)²/E w² in (0, 1].
    pub ess: f64,
    /// W₂(q, p₀), in the unit of x.
    pub wasserstein_2: f64,
}

/// Returns how the output of an increasing map from N(0, 1) compares with the law `target`. `map` gives x₀ and log dx₀/dx_T.
///
/// # Errors
/// [`retrograde_core::Error::Argument`] where the map folds (x₀ does not increase or its log Jacobian is not finite),
/// with the place.
///
/// # Example
/// ```
/// use retrograde_metrics::{flow_1d::map_law, law_1d::Mixture1d};
/// let target = Mixture1d::normal(0.5, 1.2)?;
/// // z ↦ z, against N(0.5, 1.2²).
/// let law = map_law(|z| (z, 0.0), &target)?;
/// assert!((law.z - 1.0).abs() < 1e-12 && (law.kl - 0.11634933457173).abs() < 1e-12);
/// # Ok::<(), retrograde_core::Error>(())
/// ```
pub fn map_law(map: impl Fn(f64) -> (f64, f64), target: &dyn Law1d) -> Result<MapLaw> {
    let rule = normal_panels()?;
    let mut before = f64::NEG_INFINITY;
    let (mut z, mut squares, mut kl, mut w2) = (0.0, 0.0, 0.0, 0.0);
    for (x, weight) in rule.nodes().iter().zip(rule.weights()) {
        let (x0, log_jacobian) = map(*x);
        if !(x0 > before && x0.is_finite()) {
            let allowed = format!("finite and above {before}, the image of the point before");
            return Err(wrong(NAME, format!("x0 at {x}"), x0, allowed));
        }
        before = x0;
        if !log_jacobian.is_finite() {
            let argument = format!("log Jacobian at {x}");
            return Err(wrong(NAME, argument, log_jacobian, "finite"));
        }
        let log_gamma = log_phi(*x);
        let log_w = target.log_density(x0) - log_gamma + log_jacobian;
        let mass = weight * log_gamma.exp();
        z += weight * (log_gamma + log_w).exp();
        squares += weight * (log_gamma + 2.0 * log_w).exp();
        kl -= mass * log_w;
        let gap = x0 - target.quantile_at_normal(*x);
        w2 += mass * gap * gap;
    }
    Ok(MapLaw {
        z,
        kl,
        ess: z * z / squares,
        wasserstein_2: w2.sqrt(),
    })
}

/// A mixture under dX = −X dt + √2 dW: laws, field and exact flow.
#[derive(Debug, Clone, PartialEq)]
pub struct OuMixture {
    target: Mixture1d,
}

impl OuMixture {
    /// Starts from the law `target` at t = 0.
    #[must_use]
    pub fn new(target: Mixture1d) -> Self {
        Self { target }
    }

    /// The law p₀.
    #[must_use]
    pub fn target(&self) -> &Mixture1d {
        &self.target
    }

    /// The law p_t, t ≥ 0.
    ///
    /// # Errors
    /// [`retrograde_core::Error::Argument`] for a negative t and one that is not finite.
    pub fn law(&self, t: f64) -> Result<Mixture1d> {
        if !(t >= 0.0 && t.is_finite()) {
            return Err(wrong(NAME, "t", t, "at least 0 and finite"));
        }
        self.target.noised((-t).exp(), -(-2.0 * t).exp_m1())
    }

    /// The field of the probability flow v = −x − s and its derivative v′; a step backwards of length h is x − h v.
    ///
    /// # Errors
    /// As [`law`](OuMixture::law).
    pub fn velocity(&self, t: f64, x: f64) -> Result<(f64, f64)> {
        let (s, s_x) = self.law(t)?.score(x);
        Ok((-x - s, -1.0 - s_x))
    }

    /// The end x₀ of the exact flow from `x` at time `t`, and log q(x₀) for x_T ~ N(0, 1).
    ///
    /// # Errors
    /// As [`law`](OuMixture::law).
    pub fn exact_flow(&self, t: f64, x: f64) -> Result<(f64, f64)> {
        let last = self.law(t)?;
        let x0 = matching(&last, &self.target, x);
        let log_q = log_phi(x) + self.target.log_density(x0) - last.log_density(x);
        Ok((x0, log_q))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law_1d::tests::gmm1;
    use crate::test_chains::assert_close;

    const T: f64 = 3.0;

    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Solver {
        Euler,
        Heun,
        Rk4,
    }
    use Solver::{Euler, Heun, Rk4};

    /// x₀ of a solver in N equal steps with three logs of its Jacobian.
    struct Solved {
        x0: f64,
        /// Of the discrete map.
        map: f64,
        /// By the divergence at the stages of the solver.
        stages: f64,
        /// By the divergence at the start of each step.
        left: f64,
    }

    fn solve(laws: &[Mixture1d], solver: Solver, x: f64) -> Solved {
        let v = |i: usize, x: f64| {
            let (s, s_x) = laws[i].score(x);
            (-x - s, -1.0 - s_x)
        };
        let steps = (laws.len() - 1) / 2;
        let h = T / steps as f64;
        let mut out = Solved {
            x0: x,
            map: 0.0,
            stages: 0.0,
            left: 0.0,
        };
        for k in 0..steps {
            let (x, at) = (out.x0, 2 * k);
            let (v1, d1) = v(at, x);
            let (slope, jacobian, divergence) = match solver {
                Euler => (v1, 1.0 - h * d1, d1),
                Heun => {
                    let (v2, d2) = v(at + 2, x - h * v1);
                    let jacobian = 1.0 - 0.5 * h * (d1 + d2 * (1.0 - h * d1));
                    (0.5 * (v1 + v2), jacobian, 0.5 * (d1 + d2))
                }
                Rk4 => {
                    let (v2, d2) = v(at + 1, x - 0.5 * h * v1);
                    let (v3, d3) = v(at + 1, x - 0.5 * h * v2);
                    let (v4, d4) = v(at + 2, x - h * v3);
                    let j2 = d2 * (1.0 - 0.5 * h * d1);
                    let j3 = d3 * (1.0 - 0.5 * h * j2);
                    let j4 = d4 * (1.0 - h * j3);
                    (
                        (v1 + 2.0 * v2 + 2.0 * v3 + v4) / 6.0,
                        1.0 - h / 6.0 * (d1 + 2.0 * j2 + 2.0 * j3 + j4),
                        (d1 + 2.0 * d2 + 2.0 * d3 + d4) / 6.0,
                    )
                }
            };
            out.x0 -= h * slope;
            out.map += jacobian.ln();
            out.stages -= h * divergence;
            out.left -= h * d1;
        }
        out
    }

    /// Laws at the times of the grid and half-way between them.
    fn laws(steps: usize) -> Vec<Mixture1d> {
        let ou = OuMixture::new(gmm1());
        let time = |i: usize| T * ((2 * steps - i) as f64 / (2 * steps) as f64);
        (0..=2 * steps).map(|i| ou.law(time(i)).unwrap()).collect()
    }

    /// Solver, N, from x_T = 0.7: x₀, log q by the map; KL(q ‖ p₀), ESS fraction, W₂.
    const TABLE: [(Solver, usize, [f64; 5]); 11] = [
        (
            Euler,
            10,
            [
                1.612_092_308_280_3,
                -1.218_873_621_472_7,
                0.118_605_121_073,
                0.875_699_971_7,
                0.280_437_225_7,
            ],
        ),
        (
            Euler,
            20,
            [
                1.704_083_828_381,
                -1.178_644_996_245_4,
                0.038_160_662_111_5,
                0.952_803_528_9,
                0.155_786_176_1,
            ],
        ),
        (
            Euler,
            40,
            [
                1.749_480_967_220_9,
                -1.156_876_538_650_7,
                0.011_184_416_705_8,
                0.983_696_458_9,
                0.091_204_174_73,
            ],
        ),
        (
            Euler,
            80,
            [
                1.771_925_951_419_3,
                -1.145_644_039_855_1,
                0.003_279_605_675_42,
                0.994_518_150_4,
                0.065_629_629_2,
            ],
        ),
        (
            Heun,
            10,
            [
                1.805_781_039_705_7,
                -1.121_528_855_910_7,
                0.017_893_001_978_8,
                0.946_539_960_3,
                0.063_111_623_13,
            ],
        ),
        (
            Heun,
            20,
            [
                1.796_770_213_28,
                -1.131_288_540_265_6,
                0.001_226_833_745_55,
                0.997_405_789_6,
                0.054_484_970_33,
            ],
        ),
        (
            Heun,
            40,
            [
                1.794_782_511_690_4,
                -1.133_504_948_141_8,
                0.000_308_861_149_293,
                0.999_380_512_0,
                0.057_976_815_9,
            ],
        ),
        (
            Heun,
            80,
            [
                1.794_317_207_485_8,
                -1.134_030_044_333_2,
                0.000_258_518_864_025,
                0.999_478_066_9,
                0.058_964_976_33,
            ],
        ),
        (
            Rk4,
            10,
            [
                1.794_173_118_764_6,
                -1.134_137_515_881_8,
                0.000_393_942_556_736,
                0.999_219_641_2,
                0.058_265_535_52,
            ],
        ),
        (
            Rk4,
            20,
            [
                1.794_168_150_476_6,
                -1.134_192_277_458_6,
                0.000_262_828_057_025,
                0.999_469_638_9,
                0.059_139_757_29,
            ],
        ),
        (
            Rk4,
            40,
            [
                1.794_167_927_585_1,
                -1.134_198_601_739_5,
                0.000_256_474_717_199,
                0.999_481_954_3,
                0.059_291_596_72,
            ],
        ),
    ];

    #[test]
    fn solvers_of_the_probability_flow() {
        let target = gmm1();
        for (solver, n, [x0, log_q, kl, ess, w2]) in TABLE {
            let laws = laws(n);
            let one = solve(&laws, solver, 0.7);
            assert_close(one.x0, x0, 1e-10);
            assert_close(log_phi(0.7) - one.map, log_q, 1e-10);
            let map = |x| {
                let solved = solve(&laws, solver, x);
                (solved.x0, solved.map)
            };
            let law = map_law(map, &target).unwrap();
            assert!((law.z - 1.0).abs() < 1e-10, "{solver:?} {n} {law:?}");
            assert_close(law.kl, kl, 1e-10);
            assert_close(law.ess, ess, 1e-10);
            assert_close(law.wasserstein_2, w2, 1e-9);
        }
    }

    /// The divergence in place of the Jacobian of the map: log q of another size, and E w that is not 1.
    #[test]
    fn divergence_in_place_of_the_jacobian_is_told_apart() {
        let heun = [
            -1.123_281_576_991,
            -1.131_474_185_21,
            -1.133_519_150_533,
            -1.134_029_577_579,
        ];
        let rk4 = [
            -1.134_137_727_189,
            -1.134_192_021_601,
            -1.134_198_573_944,
            -1.134_198_988_195,
        ];
        for (i, n) in [10, 20, 40, 80].into_iter().enumerate() {
            let laws = laws(n);
            for (solver, known) in [(Heun, heun[i]), (Rk4, rk4[i])] {
                let log_q = log_phi(0.7) - solve(&laws, solver, 0.7).stages;
                assert_close(log_q, known, 1e-10);
            }
        }
        let laws = laws(80);
        let solved = solve(&laws, Rk4, 0.7);
        let (map, left) = (log_phi(0.7) - solved.map, log_phi(0.7) - solved.left);
        assert!((map + 1.134_20).abs() < 2e-5, "{map}");
        assert!((left + 1.144_6).abs() < 1e-4, "{left}");
        // By quadrature: RK4 with its own Jacobian, with the divergence of its stages, with that of the left points.
        let law = |log_jacobian: fn(&Solved) -> f64| {
            let map = |x| {
                let solved = solve(&laws, Rk4, x);
                (solved.x0, log_jacobian(&solved))
            };
            map_law(map, &gmm1()).unwrap()
        };
        let (own, stages, left) = (law(|s| s.map), law(|s| s.stages), law(|s| s.left));
        assert!((own.z - 1.0).abs() < 1e-10);
        assert!((stages.z - 1.0).abs() < 1e-5 && (stages.z - 1.0).abs() > 1e-9);
        assert!((left.z - 1.0).abs() > 1e-3, "{left:?}");
    }

    #[test]
    fn exact_flow() {
        let ou = OuMixture::new(gmm1());
        let (v, v_x) = ou.velocity(T, 0.7).unwrap();
        assert_close(v, -0.026_015_266_865_444, 1e-11);
        assert_close(v_x, -0.004_954_006_286_675_3, 1e-10);
        let (x0, log_q) = ou.exact_flow(T, 0.7).unwrap();
        assert_close(x0, 1.794_167_922_155_3, 1e-12);
        assert_close(log_q, -1.134_199_016_116_8, 1e-12);
        // KL does not change under a bijection: KL(γ ‖ p_T) at the end.
        let last = ou.law(T).unwrap();
        let map = |x| {
            let (x0, log_q) = ou.exact_flow(T, x).unwrap();
            (x0, log_phi(x) - log_q)
        };
        let law = map_law(map, ou.target()).unwrap();
        assert_close(law.kl, 0.000_256_403_537_219_16, 1e-10);
        assert_close(law.z, 1.0, 1e-12);
        let prior = Mixture1d::normal(0.0, 1.0).unwrap();
        assert_close(crate::law_1d::kl(&prior, &last).unwrap(), law.kl, 1e-10);
        // From p_T it would arrive at p₀ exactly.
        for z in [-6.0, 0.0, 3.0] {
            let x = last.quantile_at_normal(z);
            let end = ou.exact_flow(T, x).unwrap().0;
            assert!((end - ou.target().quantile_at_normal(z)).abs() < 1e-8);
        }
        assert!(ou.law(-1.0).is_err() && ou.law(f64::NAN).is_err());
    }

    #[test]
    fn folds_are_told() {
        let target = gmm1();
        let told = |r: Result<MapLaw>| r.unwrap_err().to_string();
        assert!(told(map_law(|x| (x * x, 0.0), &target)).contains("above"));
        assert!(told(map_law(|x| (x, f64::NAN), &target)).contains("log Jacobian at -8.99"));
        assert!(told(map_law(|_| (f64::NAN, 0.0), &target)).contains("NaN"));
    }
}
