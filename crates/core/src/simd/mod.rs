//! Kernels with explicit vectors, whose width is chosen when the program runs.
//!
//! The [`SimdLevel`] is part of a run's identity: levels that fuse multiplication and addition round
//! once where others round twice. A kernel puts rows into the lanes of a vector, one row a lane, and
//! pads the last vector; so a row's bits depend on neither the number of rows nor its place among
//! them.

use crate::{Error, Result};
use fearless_simd::{Level, dispatch};

mod logistic;
pub(crate) mod math;
pub(crate) mod reduce;
pub(crate) mod tile;

pub use logistic::LogisticRows;

/// A set of vector instructions that this machine has.
///
/// | name | instructions |
/// | --- | --- |
/// | `sse2` | what every x86-64 machine has, 2 numbers a vector |
/// | `sse4.2` | the same with a few more, to the same bits |
/// | `avx2` | AVX2 and fused multiply-add, 4 numbers a vector |
/// | `avx512` | AVX-512 as of Ice Lake or Zen 4, 8 numbers a vector |
/// | `neon` | what every 64-bit ARM machine has, 2 numbers a vector |
/// | `simd128` | WebAssembly, 2 numbers a vector |
/// | `scalar` | no vectors |
#[derive(Debug, Clone, Copy)]
pub struct SimdLevel(Level);

impl SimdLevel {
    /// The best level that this machine has.
    #[must_use]
    pub fn best() -> Self {
        Self(Level::new())
    }

    /// The level that every machine has for which this program was built.
    #[must_use]
    pub fn baseline() -> Self {
        Self(Level::baseline())
    }

    /// Every level that this machine has, from the baseline to the best.
    #[must_use]
    pub fn available() -> Vec<Self> {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        {
            let best = Level::new();
            let mut levels = vec![Level::baseline()];
            levels.extend(best.as_sse4_2().map(Level::Sse4_2));
            levels.extend(best.as_avx2().map(Level::Avx2));
            levels.extend(best.as_avx512().map(Level::Avx512));
            // A program built for a higher baseline has no kernels below it.
            let baseline = rank(Level::baseline());
            let mut levels: Vec<Self> = levels
                .into_iter()
                .filter(|l| rank(*l) >= baseline)
                .map(Self)
                .collect();
            levels.dedup();
            levels
        }
        #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
        {
            vec![Self::best()]
        }
    }

    /// The level of that name: `auto` (the best), `baseline`, or a name of the table above.
    ///
    /// # Errors
    /// [`Error::Argument`] for any other name, and for a level that this machine does not have.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "auto" => return Ok(Self::best()),
            "baseline" => return Ok(Self::baseline()),
            _ => {}
        }
        let available = Self::available();
        if let Some(level) = available.iter().find(|l| l.name() == name) {
            return Ok(*level);
        }
        let names: Vec<&str> = available.iter().map(|l| l.name()).collect();
        Err(Error::Argument {
            component: "vector instructions".into(),
            argument: "simd".into(),
            given: format!("`{name}`"),
            allowed: format!(
                "`auto`, `baseline`, or a level that this machine has: {}",
                names.join(", ")
            ),
        })
    }

    /// Its name, as in the table above.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Level::Sse2(_) => "sse2",
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Level::Sse4_2(_) => "sse4.2",
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Level::Avx2(_) => "avx2",
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Level::Avx512(_) => "avx512",
            #[cfg(target_arch = "aarch64")]
            Level::Neon(_) => "neon",
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Level::WasmSimd128(_) => "simd128",
            _ => "scalar",
        }
    }

    /// The token that kernels are dispatched on.
    pub(crate) fn level(self) -> Level {
        self.0
    }
}

/// The best level of the machine.
impl Default for SimdLevel {
    fn default() -> Self {
        Self::best()
    }
}

impl PartialEq for SimdLevel {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for SimdLevel {}

impl std::fmt::Display for SimdLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn rank(level: Level) -> u8 {
    match level {
        Level::Sse2(_) => 1,
        Level::Sse4_2(_) => 2,
        Level::Avx2(_) => 3,
        Level::Avx512(_) => 4,
        _ => 0,
    }
}

/// Overwrites each number by its exponential, to 2 units in the last place. Overflow gives ∞; below
/// −708, before results could be subnormal, it is 0.
#[allow(clippy::redundant_closure)] // Only a closure can be told to be inlined.
pub fn exp_in_place(level: SimdLevel, values: &mut [f64]) {
    dispatch!(level.level(), s => tile::map(s, values, #[inline(always)] |s, x| math::exp(s, x)));
}

/// Overwrites each number by its natural logarithm, to 2 units in the last place: −∞ of 0, NaN below.
#[allow(clippy::redundant_closure)] // Only a closure can be told to be inlined.
pub fn ln_in_place(level: SimdLevel, values: &mut [f64]) {
    dispatch!(level.level(), s => tile::map(s, values, #[inline(always)] |s, x| math::ln(s, x)));
}

#[cfg(test)]
mod tests;
