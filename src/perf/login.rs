//! From the first eight bytes to `connection.open-ok`, and what was agreed on.
//!
//! ```text
//! (protocol header) → start → start-ok → tune → tune-ok, open → open-ok
//! ```
//!
//! Invariant: no socket, no task, no clock.

use super::error::PerfError;
use super::producer::unexpected;
use super::uri::Uri;
use crate::protocol::frame::{FRAME_SIZE_MIN, PROTOCOL_HEADER, write_method};
use crate::protocol::method::connection;
use crate::protocol::{ChannelNumber, FieldTable, FieldValue, Method};

/// Frames as large as RabbitMQ's and everybody's default.
pub const FRAME_MAX: u32 = 131_072;

/// A login that is under way.
pub struct Login<'a> {
    uri: &'a Uri,
    /// What the broker shows its operators.
    name: &'a str,
    /// Seconds; the broker's own wish without.
    heartbeat: Option<u16>,
    state: State,
    agreed: Agreed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Greeted,
    Answered,
    Tuned,
    Open,
}

/// What holds for the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreed {
    pub frame_max: u32,
    pub channel_max: u16,
    /// 0 is none.
    pub heartbeat_seconds: u16,
    /// The broker's name and version, as it gives them.
    pub product: String,
}

impl<'a> Login<'a> {
    /// Appends the greeting.
    pub fn start(uri: &'a Uri, name: &'a str, heartbeat: Option<u16>, out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(&PROTOCOL_HEADER);
        Self { uri, name, heartbeat, state: State::Greeted, agreed: Agreed::default() }
    }

    /// Takes a method of channel 0 and appends the answer; what was agreed comes back at the end.
    pub fn receive(
        &mut self,
        method: &Method<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Agreed>, PerfError> {
        use connection::Method as Connection;
        let Method::Connection(method) = method else { return Err(unexpected(method)) };
        match (self.state, method) {
            (State::Greeted, Connection::Start(start)) => {
                self.agreed.product = product(&start.server_properties);
                let response = format!("\0{}\0{}", self.uri.user, self.uri.password);
                let start_ok = connection::StartOk {
                    client_properties: client_properties(self.name),
                    mechanism: "PLAIN",
                    response: response.as_bytes(),
                    locale: "en_US",
                };
                write_method(out, ChannelNumber::CONNECTION, &start_ok.into());
                self.state = State::Answered;
            }
            (State::Answered, Connection::Tune(tune)) => {
                let tune_ok = self.tune(tune);
                self.agreed.frame_max = tune_ok.frame_max;
                self.agreed.channel_max = tune_ok.channel_max;
                self.agreed.heartbeat_seconds = tune_ok.heartbeat;
                write_method(out, ChannelNumber::CONNECTION, &tune_ok.into());
                let open = connection::Open { virtual_host: &self.uri.vhost };
                write_method(out, ChannelNumber::CONNECTION, &open.into());
                self.state = State::Tuned;
            }
            (State::Tuned, Connection::OpenOk(_)) => {
                self.state = State::Open;
                return Ok(Some(self.agreed.clone()));
            }
            (_, Connection::Close(close)) => {
                write_method(out, ChannelNumber::CONNECTION, &connection::CloseOk {}.into());
                return Err(closed(close));
            }
            (_, other) => return Err(unexpected(&Method::Connection(other.clone()))),
        }
        Ok(None)
    }

    /// What to say when the broker hangs up instead of answering.
    pub fn lost(&self, address: String) -> PerfError {
        let when = match self.state {
            State::Greeted => " before the login",
            // Brokers that do not say why they refuse a login do this.
            State::Answered => " when it saw user and password",
            State::Tuned => " when it was asked for the virtual host",
            State::Open => "",
        };
        PerfError::Lost { address, when }
    }

    /// 0 is no limit, for the broker as for us.
    fn tune(&self, tune: &connection::Tune) -> connection::TuneOk {
        let frame_max = match tune.frame_max {
            0 => FRAME_MAX,
            limit => limit.clamp(FRAME_SIZE_MIN, FRAME_MAX),
        };
        let channel_max = if tune.channel_max == 0 { u16::MAX } else { tune.channel_max };
        let heartbeat = self.heartbeat.unwrap_or(tune.heartbeat);
        connection::TuneOk { channel_max, frame_max, heartbeat }
    }
}

pub fn closed(close: &connection::Close<'_>) -> PerfError {
    PerfError::Closed {
        scope: "connection",
        code: close.reply_code,
        text: one_line(close.reply_text),
        class: close.class_id,
        method: close.method_id,
    }
}

/// A text of the broker's, to be shown in one line.
pub fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn product(properties: &FieldTable) -> String {
    let text = |key| properties.get(key).and_then(FieldValue::as_str).map(one_line);
    let product = text("product").unwrap_or_else(|| "an AMQP broker".to_owned());
    match text("version") {
        Some(version) => format!("{product} {version}"),
        None => product,
    }
}

fn client_properties(name: &str) -> FieldTable {
    let capabilities = [
        "publisher_confirms",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        // With this a refused login is told, not only hung up on.
        "authentication_failure_close",
    ];
    let capabilities: FieldTable =
        capabilities.into_iter().map(|name| (name, FieldValue::Bool(true))).collect();
    [
        ("product", "leveret perf".into()),
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("connection_name", name.into()),
        ("capabilities", FieldValue::Table(capabilities)),
    ]
    .into_iter()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::frame::parse_frame;

    fn uri() -> Uri {
        Uri::parse("amqp://u:p@host/v").unwrap()
    }

    fn start() -> connection::Start<'static> {
        let server_properties = [("product", "Rabbit\n"), ("version", "3")].into_iter().collect();
        connection::Start { server_properties, ..connection::Start::default() }
    }

