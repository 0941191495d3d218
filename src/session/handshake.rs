//! From the protocol header to an open connection (behaviour B2.1 to B2.10).

use std::sync::Arc;

use super::context::Context;
use super::output::Output;
use super::rights::Rights;
use super::secret::Fetched;
use super::source::Sources;
use super::throttle::Throttle;
use super::{Capabilities, Offer, Peer, Services};
use crate::auth::{AuthenticationError, External, Identity, Mechanism};
use crate::broker::{
    COMPATIBLE_VERSION, Client, Connected, ConnectionStats, NotOpened, Publisher, TlsClient, Vhost,
    Whose,
};
use crate::delivery::Outbox;
use crate::names::{UserName, VhostName};
use crate::protocol::frame::FRAME_SIZE_MIN;
use crate::protocol::method::connection::{self, Start, StartOk, Tune, TuneOk};
use crate::protocol::table::encode_table;
use crate::protocol::{
    AmqpError, ChannelNumber, FieldTable, FieldValue, Method, MethodId, ReplyCode,
};
use crate::queue::{ConnectionId, Effects};
use crate::time::Time;

/// What is expected next.
pub(super) enum Step {
    Header,
    StartOk,
    /// Nothing: the response is judged when the key of its token has come.
    Keys(Waiting),
    TuneOk,
    Open,
}

/// A response whose token is signed with a key that is being fetched.
pub(super) struct Waiting {
    mechanism: Mechanism,
    response: Vec<u8>,
    fetched: Fetched,
}

/// What a login is judged with, and whom to call when it takes longer.
pub(super) struct Door<'a> {
    pub(super) services: &'a Services,
    pub(super) peer: &'a Peer,
    pub(super) outbox: &'a Arc<Outbox>,
}

pub(super) struct Handshake {
    pub(super) step: Step,
    /// The connection has to be open by then (B1.2).
    pub(super) until: Time,
    /// Known from `start-ok` on.
    identity: Option<Identity>,
    capabilities: Capabilities,
    connection_name: String,
    tls: Option<Arc<TlsClient>>,
    mechanism: &'static str,
    client_properties: Box<[u8]>,
    frame_max: u32,
    channel_max: u16,
    pub(super) heartbeat: u16,
}

/// Why a login failed.
pub(super) enum LoginFailure {
    /// Nothing is answered (B2.6). For the log.
    Malformed(String),
    /// For the log, and what is answered to clients that want to know (B2.7).
    Refused { user: UserName, why: String, answer: Option<AmqpError> },
}

impl Handshake {
    pub(super) fn new(until: Time) -> Self {
        Self {
            step: Step::Header,
            until,
            identity: None,
            capabilities: Capabilities::default(),
            connection_name: String::new(),
            tls: None,
            mechanism: "",
            client_properties: Box::default(),
            frame_max: 0,
            channel_max: 0,
            heartbeat: 0,
        }
    }

    /// Nobody's before the login.
    pub(super) fn user_name(&self) -> &str {
        self.identity.as_ref().map_or("", |identity| identity.name().as_str())
    }

    /// The protocol header was right.
    pub(super) fn start(&mut self, peer: &Peer, output: &mut Output) {
        let mut mechanisms = Mechanism::OFFERED.to_owned();
        if peer.external.is_offered() {
            mechanisms.push(' ');
            mechanisms.push_str(External::MECHANISM);
        }
        let start = Start {
            version_major: 0,
            version_minor: 9,
            server_properties: server_properties(),
            mechanisms: mechanisms.as_bytes(),
            locales: b"en_US",
        };
        send(output, connection::Method::Start(start));
        self.step = Step::StartOk;
    }

    pub(super) fn start_ok(
        &mut self,
        start_ok: StartOk<'_>,
        door: &Door<'_>,
        output: &mut Output,
        now: Time,
    ) -> Result<(), LoginFailure> {
        self.capabilities = capabilities(&start_ok.client_properties);
        let mut properties = Vec::new();
        encode_table(&mut properties, &start_ok.client_properties);
        self.client_properties = properties.into();
        self.connection_name.clone_from(&door.peer.name);
        self.tls.clone_from(&door.peer.tls);
        let StartOk { mechanism: name, response, .. } = start_ok;
        if name == External::MECHANISM && door.peer.external.is_offered() {
            self.mechanism = External::MECHANISM;
            let Door { services, peer, .. } = door;
            let login = services.authenticator.login_external(&peer.external, peer.is_loopback);
            return self.logged_in(name, login.map_err(AuthenticationError::Refused), door, output);
        }
        let Some(mechanism) = Mechanism::parse(name) else {
            let why = format!("unknown authentication mechanism '{name}'");
            return Err(LoginFailure::Malformed(why));
        };
        self.mechanism = mechanism.name();
        self.log_in(mechanism, response, door, output, now)
    }

