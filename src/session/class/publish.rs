//! basic.publish, once its content is complete (behaviour B6.1 to B6.4, B9.2).

use bytes::Bytes;
use smallvec::SmallVec;

use crate::auth::Access;
use crate::broker::{Confirm, ExtraKeys, REPLY_TO, Way, check_expiration};
use crate::message::{Message, Traits, shortstrs};
use crate::protocol::{AmqpError, ChannelNumber, ContentHeader, Properties, ReplyCode};
use crate::session::channel::Channel;
use crate::session::content::BODY_SIZE_CAP;
use crate::session::context::Context;
use crate::session::rights::Resource;
use crate::session::transaction;

/// A whole publish, still where it was read.
#[derive(Debug)]
pub struct Content<'a> {
    /// Exchange and routing key as two shortstrs.
    pub address: &'a [u8],
    pub mandatory: bool,
    pub immediate: bool,
    /// The content header's payload.
    pub header: &'a [u8],
    pub body: Body<'a>,
}

#[derive(Debug)]
pub enum Body<'a> {
    Small(&'a [u8]),
    Large(Vec<Bytes>),
}

/// Checks, in B6.1's order; then the message joins the batch, or the transaction.
#[inline]
pub fn publish(
    ctx: &mut Context,
    channel: &mut Channel,
    content: Content<'_>,
) -> Result<(), AmqpError> {
    let header = ContentHeader::parse(content.header)?;
    let properties = Properties::parse(header.properties)?;
    if content.immediate {
        return Err(AmqpError::new(ReplyCode::NotImplemented, "immediate=true"));
    }
    check_size(ctx, header.body_size)?;
    // Who has found a way was allowed to go it.
    let known = ctx.publisher.known_way(content.address);
    let mut way = match known {
        Some(way) => way,
        None => first_way(ctx, content.address, &properties)?,
    };
    let mut look = Look::default();
    if needs_a_look(&properties) {
        look = self::look(channel, &properties)?;
    }
    if known.is_none() || !look.keys.is_empty() {
        check_topics(ctx, content.address, &look.keys)?;
    }
    if properties.user_id.is_some() {
        check_user_id(ctx, &properties)?;
    }
    if !look.keys.is_empty() || way.deduplicates() {
        let (address, now) = (content.address, Some(ctx.now));
        way = ctx.publisher.search(address, &look.keys, &properties, now)?;
    }
    let arrives = ctx.publisher.arrives(way);
    let returned = content.mandatory && !arrives;
    ctx.stats.count_size(header.body_size);
    // A message that goes nowhere need not be made, unless it comes back.
    let message = if arrives || returned || channel.transaction.is_some() {
        Some(make(ctx, &content, &properties, look.changes))
    } else {
        None
    };
    if let Some(transaction) = &mut channel.transaction {
        channel.stats.received_tx.add(1);
        if let Some(message) = message {
            let destinations = ctx.publisher.destinations(way);
            transaction.publishes.push(transaction::Publish { message, destinations, returned });
        }
        return Ok(());
    }
    ctx.publisher.count(way);
    let confirm = confirm(ctx, channel);
    count(channel, confirm.is_some(), arrives, returned);
    if let Some(message) = message {
        if returned {
            give_back(ctx, channel.number, &message);
        } else {
            ctx.publisher.gather(way, message, confirm, &mut ctx.effects);
        }
    }
    Ok(())
}

#[inline]
pub fn count(channel: &Channel, to_confirm: bool, arrives: bool, returned: bool) {
    let stats = &channel.stats;
    stats.publish.add(1);
    if to_confirm {
        stats.publish_confirm.add(1);
    }
    if !arrives {
        if returned { &stats.return_unroutable } else { &stats.drop_unroutable }.add(1);
    }
}

/// Permission is asked for before the exchange (B6.1).
fn first_way(
    ctx: &mut Context,
    address: &[u8],
    properties: &Properties<'_>,
) -> Result<Way, AmqpError> {
    let exchange = String::from_utf8_lossy(shortstrs(address).0);
    ctx.rights.check(Access::Write, Resource::Exchange(&exchange))?;
    ctx.publisher.search(address, &[], properties, None)
}

/// All routing keys must be allowed (B10.6).
fn check_topics(ctx: &mut Context, address: &[u8], extra_keys: &[&[u8]]) -> Result<(), AmqpError> {
    if !ctx.rights.has_topics() {
        return Ok(());
    }
    let (exchange, routing_key) = shortstrs(address);
    let exchange = String::from_utf8_lossy(exchange);
    let mut keys = std::iter::once(&routing_key).chain(extra_keys);
    let checked =
        keys.try_for_each(|key| ctx.rights.check_topic(Access::Write, &ctx.vhost, &exchange, key));
    // The way has been found by now, and may not be known to the next one.
    checked.inspect_err(|_| ctx.publisher.forget_ways())
}

