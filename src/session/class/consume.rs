//! basic.qos, consume and cancel (behaviour B6.6 to B6.8, B9.1).

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::broker::{REPLY_TO, ReplyTarget, resource_queue};
use crate::protocol::method::basic::{self, Cancel, CancelOk, Consume, ConsumeOk, Qos, QosOk};
use crate::protocol::{AmqpError, FieldTable, Method, ReplyCode};
use crate::queue::{ArgumentReader, QueueKind, Refused, StreamStart, Subscription};
use crate::session::channel::Channel;
use crate::session::context::Context;
use crate::session::farewell::GiveBack;
use crate::session::source::{Asked, ConsumerTimeout, Source};

/// Not global: the prefetch of consumers to come, and the end of a channel-wide limit. Global: one
/// limit for all consumers of the channel, at once (B6.6). Some clients mean that by both.
pub fn qos(ctx: &mut Context, channel: &mut Channel, method: &Qos) -> Result<(), AmqpError> {
    if method.prefetch_size != 0 {
        let text = format!("prefetch_size!=0 ({})", method.prefetch_size);
        return Err(AmqpError::new(ReplyCode::NotImplemented, text));
    }
    let for_channel = method.global || ctx.capabilities.channel_qos;
    channel.limit.set(if for_channel { method.prefetch_count } else { 0 });
    if !method.global {
        channel.prefetch = method.prefetch_count;
    }
    ctx.resume(channel);
    ctx.send(channel.number, &Method::Basic(basic::Method::QosOk(QosOk {})));
    Ok(())
}

pub fn consume(
    ctx: &mut Context,
    channel: &mut Channel,
    method: &Consume<'_>,
) -> Result<(), AmqpError> {
    if channel.consumers.contains_key(method.consumer_tag) {
        let text = format!("attempt to reuse consumer tag '{}'", method.consumer_tag);
        return Err(AmqpError::new(ReplyCode::NotAllowed, text));
    }
    if let Some(max) = ctx.services.broker.limits.consumers_per_channel_max()
        && channel.consumers.len() >= max as usize
    {
        let text = format!("reached maximum ({max}) of consumers per channel");
        return Err(AmqpError::new(ReplyCode::NotAllowed, text));
    }
    if method.queue == REPLY_TO {
        return consume_replies(ctx, channel, method);
    }
    let queue = ctx.readable_queue(channel, method.queue)?;
    let resource = resource_queue(queue.name.as_str(), &ctx.vhost.name);
    let kind = queue.kind();
    kind.check_foreign_consumer(&method.arguments, &resource)?;
    let priority = priority(&method.arguments, &resource)?;
    let timeout = timeout(&method.arguments, &resource)?;
    let stream = match kind {
        QueueKind::Stream => Some(StreamStart::parse(&method.arguments, &resource)?),
        QueueKind::Classic | QueueKind::Quorum => None,
    };
    let refuses_limit = match kind {
        QueueKind::Classic => false,
        QueueKind::Quorum => true,
        // It asks for a prefetch count and acknowledgements first (B13.11).
        QueueKind::Stream => channel.prefetch != 0 && !method.no_ack,
    };
    if refuses_limit && channel.limit.is_set() && !ctx.capabilities.channel_qos {
        let text = format!("{resource} does not support global qos");
        return Err(AmqpError::new(ReplyCode::NotImplemented, text));
    }
    // A stream's reader needs one of its own (B13.11); elsewhere the channel's limit will do.
    let prefetch = match kind {
        QueueKind::Classic | QueueKind::Quorum if ctx.capabilities.channel_qos => 0,
        _ => channel.prefetch,
    };
    let tag = consumer_tag(method.consumer_tag);
    let queue_of = Some(Arc::clone(&queue));
    let mut source = Source::consumer(channel.number, &tag, queue_of, method.no_ack);
    source.timeout = timeout;
    source.asked = Some(Box::new(Asked {
        prefetch: channel.prefetch,
        exclusive: method.exclusive,
        arguments: method.arguments.clone(),
    }));
    ctx.limit_patience(&source, channel);
    let id = ctx.sources.add(source);
    let subscription = Subscription {
        outbox: Arc::clone(&ctx.outbox),
        source: id,
        limit: Arc::clone(&channel.limit),
        prefetch,
        no_ack: method.no_ack,
        // Others take no notice of it (B6.7).
        exclusive: method.exclusive && kind == QueueKind::Classic,
        priority,
        stream,
    };
    match queue.subscribe(subscription, ctx.now, &mut ctx.effects) {
        Ok(subscription) => {
            if let Some(source) = ctx.sources.get_mut(id) {
                source.subscription = Some(subscription);
            }
        }
        Err(refused) => {
            ctx.sources.remove(id);
            return Err(match refused {
                Refused::Deleted => ctx.vhost.no_queue(queue.name.as_str()),
                Refused::ExclusiveUse => {
                    AmqpError::new(ReplyCode::AccessRefused, format!("{resource} in exclusive use"))
                }
                refused => refused_by_stream(&refused, &resource),
            });
        }
    }
    // Deliveries lie in the outbox and are written after this (B6.7).
    consuming(ctx, channel, method, tag, id);
    Ok(())
}

