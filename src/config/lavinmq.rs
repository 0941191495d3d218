//! A `lavinmq.ini` as a file of ours: `leveret config convert`.
//!
//! What has a counterpart becomes a line; of everything else a comment says what it was, so that nothing
//! is lost unseen. What LavinMQ does without being told, and is missed when it does not happen, is
//! written out: where it listens, and that consumers have all the time they like.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::error::{ConfigError, Origin};
use super::file;
use super::settings::Settings;

/// The text of a TOML file with the settings of `text`, which is what stands in `path`. Fails where
/// LavinMQ would, and where a value is not one that we may have.
pub(super) fn convert(path: &Path, text: &str) -> Result<String, ConfigError> {
    let mut ini = Ini { path, values: BTreeMap::new() };
    ini.read(text)?;
    let mut toml = Toml { text: format!("# From {}.\n", path.display()), path };
    toml.addresses(&mut ini)?;
    toml.settings(&mut ini)?;
    for ((section, key), (value, _)) in ini.values {
        let why = reason(&section, &key);
        toml.comment(&format!("[{section}] {key} = {value}: {why}"));
    }
    // The limits are those of every other file.
    let mut settings = Settings::default();
    settings.apply(file::parse(path, &toml.text)?).map_err(|error| toml.blame(error))?;
    settings.check()?;
    Ok(toml.text)
}

/// Why something has no counterpart.
fn reason(section: &str, key: &str) -> &'static str {
    match (section, key) {
        ("main", "data_dir") => {
            "LavinMQ's files are not read, so leveret needs a directory of its own"
        }
        ("main", "default_password_hash" | "default_password") => {
            "passwords are not hashes here: set default_pass, or import LavinMQ's definitions"
        }
        ("main", "tls_ciphers" | "tls_keylog_file") => "TLS takes the safe ones by itself",
        ("main" | "amqp", "set_timestamp" | "log_exchange" | "default_consumer_prefetch") => {
            "there is no such thing here"
        }
        ("amqp" | "mgmt" | "http", "unix_path" | "unix_proxy_protocol") => {
            "there are no Unix sockets here"
        }
        ("mqtt", _) => "there is no MQTT here",
        ("clustering", _) => "there is no replication here",
        ("oauth", _) => "see docs/oauth2.md for auth_oauth2_...",
        _ => "has no counterpart",
    }
}

/// Values by section and key, with their lines. What is taken out is dealt with.
struct Ini<'a> {
    path: &'a Path,
    values: BTreeMap<(String, String), (String, usize)>,
}

impl Ini<'_> {
    fn read(&mut self, text: &str) -> Result<(), ConfigError> {
        let mut section = String::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with([';', '#']) {
                continue;
            }
            let wrong = |problem: String| self.wrong(number, problem);
            if let Some(name) = line.strip_prefix('[') {
                let name = name.strip_suffix(']');
                section = name.ok_or_else(|| wrong("expected [SECTION]".to_owned()))?.to_owned();
                let known =
                    ["main", "amqp", "mqtt", "mgmt", "http", "clustering", "oauth", "experimental"];
                if !known.contains(&&*section) && !section.starts_with("sni:") {
                    return Err(wrong(format!("LavinMQ has no section [{section}]")));
                }
                continue;
            }
            let Some((key, value)) = line.split_once('=') else {
                return Err(wrong(format!("expected KEY = VALUE, found {line:?}")));
            };
            if section.is_empty() {
                return Err(wrong(format!("{:?} stands in no section", key.trim())));
            }
            let place = (section.clone(), key.trim().to_owned());
            self.values.insert(place, (value.trim().to_owned(), number));
        }
        Ok(())
    }

    fn wrong(&self, line: usize, problem: String) -> ConfigError {
        ConfigError::Syntax { origin: Origin::File { path: self.path.to_owned(), line }, problem }
    }

    /// From the first of these places that has it.
    fn take(&mut self, places: &[(&str, &str)]) -> Option<(String, usize)> {
        let taken = places
            .iter()
            .map(|(section, key)| self.values.remove(&((*section).to_owned(), (*key).to_owned())));
        // Later ones are overruled, and are dealt with, too.
        taken.collect::<Vec<_>>().into_iter().flatten().next()
    }

    fn number(&mut self, places: &[(&str, &str)]) -> Result<Option<u64>, ConfigError> {
        let Some((value, line)) = self.take(places) else { return Ok(None) };
        let number = value.parse();
        number.map(Some).map_err(|_| self.wrong(line, format!("{value:?} is not a number")))
    }

    fn port(&mut self, places: &[(&str, &str)], otherwise: u16) -> Result<u16, ConfigError> {
        let Some((value, line)) = self.take(places) else { return Ok(otherwise) };
        value.parse().map_err(|_| self.wrong(line, format!("{value:?} is not a port")))
    }

    fn bind(&mut self, places: &[(&str, &str)]) -> Result<IpAddr, ConfigError> {
        let Some((value, line)) = self.take(places) else { return Ok([127, 0, 0, 1].into()) };
        let address = value.trim_matches(['[', ']']).parse();
        address.map_err(|_| self.wrong(line, format!("{value:?} is not an address")))
    }

    fn is_true(value: &str) -> bool {
        ["true", "yes", "y", "1"].contains(&value)
    }
}