    /// The key that a response waits for may have come.
    pub(super) fn look_for_keys(
        &mut self,
        door: &Door<'_>,
        output: &mut Output,
        now: Time,
    ) -> Option<Result<(), LoginFailure>> {
        let Step::Keys(waiting) = &mut self.step else { return None };
        if !waiting.fetched.is_set() {
            return None;
        }
        let (mechanism, response) = (waiting.mechanism, std::mem::take(&mut waiting.response));
        Some(self.log_in(mechanism, &response, door, output, now))
    }

    fn log_in(
        &mut self,
        mechanism: Mechanism,
        response: &[u8],
        door: &Door<'_>,
        output: &mut Output,
        now: Time,
    ) -> Result<(), LoginFailure> {
        let authenticator = &door.services.authenticator;
        let login = authenticator.authenticate(mechanism, response, door.peer.is_loopback, now);
        if let Err(AuthenticationError::Refused(refused)) = &login {
            let (fetched, outbox) = (Fetched::default(), Arc::clone(door.outbox));
            let told = fetched.clone();
            let on_fetched = move || {
                told.set();
                outbox.ring();
            };
            if authenticator.wait_for_keys(refused, now, on_fetched) {
                let response = response.to_vec();
                self.step = Step::Keys(Waiting { mechanism, response, fetched });
                return Ok(());
            }
        }
        self.logged_in(mechanism.name(), login, door, output)
    }

    /// `name` is the mechanism's.
    fn logged_in(
        &mut self,
        name: &str,
        login: Result<Identity, AuthenticationError>,
        door: &Door<'_>,
        output: &mut Output,
    ) -> Result<(), LoginFailure> {
        let identity = login.map_err(|error| match error {
            AuthenticationError::Malformed(why) => LoginFailure::Malformed(why.to_string()),
            AuthenticationError::Refused(why) => {
                let text = format!(
                    "Login was refused using authentication mechanism {name}. For details see the broker logfile."
                );
                let answer = AmqpError::new(ReplyCode::AccessRefused, text).connection();
                let answer = self.capabilities.authentication_failure_close.then_some(answer);
                LoginFailure::Refused { why: why.to_string(), user: why.user, answer }
            }
        })?;
        self.identity = Some(identity);
        let Offer { frame_max, channel_max, heartbeat_seconds, .. } = door.services.offer;
        let tune = Tune { channel_max, frame_max, heartbeat: heartbeat_seconds };
        send(output, connection::Method::Tune(tune));
        self.step = Step::TuneOk;
        Ok(())
    }

    /// Behaviour B2.9: 0 would mean no limit, and we have one.
    pub(super) fn tune_ok(&mut self, tune_ok: &TuneOk, offer: &Offer) -> Result<(), AmqpError> {
        let frame_size_min = FRAME_SIZE_MIN.min(offer.frame_max);
        negotiated("frame_max", tune_ok.frame_max, frame_size_min, offer.frame_max)?;
        let channel_max = u32::from(tune_ok.channel_max);
        negotiated("channel_max", channel_max, 1, u32::from(offer.channel_max))?;
        self.frame_max = tune_ok.frame_max;
        self.channel_max = tune_ok.channel_max;
        self.heartbeat = tune_ok.heartbeat;
        self.step = Step::Open;
        Ok(())
    }

    /// Behaviour B2.10, in its order of checks.
    pub(super) fn open(
        &self,
        vhost: &str,
        services: &Arc<Services>,
        id: ConnectionId,
        outbox: &Arc<Outbox>,
        stats: &Arc<ConnectionStats>,
        now: Time,
    ) -> Result<Context, AmqpError> {
        let refuse =
            |text: String| AmqpError::new(ReplyCode::NotAllowed, text).at(MethodId::new(10, 40));
        let broker = &services.broker;
        let Some(identity) = &self.identity else { return Err(refuse("not logged in".to_owned())) };
        let (user, name) = (identity.name(), VhostName::from(vhost));
        let limits = services.authenticator.users().find(user).map(|user| user.limits);
        let client = Client {
            name: self.connection_name.clone(),
            mechanism: self.mechanism,
            properties: self.client_properties.clone(),
            frame_max: self.frame_max,
            channel_max: self.channel_max,
            heartbeat_seconds: self.heartbeat,
            connected_at: now,
            tls: self.tls.clone(),
        };
        let connected = Connected::new(
            name.clone(),
            user.clone(),
            Arc::clone(outbox),
            Arc::clone(stats),
            client,
        );
        let connections_max = limits.and_then(|limits| limits.connections_max);
        let vhost = broker.connect(id, Arc::clone(&connected), connections_max).map_err(|why| {
            refuse(match why {
                NotOpened::BrokerFull(max) => {
                    format!("connection refused: node connection limit ({max}) is reached")
                }
                NotOpened::NoSuchVhost => format!("vhost {name} not found"),
                NotOpened::VhostFull(max) => format!(
                    "access to vhost '{name}' refused for user '{user}': connection limit ({max}) is reached"
                ),
                NotOpened::UserFull(max) => format!(
                    "connection refused for user '{user}': user connection limit ({max}) is reached"
                ),
            })
        })?;
        // Once it is entered, so that whoever takes the permission or deletes the user finds it.
        if !identity.may_access_vhost(&services.authenticator, &name) {
            broker.disconnect(id);
            return Err(refuse(format!("access to vhost '{name}' refused for user '{user}'")));
        }
        // Only for those who come in otherwise: nobody else can use up a vhost's rate.
        if let Err(text) = connection_rate(services, user, &vhost, now) {
            broker.disconnect(id);
            return Err(refuse(text));
        }
        let throttle = Throttle::of(services, user, &vhost, now);
        Ok(Context {
            services: Arc::clone(services),
            limits_generation: vhost.limits_generation(),
            throttle,
            id,
            rights: Rights::new(&services.authenticator, identity.clone(), vhost.name.clone()),
            user: user.clone(),
            peer: Peer::default(),
            capabilities: self.capabilities,
            publisher: Publisher::of_connection(
                Arc::clone(&vhost),
                Arc::clone(broker.message_store()),
                Arc::clone(stats),
            ),
            vhost,
            outbox: Arc::clone(outbox),
            stats: Arc::clone(stats),
            uncounted: Vec::new(),
            connected,
            output: Output::default(),
            frame_max: self.frame_max,
            channel_max: self.channel_max,
            sources: Sources::default(),
            effects: Effects::default(),
            owned: Vec::new(),
            settled: Vec::new(),
            confirming: Vec::new(),
            awaiting_store: false,
            is_congested: false,
            is_blocked: false,
            blocked_since: Time(0),
            scratch: Vec::new(),
            tickets: 0,
            look_for_overdue: Time::NEVER,
            turn: 0,
            waiting_secret: None,
            expires: identity.expires(),
            now,
        })
    }
}

