//! Environment variables: `LEVERET_` and the key in capitals, and the three that images of RabbitMQ
//! take. An empty variable counts as absent, because compose files cannot leave one out.
//!
//! The default user's name, password and virtual host may also stand in a file named by the variable
//! with `_FILE` at its end, which is how container platforms hand out secrets.

use std::path::PathBuf;

use super::error::{ConfigError, Origin};
use super::settings::Settings;
use super::source::{Assignment, Value};

/// The keys that may be read from a file, with RabbitMQ's name for each.
const SECRETS: [(&str, &str); 3] = [
    ("default_user", "RABBITMQ_DEFAULT_USER"),
    ("default_pass", "RABBITMQ_DEFAULT_PASS"),
    ("default_vhost", "RABBITMQ_DEFAULT_VHOST"),
];

pub(super) fn config_file(env: impl Fn(&str) -> Option<String>) -> Option<String> {
    present(&env, "LEVERET_CONFIG")
}

/// Our own variables come after RabbitMQ's, so they win.
pub(super) fn read(env: impl Fn(&str) -> Option<String>) -> Result<Vec<Assignment>, ConfigError> {
    let mut assignments = Vec::new();
    for (key, variable) in SECRETS {
        assignments.extend(direct_or_file(&env, key, variable)?);
    }
    for key in Settings::KEYS {
        let variable = format!("LEVERET_{}", key.to_uppercase());
        if SECRETS.iter().any(|(secret, _)| *secret == key) {
            assignments.extend(direct_or_file(&env, key, &variable)?);
        } else {
            assignments.extend(direct(&env, key, &variable));
        }
    }
    Ok(assignments)
}

fn direct(
    env: impl Fn(&str) -> Option<String>,
    key: &'static str,
    variable: &str,
) -> Option<Assignment> {
    present(env, variable).map(|text| Assignment {
        origin: Origin::Variable(variable.to_owned()),
        key,
        value: Value::Text(text),
    })
}

fn direct_or_file(
    env: impl Fn(&str) -> Option<String>,
    key: &'static str,
    variable: &str,
) -> Result<Option<Assignment>, ConfigError> {
    let direct = direct(&env, key, variable);
    let file_variable = format!("{variable}_FILE");
    let Some(path) = present(&env, &file_variable) else {
        return Ok(direct);
    };
    if direct.is_some() {
        return Err(ConfigError::Conflict(format!(
            "{variable} and {file_variable} are both set: keep one"
        )));
    }
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(Assignment {
            origin: Origin::Variable(file_variable),
            key,
            // Editors and `echo` end the file with a line break that is not part of the secret.
            value: Value::Text(text.trim_end_matches(['\r', '\n']).to_owned()),
        })),
        Err(cause) => Err(ConfigError::Unreadable { path: PathBuf::from(path), cause }),
    }
}

fn present(env: impl Fn(&str) -> Option<String>, variable: &str) -> Option<String> {
    env(variable).filter(|text| !text.is_empty())
}
