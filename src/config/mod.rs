//! Typed settings: defaults ← TOML file ← environment ← command line.
//!
//! Every source is turned into the same thing, an `Assignment` of a value to a key with the place it
//! came from, and all of them pass through `Settings::set`: a limit is written once, and an error
//! always names the file and line, the variable or the flag to mend.
//!
//! A key has one name everywhere: `frame_max` in the file is `LEVERET_FRAME_MAX` in the environment,
//! and `data_dir` is `--data-dir` on the command line.
//!
//! Invariant: nothing here reads the process's own environment or arguments, and nothing is printed;
//! [`load`] is given both, and reads only the files they name.

mod environment;
mod error;
mod file;
mod flags;
mod oauth2;
mod settings;
mod source;
mod tls;

use std::ffi::OsString;
use std::path::PathBuf;

pub use error::ConfigError;
pub use oauth2::{Backend, OAuth2};
pub use settings::{LogFormat, Secret, Settings, Sync, TimeoutAction, Watermark};
pub use tls::{LoginFrom, SanType, TlsVersion, Verify};

/// Reads the settings. `args` starts with the program's name, as the process's arguments do.
pub fn load(
    args: impl Iterator<Item = OsString>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Settings, ConfigError> {
    let flags = flags::parse(args)?;
    let path = flags.config.or_else(|| environment::config_file(&env));

    let mut settings = Settings::default();
    if let Some(path) = path {
        settings.apply(file::read(&PathBuf::from(path))?)?;
    }
    settings.apply(environment::read(&env)?)?;
    settings.apply(flags.assignments)?;
    settings.check()?;
    Ok(settings)
}

#[cfg(test)]
mod tests;
