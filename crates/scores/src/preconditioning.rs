//! How a network is wrapped to be a denoiser, and how its training weighs noise levels.
//!
//! Source: Karras, Aittala, Aila & Laine (2022), arXiv:2206.00364, table 1 and app. B.6; the other designs
//! there after Song et al. (2021), arXiv:2011.13456, and Nichol & Dhariwal (2021), arXiv:2102.09672.
//!
//! D(x; σ) = c_skip x + c_out F(c_in x; c_noise),   loss E λ(σ) ‖D(y + n; σ) − y‖², n ~ N(0, σ² I)
//!
//! s(x; σ) = (D(x; σ) − x)/σ²
//!
//! | design | c_skip | c_out | c_in | c_noise | λ | law of σ in training |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | EDM | σ_d²/(σ² + σ_d²) | σ σ_d/√(σ² + σ_d²) | 1/√(σ² + σ_d²) | ¼ ln σ | (σ² + σ_d²)/(σ σ_d)² | ln σ ~ N(−1.2, 1.2²) |
//! | VP | 1 | −σ | 1/√(1 + σ²) | 999 t(σ) | 1/σ² | t uniform |
//! | VE | 1 | σ | 1 | ln(σ/2) | 1/σ² | ln σ uniform |
//!
//! For EDM, with data of standard deviation σ_d, input and target of F have variance 1 at every σ, c_skip
//! makes c_out smallest, and λ c_out² = 1: the loss starts at 1 at every noise level.

use retrograde_core::{Error, Result};

/// A way to wrap a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Preconditioning {
    /// Karras et al., for data of standard deviation `data_sd` > 0.
    Edm {
        /// σ_d.
        data_sd: f64,
    },
    /// Variance preserving, with the rates β₀ and β₁ of the process `vp` on [0, 1].
    Vp {
        /// β₀ ≥ 0.
        beta_min: f64,
        /// β₁ > β₀.
        beta_max: f64,
    },
    /// Variance exploding.
    Ve,
}

/// Factors of a wrapped network at one noise level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Factors {
    /// c_skip.
    pub skip: f64,
    /// c_out.
    pub out: f64,
    /// c_in.
    pub input: f64,
    /// c_noise.
    pub noise: f64,
    /// λ, the weight of ‖D − y‖².
    pub weight: f64,
}

impl Preconditioning {
    /// The factors at the noise level `sigma` > 0.
    ///
    /// # Errors
    /// [`Error::Argument`] unless `sigma` and σ_d are positive and finite and the rates rise from 0 or more.
    pub fn at(&self, sigma: f64) -> Result<Factors> {
        let positive = |argument: &str, v: f64| {
            if v > 0.0 && v.is_finite() {
                return Ok(());
            }
            Err(Error::Argument {
                component: "preconditioning".into(),
                argument: argument.into(),
                given: v.to_string(),
                allowed: "positive and finite".into(),
            })
        };
        positive("sigma", sigma)?;
        let s2 = sigma * sigma;
        Ok(match *self {
            Self::Edm { data_sd } => {
                positive("data_sd", data_sd)?;
                let d2 = data_sd * data_sd;
                let total = s2 + d2;
                Factors {
                    skip: d2 / total,
                    out: sigma * data_sd / total.sqrt(),
                    input: total.sqrt().recip(),
                    noise: 0.25 * sigma.ln(),
                    weight: total / (sigma * data_sd).powi(2),
                }
            }
            Self::Vp { beta_min, beta_max } => {
                positive("beta_max - beta_min", beta_max - beta_min)?;
                let (b, slope) = (beta_min.max(0.0), beta_max - beta_min);
                // σ² = e^B − 1, B = β₀ t + ½ (β₁ − β₀) t².
                let t = ((b * b + 2.0 * slope * s2.ln_1p()).sqrt() - b) / slope;
                Factors {
                    skip: 1.0,
                    out: -sigma,
                    input: (1.0 + s2).sqrt().recip(),
                    noise: 999.0 * t,
                    weight: s2.recip(),
                }
            }
            Self::Ve => Factors {
                skip: 1.0,
                out: sigma,
                input: 1.0,
                noise: (0.5 * sigma).ln(),
                weight: s2.recip(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDM: Preconditioning = Preconditioning::Edm { data_sd: 0.5 };

    /// Variances of input and target of F for data of standard deviation 0.5, and λ c_out².
    fn variances(f: Factors, sigma: f64) -> [f64; 3] {
        let (d2, s2) = (0.25, sigma * sigma);
        // (y − c_skip (y + n))/c_out.
        let target = ((1.0 - f.skip).powi(2) * d2 + f.skip.powi(2) * s2) / (f.out * f.out);
        [
            f.input.powi(2) * (d2 + s2),
            target,
            f.weight * f.out * f.out,
        ]
    }

    #[test]
    fn inputs_targets_and_losses_are_of_unit_size() {
        for sigma in [0.01, 0.5, 10.0] {
            for v in variances(EDM.at(sigma).unwrap(), sigma) {
                assert!((v - 1.0).abs() < 1e-12, "{sigma}: {v}");
            }
            // VP and VE do not have it: their targets are noise, their inputs not of unit variance.
            let ve = variances(Preconditioning::Ve.at(sigma).unwrap(), sigma);
            assert!(
                (ve[1] - 1.0).abs() < 1e-12 && (ve[0] - 1.0).abs() > 1e-3,
                "{ve:?}"
            );
            // Another c_skip has a larger c_out for a target of unit variance.
            let best = EDM.at(sigma).unwrap();
            let needed =
                |skip: f64| ((1.0 - skip).powi(2) * 0.25 + skip * skip * sigma * sigma).sqrt();
            assert!((needed(best.skip) - best.out).abs() < 1e-12);
            assert!(needed(best.skip + 0.01) > best.out && needed(best.skip - 0.01) > best.out);
        }
    }

    #[test]
    fn the_skip_is_all_or_nothing_at_the_ends() {
        assert!((EDM.at(1e-7).unwrap().skip - 1.0).abs() < 1e-12);
        assert!(EDM.at(1e7).unwrap().skip < 1e-12);
    }

    #[test]
    fn vp_finds_the_time_of_a_noise_level() {
        let vp = Preconditioning::Vp {
            beta_min: 0.1,
            beta_max: 20.0,
        };
        for t in [1e-3f64, 0.2, 1.0] {
            let sigma = (0.1 * t + 0.5 * 19.9 * t * t).exp_m1().sqrt();
            assert!(
                (vp.at(sigma).unwrap().noise / 999.0 - t).abs() < 1e-12,
                "{t}"
            );
        }
    }

    #[test]
    fn what_is_no_noise_level_is_refused() {
        for sigma in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(EDM.at(sigma).unwrap_err().to_string().contains("`sigma`"));
        }
        assert!(Preconditioning::Edm { data_sd: 0.0 }.at(1.0).is_err());
    }
}
