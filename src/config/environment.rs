//! Environment variables: `LEVERET_` and the key in capitals, and those of RabbitMQ and its images. An
//! empty variable counts as absent, because compose files cannot leave one out.
//!
//! What must not stand in a compose file may also stand in a file named by the variable with `_FILE` at
//! its end, which is how container platforms hand out secrets.

use std::path::PathBuf;

use super::error::{ConfigError, Origin};
use super::files::Read;
use super::settings::Settings;
use super::source::{Assignment, Value};

/// The keys that may be read from a file.
const SECRETS: [&str; 3] = ["default_user", "default_pass", "default_vhost"];

/// RabbitMQ's variables that are keys of ours, and whether a file may hold them. Of two for the same key the
/// later counts.
const RABBITMQ: [(&str, &str, bool); 15] = [
    ("RABBITMQ_DEFAULT_USER", "default_user", true),
    ("RABBITMQ_DEFAULT_PASS", "default_pass", true),
    ("RABBITMQ_DEFAULT_VHOST", "default_vhost", true),
    ("RABBITMQ_MNESIA_BASE", "data_dir", false),
    ("RABBITMQ_MNESIA_DIR", "data_dir", false),
    ("RABBITMQ_VM_MEMORY_HIGH_WATERMARK", "memory_high_watermark", false),
    ("RABBITMQ_SSL_CERTFILE", "tls_certificate_file", false),
    ("RABBITMQ_SSL_KEYFILE", "tls_key_file", false),
    ("RABBITMQ_SSL_CACERTFILE", "tls_ca_file", false),
    ("RABBITMQ_SSL_VERIFY", "tls_verify", false),
    ("RABBITMQ_SSL_FAIL_IF_NO_PEER_CERT", "tls_fail_if_no_peer_cert", false),
    ("RABBITMQ_MANAGEMENT_SSL_CERTFILE", "tls_certificate_file", false),
    ("RABBITMQ_MANAGEMENT_SSL_KEYFILE", "tls_key_file", false),
    ("RABBITMQ_MANAGEMENT_SSL_CACERTFILE", "tls_ca_file", false),
    ("RABBITMQ_MANAGEMENT_SSL_VERIFY", "https_verify", false),
];

/// What a line says about a variable that does nothing.
const IDLE: [(&str, &str); 10] = [
    ("RABBITMQ_NODENAME", "leveret names its node after the host"),
    ("RABBITMQ_PID_FILE", "whoever starts leveret knows its process"),
    ("RABBITMQ_VM_MEMORY_CALCULATION_STRATEGY", "it is the resident memory that counts"),
    ("RABBITMQ_SSL_DEPTH", "the depth of chains is not limited"),
    ("RABBITMQ_SSL_PASSWORD", "decrypt the key"),
    ("RABBITMQ_MANAGEMENT_SSL_FAIL_IF_NO_PEER_CERT", "RABBITMQ_MANAGEMENT_SSL_VERIFY decides"),
    ("RABBITMQ_MANAGEMENT_SSL_DEPTH", "the depth of chains is not limited"),
    ("RABBITMQ_HIPE_COMPILE", "there is no Erlang underneath"),
    ("RABBITMQ_LOG_BASE", "name a file in LEVERET_LOG_FILE"),
    ("RABBITMQ_CTL_ERL_ARGS", "there is no Erlang underneath"),
];

/// Our own variables come after RabbitMQ's, so they win.
pub(super) fn read(env: impl Fn(&str) -> Option<String>) -> Result<Read, ConfigError> {
    let mut read = Read::default();
    for (variable, key, may_be_file) in RABBITMQ {
        // Those of keys that are not there yet are like unknown ones.
        let Some(key) = Settings::KEYS.into_iter().find(|known| *known == key) else {
            continue;
        };
        read.assignments.extend(match may_be_file {
            true => direct_or_file(&env, key, variable)?,
            false => direct(&env, key, variable),
        });
    }
    listener(&env, &mut read)?;
    logs(&env, &mut read)?;
    for (variable, reason) in IDLE {
        if present(&env, variable).is_some() {
            read.warnings.push(format!("{variable} has no effect: {reason}"));
        }
    }
    for key in Settings::KEYS {
        let variable = format!("LEVERET_{}", key.to_uppercase());
        read.assignments.extend(match SECRETS.contains(&key) {
            true => direct_or_file(&env, key, &variable)?,
            false => direct(&env, key, &variable),
        });
    }
    Ok(read)
}

/// `RABBITMQ_NODE_IP_ADDRESS` and `RABBITMQ_NODE_PORT` are one address.
fn listener(env: impl Fn(&str) -> Option<String>, read: &mut Read) -> Result<(), ConfigError> {
    const IP: &str = "RABBITMQ_NODE_IP_ADDRESS";
    const PORT: &str = "RABBITMQ_NODE_PORT";
    let (ip, port) = (present(&env, IP), present(&env, PORT));
    let origin = match (&ip, &port) {
        (None, None) => return Ok(()),
        (_, Some(_)) => Origin::Variable(PORT.to_owned()),
        (_, None) => Origin::Variable(IP.to_owned()),
    };
    let refuse = |variable: &str, problem| ConfigError::BadValue {
        origin: Origin::Variable(variable.to_owned()),
        key: "amqp",
        problem,
    };
    let port = port.as_deref().unwrap_or("5672");
    let port = port
        .parse::<u16>()
        .map_err(|_| refuse(PORT, format!("{port:?} is not a port, 1 to 65535")))?;
    let ip = ip.as_deref().unwrap_or("::");
    let ip = ip
        .trim_matches(['[', ']'])
        .parse()
        .map_err(|_| refuse(IP, format!("{ip:?} is not the address of an interface")))?;
    let address = std::net::SocketAddr::new(ip, port).to_string();
    read.assignments.push(Assignment { origin, key: "amqp", value: Value::Text(address) });
    Ok(())
}

/// `RABBITMQ_LOGS` is `-`, the console, or a file; `RABBITMQ_LOG` a level, or levels by category.
fn logs(env: impl Fn(&str) -> Option<String>, read: &mut Read) -> Result<(), ConfigError> {
    let assign = |variable: &str, key, value: &str| Assignment {
        origin: Origin::Variable(variable.to_owned()),
        key,
        value: Value::Text(value.to_owned()),
    };
    match present(&env, "RABBITMQ_LOGS").as_deref() {
        None => {}
        Some("-") => read.assignments.push(assign("RABBITMQ_LOGS", "log_console", "stdout")),
        Some("-stderr") => read.assignments.push(assign("RABBITMQ_LOGS", "log_console", "stderr")),
        Some(path) => read.assignments.push(assign("RABBITMQ_LOGS", "log_file", path)),
    }
    let Some(levels) = present(&env, "RABBITMQ_LOG") else {
        return Ok(());
    };
    let levels =
        levels.split(',').filter(|level| !level.contains('=') && !level.starts_with(['+', '-']));
    for level in levels {
        let level = super::rabbitmq::level(level).map_err(|problem| ConfigError::BadValue {
            origin: Origin::Variable("RABBITMQ_LOG".to_owned()),
            key: "log_level",
            problem,
        })?;
        read.assignments.push(assign("RABBITMQ_LOG", "log_level", level));
    }
    Ok(())
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

pub(super) fn present(env: impl Fn(&str) -> Option<String>, variable: &str) -> Option<String> {
    env(variable).filter(|text| !text.is_empty())
}
