//! Class queue (behaviour B5, and B4.8 for bindings).

use std::sync::Arc;

use crate::auth::Access;
use crate::broker::{BindingEnd, Flags, REPLY_TO, resource_queue};
use crate::names::{QueueName, RoutingKey};
use crate::protocol::method::queue::{
    self, Bind, BindOk, Declare, DeclareOk, Delete, DeleteOk, Purge, PurgeOk, Unbind, UnbindOk,
};
use crate::protocol::{AmqpError, FieldTable, FieldValue, Method, ReplyCode};
use crate::queue::{Declaration, Options};
use crate::session::channel::Channel;
use crate::session::class::exchange::not_default;
use crate::session::context::{Context, clean, queue_name};
use crate::session::rights::{Resource, Rights};
use crate::storage::Commit;

pub fn handle(
    ctx: &mut Context,
    channel: &mut Channel,
    method: queue::Method<'_>,
) -> Result<(), AmqpError> {
    match method {
        queue::Method::Declare(method) => declare(ctx, channel, &method),
        queue::Method::Bind(method) => bind(ctx, channel, method),
        queue::Method::Unbind(method) => unbind(ctx, channel, method),
        queue::Method::Purge(method) => purge(ctx, channel, &method),
        queue::Method::Delete(method) => delete(ctx, channel, &method),
        _ => Err(super::super::open::not_for_servers()),
    }
}

/// Behaviour B5.1, in its order of checks.
fn declare(
    ctx: &mut Context,
    channel: &mut Channel,
    method: &Declare<'_>,
) -> Result<(), AmqpError> {
    let name = clean(method.queue);
    // Direct reply names look like queues to those who ask (B9.5).
    match ctx.vhost.reply_alive(&name) {
        Some(true) => return declared(ctx, channel, method, &name, (0, 1), Commit::Now),
        Some(false) => return Err(ctx.vhost.no_queue(&name)),
        None => {}
    }
    if method.passive {
        ctx.rights.check_any(Resource::Queue(&name))?;
        let queue = ctx.vhost.queue(&name, ctx.id)?;
        let counts = queue.declared(ctx.now, &mut ctx.effects);
        let counts = counts.ok_or_else(|| ctx.vhost.no_queue(&name))?;
        return declared(
            ctx,
            channel,
            method,
            &name,
            (counts.ready, counts.consumers),
            Commit::Now,
        );
    }
    let flags = (method.durable, method.exclusive, method.auto_delete);
    let with_type = ctx.vhost.with_default_type(&name, &method.arguments, flags);
    let arguments = with_type.as_ref().unwrap_or(&method.arguments);
    let name = if name.is_empty() {
        let kind = arguments.get("x-queue-type").and_then(FieldValue::as_str);
        if let Some(kind @ ("quorum" | "stream")) = kind {
            let text = format!("Cannot declare a server-named queue for type rabbit_{kind}_queue");
            return Err(AmqpError::new(ReplyCode::PreconditionFailed, text));
        }
        ctx.vhost.generated_queue_name()
    } else if name.starts_with("amq.") {
        let text = format!("queue name '{name}' contains reserved prefix 'amq.*'");
        return Err(AmqpError::new(ReplyCode::AccessRefused, text));
    } else {
        QueueName::from(name)
    };
    ctx.rights.check(Access::Configure, Resource::Queue(name.as_str()))?;
    let flags = Flags {
        durable: method.durable,
        exclusive: method.exclusive,
        auto_delete: method.auto_delete,
        arguments,
    };
    let owner = method.exclusive.then_some(ctx.id);
    let rights = &ctx.rights;
    let declaration = || {
        check_dead_letters(rights, name.as_str(), arguments)?;
        let resource = resource_queue(name.as_str(), &ctx.vhost.name);
        let options = Arc::new(Options::parse(arguments, &resource)?);
        let (durable, auto_delete) = (method.durable, method.auto_delete);
        options.kind.check_flags(durable, method.exclusive, auto_delete, &resource)?;
        let arguments = arguments.clone();
        Ok(Declaration { durable, auto_delete, owner, arguments, options })
    };
    let notify = ctx.completion(channel);
    // A queue that ends by itself just after it was found is made anew.
    let (found, counts) = loop {
        let found = ctx.vhost.declare_queue(&name, ctx.id, &declaration, &flags, &notify)?;
        if let Some(counts) = found.queue.declared(ctx.now, &mut ctx.effects) {
            break (found, counts);
        }
    };
    if owner.is_some() && !ctx.owned.iter().any(|owned| Arc::ptr_eq(owned, &found.queue)) {
        // Some may have ended before their connection. Not looked at each time: there may be many.
        if ctx.owned.len().is_power_of_two() {
            ctx.owned.retain(|owned| !owned.is_deleted());
        }
        ctx.owned.push(found.queue);
    }
    let counts = (counts.ready, counts.consumers);
    declared(ctx, channel, method, name.as_str(), counts, found.commit)
}

