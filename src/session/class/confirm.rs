//! Class confirm (behaviour B7.1).

use crate::protocol::method::confirm::{self, Select, SelectOk};
use crate::protocol::{AmqpError, Method, ReplyCode};
use crate::session::channel::Channel;
use crate::session::context::Context;

pub fn handle(
    ctx: &mut Context,
    channel: &mut Channel,
    method: &confirm::Method,
) -> Result<(), AmqpError> {
    let confirm::Method::Select(Select { nowait }) = method else {
        return Err(super::super::open::not_for_servers());
    };
    if channel.transaction.is_some() {
        let text = "cannot switch from tx to confirm mode";
        return Err(AmqpError::new(ReplyCode::PreconditionFailed, text));
    }
    // A second select changes nothing; in particular it does not start the count again.
    channel.confirms.get_or_insert_default();
    let ok = Method::Confirm(confirm::Method::SelectOk(SelectOk {}));
    ctx.reply(channel.number, *nowait, &ok);
    Ok(())
}
