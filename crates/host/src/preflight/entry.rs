//! The symbols `retrograde_plugin_v<N>` of a library, and what they come to.

use retrograde_abi::RG_PLUGIN_ABI;

const PREFIX: &[u8] = b"retrograde_plugin_v";

/// The N of `retrograde_plugin_v<N>`; `name` may go on after a NUL. `None` for every other name.
pub(super) fn version(name: &[u8]) -> Option<u32> {
    let digits = name.strip_prefix(PREFIX)?;
    // No u32 has more than ten digits: however long a name is, no more of it is read.
    let digits = &digits[..digits.len().min(11)];
    let digits = &digits[..digits.iter().position(|&b| b == 0)?];
    if digits.first() == Some(&b'0') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What a symbol of such a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Symbol {
    /// A function that can be called from outside.
    Function,
    /// Defined, but something else.
    Other(&'static str),
    /// Wanted from another library.
    Undefined,
}

/// The symbols of such names that were found.
#[derive(Debug, Default)]
pub(super) struct Entries {
    found: Vec<(u32, Symbol)>,
}

impl Entries {
    pub(super) fn add(&mut self, version: u32, symbol: Symbol) {
        self.found.push((version, symbol));
    }

    /// The version to be used, or why there is none.
    pub(super) fn verdict(&self) -> Result<u32, String> {
        let versions = || {
            self.found
                .iter()
                .filter(|(_, s)| *s == Symbol::Function)
                .map(|(v, _)| *v)
        };
        if let Some(best) = versions().filter(|v| *v <= RG_PLUGIN_ABI).max() {
            return Ok(best);
        }
        if let Some(next) = versions().min() {
            return Err(format!(
                "is made for version {next} of the plugin interface, this program has {RG_PLUGIN_ABI}"
            ));
        }
        for (version, symbol) in &self.found {
            if let Symbol::Other(what) = symbol {
                return Err(format!(
                    "exports retrograde_plugin_v{version} as {what}, but it must be a function"
                ));
            }
        }
        if let Some((version, _)) = self.found.first() {
            return Err(format!(
                "calls retrograde_plugin_v{version} but does not define it: was a source file left out \
                 when it was linked?"
            ));
        }
        Err(format!(
            "is a shared library but no retrograde plugin (it does not export retrograde_plugin_v{RG_PLUGIN_ABI})"
        ))
    }
}
