//! basic.ack, nack, reject and recover (behaviour B6.12 to B6.15).

use crate::protocol::method::basic::{self, RecoverOk};
use crate::protocol::{AmqpError, Method, ReplyCode};
use crate::session::channel::Channel;
use crate::session::context::Context;
use crate::session::farewell::GiveBack;
use crate::session::transaction::{Kind, Settlement};
use crate::session::unacked::Held;

/// Settles one delivery, or all up to a tag. Acknowledgements are gathered for the end of the batch;
/// in a transaction everything is kept for the commit.
#[inline]
pub fn settle(
    ctx: &mut Context,
    channel: &mut Channel,
    tag: u64,
    multiple: bool,
    kind: Kind,
) -> Result<(), AmqpError> {
    if kind == Kind::Ack && channel.transaction.is_none() {
        if multiple {
            let known = channel
                .unacked
                .take_until(tag, |_, held| ctx.acknowledge(held.source, &held.queued));
            return if known { Ok(()) } else { Err(unknown(tag)) };
        }
        match channel.unacked.take(tag) {
            Some(held) => ctx.acknowledge(held.source, &held.queued),
            None => not_outstanding(channel, tag)?,
        }
        return Ok(());
    }
    let taken = take(channel, tag, multiple)?;
    match &mut channel.transaction {
        Some(transaction) => {
            let settlements = taken.into_iter().map(|(tag, held)| Settlement { tag, held, kind });
            transaction.settlements.extend(settlements);
        }
        None => apply(ctx, channel, taken.into_iter().map(|(_, held)| held).collect(), kind),
    }
    Ok(())
}

fn take(channel: &mut Channel, tag: u64, multiple: bool) -> Result<Vec<(u64, Held)>, AmqpError> {
    if !multiple {
        return match channel.unacked.take(tag) {
            Some(held) => Ok(vec![(tag, held)]),
            None => not_outstanding(channel, tag).map(|()| Vec::new()),
        };
    }
    let mut taken = Vec::new();
    let known = channel.unacked.take_until(tag, |tag, held| taken.push((tag, held)));
    if known { Ok(taken) } else { Err(unknown(tag)) }
}

/// Does to deliveries what the client decided.
pub fn apply(ctx: &mut Context, channel: &mut Channel, taken: Vec<Held>, kind: Kind) {
    match kind {
        Kind::Ack => taken.iter().for_each(|held| ctx.acknowledge(held.source, &held.queued)),
        Kind::Requeue => {
            let mut back = GiveBack::default();
            for held in taken {
                ctx.return_held(held, channel, &mut back);
            }
            back.go(ctx.now, &mut ctx.effects);
            ctx.resume_if_limited(channel);
        }
        Kind::Reject => {
            for Held { source: id, queued } in taken {
                ctx.release(id, 1, channel);
                let Some(source) = ctx.sources.get(id) else {
                    continue;
                };
                if let Some(queue) = &source.queue {
                    queue.reject(source.subscription, vec![queued], ctx.now, &mut ctx.effects);
                }
                ctx.sources.remove_if_over(id);
            }
            ctx.resume_if_limited(channel);
        }
    }
    channel.show();
}

/// Everything outstanding on the channel goes back; recover-ok comes before the redeliveries (B6.15).
pub fn recover(
    ctx: &mut Context,
    channel: &mut Channel,
    requeue: bool,
    answered: bool,
) -> Result<(), AmqpError> {
    if !requeue {
        return Err(AmqpError::new(ReplyCode::NotImplemented, "requeue=false"));
    }
    let mut held = Vec::new();
    channel.unacked.take_until(0, |_, one| held.push(one));
    apply(ctx, channel, held, Kind::Requeue);
    if answered {
        ctx.send(channel.number, &Method::Basic(basic::Method::RecoverOk(RecoverOk {})));
    }
    Ok(())
}

/// Too late is no offence: the client cannot know yet that the delivery was taken away from it
/// (behaviour B6.16).
#[cold]
fn not_outstanding(channel: &Channel, tag: u64) -> Result<(), AmqpError> {
    if channel.unacked.is_late(tag) { Ok(()) } else { Err(unknown(tag)) }
}

#[cold]
fn unknown(tag: u64) -> AmqpError {
    AmqpError::new(ReplyCode::PreconditionFailed, format!("unknown delivery tag {tag}"))
}