/// Numbers the publish if its channel wants confirms.
#[inline]
fn confirm(ctx: &mut Context, channel: &mut Channel) -> Option<Confirm> {
    let number = channel.confirms.as_mut()?.number();
    if ctx.confirming.last() != Some(&channel.number) && !ctx.confirming.contains(&channel.number) {
        ctx.confirming.push(channel.number);
    }
    Some((channel.number.0, number))
}

fn make(
    ctx: &mut Context,
    content: &Content<'_>,
    properties: &Properties<'_>,
    Changes { properties: changed, extra_keys }: Changes,
) -> Message {
    let (address, header, traits) = (content.address, content.header, Traits::of(properties));
    let message = match &content.body {
        Body::Small(body) => {
            Message::with_inline_body(address, header, body, traits, &mut ctx.scratch)
        }
        Body::Large(chunks) => Message::with_chunks(address, header, chunks.clone(), traits),
    };
    match changed {
        None => message,
        Some(changed) => message.readdressed(address, &changed, extra_keys.as_deref(), traits),
    }
}

/// Most messages set nothing that the broker has to act on.
#[inline]
fn needs_a_look(properties: &Properties<'_>) -> bool {
    properties.headers.is_some() || properties.reply_to.is_some() || properties.expiration.is_some()
}

/// What properties ask for.
#[derive(Default)]
struct Look<'a> {
    /// Routing keys from CC and BCC (B6.3).
    keys: SmallVec<[&'a [u8]; 4]>,
    changes: Changes,
}

/// What becomes different from what the client sent.
#[derive(Default)]
struct Changes {
    /// The properties anew, when some had to change.
    properties: Option<Vec<u8>>,
    /// Set together with the properties when these lost the BCC header, so that a dead letter can
    /// still be routed by it (B8.6).
    extra_keys: Option<Vec<u8>>,
}

fn look<'a>(channel: &Channel, properties: &Properties<'a>) -> Result<Look<'a>, AmqpError> {
    let mut new = None;
    if properties.reply_to == Some(REPLY_TO.as_bytes()) {
        let Some((_, name)) = &channel.reply else {
            return Err(precondition("fast reply consumer does not exist"));
        };
        new.get_or_insert_with(|| properties.to_owned()).reply_to = Some(name.as_bytes().to_vec());
    }
    if let Some(expiration) = properties.expiration {
        check_expiration(expiration)?;
    }
    let ExtraKeys { keys, hidden } = ExtraKeys::of(properties)?;
    if hidden.is_some()
        && let Some(headers) = &mut new.get_or_insert_with(|| properties.to_owned()).headers
    {
        headers.remove("BCC");
    }
    let changes =
        Changes { properties: new.map(|properties| properties.to_bytes()), extra_keys: hidden };
    Ok(Look { keys, changes })
}

/// Behaviour B6.2.
fn check_user_id(ctx: &Context, properties: &Properties<'_>) -> Result<(), AmqpError> {
    if let Some(claimed) = properties.user_id
        && claimed != ctx.user.as_bytes()
        && !ctx.rights.is_impersonator(&ctx.services.authenticator)
    {
        let claimed = String::from_utf8_lossy(claimed);
        let user = &ctx.user;
        let text =
            format!("user_id property set to '{claimed}' but authenticated user was '{user}'");
        return Err(precondition(text));
    }
    Ok(())
}

/// Behaviour B1.8. Also asked as soon as a header announces a body, before any of it is kept.
#[inline]
pub fn check_size(ctx: &Context, body_size: u64) -> Result<(), AmqpError> {
    let max = ctx.services.broker.limits.message_size_max();
    if body_size > max { Err(too_large(body_size, max)) } else { Ok(()) }
}

#[cold]
fn too_large(size: u64, max: u64) -> AmqpError {
    let which = if max >= BODY_SIZE_CAP { "max size" } else { "configured max size" };
    precondition(format!("message size {size} is larger than {which} {max}"))
}

#[cold]
fn precondition(text: impl Into<String>) -> AmqpError {
    AmqpError::new(ReplyCode::PreconditionFailed, text)
}

/// `basic.return` of a mandatory message that goes nowhere (B6.4); before its confirm.
pub fn give_back(ctx: &mut Context, channel: ChannelNumber, message: &Message) {
    let mut code_and_text = ReplyCode::NoRoute.number().to_be_bytes().to_vec();
    crate::protocol::wire::put::shortstr(&mut code_and_text, ReplyCode::NoRoute.name());
    let method = [&[0, 60, 0, 50], &code_and_text[..], message.address(), &[]];
    ctx.output.content(channel, ctx.frame_max, method, message);
}
