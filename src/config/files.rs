//! Which files are read: the one that is named, or those that RabbitMQ would read.
//!
//! A file is TOML or in RabbitMQ's format. Its name tells, `.toml` or `.conf`; of any other name, what is
//! in it.

use std::path::{Path, PathBuf};

use super::error::{ConfigError, Origin};
use super::rabbitmq::{self, Conf};
use super::source::{Assignment, Value};
use super::{environment, file};

/// Names no file, and keeps those of RabbitMQ from being read.
const NONE: &str = "none";

/// What sources hold.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) files: Vec<PathBuf>,
    pub(super) warnings: Vec<String>,
    pub(super) assignments: Vec<Assignment>,
}

/// `named` by `--config`; else `LEVERET_CONFIG`; else what RabbitMQ is told to read by
/// `RABBITMQ_CONFIG_FILE` and `RABBITMQ_CONFIG_FILES`. A directory that is named is RabbitMQ's: its
/// `rabbitmq.conf`, and then all files of its `conf.d`, by name.
///
/// `/etc/rabbitmq` is not read by itself: where a RabbitMQ is installed, its files are for it.
pub(super) fn read(
    named: Option<&str>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Read, ConfigError> {
    let named = named.map(str::to_owned).or_else(|| environment::present(&env, "LEVERET_CONFIG"));
    let mut conf = Conf::default();
    let mut read = Read::default();
    match named {
        Some(name) if name == NONE => return Ok(read),
        Some(name) if !Path::new(&name).is_dir() => {
            let path = PathBuf::from(name);
            let text = text(&path)?;
            read.files.push(path.clone());
            if is_toml(&path, &text) {
                read.assignments = file::parse(&path, &text)?;
                return Ok(read);
            }
            conf.add(&path, &text, &env)?;
        }
        directory => {
            let directory = directory.as_deref().map(Path::new);
            refuse_advanced(directory, &env)?;
            for path in found(directory, &env)? {
                let text = text(&path)?;
                read.files.push(path.clone());
                conf.add(&path, &text, &env)?;
            }
        }
    }
    if !read.files.is_empty() {
        read.files.extend(conf.included());
        read.assignments = beneath();
        let translated = conf.translate()?;
        read.assignments.extend(translated.assignments);
        read.warnings = translated.warnings;
    }
    Ok(read)
}

/// Whoever writes a file for RabbitMQ relies on what it does without being told: it listens everywhere.
fn beneath() -> Vec<Assignment> {
    let everywhere = |port: u16| Value::Text(format!("[::]:{port}"));
    [("amqp", Value::List(vec![everywhere(5672)])), ("http", everywhere(15672))]
        .map(|(key, value)| Assignment { origin: Origin::Rabbitmq, key, value })
        .into()
}

fn text(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path)
        .map_err(|cause| ConfigError::Unreadable { path: path.to_owned(), cause })
}

/// Keys of TOML stand alone here; those of RabbitMQ mostly have a point in them, which makes them
/// tables, or values that are not TOML.
fn is_toml(path: &Path, text: &str) -> bool {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => true,
        Some("conf" | "config") => false,
        _ => toml::from_str::<toml::Table>(text)
            .is_ok_and(|table| !table.values().any(toml::Value::is_table)),
    }
}

fn found(
    directory: Option<&Path>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Vec<PathBuf>, ConfigError> {
    let mut paths = Vec::new();
    match environment::present(&env, "RABBITMQ_CONFIG_FILE") {
        // RabbitMQ takes the name without its end, too.
        Some(name) => {
            let with_end = PathBuf::from(format!("{name}.conf"));
            paths.push(if with_end.is_file() { with_end } else { name.into() });
        }
        None => {
            let path = directory.map(|directory| directory.join("rabbitmq.conf"));
            paths.extend(path.filter(|path| path.is_file()));
        }
    }
    let further = match environment::present(&env, "RABBITMQ_CONFIG_FILES") {
        Some(name) => rabbitmq::matching(Path::new(name.trim_end_matches("*.conf")))?,
        None => {
            let directory = directory.map(|directory| directory.join("conf.d"));
            let there = directory.filter(|directory| directory.is_dir());
            there.map_or_else(|| Ok(Vec::new()), |directory| rabbitmq::matching(&directory))?
        }
    };
    paths.extend(further);
    Ok(paths)
}

/// It is a program in Erlang's notation: there is no reading a part of it.
fn refuse_advanced(
    directory: Option<&Path>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<(), ConfigError> {
    let named = environment::present(&env, "RABBITMQ_ADVANCED_CONFIG_FILE").map(PathBuf::from);
    let path = named.or_else(|| Some(directory?.join("advanced.config")));
    let Some(path) = path.filter(|path| path.is_file()) else { return Ok(()) };
    let text = text(&path)?;
    let terms = text.lines().map(|line| line.split('%').next().unwrap_or_default());
    let terms: String = terms.flat_map(str::split_whitespace).collect();
    match terms.as_str() {
        "" | "[]." => Ok(()),
        _ => Err(rabbitmq::erlang(&path)),
    }
}
