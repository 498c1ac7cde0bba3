//! Reads the settings of a component from any serde format.

use crate::{Error, Result};
use serde::de::DeserializeOwned;

/// Settings as they arrive at a component's factory: a deserializer of unknown format.
pub struct SettingsReader<'a, 'de> {
    component: &'a str,
    inner: &'a mut dyn erased_serde::Deserializer<'de>,
}

impl std::fmt::Debug for SettingsReader<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SettingsReader")
            .field("component", &self.component)
            .finish_non_exhaustive()
    }
}

impl<'de> SettingsReader<'_, 'de> {
    /// Wraps `settings` of `component` for the time of a call.
    pub fn with<R>(
        component: &str,
        settings: impl serde::Deserializer<'de>,
        f: impl FnOnce(&mut SettingsReader<'_, 'de>) -> R,
    ) -> R {
        let mut erased = <dyn erased_serde::Deserializer<'de>>::erase(settings);
        f(&mut SettingsReader {
            component,
            inner: &mut erased,
        })
    }

    /// Reads the settings; possible once.
    ///
    /// # Errors
    /// [`Error::Settings`] with the path of the key.
    pub fn read<T: DeserializeOwned>(&mut self) -> Result<T> {
        serde_path_to_error::deserialize(&mut *self.inner).map_err(|e| Error::Settings {
            component: self.component.into(),
            key: match e.path().to_string() {
                path if path == "." => String::new(),
                path => path,
            },
            message: e.inner().to_string(),
        })
    }
}
