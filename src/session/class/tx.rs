//! Class tx (behaviour B7.4).

use std::sync::Arc;

use super::settle;
use crate::protocol::method::tx::{self, CommitOk, RollbackOk, SelectOk};
use crate::protocol::{AmqpError, Method, ReplyCode};
use crate::session::channel::{Answer, Channel};
use crate::session::context::Context;
use crate::session::transaction::{Kind, Settlement, Transaction};

pub fn handle(
    ctx: &mut Context,
    channel: &mut Channel,
    method: &tx::Method,
) -> Result<(), AmqpError> {
    match method {
        tx::Method::Select(_) => select(ctx, channel),
        tx::Method::Commit(_) => commit(ctx, channel),
        tx::Method::Rollback(_) => rollback(ctx, channel),
        _ => Err(super::super::open::not_for_servers()),
    }
}

fn select(ctx: &mut Context, channel: &mut Channel) -> Result<(), AmqpError> {
    if channel.confirms.is_some() {
        let text = "cannot switch from confirm to tx mode";
        return Err(AmqpError::new(ReplyCode::PreconditionFailed, text));
    }
    channel.transaction.get_or_insert_default();
    ctx.send(channel.number, &Method::Tx(tx::Method::SelectOk(SelectOk {})));
    Ok(())
}

fn take(channel: &mut Channel) -> Result<Transaction, AmqpError> {
    let none = || AmqpError::new(ReplyCode::PreconditionFailed, "channel is not transactional");
    channel.transaction.as_mut().map(std::mem::take).ok_or_else(none)
}

/// Publishes first, then settlements, then commit-ok when what the store has to keep of it is durable.
fn commit(ctx: &mut Context, channel: &mut Channel) -> Result<(), AmqpError> {
    let Transaction { publishes, settlements } = take(channel)?;
    // The numbers only serve to notice a refusal; nothing is confirmed on this channel.
    for (number, publish) in publishes.iter().enumerate() {
        if publish.returned {
            super::publish::give_back(ctx, channel.number, &publish.message);
        }
        ctx.publisher.count_to(&publish.destinations);
        let (arrives, returned) = (!publish.destinations.is_empty(), publish.returned);
        super::publish::count(channel, false, arrives, returned);
        channel.stats.publish_committed.add(1);
        let watch = Some((channel.number.0, number as u64));
        ctx.publisher.gather_to(&publish.destinations, &publish.message, watch, &mut ctx.effects);
    }
    let store = Arc::clone(ctx.services.broker.message_store());
    let group = ctx.vhost.begin_group();
    let flushed = ctx.publisher.flush(group, ctx.now, &mut ctx.effects);
    let settles = settlements.iter().any(is_stored);
    let (rejections, others): (Vec<_>, Vec<_>) =
        settlements.into_iter().partition(|settlement| settlement.kind == Kind::Reject);
    for settlement in others {
        settle::apply(ctx, channel, vec![settlement.held], settlement.kind);
    }
    ctx.settle_with(group, channel);
    ctx.vhost.end_group(group);
    // These are told to the store one by one, or with the dead letter: after the group, because a
    // message that comes again is better than one that is gone before its transaction counts.
    for settlement in rejections {
        settle::apply(ctx, channel, vec![settlement.held], settlement.kind);
    }
    ctx.act();
    if !flushed.rejected.is_empty() {
        return Err(AmqpError::new(ReplyCode::PreconditionFailed, "partial tx completion"));
    }
    let ok = Method::Tx(tx::Method::CommitOk(CommitOk {}));
    let log = (settles || flushed.log.is_some()).then(|| store.position());
    match log.filter(|log| *log > store.durable()) {
        None => ctx.send(channel.number, &ok),
        Some(log) => {
            let done = ctx.completion(channel)();
            let mut payload = Vec::new();
            ok.encode(&mut payload);
            ctx.park(channel, Answer::Method(Some(payload)));
            store.when_durable(log, Box::new(move || done(Ok(()))));
        }
    }
    Ok(())
}

/// Whether the store has to hear of a settlement.
fn is_stored(settlement: &Settlement) -> bool {
    settlement.kind != Kind::Requeue && settlement.held.queued.kept
}

/// Publishes are dropped; settled tags become outstanding again.
fn rollback(ctx: &mut Context, channel: &mut Channel) -> Result<(), AmqpError> {
    let settlements = take(channel)?.settlements;
    let held =
        settlements.into_iter().map(|settlement| (settlement.tag, settlement.held)).collect();
    channel.unacked.restore(held, ctx.now);
    if !channel.unacked.is_empty() {
        ctx.expect_settlement(channel.patience);
    }
    ctx.send(channel.number, &Method::Tx(tx::Method::RollbackOk(RollbackOk {})));
    Ok(())
}
