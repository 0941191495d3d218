//! Who judges a name and a password: the broker's own users, tokens, or one after the other.

use super::oauth2::{OAuth2, Problem};
use super::{Authenticator, Identity, Reason, Refused};
use crate::names::UserName;
use crate::time::Time;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The users that the broker keeps.
    Internal,
    /// A token in place of the password; the name does not matter.
    OAuth2,
}

impl Authenticator {
    /// Asks `backends` in this order; before that, the broker's own users alone were asked.
    #[must_use]
    pub fn with_backends(self, backends: Vec<Backend>, oauth2: Option<OAuth2>) -> Self {
        Self { backends, oauth2, ..self }
    }

    pub fn oauth2(&self) -> Option<&OAuth2> {
        self.oauth2.as_ref()
    }

    /// Judges a name and a password, however they came. The first backend that accepts them decides
    /// who it is.
    pub fn log_in(
        &self,
        name: &UserName,
        password: &[u8],
        peer_is_loopback: bool,
        now: Time,
    ) -> Result<Identity, Refused> {
        let mut refused: Option<Reason> = None;
        for backend in &self.backends {
            let judged = match backend {
                Backend::Internal => self
                    .login(name, password, peer_is_loopback)
                    .map(Identity::from)
                    .map_err(|refused| refused.reason),
                Backend::OAuth2 => self.judge_token(password, now).map_err(Reason::Token),
            };
            match judged {
                Ok(identity) => return Ok(identity),
                // Who gave a password is not told about tokens, and the other way round.
                Err(Reason::Token(Problem::NoToken)) if refused.is_some() => {}
                Err(reason) => refused = Some(reason),
            }
        }
        let reason = refused.unwrap_or(Reason::UnknownUser);
        Err(Refused { user: name.clone(), reason })
    }

    /// Judges a token that came as one.
    pub fn log_in_with_token(&self, token: &[u8], now: Time) -> Result<Identity, Refused> {
        let judged = match self.backends.contains(&Backend::OAuth2) {
            true => self.judge_token(token, now),
            false => Err(Problem::NoToken),
        };
        judged.map_err(|problem| Refused { user: "".into(), reason: Reason::Token(problem) })
    }

    /// Whether a login that was refused may go better once `on_fetched` has been called: its token's
    /// key is not known yet, and keys are being fetched.
    pub fn wait_for_keys(
        &self,
        refused: &Refused,
        now: Time,
        on_fetched: impl FnOnce() + Send + 'static,
    ) -> bool {
        refused.reason == Reason::Token(Problem::UnknownKey)
            && self.oauth2().is_some_and(|oauth2| oauth2.keys().want(now, Box::new(on_fetched)))
    }

    fn judge_token(&self, token: &[u8], now: Time) -> Result<Identity, Problem> {
        self.oauth2().ok_or(Problem::NoToken)?.judge(token, now).map(Identity::from)
    }
}