/// Who opens connections too fast is refused, with this text.
fn connection_rate(
    services: &Services,
    user: &UserName,
    vhost: &Vhost,
    now: Time,
) -> Result<(), String> {
    let rates = &services.broker.connection_rates;
    let name = &vhost.name;
    let take = |whose, rate, text: String| match rates.bucket(whose, rate, now).take(now) {
        Ok(()) => Ok(()),
        Err(_) => Err(format!("{text} connection rate limit ({rate} per second) is reached")),
    };
    if let Some(rate) = vhost.metadata().connection_rate_max {
        let text = format!("access to vhost '{name}' refused for user '{user}':");
        take(Whose::Vhost(name.clone()), rate, text)?;
    }
    let limits = services.authenticator.users().find(user).map(|user| user.limits);
    if let Some(rate) = limits.and_then(|limits| limits.connection_rate_max) {
        let text = format!("connection refused for user '{user}': user");
        take(Whose::User(user.clone()), rate, text)?;
    }
    Ok(())
}

fn send(output: &mut Output, method: connection::Method<'_>) {
    output.method(ChannelNumber::CONNECTION, &Method::Connection(method));
}

fn negotiated(field: &str, value: u32, min: u32, max: u32) -> Result<(), AmqpError> {
    let (relation, which, limit) = if value < min {
        ("lower", "minimum", min)
    } else if value > max {
        ("higher", "maximum", max)
    } else {
        return Ok(());
    };
    let text = format!(
        "negotiated {field} = {value} is {relation} than the {which} allowed value ({limit})"
    );
    Err(AmqpError::new(ReplyCode::NotAllowed, text).at(MethodId::new(10, 31)))
}

/// Behaviour B2.1 and B2.2.
fn server_properties() -> FieldTable {
    let capabilities = [
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "consumer_priorities",
        "authentication_failure_close",
        "per_consumer_qos",
        "direct_reply_to",
    ];
    let capabilities: FieldTable =
        capabilities.into_iter().map(|name| (name, FieldValue::Bool(true))).collect();
    let mut properties = FieldTable::default();
    properties.insert("capabilities", FieldValue::Table(capabilities));
    let texts = [
        ("product", "leveret"),
        // Our own version is beside it.
        ("version", COMPATIBLE_VERSION),
        ("leveret_version", env!("CARGO_PKG_VERSION")),
        ("platform", std::env::consts::OS),
        ("copyright", "The leveret authors"),
        ("information", "Licensed under the Apache License 2.0"),
        ("cluster_name", "leveret"),
    ];
    for (name, text) in texts {
        properties.insert(name, text);
    }
    properties
}

/// Behaviour B2.3: what is absent is false.
fn capabilities(client_properties: &FieldTable) -> Capabilities {
    let table = client_properties.get("capabilities").and_then(FieldValue::as_table);
    let has = |name: &str| {
        table.and_then(|table| table.get(name)).and_then(FieldValue::as_bool).unwrap_or(false)
    };
    Capabilities {
        consumer_cancel_notify: has("consumer_cancel_notify"),
        connection_blocked: has("connection.blocked"),
        authentication_failure_close: has("authentication_failure_close"),
        channel_qos: client_properties.get("product").and_then(FieldValue::as_str)
            == Some("py-amqp"),
    }
}
