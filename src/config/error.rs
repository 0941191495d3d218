//! What can be wrong with a configuration. Each displays as one line, fit to be the last thing the
//! operator sees; only [`ConfigError::Help`] is no failure.

use std::fmt;
use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The text of `--help` or `--version`, without its last line break: not a failure, goes to
    /// standard output. It is the only one of several lines.
    #[error("{0}")]
    Help(String),
    #[error("command line: {0}")]
    CommandLine(String),
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("{origin}: {problem}")]
    Syntax { origin: Origin, problem: String },
    #[error("{origin}: unknown key {key:?}{}", suggestion(nearest.as_deref()))]
    UnknownKey { origin: Origin, key: String, nearest: Option<String> },
    #[error("{}: {problem}", place(origin, key))]
    BadValue { origin: Origin, key: &'static str, problem: String },
    /// Settings that are each fine and do not fit together.
    #[error("{0}")]
    Conflict(String),
}

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    File {
        path: PathBuf,
        line: usize,
    },
    /// A file in RabbitMQ's format, where the key has another name than ours.
    Conf {
        path: PathBuf,
        line: usize,
        key: String,
    },
    /// What RabbitMQ does by default; counts where there is a file in its format.
    Rabbitmq,
    Variable(String),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } | Self::Conf { path, line, .. } => {
                write!(f, "{}:{line}", path.display())
            }
            Self::Rabbitmq => f.write_str("RabbitMQ's default"),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A variable's or a flag's name tells the key already.
fn place(origin: &Origin, key: &str) -> String {
    match origin {
        Origin::File { .. } => format!("{origin}: {key}"),
        Origin::Conf { key, .. } => format!("{origin}: {key}"),
        Origin::Rabbitmq | Origin::Variable(_) | Origin::Flag(_) => origin.to_string(),
    }
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |key| format!("; did you mean {key:?}?"))
}
