//! Direct reply-to: names that lead straight to a connection (behaviour B9).

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::RwLock;

use crate::delivery::{Outbox, SourceId};

/// The pseudo queue that a requester consumes from and names as its reply-to.
pub const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// The requester behind a reply name.
#[derive(Clone, Debug)]
pub struct ReplyTarget {
    pub outbox: Arc<Outbox>,
    pub source: SourceId,
}

/// The reply names of a vhost, by their unguessable part.
#[derive(Debug, Default)]
pub(super) struct ReplyNames(RwLock<HashMap<String, ReplyTarget>>);

impl ReplyNames {
    /// A new name for a requester: 128 random bits, because to know a name is to be able to reply.
    pub(super) fn register(&self, target: ReplyTarget) -> String {
        let token = random_token();
        let name = format!("{REPLY_TO}.{token}");
        self.0.write().insert(token, target);
        name
    }

    pub(super) fn unregister(&self, name: &str) {
        if let Some(token) = token_of(name.as_bytes()) {
            self.0.write().remove(token);
        }
    }

    /// Does something with a requester while it cannot go away: a reply that were handed over just
    /// after its consumer was cancelled might meet another one under the same number. The outbox comes
    /// behind this lock.
    pub(super) fn with<T>(&self, token: &str, act: impl FnOnce(&ReplyTarget) -> T) -> Option<T> {
        self.0.read().get(token).map(act)
    }
}

/// 22 characters that carry 16 random bytes.
pub(super) fn random_token() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>())
}

/// The token in a routing key that has the form of a reply name; `None` for anything else.
pub(super) fn token_of(routing_key: &[u8]) -> Option<&str> {
    let token = routing_key.strip_prefix(REPLY_TO.as_bytes())?.strip_prefix(b".")?;
    let token = std::str::from_utf8(token).ok()?;
    let well_formed = URL_SAFE_NO_PAD.decode(token).is_ok_and(|bytes| bytes.len() == 16);
    well_formed.then_some(token)
}
