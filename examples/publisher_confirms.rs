//! Knowing that messages are safe: the broker confirms each persistent message once it is on disk.
//!
//! First one at a time, waiting for each confirm, then a batch whose confirms are awaited together.
//! A mandatory message that no queue wants comes back.

use std::{env, error::Error, time::Instant};

use futures_util::future::try_join_all;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, PublisherConfirm,
    options::*, types::FieldTable,
};

const ONE_BY_ONE: u32 = 20;
const BATCH: u32 = 2000;
const QUEUE: &str = "example.publisher_confirms";

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let url = env::var("AMQP_URL").unwrap_or_else(|_| "amqp://127.0.0.1:5672/%2f".into());
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel
        .queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), FieldTable::default())
        .await?;
    channel.queue_purge(QUEUE.into(), QueuePurgeOptions::default()).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;

    let start = Instant::now();
    for _ in 0..ONE_BY_ONE {
        accepted(publish(&channel, QUEUE).await?.await?)?;
    }
    println!("{ONE_BY_ONE} messages confirmed one by one in {:?}", start.elapsed());

    let start = Instant::now();
    let mut confirms = Vec::new();
    for _ in 0..BATCH {
        confirms.push(publish(&channel, QUEUE).await?);
    }
    for confirmation in try_join_all(confirms).await? {
        accepted(confirmation)?;
    }
    println!("{BATCH} messages confirmed in one batch in {:?}", start.elapsed());

    match publish(&channel, "example.no_such_queue").await?.await? {
        Confirmation::Ack(Some(returned)) => {
            println!("unroutable message returned: {}", returned.reply_text);
        }
        other => return Err(format!("the unroutable message was not returned: {other:?}").into()),
    }

    // The count of a passive declare may lag behind, the count of a delete does not.
    let count = channel.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await?;
    connection.close(200, "done".into()).await?;
    if count != ONE_BY_ONE + BATCH {
        return Err(format!("the queue held {count} messages").into());
    }
    Ok(())
}

async fn publish(channel: &Channel, queue: &str) -> lapin::Result<PublisherConfirm> {
    let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let persistent = BasicProperties::default().with_delivery_mode(2);
    channel.basic_publish("".into(), queue.into(), mandatory, b"precious", persistent).await
}

fn accepted(confirmation: Confirmation) -> Result<()> {
    match confirmation {
        Confirmation::Ack(None) => Ok(()),
        other => Err(format!("not accepted: {other:?}").into()),
    }
}
