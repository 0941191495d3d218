//! Typed settings: defaults ← files ← environment ← command line.
//!
//! Every source is turned into the same thing, an `Assignment` of a value to a key with the place it
//! came from, and all of them pass through `Settings::set`: a limit is written once, and an error
//! always names the file and line, the variable or the flag to mend.
//!
//! A key has one name everywhere: `frame_max` in the file is `LEVERET_FRAME_MAX` in the environment,
//! and `data_dir` is `--data-dir` on the command line. A file may also be RabbitMQ's `rabbitmq.conf`;
//! `rabbitmq` says what its keys are here.
//!
//! Invariant: nothing here reads the process's own environment or arguments, and nothing is printed;
//! [`command`] and [`Command::load`] are given both, and read only the files they name.

mod environment;
mod error;
mod file;
mod files;
mod flags;
mod lavinmq;
mod log;
mod oauth2;
mod rabbitmq;
mod report;
mod settings;
mod source;
mod tls;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

pub use error::{ConfigError, Origin};
pub use flags::{Task, command_line};
pub use log::{LogConsole, LogLevel, Rotation};
pub use oauth2::{Backend, OAuth2};
pub use settings::{
    DiskLimit, LogFormat, QueueType, Secret, Settings, Sync, TimeoutAction, Watermark,
};
pub use tls::{LoginFrom, SanType, TlsVersion, Verify};

use source::Assignment;

/// What the command line asks for. It can be loaded again when the files have changed.
#[derive(Clone, Debug)]
pub struct Command {
    pub task: Task,
    config: Option<String>,
    assignments: Vec<Assignment>,
}

/// Settings, and where they come from.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub settings: Settings,
    /// The files that were read, in the order in which they count.
    pub files: Vec<PathBuf>,
    /// What was accepted and does nothing, a line each.
    pub warnings: Vec<String>,
    /// Keys that are not at their default.
    origins: BTreeMap<&'static str, Origin>,
}

/// Reads the command line. `args` starts with the program's name, as the process's arguments do.
pub fn command(args: impl Iterator<Item = OsString>) -> Result<Command, ConfigError> {
    flags::parse(args)
}

impl Command {
    /// What the file of LavinMQ that is named is in our format.
    pub fn convert(&self) -> Result<String, ConfigError> {
        let path = PathBuf::from(self.config.as_deref().unwrap_or_default());
        let text = std::fs::read_to_string(&path)
            .map_err(|cause| ConfigError::Unreadable { path: path.clone(), cause })?;
        lavinmq::convert(&path, &text)
    }

    /// Reads files and environment.
    pub fn load(&self, env: impl Fn(&str) -> Option<String>) -> Result<Loaded, ConfigError> {
        let mut loaded = Loaded {
            settings: Settings::default(),
            files: Vec::new(),
            warnings: Vec::new(),
            origins: BTreeMap::new(),
        };
        let read = files::read(self.config.as_deref(), &env)?;
        loaded.files = read.files;
        loaded.warnings = read.warnings;
        loaded.apply(read.assignments)?;
        let read = environment::read(&env)?;
        loaded.warnings.extend(read.warnings);
        loaded.apply(read.assignments)?;
        loaded.apply(self.assignments.clone())?;
        loaded.settings.check()?;
        Ok(loaded)
    }
}

impl Loaded {
    fn apply(&mut self, assignments: Vec<Assignment>) -> Result<(), ConfigError> {
        for Assignment { key, origin, .. } in &assignments {
            self.origins.insert(key, origin.clone());
        }
        self.settings.apply(assignments)
    }
}

#[cfg(test)]
mod tests;
