//! Where a broker is and as whom to log in: `amqp[s]://user:password@host:port/vhost`.

use std::fmt;

use percent_encoding::percent_decode_str;

/// What an AMQP URI says. What it leaves out is RabbitMQ's default: guest, guest, vhost `/`, and the
/// port of the scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    pub tls: bool,
    pub user: String,
    pub password: String,
    pub host: String,
    pub port: u16,
    pub vhost: String,
}

impl Uri {
    pub fn parse(text: &str) -> Result<Self, String> {
        let (tls, rest) = match text.split_once("://") {
            Some(("amqp", rest)) => (false, rest),
            Some(("amqps", rest)) => (true, rest),
            _ => return Err("an AMQP URI begins with amqp:// or amqps://".to_owned()),
        };
        if rest.contains(['?', '#']) {
            return Err("parameters in the URI are not understood; there are flags".to_owned());
        }
        let (authority, vhost) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, address) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (decoded(user)?, decoded(password)?),
            None if login.is_empty() => ("guest".to_owned(), "guest".to_owned()),
            None => (decoded(login)?, String::new()),
        };
        let (host, port) = host_and_port(address)?;
        let port = match port {
            Some(port) => port.parse().map_err(|_| format!("{port:?} is no port"))?,
            None if tls => 5671,
            None => 5672,
        };
        let host = if host.is_empty() { "127.0.0.1" } else { host };
        // `amqp://host/` names the empty vhost by the letter; everybody who types it means `/`.
        let vhost = if vhost.is_empty() { "/".to_owned() } else { decoded(vhost)? };
        Ok(Self { tls, user, password, host: host.to_owned(), port, vhost })
    }
}

/// An IPv6 address stands in brackets.
fn host_and_port(address: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = address.strip_prefix('[') {
        let (host, behind) = rest.split_once(']').ok_or("a [ without its ]")?;
        return match behind.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if behind.is_empty() => Ok((host, None)),
            None => Err(format!("{behind:?} behind the host is no port")),
        };
    }
    Ok(match address.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (address, None),
    })
}

fn decoded(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| format!("{text:?} is not UTF-8"))
}

/// Without the login: this is shown and written to files.
impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "amqps" } else { "amqp" };
        let host = &self.host;
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{}", self.port)?;
        } else {
            write!(f, "{scheme}://{host}:{}", self.port)?;
        }
        if self.vhost == "/" { Ok(()) } else { write!(f, "/{}", self.vhost.replace('/', "%2F")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_their_defaults() {
        for (text, user, password, shown, vhost) in [
            ("amqp://", "guest", "guest", "amqp://127.0.0.1:5672", "/"),
            ("amqp://host", "guest", "guest", "amqp://host:5672", "/"),
            ("amqp://host/", "guest", "guest", "amqp://host:5672", "/"),
            ("amqp://host/%2f", "guest", "guest", "amqp://host:5672", "/"),
            ("amqps://host/v", "guest", "guest", "amqps://host:5671/v", "v"),
            ("amqp://u:p@h:1/a%2Fb", "u", "p", "amqp://h:1/a%2Fb", "a/b"),
            ("amqp://u@h", "u", "", "amqp://h:5672", "/"),
            ("amqp://a%40b:p%3A%2F@h", "a@b", "p:/", "amqp://h:5672", "/"),
            ("amqp://u:p@[::1]:5673", "u", "p", "amqp://[::1]:5673", "/"),
            ("amqp://[::1]", "guest", "guest", "amqp://[::1]:5672", "/"),
        ] {
            let uri = Uri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((uri.user.as_str(), uri.password.as_str()), (user, password), "{text}");
            assert_eq!((uri.to_string().as_str(), uri.vhost.as_str()), (shown, vhost), "{text}");
        }
    }

    #[test]
    fn refused() {
        for text in [
            "http://host",
            "host:5672",
            "amqp://host:port",
            "amqp://host:70000",
            "amqp://[::1",
            "amqp://[::1]x",
            "amqp://%ff@host",
            "amqp://host/v?heartbeat=5",
        ] {
            assert!(Uri::parse(text).is_err(), "{text}");
        }
    }
}
