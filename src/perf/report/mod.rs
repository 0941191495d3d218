//! What a run found out, as it is kept in a JSON file, and the forms in which people read it.

mod csv;
mod html;
mod plot;
mod text;

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use csv::csv;
pub use html::page;
pub use text::{progress_line, totals};

use super::error::PerfError;
use super::sample::Counts;

/// Everything about one run. The names are those of the JSON file; they may become more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// What wrote this, and which version of it.
    pub tool: String,
    pub name: String,
    /// The flags, without passwords.
    pub command: Vec<String>,
    /// What the broker calls itself.
    pub broker: String,
    pub uris: Vec<String>,
    /// Unix seconds.
    pub started: u64,
    pub ended: Ended,
    pub error: Option<String>,
    /// From the start until the last message was sent, received or confirmed.
    pub seconds: f64,
    pub producers: u64,
    pub consumers: u64,
    pub queues: u64,
    pub counts: Counts,
    pub rates: Rates,
    pub latency: Option<Latency>,
    pub confirm_latency: Option<Latency>,
    pub series: Vec<Second>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    #[default]
    Duration,
    /// Everything was sent and consumed.
    Count,
    Interrupted,
    Failed,
}

/// A second, each until the last time that such a thing happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rates {
    pub sent: f64,
    pub received: f64,
    pub confirmed: f64,
    pub returned: f64,
    pub nacked: f64,
    pub rejected: f64,
    pub sent_bytes: f64,
    pub received_bytes: f64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    pub count: u64,
    pub min_us: f64,
    pub mean_us: f64,
    pub p50_us: f64,
    pub p75_us: f64,
    pub p95_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub max_us: f64,
    /// Percentiles and their microseconds, denser towards the end.
    pub distribution: Vec<(f64, f64)>,
}

/// One second of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Second {
    /// When it ended, in seconds since the start.
    pub at: f64,
    /// How long it really was.
    pub seconds: f64,
    pub counts: Counts,
    pub latency: Option<Spread>,
    pub confirm_latency: Option<Spread>,
}

impl Second {
    /// That many of something, a second.
    pub fn rate(&self, count: u64) -> f64 {
        if self.seconds > 0.0 { count as f64 / self.seconds } else { 0.0 }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spread {
    pub p50_us: f64,
    pub p95_us: f64,
    pub p99_us: f64,
    pub max_us: f64,
}

impl Report {
    pub fn json(&self) -> String {
        // Numbers and texts can always be written.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    pub fn read(path: &Path) -> Result<Self, PerfError> {
        let refuse = |cause: String| PerfError::Read { path: path.to_owned(), cause };
        let text = fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
        let report: Self =
            serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))?;
        if report.tool.starts_with("leveret perf") {
            Ok(report)
        } else {
            Err(refuse("it is not what leveret perf writes with --json".to_owned()))
        }
    }
}

/// Writes a file, or says which one it could not.
pub fn write(path: &Path, text: &str) -> Result<(), PerfError> {
    fs::write(path, text).map_err(|cause| PerfError::Write { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests;
