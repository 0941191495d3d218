//! Class exchange (behaviour B4).

use crate::auth::Access;
use crate::broker::{BindingEnd, ExchangeDeclaration};
use crate::exchange::ExchangeKind;
use crate::names::{ExchangeName, RoutingKey};
use crate::protocol::method::exchange::{
    self, Bind, BindOk, Declare, DeclareOk, Delete, DeleteOk, Unbind, UnbindOk,
};
use crate::protocol::{AmqpError, FieldTable, FieldValue, Method, ReplyCode};
use crate::session::channel::Channel;
use crate::session::context::{Context, clean};
use crate::session::rights::Resource;

pub fn handle(
    ctx: &mut Context,
    channel: &mut Channel,
    method: exchange::Method<'_>,
) -> Result<(), AmqpError> {
    match method {
        exchange::Method::Declare(method) => declare(ctx, channel, method),
        exchange::Method::Delete(method) => delete(ctx, channel, &method),
        exchange::Method::Bind(method) => bind(ctx, channel, method),
        exchange::Method::Unbind(method) => unbind(ctx, channel, method),
        _ => Err(super::super::open::not_for_servers()),
    }
}

fn answer(method: exchange::Method<'static>) -> Method<'static> {
    Method::Exchange(method)
}

/// Behaviour B4.2 and, passive, B4.4.
fn declare(ctx: &mut Context, channel: &mut Channel, method: Declare<'_>) -> Result<(), AmqpError> {
    let ok = answer(exchange::Method::DeclareOk(DeclareOk {}));
    let name = clean(method.exchange);
    if method.passive {
        not_default(&name)?;
        ctx.rights.check_any(Resource::Exchange(&name))?;
        ctx.vhost.expect_exchange(&name)?;
        ctx.reply(channel.number, method.nowait, &ok);
        return Ok(());
    }
    let kind = ExchangeKind::parse(method.kind).ok_or_else(|| {
        let text = format!("unknown exchange type '{}'", method.kind);
        AmqpError::new(ReplyCode::PreconditionFailed, text)
    })?;
    not_default(&name)?;
    ctx.rights.check(Access::Configure, Resource::Exchange(&name))?;
    check_alternate(ctx, &name, &method.arguments)?;
    let declaration = ExchangeDeclaration {
        kind,
        durable: method.durable,
        auto_delete: method.auto_delete,
        internal: method.internal,
        arguments: method.arguments,
    };
    let notify = ctx.completion(channel);
    let commit = ctx.vhost.declare_exchange(&ExchangeName::from(name), declaration, &notify)?;
    ctx.reply_after(channel, method.nowait, &ok, commit);
    Ok(())
}

/// Who makes an exchange that passes messages on must be allowed to take them from it and to publish
/// them there (behaviour B4.2, B10.5). What is there already is only compared.
fn check_alternate(ctx: &Context, name: &str, arguments: &FieldTable) -> Result<(), AmqpError> {
    let alternate = arguments.get("alternate-exchange").and_then(FieldValue::as_str);
    let Some(alternate) = alternate else { return Ok(()) };
    if name.starts_with("amq.") || ctx.vhost.expect_exchange(name).is_ok() {
        return Ok(());
    }
    ctx.rights.check_once(Access::Read, Resource::Exchange(name))?;
    ctx.rights.check_once(Access::Write, Resource::Exchange(alternate))
}

/// Behaviour B4.5: deleting what is not there is fine.
fn delete(ctx: &mut Context, channel: &mut Channel, method: &Delete<'_>) -> Result<(), AmqpError> {
    let name = clean(method.exchange);
    not_default(&name)?;
    if name.starts_with("amq.") {
        let resource = crate::broker::resource_exchange(&name, &ctx.vhost.name);
        let text = format!("deletion of system {resource} not allowed");
        return Err(AmqpError::new(ReplyCode::AccessRefused, text));
    }
    ctx.rights.check(Access::Configure, Resource::Exchange(&name))?;
    let notify = ctx.completion(channel);
    let commit = ctx.vhost.delete_exchange(&name, method.if_unused, &notify)?;
    let ok = answer(exchange::Method::DeleteOk(DeleteOk {}));
    ctx.reply_after(channel, method.nowait, &ok, commit);
    Ok(())
}

/// Behaviour B4.8 and B4.14.
fn bind(ctx: &mut Context, channel: &mut Channel, method: Bind<'_>) -> Result<(), AmqpError> {
    let (source, destination) = (clean(method.source), clean(method.destination));
    not_default(&source)?;
    not_default(&destination)?;
    check_binding(ctx, &source, &destination, method.routing_key)?;
    let end = BindingEnd::Exchange(ExchangeName::from(destination));
    let key = RoutingKey::from(method.routing_key);
    let notify = ctx.completion(channel);
    let commit = ctx.vhost.bind(&source, &end, key, method.arguments, &notify)?;
    let ok = answer(exchange::Method::BindOk(BindOk {}));
    ctx.reply_after(channel, method.nowait, &ok, commit);
    Ok(())
}

fn unbind(ctx: &mut Context, channel: &mut Channel, method: Unbind<'_>) -> Result<(), AmqpError> {
    let (source, destination) = (clean(method.source), clean(method.destination));
    not_default(&source)?;
    not_default(&destination)?;
    check_binding(ctx, &source, &destination, method.routing_key)?;
    let end = BindingEnd::Exchange(ExchangeName::from(destination));
    let key = RoutingKey::from(method.routing_key);
    let notify = ctx.completion(channel);
    let commit = ctx.vhost.unbind(&source, &end, &key, &method.arguments, &notify)?;
    let ok = answer(exchange::Method::UnbindOk(UnbindOk {}));
    ctx.reply_after(channel, method.nowait, &ok, commit);
    Ok(())
}

/// Write on the destination first, read on the source, and on the topic (behaviour B4.8).
fn check_binding(
    ctx: &mut Context,
    source: &str,
    destination: &str,
    key: &str,
) -> Result<(), AmqpError> {
    ctx.rights.check(Access::Write, Resource::Exchange(destination))?;
    ctx.rights.check(Access::Read, Resource::Exchange(source))?;
    ctx.rights.check_topic(Access::Read, &ctx.vhost, source, key.as_bytes())
}

/// The default exchange cannot be declared, deleted or bound.
pub fn not_default(name: &str) -> Result<(), AmqpError> {
    if name.is_empty() {
        let text = "operation not permitted on the default exchange";
        return Err(AmqpError::new(ReplyCode::AccessRefused, text));
    }
    Ok(())
}
