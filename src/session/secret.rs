//! `connection.update-secret`: another token for a connection that is open (behaviour B2.13).
//!
//! What the new one allows counts at once, for what is consumed already too. When its key has to be
//! fetched first, the answer comes later and everything else goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::context::Context;
use super::open::Open;
use super::rights::{Resource, Rights};
use super::who;
use crate::auth::{Access, Identity};
use crate::names::AUDIT;
use crate::protocol::method::connection;
use crate::protocol::{AmqpError, ChannelNumber, Method, MethodId, ReplyCode};

/// Whether the keys that somebody waits for have come, or will not.
#[derive(Clone, Debug, Default)]
pub(super) struct Fetched(Arc<AtomicBool>);

/// A secret whose key is being fetched.
pub(super) struct WaitingSecret {
    secret: Vec<u8>,
    fetched: Fetched,
    /// Requests that get their answer when it is judged: only the last secret counts.
    requests: u32,
}

impl Fetched {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Open {
    pub(super) fn update_secret(&mut self, secret: &[u8]) -> Result<(), AmqpError> {
        if !self.ctx.rights.identity().is_token() {
            // A password is looked at once.
            self.ctx.answer_secrets(1);
            return Ok(());
        }
        let before = self.ctx.waiting_secret.take().map_or(0, |waiting| waiting.requests);
        self.judge_secret(secret, before.saturating_add(1))
    }

    /// The keys that a secret waits for may have come.
    #[cold]
    pub(super) fn look_for_secret(&mut self) -> Result<(), AmqpError> {
        match self.ctx.waiting_secret.take_if(|waiting| waiting.fetched.is_set()) {
            Some(waiting) => self.judge_secret(&waiting.secret, waiting.requests),
            None => Ok(()),
        }
    }

    fn judge_secret(&mut self, secret: &[u8], requests: u32) -> Result<(), AmqpError> {
        let ctx = &mut self.ctx;
        let authenticator = &ctx.services.authenticator;
        let judged = authenticator.log_in_with_token(secret, ctx.now);
        let identity = match judged {
            Ok(identity) => identity,
            Err(refused) => {
                let (fetched, outbox) = (Fetched::default(), Arc::clone(&ctx.outbox));
                let told = fetched.clone();
                let on_fetched = move || {
                    told.set();
                    outbox.ring();
                };
                if authenticator.wait_for_keys(&refused, ctx.now, on_fetched) {
                    let secret = secret.to_vec();
                    ctx.waiting_secret =
                        Some(Box::new(WaitingSecret { secret, fetched, requests }));
                    return Ok(());
                }
                return Err(refuse(ctx, &refused.reason.to_string()));
            }
        };
        if identity.name() != &ctx.user {
            return Err(refuse(ctx, &format!("gave a token of user {:?}", identity.name())));
        }
        if !identity.may_access_vhost(authenticator, &ctx.vhost.name) {
            return Err(refuse(ctx, "gave a token that is not good for the virtual host"));
        }
        {
            let _who = who(&self.ctx.peer, self.ctx.user.as_str()).entered();
            tracing::info!(target: AUDIT, "secret accepted");
        }
        self.become_identity(identity)?;
        self.ctx.answer_secrets(requests);
        Ok(())
    }

    fn become_identity(&mut self, identity: Identity) -> Result<(), AmqpError> {
        let ctx = &mut self.ctx;
        ctx.expires = identity.expires();
        ctx.rights = Rights::new(&ctx.services.authenticator, identity, ctx.vhost.name.clone());
        ctx.publisher.forget_ways();
        for number in self.channels.numbers() {
            let Some(channel) = self.channels.get_mut(number) else { continue };
            let queues = channel.consumers.values().filter_map(|id| {
                let source = self.ctx.sources.get(*id)?;
                source.queue.as_ref()
            });
            let read = |name: &str| self.ctx.rights.check_once(Access::Read, Resource::Queue(name));
            let refused = queues.map(|queue| read(queue.name.as_str())).find_map(Result::err);
            if let Some(error) = refused {
                self.channel_error(number, error)?;
            }
        }
        Ok(())
    }
}

impl Context {
    fn answer_secrets(&mut self, requests: u32) {
        for _ in 0..requests {
            let ok = connection::Method::UpdateSecretOk(connection::UpdateSecretOk {});
            self.send(ChannelNumber::CONNECTION, &Method::Connection(ok));
        }
    }
}

/// The client learns as little as at its login.
fn refuse(ctx: &Context, why: &str) -> AmqpError {
    tracing::warn!(connection = ctx.id.0, user = %ctx.user, why, "new secret refused");
    let _who = who(&ctx.peer, ctx.user.as_str()).entered();
    tracing::warn!(target: AUDIT, why, "secret refused");
    let text = "New secret was refused by one of the backends";
    AmqpError::new(ReplyCode::NotAllowed, text).connection().at(MethodId::new(10, 70))
}
