//! Does what a document of definitions says, when it has been checked.

use std::sync::Arc;

use super::Document;
use super::read::{BindingEntry, PermissionEntry, TopicEntry};
use crate::auth::{Patterns, unheard};
use crate::broker::{BindingEnd, Flags, Vhost};
use crate::management::Api;
use crate::management::commit::{completion, wait};
use crate::management::handler::{NOBODY, finish};
use crate::management::refusal::Refusal;
use crate::names::{ExchangeName, QueueName, VhostName};
use crate::protocol::AmqpError;
use crate::queue::{Declaration, Effects};
use crate::storage::{Done, StoreError};

/// Returns when all of it is durable.
pub(crate) async fn apply(document: Document, api: &Api) -> Result<(), Refusal> {
    let broker = &api.services.broker;
    change(document, api)?;
    let (notify, committed) = completion();
    let store = broker.definition_store();
    let commit = store.when_committed(store.requested(), notify());
    wait(commit, committed).await
}

/// Called when one of many changes is durable: the last one's commit is everybody's.
fn quiet() -> Done {
    Box::new(|result: Result<(), StoreError>| {
        if let Err(error) = result {
            tracing::error!(%error, "imported definitions could not be stored");
        }
    })
}

fn change(document: Document, api: &Api) -> Result<(), Refusal> {
    let (broker, authenticator) = (&api.services.broker, &api.services.authenticator);
    for user in document.users {
        authenticator.put_user(user, unheard());
    }
    for (name, metadata) in document.vhosts {
        broker.put_vhost(&name, metadata, &quiet);
    }
    let refuse = |why: String| Refusal::BadRequest(why.into());
    for PermissionEntry { user, vhost, configure, write, read } in &document.permissions {
        let patterns = Patterns { configure, write, read };
        let permitted = authenticator.permit(user, vhost, patterns, unheard());
        permitted.map_err(|why| refuse(why.to_string()))?;
    }
    for TopicEntry { user, vhost, exchange, write, read } in &document.topic_permissions {
        let permitted =
            authenticator.permit_topics(user, vhost, exchange, (write, read), unheard());
        permitted.map_err(|why| refuse(why.to_string()))?;
    }
    for (name, value) in document.global_parameters {
        broker.put_global_parameter(&name, value, &quiet);
    }
    let vhost = |name: &VhostName| {
        // Somebody may have deleted it just now.
        let gone = || Refusal::BadRequest(format!("no_such_vhost: {name}").into());
        broker.vhost(name.as_str()).ok_or_else(gone)
    };
    for (name, parameter) in document.parameters {
        vhost(&name)?.put_parameter(parameter, &quiet);
    }
    for (name, policy) in document.policies {
        let vhost = vhost(&name)?;
        let mut effects = Effects::default();
        vhost.put_policy(policy, api.now(), &mut effects, &quiet);
        finish(api, &vhost, effects);
    }
    for (name, exchange, declaration) in document.exchanges {
        let vhost = vhost(&name)?;
        if vhost.expect_exchange(exchange.as_str()).is_err() {
            vhost.declare_exchange(&exchange, declaration, &quiet)?;
        }
    }
    for (name, queue, declaration) in document.queues {
        let vhost = vhost(&name)?;
        if vhost.find_queue(queue.as_str()).is_none() {
            declare_queue(api, &vhost, &queue, &declaration)?;
        }
    }
    for binding in document.bindings {
        let vhost = vhost(&binding.vhost)?;
        bind(&vhost, binding);
    }
    Ok(())
}

fn declare_queue(
    api: &Api,
    vhost: &Arc<Vhost>,
    name: &QueueName,
    declaration: &Declaration,
) -> Result<(), AmqpError> {
    let Declaration { durable, auto_delete, ref arguments, .. } = *declaration;
    let flags = Flags { durable, exclusive: false, auto_delete, arguments };
    let declared = || Ok(declaration.clone());
    let found = vhost.declare_queue(name, NOBODY, &declared, &flags, &quiet)?;
    let mut effects = Effects::default();
    // Its time of disuse begins.
    found.queue.declared(api.now(), &mut effects);
    finish(api, vhost, effects);
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
