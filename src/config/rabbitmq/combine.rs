//! The keys of ours that several of RabbitMQ's make together.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::super::error::ConfigError;
use super::super::source::Value;
use super::{Conf, Entry, Translated, convert, dotted, oauth2};

pub(super) type Done = Result<(), ConfigError>;

pub(super) fn all(conf: &Conf, to: &mut Translated) -> Done {
    listeners(conf, to, "listeners.tcp", "amqp")?;
    listeners(conf, to, "listeners.ssl", "amqps")?;
    proxied(conf, to)?;
    management(conf, to)?;
    tls_versions(conf, to);
    loopback_users(conf, to)?;
    user_tags(conf, to)?;
    mechanisms(conf, to)?;
    oauth2::backends(conf, to)?;
    oauth2::lists(conf, to)?;
    prometheus(conf, to)?;
    origins(conf, to);
    memory(conf, to)?;
    disk(conf, to)?;
    log_outputs(conf, to)?;
    log_levels(conf, to)
}

pub(super) fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

pub(super) fn texts(texts: Vec<String>) -> Value {
    Value::List(texts.into_iter().map(Value::Text).collect())
}

fn flag(entry: &Entry) -> Result<bool, ConfigError> {
    convert::whether(&entry.value).map_err(|problem| entry.wrong(problem))
}

/// `PORT`, which is everywhere, or `IP:PORT`.
fn listeners(conf: &Conf, to: &mut Translated, prefix: &str, key: &'static str) -> Done {
    if let Some(entry) = conf.get(prefix) {
        if entry.value != "none" {
            return Err(entry.wrong(format!("is either none, or {prefix}.NAME with a port")));
        }
        to.assignments.push(entry.assign(key, texts(Vec::new())));
        return Ok(());
    }
    let mut addresses = Vec::new();
    let mut last = None;
    for (_, entry) in conf.below(prefix) {
        let address = match (entry.value.parse::<u16>(), entry.value.parse::<SocketAddr>()) {
            (Ok(port), _) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
            (_, Ok(address)) => address,
            // RabbitMQ takes `:::5672`.
            _ => unbracketed(&entry.value).ok_or_else(|| {
                let value = &entry.value;
                entry.wrong(format!("{value:?} is neither a port nor IP:PORT, such as 5672"))
            })?,
        };
        addresses.push(address.to_string());
        last = Some(entry);
    }
    if let Some(entry) = last {
        to.assignments.push(entry.assign(key, texts(addresses)));
    }
    Ok(())
}

/// All listeners of AMQP, or none.
fn proxied(conf: &Conf, to: &mut Translated) -> Done {
    let Some(entry) = conf.get("proxy_protocol") else {
        return Ok(());
    };
    if flag(entry)? {
        let addresses = |key: &str| {
            let given = to.assignments.iter().find(|assignment| assignment.key == key);
            match given.map(|assignment| assignment.value.clone()) {
                Some(Value::List(addresses)) => Some(addresses),
                _ => None,
            }
        };
        let everywhere = vec![text("[::]:5672")];
        let mut all = addresses("amqp").unwrap_or(everywhere);
        all.extend(addresses("amqps").unwrap_or_default());
        to.assignments.push(entry.assign("proxy_protocol", Value::List(all)));
    }
    Ok(())
}

fn unbracketed(value: &str) -> Option<SocketAddr> {
    let (ip, port) = value.rsplit_once(':')?;
    Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?))
}

/// `management.tcp`, `management.ssl`, and the form before RabbitMQ 3.7.9, `management.listener`.
fn management(conf: &Conf, to: &mut Translated) -> Done {
    let old_is_tls = conf.get("management.listener.ssl").map(flag).transpose()?.unwrap_or(false);
    let (old_plain, old_tls) = match old_is_tls {
        false => (Some("management.listener"), None),
        true => (None, Some("management.listener")),
    };
    let plain = address(conf, ["management.tcp"].into_iter().chain(old_plain), 15672)?;
    let tls = address(conf, ["management.ssl"].into_iter().chain(old_tls), 15671)?;
    // Without a listener in the clear, there is none; RabbitMQ says so, too.
    if let Some((entry, _)) = &tls
        && plain.is_none()
    {
        to.assignments.push(entry.assign("http", text("none")));
    }
    for (key, found) in [("http", plain), ("https", tls)] {
        if let Some((entry, address)) = found {
            to.assignments.push(entry.assign(key, text(address)));
        }
    }
    // Its certificate is that of AMQP, where that has one.
    for (name, own, key) in [
        ("certfile", "ssl_options.certfile", "tls_certificate_file"),
        ("keyfile", "ssl_options.keyfile", "tls_key_file"),
        ("cacertfile", "ssl_options.cacertfile", "tls_ca_file"),
    ] {
        for prefix in ["management.ssl", "management.listener.ssl_opts"] {
            let Some(entry) = conf.get(&format!("{prefix}.{name}")) else {
                continue;
            };
            match conf.get(own) {
                None => to.assignments.push(entry.assign(key, text(&*entry.value))),
                Some(other) if other.value == entry.value => {}
                Some(_) => {
                    let sentence =
                        "has no effect: leveret shows clients of HTTP the certificate of AMQP";
                    to.warnings.push(entry.warning(sentence));
                }
            }
        }
    }
    Ok(())
}

