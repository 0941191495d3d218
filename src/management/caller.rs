//! Who asks: HTTP Basic credentials, the loopback rule, the tags.
//!
//! A handler says by its arguments who may ask it: [`Caller`] is a user of the API, [`Anybody`] is
//! everybody.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::Extensions;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::oneshot;

use super::Api;
use super::convention::accepts_json;
use super::refusal::Refusal;
use super::socket::Peer;
use crate::auth::{Authority, Identity, Reason, Refused, Tag, User};
use crate::broker::{LoginProtocol, Source, Vhost};
use crate::names::{AUDIT, UserName, VhostName};
use crate::protocol::wire::put;

/// How long a request waits for the key of its token.
const KEYS_TIME_MAX: Duration = Duration::from_secs(10);

/// A user with a tag that opens the API.
pub(super) struct Caller {
    pub user: Arc<User>,
    identity: Identity,
}

/// A user who may do everything.
pub(super) struct Administrator(pub Caller);

/// A user who may look at everything.
pub(super) struct Monitor;

/// Somebody who need not log in.
pub(super) struct Anybody;

impl Caller {
    pub fn is_administrator(&self) -> bool {
        self.user.tags.contains(&Tag::Administrator)
    }

    /// Those that the caller may enter, and of these the one that the request is about if it says so.
    pub fn vhosts(&self, api: &Api, only: Option<&VhostName>) -> Vec<Arc<Vhost>> {
        let all = api.services.broker.vhosts().into_iter();
        let wanted = all.filter(|vhost| only.is_none_or(|only| vhost.name == *only));
        wanted.filter(|vhost| self.may_enter(api, vhost)).collect()
    }

    pub fn may_enter(&self, api: &Api, vhost: &Vhost) -> bool {
        self.is_administrator() || self.may_access_vhost(api, vhost)
    }

    /// What the caller may do inside of it.
    pub fn authority(&self, api: &Api, vhost: &Vhost) -> Authority {
        self.identity.authority(&api.services.authenticator, &vhost.name).0
    }

    /// Whether the caller sees what other users do.
    pub fn is_monitor(&self) -> bool {
        self.is_administrator() || self.user.tags.contains(&Tag::Monitoring)
    }

    pub fn require_monitor(&self) -> Result<(), Refusal> {
        match self.is_monitor() {
            true => Ok(()),
            false => Err(Refusal::NotAuthorised("Not monitor user")),
        }
    }

    pub fn require_policymaker(&self) -> Result<(), Refusal> {
        match self.is_administrator() || self.user.tags.contains(&Tag::Policymaker) {
            true => Ok(()),
            false => Err(Refusal::NotAuthorised("User not authorised to access object")),
        }
    }

    /// Those whose policies the caller may change.
    pub fn policy_vhosts(
        &self,
        api: &Api,
        only: Option<&VhostName>,
    ) -> Result<Vec<Arc<Vhost>>, Refusal> {
        self.require_policymaker()?;
        Ok(self.vhosts(api, only))
    }

    fn may_access_vhost(&self, api: &Api, vhost: &Vhost) -> bool {
        self.identity.may_access_vhost(&api.services.authenticator, &vhost.name)
    }

    /// A virtual host that the caller may enter. One that does not exist is nobody's secret.
    pub fn vhost(&self, api: &Api, name: &str) -> Result<Arc<Vhost>, Refusal> {
        let vhost = api.services.broker.vhost(name).ok_or(Refusal::NotFound)?;
        match self.may_enter(api, &vhost) {
            true => Ok(vhost),
            false => Err(Refusal::NotAuthorised("User not authorised to access virtual host")),
        }
    }
}

impl Caller {
    /// A virtual host whose policies the caller may change.
    pub fn policymaker(&self, api: &Api, vhost: &str) -> Result<Arc<Vhost>, Refusal> {
        let vhost = api.services.broker.vhost(vhost).ok_or(Refusal::NotFound)?;
        let permitted =
            self.user.tags.contains(&Tag::Policymaker) && self.may_access_vhost(api, &vhost);
        match self.is_administrator() || permitted {
            true => Ok(vhost),
            false => Err(Refusal::NotAuthorised("User not authorised to access object")),
        }
    }

    pub fn require_administrator(&self) -> Result<(), Refusal> {
        match self.is_administrator() {
            true => Ok(()),
            false => Err(Refusal::NotAuthorised("Not administrator user")),
        }
    }

