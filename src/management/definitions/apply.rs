//! Does what a document of definitions says, when it has been checked.

use std::sync::Arc;

use super::read::{BindingEntry, PermissionEntry, TopicEntry};
use super::{Document, Target};
use crate::auth::{NotPermitted, Patterns, unheard};
use crate::broker::{BindingEnd, Flags, Vhost};
use crate::management::handler::NOBODY;
use crate::names::{ExchangeName, QueueName};
use crate::protocol::AmqpError;
use crate::queue::{Declaration, Effects};
use crate::storage::{Done, StoreError, Together};
use crate::time::Time;

/// Everything changes at once, and becomes durable in one commit: a crash finds all of it or nothing.
/// What somebody else has changed since the document was checked is left as it became, as if the
/// document had come just before.
pub(crate) fn apply(document: Document, target: Target<'_>) {
    let Target { broker, authenticator, now } = target;
    let _together = Together::new(&**broker.definition_store());
    for user in document.users {
        authenticator.put_user(user, unheard());
    }
    for (name, metadata) in document.vhosts {
        broker.put_vhost(&name, metadata, &quiet);
    }
    for PermissionEntry { user, vhost, configure, write, read } in &document.permissions {
        let patterns = Patterns { configure, write, read };
        let permitted = authenticator.permit(user, vhost, patterns, unheard());
        or_left_out("permission", user.as_str(), permitted.map_err(as_text));
    }
    for TopicEntry { user, vhost, exchange, write, read } in &document.topic_permissions {
        let permitted =
            authenticator.permit_topics(user, vhost, exchange, (write, read), unheard());
        or_left_out("topic permission", user.as_str(), permitted.map_err(as_text));
    }
    for (name, value) in document.global_parameters {
        broker.put_global_parameter(&name, value, &quiet);
    }
    // One that is not there any more has taken along what is in it.
    let vhost = |name: &crate::names::VhostName| broker.vhost(name.as_str());
    for (name, parameter) in document.parameters {
        if let Some(vhost) = vhost(&name) {
            vhost.put_parameter(parameter, &quiet);
        }
    }
    for (name, policy) in document.policies {
        let Some(vhost) = vhost(&name) else { continue };
        let mut effects = Effects::default();
        vhost.put_policy(policy, now, &mut effects, &quiet);
        finish(&vhost, now, effects);
    }
    for (name, exchange, declaration) in document.exchanges {
        let Some(vhost) = vhost(&name) else { continue };
        if vhost.expect_exchange(exchange.as_str()).is_err() {
            let declared = vhost.declare_exchange(&exchange, declaration, &quiet);
            or_left_out("exchange", exchange.as_str(), declared.map_err(|error| error.text));
        }
    }
    for (name, queue, declaration) in document.queues {
        let Some(vhost) = vhost(&name) else { continue };
        if vhost.find_queue(queue.as_str()).is_none() {
            let declared = declare_queue(&vhost, &queue, &declaration, now);
            or_left_out("queue", queue.as_str(), declared.map_err(|error| error.text));
        }
    }
    for binding in document.bindings {
        if let Some(vhost) = vhost(&binding.vhost) {
            bind(&vhost, binding);
        }
    }
}

/// Called when one of many changes is durable: the last one's commit is everybody's.
fn quiet() -> Done {
    Box::new(|result: Result<(), StoreError>| {
        if let Err(error) = result {
            tracing::error!(%error, "imported definitions could not be stored");
        }
    })
}

fn as_text(why: NotPermitted) -> String {
    why.to_string()
}

/// It was checked before: somebody was faster.
fn or_left_out<T>(what: &str, name: &str, done: Result<T, String>) {
    if let Err(why) = done {
        tracing::warn!(name, why, "a {what} was left out, which has changed during the import");
    }
}

fn finish(vhost: &Arc<Vhost>, now: Time, mut effects: Effects) {
    vhost.act(now, &mut effects);
    effects.wakes.ring();
}

fn declare_queue(
    vhost: &Arc<Vhost>,
    name: &QueueName,
    declaration: &Declaration,
    now: Time,
) -> Result<(), AmqpError> {
    let Declaration { durable, auto_delete, ref arguments, .. } = *declaration;
    let flags = Flags { durable, exclusive: false, auto_delete, arguments };
    let declared = || Ok(declaration.clone());
    let found = vhost.declare_queue(name, NOBODY, &declared, &flags, &quiet)?;
    let mut effects = Effects::default();
    // Its time of disuse begins.
    found.queue.declared(now, &mut effects);
    finish(vhost, now, effects);
    Ok(())
}

/// A binding whose ends are not there is left out, as RabbitMQ does.
fn bind(vhost: &Arc<Vhost>, binding: BindingEntry) {
    let BindingEntry { source, to_queue, destination, routing_key, arguments, .. } = binding;
    let end = match to_queue {
        true => BindingEnd::Queue(QueueName::from(destination.as_str()), NOBODY),
        false => BindingEnd::Exchange(ExchangeName::from(destination.as_str())),
    };
    if let Err(error) = vhost.bind(&source, &end, routing_key, arguments, &quiet) {
        tracing::warn!(vhost = %vhost.name, source, destination, %error, "a binding was left out");
    }
}