/// The address that `PREFIX.port` and `PREFIX.ip` make, for the first prefix that has one of them.
fn address(
    conf: &Conf,
    prefixes: impl Iterator<Item = &'static str>,
    default: u16,
) -> Result<Option<(&Entry, String)>, ConfigError> {
    for prefix in prefixes {
        let (port, ip) = (conf.get(&format!("{prefix}.port")), conf.get(&format!("{prefix}.ip")));
        let Some(entry) = port.or(ip) else {
            continue;
        };
        let port = match port {
            None => default,
            Some(entry) => entry
                .value
                .parse()
                .map_err(|_| entry.wrong(format!("{:?} is not a port, 1 to 65535", entry.value)))?,
        };
        let ip = match ip {
            None => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            Some(entry) => entry.value.parse().map_err(|_| {
                entry.wrong(format!("{:?} is not the address of an interface", entry.value))
            })?,
        };
        return Ok(Some((entry, SocketAddr::new(ip, port).to_string())));
    }
    Ok(None)
}

/// Versions that are too old to be safe are left out.
fn tls_versions(conf: &Conf, to: &mut Translated) {
    let mut versions = Vec::new();
    let mut last = None;
    for (_, entry) in conf.below("ssl_options.versions") {
        last = Some(entry);
        match &*entry.value {
            "tlsv1" | "tlsv1.1" | "sslv3" => {
                to.warnings.push(entry.warning("has no effect: that version is not safe any more"));
            }
            version => versions.push(version.to_owned()),
        }
    }
    if let Some(entry) = last {
        to.assignments.push(entry.assign("tls_versions", texts(versions)));
    }
}

fn loopback_users(conf: &Conf, to: &mut Translated) -> Done {
    if let Some(entry) = conf.get("loopback_users") {
        if entry.value != "none" {
            return Err(entry.wrong("is either none, or loopback_users.NAME = true".to_owned()));
        }
        to.assignments.push(entry.assign("loopback_users", texts(Vec::new())));
        return Ok(());
    }
    if let Some((entry, users)) = flagged(conf, "loopback_users")? {
        to.assignments.push(entry.assign("loopback_users", texts(users)));
    }
    Ok(())
}

fn user_tags(conf: &Conf, to: &mut Translated) -> Done {
    if let Some((entry, tags)) = flagged(conf, "default_user_tags")? {
        to.assignments.push(entry.assign("default_user_tags", texts(tags)));
    }
    Ok(())
}

/// The names below that are true, and the last entry, if there is any.
fn flagged<'a>(
    conf: &'a Conf,
    prefix: &str,
) -> Result<Option<(&'a Entry, Vec<String>)>, ConfigError> {
    let mut names = Vec::new();
    let mut last = None;
    for entry in &conf.entries {
        if let [first, name] = entry.key.as_slice()
            && first == prefix
        {
            last = Some(entry);
            if flag(entry)? {
                names.push(name.clone());
            }
        }
    }
    Ok(last.map(|entry| (entry, names)))
}

/// What is offered is not to be chosen: PLAIN and AMQPLAIN, and EXTERNAL over TLS.
fn mechanisms(conf: &Conf, to: &mut Translated) -> Done {
    let offered: Vec<&Entry> = conf.below("auth_mechanisms").map(|(_, entry)| entry).collect();
    let Some(last) = offered.last() else {
        return Ok(());
    };
    for entry in &offered {
        match &*entry.value {
            "PLAIN" | "AMQPLAIN" | "EXTERNAL" => {}
            "ANONYMOUS" | "RABBIT-CR-DEMO" => {
                to.warnings.push(entry.warning("has no effect: this mechanism is not offered"));
            }
            other => {
                return Err(
                    entry.wrong(format!("{other:?} is not one of PLAIN, AMQPLAIN, EXTERNAL"))
                );
            }
        }
    }
    if !offered.iter().any(|entry| entry.value == "PLAIN") {
        return Err(last.wrong("cannot leave out PLAIN: leveret would offer it anyway".to_owned()));
    }
    Ok(())
}

/// Where metrics are served to everybody.
fn prometheus(conf: &Conf, to: &mut Translated) -> Done {
    if let Some((entry, address)) = address(conf, ["prometheus.tcp"].into_iter(), 15692)? {
        to.assignments.push(entry.assign("prometheus", text(address)));
    }
    Ok(())
}

