//! Queues, exchange and bindings of a run: made before it, and those that it made deleted afterwards.
//!
//! Whatever was there before is used as it is and left alone: a load generator that deletes somebody's
//! queue because it bears the right name would be used once.

use super::connection::Connection;
use super::error::PerfError;
use super::plan::Plan;
use crate::protocol::method::{channel, exchange, queue};
use crate::protocol::{ChannelNumber, Method, MethodId};

/// The channel on which all this is asked.
const CHANNEL: ChannelNumber = ChannelNumber(1);

/// What this run made, and may delete.
#[derive(Default)]
pub struct Made {
    queues: Vec<String>,
    exchange: bool,
}

/// Declares what the plan says, and empties queues. What was made by then is in `made` also when it
/// fails in the middle.
pub async fn declare(
    connection: &mut Connection,
    plan: &Plan,
    made: &mut Made,
) -> Result<(), PerfError> {
    connection.open_channel(CHANNEL).await?;
    if !plan.options.predeclared {
        if plan.options.kind.is_some() {
            declare_exchange(connection, plan, made).await?;
        }
        // Those of one connection can only be declared there.
        let shared = plan.queues.iter().filter(|_| !plan.options.exclusive);
        for name in shared {
            let passive =
                queue::Declare { queue: name, passive: true, ..queue::Declare::default() };
            if !exists(connection, passive, queue::DeclareOk::ID).await? {
                made.queues.push(name.clone());
            }
            declare_queue(connection, CHANNEL, plan, name).await?;
        }
    }
    if plan.options.purge && !plan.options.exclusive {
        for name in &plan.queues {
            let purge = queue::Purge { queue: name, nowait: false };
            connection.call(CHANNEL, purge, queue::PurgeOk::ID).await?;
        }
    }
    Ok(())
}

/// Declares one queue and binds it.
pub async fn declare_queue(
    connection: &mut Connection,
    channel: ChannelNumber,
    plan: &Plan,
    name: &str,
) -> Result<(), PerfError> {
    let declare = queue::Declare {
        queue: name,
        durable: !plan.options.transient,
        exclusive: plan.options.exclusive,
        auto_delete: plan.options.auto_delete,
        arguments: plan.queue_args.clone(),
        ..queue::Declare::default()
    };
    connection.call(channel, declare, queue::DeclareOk::ID).await?;
    if plan.exchange.is_empty() {
        return Ok(());
    }
    let keys = plan.keys_of(name);
    // There may be thousands: only the last one is answered, and a refusal of any is noticed there.
    for (index, key) in keys.iter().enumerate() {
        let is_last = index + 1 == keys.len();
        let bind = queue::Bind {
            queue: name,
            exchange: &plan.exchange,
            routing_key: key,
            nowait: !is_last,
            arguments: plan.binding_args.clone(),
        };
        if is_last {
            connection.call(channel, bind, queue::BindOk::ID).await?;
        } else {
            connection.say(channel, bind);
        }
    }
    Ok(())
}

async fn declare_exchange(
    connection: &mut Connection,
    plan: &Plan,
    made: &mut Made,
) -> Result<(), PerfError> {
    let kind = plan.options.kind.as_deref().unwrap_or("direct");
    let passive = exchange::Declare {
        exchange: &plan.exchange,
        kind,
        passive: true,
        ..exchange::Declare::default()
    };
    made.exchange = !exists(connection, passive, exchange::DeclareOk::ID).await?;
    let declare = exchange::Declare {
        exchange: &plan.exchange,
        kind,
        durable: !plan.options.transient,
        arguments: plan.exchange_args.clone(),
        ..exchange::Declare::default()
    };
    connection.call(CHANNEL, declare, exchange::DeclareOk::ID).await.map(drop)
}

/// Asks for something that may not be there. That closes the channel, which is opened again.
async fn exists<'m>(
    connection: &mut Connection,
    passive: impl Into<Method<'m>>,
    answer: MethodId,
) -> Result<bool, PerfError> {
    match connection.call(CHANNEL, passive, answer).await {
        Ok(_) => Ok(true),
        Err(PerfError::Closed { code: 404, scope: "channel", .. }) => {
            connection.open_channel(CHANNEL).await?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// How many messages wait in the queues of the plan; nothing when that cannot be asked.
pub async fn ready(connection: &mut Connection, plan: &Plan) -> Result<Option<u64>, PerfError> {
    if plan.options.exclusive {
        return Ok(None);
    }
    let mut ready = 0;
    for name in &plan.queues {
        let passive = queue::Declare { queue: name, passive: true, ..queue::Declare::default() };
        let answer = connection.call(CHANNEL, passive, queue::DeclareOk::ID).await?;
        if let Ok(Method::Queue(queue::Method::DeclareOk(ok))) = Method::decode(&answer) {
            ready += u64::from(ok.message_count);
        }
    }
    Ok(Some(ready))
}

/// Deletes what was made. That something is gone already is fine.
pub async fn remove(connection: &mut Connection, plan: &Plan, made: Made) -> Result<(), PerfError> {
    // A channel of its own: the other one may have ended with an error.
    let channel = ChannelNumber(2);
    connection.open_channel(channel).await?;
    for name in &made.queues {
        let delete = queue::Delete { queue: name, ..queue::Delete::default() };
        connection.call(channel, delete, queue::DeleteOk::ID).await?;
    }
    if made.exchange {
        let delete = exchange::Delete { exchange: &plan.exchange, ..exchange::Delete::default() };
        connection.call(channel, delete, exchange::DeleteOk::ID).await?;
    }
    let close = channel::Close { reply_code: 200, ..channel::Close::default() };
    connection.call(channel, close, channel::CloseOk::ID).await.map(drop)
}