struct Toml<'a> {
    text: String,
    path: &'a Path,
}

impl Toml<'_> {
    /// Port -1 or 0 is nowhere, as there.
    fn addresses(&mut self, ini: &mut Ini<'_>) -> Result<(), ConfigError> {
        let certificate = ini.take(&[
            ("main", "tls_cert"),
            ("amqp", "tls_cert"),
            ("mgmt", "tls_cert"),
            ("http", "tls_cert"),
        ]);
        let key = ini.take(&[
            ("main", "tls_key"),
            ("amqp", "tls_key"),
            ("mgmt", "tls_key"),
            ("http", "tls_key"),
        ]);
        let amqp = ini.bind(&[("amqp", "bind")])?;
        let amqp_port = ini.port(&[("amqp", "port")], 5672)?;
        let amqps_port = ini.port(&[("amqp", "tls_port")], 5671)?;
        let http = ini.bind(&[("mgmt", "bind"), ("http", "bind")])?;
        let http_port = ini.port(&[("mgmt", "port"), ("http", "port")], 15672)?;
        let https_port = ini.port(&[("mgmt", "tls_port"), ("http", "tls_port")], 15671)?;
        let is_tls = certificate.is_some();
        let at = |ip: IpAddr, port: u16| (port > 0).then(|| SocketAddr::new(ip, port).to_string());
        let clear: Vec<String> = at(amqp, amqp_port).into_iter().collect();
        let sealed: Vec<String> = at(amqp, amqps_port).filter(|_| is_tls).into_iter().collect();
        self.set("amqp", clear.clone());
        if is_tls {
            self.set("amqps", sealed.clone());
        }
        self.set("http", at(http, http_port).unwrap_or_else(|| "none".to_owned()));
        if let Some(address) = at(http, https_port).filter(|_| is_tls) {
            self.set("https", address);
        }
        for (key, value) in [("tls_certificate_file", certificate), ("tls_key_file", key)] {
            if let Some((file, _)) = value {
                self.set(key, file);
            }
        }
        if let Some((version, line)) = ini.take(&[("main", "tls_min_version")]) {
            match version.as_str() {
                "1.3" => self.set("tls_versions", vec!["tlsv1.3".to_owned()]),
                "" | "1.0" | "1.1" | "1.2" => {}
                _ => return Err(ini.wrong(line, format!("{version:?} is not a version of TLS"))),
            }
        }
        if let Some((behind, _)) = ini.take(&[("amqp", "tcp_proxy_protocol")])
            && (Ini::is_true(&behind) || behind == "2")
        {
            self.set("proxy_protocol", [clear, sealed].concat());
        }
        let metrics = [("main", "metrics_http_bind"), ("main", "metrics_http_port")];
        let is_there = metrics.iter().any(|(section, key)| {
            ini.values.contains_key(&((*section).to_owned(), (*key).to_owned()))
        });
        if is_there {
            let ip = ini.bind(&[("main", "metrics_http_bind")])?;
            let port = ini.port(&[("main", "metrics_http_port")], 15692)?;
            self.set("prometheus", at(ip, port).unwrap_or_else(|| "none".to_owned()));
        }
        Ok(())
    }

    fn settings(&mut self, ini: &mut Ini<'_>) -> Result<(), ConfigError> {
        if let Some((level, line)) = ini.take(&[("main", "log_level")]) {
            match level.to_lowercase().as_str() {
                "trace" => self.set("log_level", "trace".to_owned()),
                "debug" => self.set("log_level", "debug".to_owned()),
                "info" | "notice" => self.set("log_level", "info".to_owned()),
                "warn" => self.set("log_level", "warn".to_owned()),
                "error" | "fatal" => self.set("log_level", "error".to_owned()),
                "none" => self.set("log_console", "none".to_owned()),
                _ => return Err(ini.wrong(line, format!("{level:?} is not a level"))),
            }
        }
        let texts =
            [("log_file", ("main", "log_file")), ("default_user", ("main", "default_user"))];
        for (key, place) in texts {
            if let Some((value, _)) = ini.take(&[place]) {
                self.set(key, value);
            }
        }
        let loopback = [("main", "default_user_only_loopback"), ("main", "guest_only_loopback")];
        if let Some((only, _)) = ini.take(&loopback)
            && !Ini::is_true(&only)
        {
            self.set("loopback_users", Vec::<String>::new());
        }
        let numbers = [
            ("heartbeat_seconds", ("amqp", "heartbeat")),
            ("frame_max", ("amqp", "frame_max")),
            ("channel_max", ("amqp", "channel_max")),
            ("message_size_max", ("amqp", "max_message_size")),
            ("disk_free_limit", ("main", "free_disk_min")),
        ];
        for (key, place) in numbers {
            if let Some(number) = ini.number(&[place])? {
                self.line(key, &number.to_string());
            }
        }
        match ini.number(&[("amqp", "max_consumers_per_channel")])? {
            None | Some(0) => {}
            Some(most) => self.line("consumers_per_channel_max", &most.to_string()),
        }
        let timeout = ini.number(&[("main", "consumer_timeout"), ("amqp", "consumer_timeout")])?;
        self.line("consumer_timeout", &timeout.unwrap_or(0).to_string());
        if let Some((keepalive, line)) = ini.take(&[("main", "tcp_keepalive")]) {
            if ["0", "false", "no", "off"].contains(&&*keepalive) {
                self.line("tcp_keepalive_seconds", "0");
            } else {
                let keys = [
                    "tcp_keepalive_seconds",
                    "tcp_keepalive_interval_seconds",
                    "tcp_keepalive_probes",
                ];
                for (key, part) in keys.into_iter().zip(keepalive.split(':')) {
                    let number: Result<u16, _> = part.parse();
                    let number = number.map_err(|_| {
                        ini.wrong(line, format!("{keepalive:?} is not IDLE:INTERVAL:COUNT"))
                    })?;
                    self.line(key, &number.to_string());
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: impl Into<toml::Value>) {
        let value: toml::Value = value.into();
        self.line(key, &value.to_string());
    }

    fn line(&mut self, key: &str, value: &str) {
        // A string takes whatever is written to it.
        let _ = writeln!(self.text, "{key} = {value}");
    }

    /// On one line, whatever is in it.
    fn comment(&mut self, text: &str) {
        let text: String =
            text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        let _ = writeln!(self.text, "# {text}");
    }

    /// The line of what was made of it would say nothing to anybody.
    fn blame(&self, error: ConfigError) -> ConfigError {
        match error {
            ConfigError::BadValue { key, problem, .. } => ConfigError::Conflict(format!(
                "{}: what becomes {key} here: {problem}",
                self.path.display()
            )),
            error => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(text: &str) -> String {
        match convert(Path::new("lavinmq.ini"), text) {
            Ok(toml) => toml,
            Err(error) => error.to_string(),
        }
    }

    /// As LavinMQ's package brings it, with some of it switched on.
    const PACKAGED: &str = "[main]
data_dir = /var/lib/lavinmq
log_level = info
;pidfile = /var/run/lavinmq.pid
default_user_only_loopback = false
tls_cert = /etc/lavinmq/cert.pem
tls_key = /etc/lavinmq/key.pem
tcp_keepalive = 30:5:4
free_disk_min = 1000000000
metrics_http_bind = ::

[mgmt]
bind = ::
;port = 15672
;tls_port = 15671

[amqp]
bind = ::
port = 5673
;tls_port = 5671
tcp_proxy_protocol = true
heartbeat = 300
max_message_size = 134217728
max_consumers_per_channel = 0

[mqtt]
bind = ::

[clustering]
enabled = false
";

    #[test]
    fn a_file_of_lavinmq_becomes_one_of_ours() {
        let expected = r#"# From lavinmq.ini.
amqp = ["[::]:5673"]
amqps = ["[::]:5671"]
http = "[::]:15672"
https = "[::]:15671"
tls_certificate_file = "/etc/lavinmq/cert.pem"
tls_key_file = "/etc/lavinmq/key.pem"
proxy_protocol = ["[::]:5673", "[::]:5671"]
prometheus = "[::]:15692"
log_level = "info"
loopback_users = []
heartbeat_seconds = 300
message_size_max = 134217728
disk_free_limit = 1000000000
consumer_timeout = 0
tcp_keepalive_seconds = 30
tcp_keepalive_interval_seconds = 5
tcp_keepalive_probes = 4
# [clustering] enabled = false: there is no replication here
# [main] data_dir = /var/lib/lavinmq: LavinMQ's files are not read, so leveret needs a directory of its own
# [mqtt] bind = ::: there is no MQTT here
"#;
        assert_eq!(converted(PACKAGED), expected);
    }

    #[test]
    fn what_is_not_said_is_as_lavinmq_has_it() {
        let expected = "# From lavinmq.ini.\namqp = [\"127.0.0.1:5672\"]\nhttp = \"127.0.0.1:15672\"\n\
                        consumer_timeout = 0\n";
        assert_eq!(converted(""), expected);
        let text = "[amqp]\nconsumer_timeout = 5\n[main]\nconsumer_timeout = 7000\nlog_level = FATAL\n\
                    tls_min_version = 1.3\ntcp_keepalive = false\n[http]\nport = 0";
        let toml = converted(text);
        for line in [
            "consumer_timeout = 7000",
            "log_level = \"error\"",
            "tls_versions = [\"tlsv1.3\"]",
            "tcp_keepalive_seconds = 0",
            "http = \"none\"",
        ] {
            assert!(toml.lines().any(|found| found == line), "{line} is not in:\n{toml}");
        }
        assert!(!toml.contains("[amqp]"), "{toml}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("[amqp]\nport = many", "lavinmq.ini:2: \"many\" is not a port"),
            ("[amqp]\nbind = host", "lavinmq.ini:2: \"host\" is not an address"),
            ("\n[replication]", "lavinmq.ini:2: LavinMQ has no section [replication]"),
            ("[main", "lavinmq.ini:1: expected [SECTION]"),
            ("port = 1", "lavinmq.ini:1: \"port\" stands in no section"),
            ("[main]\nport", "lavinmq.ini:2: expected KEY = VALUE, found \"port\""),
            ("[main]\nlog_level = loud", "lavinmq.ini:2: \"loud\" is not a level"),
            ("[main]\ntcp_keepalive = 1:x", "lavinmq.ini:2: \"1:x\" is not IDLE:INTERVAL:COUNT"),
            ("[main]\ntls_min_version = 4", "lavinmq.ini:2: \"4\" is not a version of TLS"),
        ] {
            assert_eq!(converted(text), expected, "{text}");
        }
        let toml = converted("[amqp]\nframe_max = 1");
        assert!(toml.starts_with("lavinmq.ini: what becomes frame_max here: "), "{toml}");
        let toml = converted("[main]\ntls_cert = a.pem");
        assert!(toml.contains("tls_key_file"), "{toml}");
    }
}