    /// A virtual host, for an administrator.
    pub fn administrator(&self, api: &Api, vhost: &str) -> Result<Arc<Vhost>, Refusal> {
        self.require_administrator()?;
        api.services.broker.vhost(vhost).ok_or(Refusal::NotFound)
    }
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Refusal> {
        let caller = Self::of(log_in(parts, api).await?)?;
        Anybody::from_request_parts(parts, api).await?;
        Ok(caller)
    }
}

impl Caller {
    /// Who gave a name and a password otherwise than in the header.
    pub async fn log_in(
        extensions: &Extensions,
        name: UserName,
        password: &str,
        api: &Api,
    ) -> Result<Self, Refusal> {
        let credentials = Credentials::Basic(name, password.as_bytes().to_vec());
        Self::of(judge(extensions, credentials, api).await?)
    }

    fn of(identity: Identity) -> Result<Self, Refusal> {
        let user = Arc::clone(identity.user());
        let opens = |tag: &Tag| {
            matches!(tag, Tag::Administrator | Tag::Monitoring | Tag::Policymaker | Tag::Management)
        };
        if !user.tags.iter().any(opens) {
            return Err(Refusal::NotAuthorised("Not management user"));
        }
        Ok(Self { user, identity })
    }
}

impl Administrator {
    pub fn name(&self) -> &UserName {
        &self.0.user.name
    }
}

impl FromRequestParts<Arc<Api>> for Administrator {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Refusal> {
        let caller = Caller::from_request_parts(parts, api).await?;
        caller.require_administrator()?;
        Ok(Self(caller))
    }
}

impl FromRequestParts<Arc<Api>> for Monitor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Refusal> {
        Caller::from_request_parts(parts, api).await?.require_monitor()?;
        Ok(Self)
    }
}

/// Whether it is a monitor who asks for what is not JSON.
pub(super) async fn log_in_monitor(parts: &Parts, api: &Api) -> Result<(), Refusal> {
    let identity = log_in(parts, api).await?;
    Caller { user: Arc::clone(identity.user()), identity }.require_monitor()
}

impl FromRequestParts<Arc<Api>> for Anybody {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, Refusal> {
        if accepts_json(&parts.headers) { Ok(Self) } else { Err(Refusal::NotAcceptable) }
    }
}

/// What a request says about who is asking.
enum Credentials {
    Basic(UserName, Vec<u8>),
    Bearer(Vec<u8>),
}

impl Credentials {
    fn of(header: &[u8]) -> Result<Self, Refusal> {
        if let Some(token) = bearer(header) {
            return Ok(Self::Bearer(token.to_vec()));
        }
        let (name, password) = basic(header).ok_or(Refusal::NoCredentials)?;
        // Users have names in UTF-8, so it is nobody's.
        let name = String::from_utf8(name).map_err(|_| Refusal::LoginFailed)?;
        Ok(Self::Basic(name.into(), password))
    }

    fn judge(&self, api: &Api, peer: Peer) -> Result<Identity, Refused> {
        let authenticator = &api.services.authenticator;
        match self {
            Self::Basic(name, password) => {
                authenticator.log_in(name, password, peer.is_loopback(), api.now())
            }
            Self::Bearer(token) => authenticator.log_in_with_token(token, api.now()),
        }
    }
}

async fn log_in(parts: &Parts, api: &Api) -> Result<Identity, Refusal> {
    let header = parts.headers.get(AUTHORIZATION).ok_or(Refusal::NoCredentials)?;
    judge(&parts.extensions, Credentials::of(header.as_bytes())?, api).await
}

async fn judge(
    extensions: &Extensions,
    credentials: Credentials,
    api: &Api,
) -> Result<Identity, Refusal> {
    let peer = *extensions.get::<Peer>().ok_or(Refusal::LoginFailed)?;
    let mut login = credentials.judge(api, peer);
    if let Err(refused) = &login {
        let (fetched, waiting) = oneshot::channel();
        // Who hung up meanwhile is not waited for.
        let on_fetched = move || {
            let _ = fetched.send(());
        };
        if api.services.authenticator.wait_for_keys(refused, api.now(), on_fetched) {
            let _ = tokio::time::timeout(KEYS_TIME_MAX, waiting).await;
            login = credentials.judge(api, peer);
        }
    }
    let identity = login.map_err(|refused| {
        count_attempt(api, peer, put::cut(refused.user.as_str(), 255), false);
        tracing::warn!(peer = %peer.address, %refused, "HTTP access denied");
        let (user, why) = (put::cut(refused.user.as_str(), 255), refused.reason.to_string());
        tracing::Span::current().record("user", user);
        tracing::warn!(target: AUDIT, why = why.as_str(), "login refused");
        match refused.reason {
            Reason::LoopbackOnly => Refusal::NotAuthorised("User can only log in via localhost"),
            _ => Refusal::LoginFailed,
        }
    })?;
    count_attempt(api, peer, identity.name().as_str(), true);
    tracing::Span::current().record("user", identity.name().as_str());
    Ok(identity)
}