fn consuming(
    ctx: &mut Context,
    channel: &mut Channel,
    method: &Consume<'_>,
    tag: String,
    id: crate::delivery::SourceId,
) {
    let ok = Method::Basic(basic::Method::ConsumeOk(ConsumeOk { consumer_tag: &tag }));
    ctx.reply(channel.number, method.nowait, &ok);
    channel.consumers.insert(tag.into(), id);
    channel.show();
}

/// The consumer of direct replies: no queue, no acknowledgements, one per channel (B9.1).
fn consume_replies(
    ctx: &mut Context,
    channel: &mut Channel,
    method: &Consume<'_>,
) -> Result<(), AmqpError> {
    let refuse = |text: &str| Err(AmqpError::new(ReplyCode::PreconditionFailed, text));
    if !method.no_ack {
        return refuse("reply consumer cannot acknowledge");
    }
    if channel.reply.is_some() {
        return refuse("reply consumer already set");
    }
    let tag = consumer_tag(method.consumer_tag);
    let id = ctx.sources.add(Source::consumer(channel.number, &tag, None, true));
    let target = ReplyTarget { outbox: Arc::clone(&ctx.outbox), source: id };
    channel.reply = Some((id, ctx.vhost.register_reply(target)));
    consuming(ctx, channel, method, tag, id);
    Ok(())
}

/// `x-priority` (B6.7).
fn priority(arguments: &FieldTable, resource: &str) -> Result<i64, AmqpError> {
    let refuse = |text: String| Err(AmqpError::new(ReplyCode::PreconditionFailed, text));
    let Some(value) = arguments.get("x-priority") else {
        return Ok(0);
    };
    match value.as_int() {
        Some(priority) => Ok(priority),
        None => refuse(format!(
            "invalid arg 'x-priority' for {resource}: \"expected integer, got {}\"",
            value.type_name()
        )),
    }
}

/// `x-consumer-timeout` and what is to happen then (B6.16).
fn timeout(
    arguments: &FieldTable,
    resource: &str,
) -> Result<Option<Box<ConsumerTimeout>>, AmqpError> {
    let reader = ArgumentReader { arguments, resource };
    let millis = reader.integer("x-consumer-timeout", 0, i64::MAX)?;
    let action = reader.timeout_action()?;
    let said = millis.is_some() || action.is_some();
    Ok(said.then(|| Box::new(ConsumerTimeout { millis, action })))
}

/// What a stream asks of its consumers (B13.11).
fn refused_by_stream(refused: &Refused, resource: &str) -> AmqpError {
    let (code, text) = match refused {
        Refused::NoPrefetch => {
            let text = "consumer prefetch count is not set for stream";
            (ReplyCode::PreconditionFailed, format!("{text} {resource}"))
        }
        _ => {
            let text = "automatic acknowledgement not supported by stream";
            (ReplyCode::NotImplemented, format!("{text} {resource}"))
        }
    };
    AmqpError::new(code, text)
}

fn consumer_tag(wanted: &str) -> String {
    if wanted.is_empty() {
        let random = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>());
        return format!("amq.ctag-{random}");
    }
    wanted.to_owned()
}

/// Always answered with cancel-ok, known tag or not. What was delivered stays with the channel (B6.8).
pub fn cancel(
    ctx: &mut Context,
    channel: &mut Channel,
    method: &Cancel<'_>,
) -> Result<(), AmqpError> {
    if let Some(id) = channel.consumers.get(method.consumer_tag).copied() {
        let mut back = GiveBack::default();
        ctx.end_consumer(id, channel, &mut back);
        back.go(ctx.now, &mut ctx.effects);
        // What it had not been sent yet no longer counts for the channel.
        ctx.resume_if_limited(channel);
        channel.show();
    }
    let ok = CancelOk { consumer_tag: method.consumer_tag };
    ctx.reply(channel.number, method.nowait, &Method::Basic(basic::Method::CancelOk(ok)));
    Ok(())
}
