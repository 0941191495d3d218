//! What `leveret config check` prints: every key with its value and where that comes from, in a form
//! that is a TOML file itself.

use std::fmt::Write;

use super::Loaded;
use super::oauth2::PREFIX;
use super::settings::Settings;

const NONE: &str = "\"none\"";

impl Loaded {
    /// A line for every key. Secrets are hidden.
    pub fn report(&self) -> String {
        let mut report = String::new();
        let defaults = Settings::default();
        for ((key, value), (_, default)) in self.settings.values().zip(defaults.values()) {
            if value == NONE && default == NONE {
                // Not every key can be set to that.
                let _ = writeln!(report, "# {key} is not set");
                continue;
            }
            let origin = match self.origins.get(key) {
                Some(origin) => origin.to_string(),
                None => "default".to_owned(),
            };
            let line = format!("{key} = {value}");
            // A string takes whatever is written to it.
            let _ = writeln!(report, "{line:<48} # {origin}");
        }
        report
    }
}

impl Settings {
    /// Every key with its value, to be shown. Secrets are hidden.
    pub fn shown(&self) -> serde_json::Map<String, serde_json::Value> {
        let read = |text: String| serde_json::from_str(&text).unwrap_or_default();
        self.values().map(|(key, value)| (key.to_owned(), read(value))).collect()
    }

    /// Every key with its value, as it would be written in a file.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, String)> {
        let values = serde_json::to_value(self).unwrap_or_default();
        Self::KEYS.into_iter().map(move |key| {
            let within = |key: &str| values.get("auth_oauth2")?.get(key.strip_prefix(PREFIX)?);
            let value = match values.get(key).or_else(|| within(key)) {
                None | Some(serde_json::Value::Null) => NONE.to_owned(),
                // What JSON and TOML write the same way, which numbers, texts and lists of them are.
                Some(value) => value.to_string(),
            };
            (key, value)
        })
    }
}