fn count_attempt(api: &Api, peer: Peer, user: &str, succeeded: bool) {
    let host = peer.address.ip().to_canonical().to_string();
    let source = Source { protocol: LoginProtocol::Http, host, user: user.to_owned() };
    api.services.broker.attempts.count(source, succeeded);
}

/// The token of RFC 6750.
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Name and password of RFC 7617: the name ends at the first colon.
fn basic(header: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, encoded) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let pair = STANDARD.decode(encoded.trim_ascii()).ok()?;
    let colon = pair.iter().position(|octet| *octet == b':')?;
    let (name, password) = pair.split_at_checked(colon)?;
    Some((name.to_vec(), password.get(1..)?.to_vec()))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;
    use crate::auth::Authenticator;
    use crate::broker::{Broker, Limits};
    use crate::management::Services;
    use crate::storage::memory::{MemoryDefinitions, MemoryMessages};
    use crate::time::Time;

    /// guest may log in from this machine only, hare from everywhere; their passwords are their names.
    fn api() -> Arc<Api> {
        let (definitions, messages) = (Arc::new(MemoryDefinitions::default()), MemoryMessages);
        let authenticator = Authenticator::new(vec!["guest".into()]);
        for name in ["guest", "hare"] {
            authenticator.add_default_user(name.into(), name, "/".into());
        }
        let services = Services {
            broker: Broker::new(Limits::default(), definitions, Arc::new(messages)),
            authenticator: Arc::new(authenticator),
            listeners: Vec::new(),
            tls: None,
            node: crate::management::Node::default(),
            options: crate::management::Options::default(),
            now: Box::new(|| Time(0)),
        };
        let (own, rates, draining) = Default::default();
        Arc::new(Api { services, own, rates, draining })
    }

    #[tokio::test]
    async fn loopback_user_comes_from_this_machine_or_not_at_all() {
        let api = api();
        let elsewhere = Refusal::NotAuthorised("User can only log in via localhost");
        for (peer, user, password, expected) in [
            ("127.0.0.1:1", "guest", "guest", None),
            ("127.8.8.8:1", "guest", "guest", None),
            ("[::1]:1", "guest", "guest", None),
            ("[::ffff:127.0.0.1]:1", "guest", "guest", None),
            ("10.0.0.1:1", "guest", "guest", Some(&elsewhere)),
            ("[2001:db8::1]:1", "guest", "guest", Some(&elsewhere)),
            // Who does not know the password does not learn of the rule.
            ("10.0.0.1:1", "guest", "wrong", Some(&Refusal::LoginFailed)),
            ("10.0.0.1:1", "hare", "hare", None),
        ] {
            let credentials = STANDARD.encode(format!("{user}:{password}"));
            let request = Request::builder()
                .extension(Peer::at(peer.parse().unwrap()))
                .header(AUTHORIZATION, format!("Basic {credentials}"));
            let mut parts = request.body(()).unwrap().into_parts().0;
            let caller = Caller::from_request_parts(&mut parts, &api).await;
            assert_eq!(caller.err().as_ref(), expected, "{user} from {peer}");
        }
    }

    #[test]
    fn basic_credentials_end_the_name_at_the_first_colon() {
        for (pair, expected) in [
            (&b"guest:guest"[..], Some((&b"guest"[..], &b"guest"[..]))),
            (b"guest:a:b", Some((b"guest", b"a:b"))),
            (b"guest:", Some((b"guest", b""))),
            (b":", Some((b"", b""))),
            (b"\xff:\xff", Some((b"\xff", b"\xff"))),
            (b"guest", None),
            (b"", None),
        ] {
            let expected = expected.map(|(name, password)| (name.to_vec(), password.to_vec()));
            for scheme in ["Basic ", "basic ", "BASIC  "] {
                let header = format!("{scheme}{}", STANDARD.encode(pair));
                assert_eq!(basic(header.as_bytes()), expected, "{header}");
            }
        }
        for header in ["", "Basic", "Basic ", "Basic !!", "Bearer Z3Vlc3Q6Z3Vlc3Q=", "Z3Vlc3Q6"] {
            assert_eq!(basic(header.as_bytes()), None, "{header}");
        }
    }
}