    fn answers(out: &[u8]) -> Vec<Method<'_>> {
        let mut rest = out;
        let mut methods = Vec::new();
        while let Some((frame, behind)) = parse_frame(rest, FRAME_MAX).unwrap() {
            assert_eq!(frame.channel, ChannelNumber::CONNECTION);
            methods.push(Method::decode(frame.payload).unwrap());
            rest = behind;
        }
        assert!(rest.is_empty());
        methods
    }

    /// What comes of the tuning that a broker proposes, with a heartbeat of one's own or none.
    fn agreed(tune: connection::Tune, heartbeat: Option<u16>) -> Agreed {
        let (uri, mut out) = (uri(), Vec::new());
        let mut login = Login::start(&uri, "me", heartbeat, &mut out);
        assert_eq!(std::mem::take(&mut out), PROTOCOL_HEADER);
        assert_eq!(login.receive(&start().into(), &mut out).unwrap(), None);
        {
            let answers = answers(&out);
            let [Method::Connection(connection::Method::StartOk(start_ok))] = &answers[..] else {
                panic!("{answers:?}")
            };
            assert_eq!((start_ok.mechanism, start_ok.response), ("PLAIN", &b"\0u\0p"[..]));
            let name = start_ok.client_properties.get("connection_name");
            assert_eq!(name.and_then(FieldValue::as_str), Some("me"));
        }
        out.clear();
        assert_eq!(login.receive(&tune.into(), &mut out).unwrap(), None);
        let agreed = login.receive(&connection::OpenOk {}.into(), &mut Vec::new());
        let agreed = agreed.unwrap().unwrap();
        let expected: [Method<'_>; 2] = [
            connection::TuneOk {
                channel_max: agreed.channel_max,
                frame_max: agreed.frame_max,
                heartbeat: agreed.heartbeat_seconds,
            }
            .into(),
            connection::Open { virtual_host: "v" }.into(),
        ];
        assert_eq!(answers(&out), expected);
        agreed
    }

    #[test]
    fn what_is_agreed() {
        let tune = |channel_max, frame_max, heartbeat| connection::Tune {
            channel_max,
            frame_max,
            heartbeat,
        };
        for (tune, wish, frame_max, channel_max, heartbeat) in [
            (tune(2047, 131_072, 60), None, 131_072, 2047, 60),
            (tune(0, 0, 0), None, FRAME_MAX, u16::MAX, 0),
            (tune(5, 8192, 60), Some(7), 8192, 5, 7),
            (tune(5, 1_000_000, 60), Some(0), FRAME_MAX, 5, 0),
        ] {
            let expected = Agreed {
                frame_max,
                channel_max,
                heartbeat_seconds: heartbeat,
                product: "Rabbit  3".to_owned(),
            };
            assert_eq!(agreed(tune, wish), expected);
        }
    }

    #[test]
    fn refusals_are_told_in_one_line() {
        let (uri, mut out) = (uri(), Vec::new());
        let mut login = Login::start(&uri, "me", None, &mut out);
        login.receive(&start().into(), &mut out).unwrap();
        out.clear();
        let close = connection::Close {
            reply_code: 403,
            reply_text: "ACCESS_REFUSED - \nno",
            ..connection::Close::default()
        };
        let error = login.receive(&close.into(), &mut out).expect_err("a refusal");
        let expected = "the broker closed the connection: 403 ACCESS_REFUSED -  no";
        assert_eq!(error.to_string(), expected);
        assert_eq!(answers(&out), [connection::CloseOk {}.into()]);
        let lost = login.lost("amqp://host".to_owned()).to_string();
        assert_eq!(lost, "amqp://host closed the connection when it saw user and password");
    }

    #[test]
    fn methods_out_of_turn_are_refused() {
        let uri = uri();
        let methods: [Method<'_>; 4] = [
            connection::Tune::default().into(),
            connection::OpenOk {}.into(),
            connection::Unblocked {}.into(),
            crate::protocol::method::channel::OpenOk {}.into(),
        ];
        for method in methods {
            let mut login = Login::start(&uri, "me", None, &mut Vec::new());
            let error = login.receive(&method, &mut Vec::new()).expect_err("a refusal");
            assert!(error.to_string().contains("unexpected method"), "{error}");
        }
    }
}
