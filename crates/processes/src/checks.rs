//! Checks of settings.

use retrograde_core::{Error, Result};

/// [`Error::Setting`] unless `good`.
pub(crate) fn setting<A: Into<String>>(
    name: &str,
    key: &str,
    given: f64,
    good: bool,
    allowed: impl FnOnce() -> A,
) -> Result {
    if good {
        return Ok(());
    }
    Err(Error::setting(name, key, given, allowed()))
}

/// [`Error::Setting`] unless `value` is finite and > 0.
pub(crate) fn positive(name: &str, key: &str, value: f64) -> Result {
    let good = value > 0.0 && value.is_finite();
    setting(name, key, value, good, || "a number above 0")
}

/// [`Error::Setting`] unless `value` is finite and ≥ 0.
pub(crate) fn non_negative(name: &str, key: &str, value: f64) -> Result {
    let good = value >= 0.0 && value.is_finite();
    setting(name, key, value, good, || "0 or a number above it")
}

#[cfg(test)]
mod testing;
#[cfg(test)]
pub(crate) use testing::*;
