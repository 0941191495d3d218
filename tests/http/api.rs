//! A running API over a real broker, and a client that sees every byte of an answer.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leveret::auth::{Authenticator, PasswordHash, Patterns, Tag, User, UserLimits, unheard};
use leveret::broker::{Broker, Limits};
use leveret::management::{Bound, Listener, Management, Node, Protocol, Services};
use leveret::names::VhostName;
use leveret::storage::memory::{MemoryDefinitions, MemoryMessages};
use leveret::time::Time;

use super::openapi;

pub const AMQP: &str = "127.0.0.1:5672";

pub struct Api {
    pub broker: Arc<Broker>,
    pub management: Management,
}

/// Vhosts `/` and `field`. Users, whose passwords are their names: guest (loopback only, administrator,
/// `/`), hare (management, `/`), fox (policymaker, nowhere), wolf (policymaker, `/`), owl (monitoring,
/// `field`), mouse (no tag, `/`).
pub fn start() -> Api {
    start_with(Limits::default(), vec![(Protocol::Amqp, AMQP), (Protocol::Amqps, "[::1]:5671")])
}

pub fn start_with(limits: Limits, listeners: Vec<(Protocol, &str)>) -> Api {
    let services = services(limits, listeners);
    let broker = Arc::clone(&services.broker);
    let bound = Bound::bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
    Api { broker, management: Management::start(vec![bound], services).unwrap() }
}

/// What [`start`] starts with, but for the listeners.
pub fn services(limits: Limits, listeners: Vec<(Protocol, &str)>) -> Services {
    let broker =
        Broker::new(limits, Arc::new(MemoryDefinitions::default()), Arc::new(MemoryMessages));
    broker.create_vhost(&VhostName::from("/"));
    broker.create_vhost(&VhostName::from("field"));
    let authenticator = Authenticator::new(vec!["guest".into()]);
    authenticator.add_default_user("guest".into(), "guest", "/".into());
    for (name, tag, vhost) in [
        ("hare", Some("management"), Some("/")),
        ("fox", Some("policymaker"), None),
        ("wolf", Some("policymaker"), Some("/")),
        ("owl", Some("monitoring"), Some("field")),
        ("mouse", Some("impersonator"), Some("/")),
    ] {
        let user = User {
            name: name.into(),
            password: PasswordHash::new(name),
            tags: tag.into_iter().map(Tag::from).collect(),
            limits: UserLimits::default(),
        };
        authenticator.put_user(user, unheard());
        if let Some(vhost) = vhost {
            let everything = Patterns::EVERYTHING;
            authenticator.permit(&name.into(), &vhost.into(), everything, unheard()).unwrap();
        }
    }
    let listeners = listeners
        .into_iter()
        .map(|(protocol, address)| Listener { protocol, address: address.parse().unwrap() })
        .collect();
    Services {
        broker,
        authenticator: Arc::new(authenticator),
        listeners,
        tls: None,
        node: Node { started: Time(1_700_000_000_000 - 60_000), ..Node::default() },
        options: leveret::management::Options::default(),
        now: Box::new(|| Time(1_700_000_000_000)),
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    #[track_caller]
    pub fn expect(&self, status: u16, body: &str) {
        assert_eq!((self.status, self.body.as_str()), (status, body));
        let content_type = (!body.is_empty()).then_some("application/json");
        assert_eq!(self.header("content-type"), content_type);
        assert_eq!(self.header("cache-control"), Some("no-cache"));
        assert_eq!(self.header("vary"), Some("accept, accept-encoding, origin"));
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    socket
}

pub fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

impl Api {
    pub fn address(&self) -> SocketAddr {
        self.management.listeners()[0].address
    }

    /// GET as a user whose password is the name; nobody when that is empty.
    pub fn get(&self, user: &str, path: &str) -> Answer {
        match user {
            "" => self.ask("GET", path, &[]),
            user => self.ask("GET", path, &[&basic(user, user)]),
        }
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        for header in headers {
            request += header;
            request += "\r\n";
        }
        self.send(format!("{request}\r\n").as_bytes())
    }

    /// A request with a body, as a user whose password is the name.
    pub fn send_body(&self, user: &str, method: &str, path: &str, body: &str) -> Answer {
        let (credentials, length) = (basic(user, user), body.len());
        let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close");
        let request = format!("{head}\r\n{credentials}\r\nContent-Length: {length}\r\n\r\n{body}");
        self.send(request.as_bytes())
    }

    /// Sends bytes as they are and reads until the broker closes. What is answered must be what the
    /// description of the API says.
    pub fn send(&self, request: &[u8]) -> Answer {
        let answer = self.send_unchecked(request);
        openapi::expect_described(self, request, &answer);
        answer
    }

    pub fn send_unchecked(&self, request: &[u8]) -> Answer {
        let mut socket = connect(self.address());
        socket.write_all(request).unwrap();
        read_answer(&mut socket)
    }
}

pub fn read_answer(socket: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    // A reset after an answer to a request that was not read to its end does not undo it.
    let _ = socket.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    Answer { status, headers, body: body.to_owned() }
}
