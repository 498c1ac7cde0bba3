//! Settings of components for a check, from the command line or a job.

use retrograde_core::Kind;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Settings that were given, by component.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Given {
    /// By the name of a component: `double-well`, `wells/double-well`, or with its kind,
    /// `target double-well`.
    by_name: Vec<(String, toml::Table)>,
    /// Of the tables of a job: kind, name, settings.
    by_job: Vec<(String, String, toml::Table)>,
}

/// Settings that cannot be read, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenError(String);

impl fmt::Display for GivenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for GivenError {}

impl Given {
    /// Takes a setting of the form `component.key=value`, the value as in TOML; what is none counts as text.
    ///
    /// # Errors
    /// When it is not of that form.
    pub fn set(&mut self, text: &str) -> Result<(), GivenError> {
        let wrong = || {
            GivenError(format!(
                "`--set {text}` must be of the form `--set component.key=value`, for example \
                 `--set double-well.dim=3`"
            ))
        };
        let (place, value) = text.split_once('=').ok_or_else(wrong)?;
        let (component, key) = place.trim().rsplit_once('.').ok_or_else(wrong)?;
        if component.is_empty() || key.is_empty() {
            return Err(wrong());
        }
        let parsed: Option<toml::Table> = format!("x = {value}").parse().ok();
        let value = match parsed.and_then(|mut t| t.remove("x").filter(|_| t.is_empty())) {
            Some(value) => value,
            None => toml::Value::String(value.trim().to_owned()),
        };
        let at = self.by_name.iter().position(|(name, _)| name == component);
        let at = at.unwrap_or_else(|| {
            self.by_name
                .push((component.to_owned(), toml::Table::new()));
            self.by_name.len() - 1
        });
        self.by_name[at].1.insert(key.to_owned(), value);
        Ok(())
    }

    /// Takes the settings of a job: those of its components that are of the plugin.
    ///
    /// # Errors
    /// When the text is no TOML.
    pub fn job(&mut self, text: &str) -> Result<(), GivenError> {
        let job: toml::Table = text
            .parse()
            .map_err(|e: toml::de::Error| GivenError(format!("the job cannot be read: {e}")))?;
        for kind in Kind::ALL {
            let Some(toml::Value::Table(settings)) = job.get(kind.word()) else {
                continue;
            };
            let mut settings = settings.clone();
            settings.remove("bounds");
            if let Some(toml::Value::String(name)) = settings.remove("kind") {
                self.by_job.push((kind.word().to_owned(), name, settings));
            }
        }
        Ok(())
    }

    /// The settings of a component.
    pub(crate) fn of(&self, kind: Kind, name: &str, plugin: &str) -> toml::Table {
        let mut all = toml::Table::new();
        for (word, of, settings) in &self.by_job {
            if *word == kind.word() && is(of, name, plugin) {
                all.extend(settings.clone());
            }
        }
        for (of, settings) in &self.by_name {
            if means(of, kind, name, plugin) {
                all.extend(settings.clone());
            }
        }
        all
    }

    /// Names in settings of the command line that are none of these components.
    pub(crate) fn strangers<'c>(
        &self,
        components: impl Iterator<Item = (Kind, &'c str)> + Clone,
        plugin: &str,
    ) -> Vec<&str> {
        let known = |of: &str| {
            components
                .clone()
                .any(|(kind, name)| means(of, kind, name, plugin))
        };
        let names = self.by_name.iter().map(|(of, _)| of.as_str());
        names.filter(|of| !known(of)).collect()
    }
}

/// Whether a name, perhaps with the plugin's before it, is that of a component.
fn is(given: &str, name: &str, plugin: &str) -> bool {
    given == name || given.strip_prefix(plugin).and_then(|g| g.strip_prefix('/')) == Some(name)
}

fn means(given: &str, kind: Kind, name: &str, plugin: &str) -> bool {
    match given.split_once(' ') {
        Some((word, given)) => word == kind.word() && is(given, name, plugin),
        None => is(given, name, plugin),
    }
}
