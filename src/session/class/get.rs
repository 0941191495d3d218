//! basic.get (behaviour B6.10).

use std::sync::Arc;

use super::queue::count;
use crate::protocol::method::basic::{self, Get, GetEmpty};
use crate::protocol::{AmqpError, Method};
use crate::session::channel::Channel;
use crate::session::context::Context;
use crate::session::source::Source;
use crate::session::unacked::Held;

pub fn get(ctx: &mut Context, channel: &mut Channel, method: &Get<'_>) -> Result<(), AmqpError> {
    let queue = ctx.queue(channel, method.queue)?;
    let Some((queued, remaining)) = queue.get(method.no_ack, ctx.now, &mut ctx.effects) else {
        ctx.send(channel.number, &Method::Basic(basic::Method::GetEmpty(GetEmpty {})));
        return Ok(());
    };
    let tag = channel.next_delivery_tag();
    let mut tag_and_flag = [0; 9];
    let (tag_bytes, flag) = tag_and_flag.split_at_mut(8);
    tag_bytes.copy_from_slice(&tag.to_be_bytes());
    flag.fill(u8::from(queued.redelivered));
    let remaining = count(remaining).to_be_bytes();
    let method_pieces = [&[0, 60, 0, 71], &tag_and_flag[..], queued.message.address(), &remaining];
    ctx.output.content(channel.number, ctx.frame_max, method_pieces, &queued.message);
    if !method.no_ack {
        let source = ctx.sources.add(Source::got(channel.number, Arc::clone(&queue)));
        channel.unacked.push(tag, Held { source, queued });
    }
    Ok(())
}