/// Who makes a queue that publishes its dead must be allowed to take them out and to publish them
/// (behaviour B10.5).
fn check_dead_letters(
    rights: &Rights,
    name: &str,
    arguments: &FieldTable,
) -> Result<(), AmqpError> {
    let exchange = arguments.get("x-dead-letter-exchange").and_then(FieldValue::as_str);
    let Some(exchange) = exchange else { return Ok(()) };
    rights.check_once(Access::Read, Resource::Queue(name))?;
    rights.check_once(Access::Write, Resource::Exchange(exchange))
}

fn declared(
    ctx: &mut Context,
    channel: &mut Channel,
    method: &Declare<'_>,
    name: &str,
    (messages, consumers): (usize, usize),
    commit: Commit,
) -> Result<(), AmqpError> {
    if !name.starts_with(REPLY_TO) {
        channel.last_queue = Some(QueueName::from(name));
    }
    let ok = Method::Queue(queue::Method::DeclareOk(DeclareOk {
        queue: name,
        message_count: count(messages),
        consumer_count: count(consumers),
    }));
    ctx.reply_after(channel, method.nowait, &ok, commit);
    Ok(())
}

/// Counts on the wire are 32 bits wide.
pub fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Behaviour B4.8: with queue and routing key both empty, the last declared queue's name is both.
fn bind(ctx: &mut Context, channel: &mut Channel, method: Bind<'_>) -> Result<(), AmqpError> {
    let (source, end, key) = ends(ctx, channel, method.queue, method.exchange, method.routing_key)?;
    let notify = ctx.completion(channel);
    let commit = ctx.vhost.bind(&source, &end, key, method.arguments, &notify)?;
    let ok = Method::Queue(queue::Method::BindOk(BindOk {}));
    ctx.reply_after(channel, method.nowait, &ok, commit);
    Ok(())
}

fn unbind(ctx: &mut Context, channel: &mut Channel, method: Unbind<'_>) -> Result<(), AmqpError> {
    let (source, end, key) = ends(ctx, channel, method.queue, method.exchange, method.routing_key)?;
    let notify = ctx.completion(channel);
    let commit = ctx.vhost.unbind(&source, &end, &key, &method.arguments, &notify)?;
    let ok = Method::Queue(queue::Method::UnbindOk(UnbindOk {}));
    ctx.reply_after(channel, false, &ok, commit);
    Ok(())
}

/// Also whether the user may: write on the destination first, read on the source (behaviour B4.8).
fn ends(
    ctx: &mut Context,
    channel: &Channel,
    queue: &str,
    exchange: &str,
    routing_key: &str,
) -> Result<(String, BindingEnd, RoutingKey), AmqpError> {
    let name = queue_name(channel, queue)?;
    let source = clean(exchange);
    not_default(&source)?;
    if name.starts_with(REPLY_TO) {
        let text = "cannot bind or unbind to a volatile (direct reply-to) queue";
        return Err(AmqpError::new(ReplyCode::AccessRefused, text));
    }
    let key = if queue.is_empty() && routing_key.is_empty() { &name } else { routing_key };
    let key = RoutingKey::from(key);
    ctx.rights.check(Access::Write, Resource::Queue(&name))?;
    ctx.rights.check(Access::Read, Resource::Exchange(&source))?;
    ctx.rights.check_topic(Access::Read, &ctx.vhost, &source, key.as_bytes())?;
    Ok((source, BindingEnd::Queue(QueueName::from(name), ctx.id), key))
}

/// Behaviour B5.10.
fn purge(ctx: &mut Context, channel: &mut Channel, method: &Purge<'_>) -> Result<(), AmqpError> {
    let queue = ctx.readable_queue(channel, method.queue)?;
    let Some(purged) = queue.purge(ctx.now, &mut ctx.effects) else {
        let resource = resource_queue(queue.name.as_str(), &ctx.vhost.name);
        let text = format!("queue.purge not supported by stream queues {resource}");
        return Err(AmqpError::new(ReplyCode::NotImplemented, text));
    };
    let ok = Method::Queue(queue::Method::PurgeOk(PurgeOk { message_count: count(purged) }));
    ctx.reply(channel.number, method.nowait, &ok);
    Ok(())
}

/// Behaviour B5.11: deleting what is not there is fine.
fn delete(ctx: &mut Context, channel: &mut Channel, method: &Delete<'_>) -> Result<(), AmqpError> {
    let name = queue_name(channel, method.queue)?;
    ctx.rights.check(Access::Configure, Resource::Queue(&name))?;
    let found = match ctx.vhost.queue(&name, ctx.id) {
        Err(error) if error.code == ReplyCode::NotFound => None,
        other => Some(other?),
    };
    let notify = ctx.completion(channel);
    let (deleted, commit) = match found {
        None => (0, ctx.vhost.pending(&notify)),
        Some(queue) => {
            let deleted = ctx.vhost.delete_queue(
                &queue,
                method.if_unused,
                method.if_empty,
                ctx.now,
                &mut ctx.effects,
                &notify,
            )?;
            ctx.owned.retain(|owned| !Arc::ptr_eq(owned, &queue));
            deleted
        }
    };
    let ok = Method::Queue(queue::Method::DeleteOk(DeleteOk { message_count: count(deleted) }));
    ctx.reply_after(channel, method.nowait, &ok, commit);
    Ok(())
}