/// The members of a list whose last one says where it is from.
fn origins(conf: &Conf, to: &mut Translated) {
    let all: Vec<&Entry> =
        conf.below("management.cors.allow_origins").map(|(_, entry)| entry).collect();
    if let Some(last) = all.last() {
        let all = all.iter().map(|entry| entry.value.clone()).collect();
        to.assignments.push(last.assign("cors_allow_origins", texts(all)));
    }
}

/// The absolute value counts before the relative one, as in RabbitMQ; a relative one is of the memory that
/// there is, or of what is said to be there.
fn memory(conf: &Conf, to: &mut Translated) -> Done {
    const KEY: &str = "memory_high_watermark";
    let bytes =
        |entry: &Entry| convert::memory(&entry.value).map_err(|problem| entry.wrong(problem));
    let relative = conf.get("vm_memory_high_watermark.relative");
    let absolute = conf.get("vm_memory_high_watermark.absolute");
    let total = conf.get("total_memory_available_override_value");
    let fraction = relative.map(|entry| Ok((entry, float(entry)?))).transpose()?;
    if let Some(entry) = absolute {
        if let Some(relative) = relative {
            to.warnings.push(relative.warning("has no effect beside the absolute watermark"));
        }
        to.assignments.push(entry.assign(KEY, Value::Integer(bytes(entry)?)));
    } else if let Some(total) = total {
        let fraction = fraction.map_or(0.6, |(_, fraction)| fraction);
        let limit = (bytes(total)? as f64 * fraction) as i64;
        to.assignments.push(total.assign(KEY, Value::Integer(limit)));
    } else if let Some((entry, fraction)) = fraction {
        to.assignments.push(entry.assign(KEY, Value::Float(fraction)));
    }
    Ok(())
}

/// Relative to the memory, not to the disk.
fn disk(conf: &Conf, to: &mut Translated) -> Done {
    if let Some(entry) = conf.get("disk_free_limit.relative") {
        let times = float(entry)?;
        if conf.get("disk_free_limit.absolute").is_some() {
            to.warnings.push(entry.warning("has no effect beside the absolute limit"));
        } else {
            to.assignments.push(entry.assign("disk_free_limit", Value::Float(times)));
        }
    }
    Ok(())
}

fn float(entry: &Entry) -> Result<f64, ConfigError> {
    let value = &entry.value;
    value.parse().map_err(|_| entry.wrong(format!("{value:?} is not a number, such as 0.4")))
}

fn log_outputs(conf: &Conf, to: &mut Translated) -> Done {
    let console = conf.get("log.console").map(|entry| Ok((entry, flag(entry)?))).transpose()?;
    let stdio = conf.get("log.console.stdio");
    let stream = match stdio {
        // As RabbitMQ.
        None => "stdout",
        Some(entry) if matches!(&*entry.value, "stdout" | "stderr") => entry.value.as_str(),
        Some(entry) => {
            return Err(entry.wrong(format!("{:?} is not one of stdout, stderr", entry.value)));
        }
    };
    let file = conf.get("log.file");
    let directory = conf.get("log.dir");
    let name = match file.map(|entry| (entry, entry.value.as_str())) {
        Some((_, "false")) => None,
        None | Some((_, "true")) => directory.map(|entry| (entry, "leveret.log")),
        named => named,
    };
    match console {
        Some((entry, true)) => to.assignments.push(entry.assign("log_console", text(stream))),
        Some((entry, false)) if name.is_some() => {
            to.assignments.push(entry.assign("log_console", text("none")));
        }
        Some((entry, false)) => {
            let sentence = "has no effect: nothing would be logged, name a file in log.file";
            to.warnings.push(entry.warning(sentence));
        }
        None => {}
    }
    if let Some((entry, name)) = name {
        let path = match directory {
            Some(directory) => std::path::Path::new(&directory.value).join(name),
            None => name.into(),
        };
        to.assignments.push(entry.assign("log_file", text(path.to_string_lossy())));
    }
    Ok(())
}

/// RabbitMQ's categories by the rooms that log what belongs to them.
fn log_levels(conf: &Conf, to: &mut Translated) -> Done {
    const CATEGORIES: [(&str, &[&str]); 3] = [
        ("log.connection.level", &["leveret::server"]),
        ("log.channel.level", &["leveret::session"]),
        ("log.queue.level", &["leveret::queue", "leveret::broker"]),
    ];
    let level =
        |entry: &Entry| convert::level(&entry.value).map_err(|problem| entry.wrong(problem));
    let mut last = conf.get("log.default.level");
    let mut filter = last.map(level).transpose()?.unwrap_or("info").to_owned();
    for (key, rooms) in CATEGORIES {
        if let Some(entry) = conf.get(key) {
            last = Some(entry);
            let level = level(entry)?;
            rooms.iter().for_each(|room| filter.push_str(&format!(",{room}={level}")));
        }
    }
    if let Some(entry) = last {
        debug_assert!(dotted(&entry.key).starts_with("log."));
        to.assignments.push(entry.assign("log_level", text(filter)));
    }
    Ok(())
}
