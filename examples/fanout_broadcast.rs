//! One message for everybody: a fanout exchange copies it to each subscriber's own queue.
//!
//! The queues are exclusive and named by the broker, so nothing is left behind.

use std::{env, error::Error, time::Duration};

use futures_util::StreamExt;
use lapin::{
    BasicProperties, Connection, ConnectionProperties, Consumer, ExchangeKind, options::*,
    types::FieldTable,
};
use tokio::time::timeout;

const SUBSCRIBERS: usize = 5;
const EXCHANGE: &str = "example.fanout_broadcast";

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let url = env::var("AMQP_URL").unwrap_or_else(|_| "amqp://127.0.0.1:5672/%2f".into());
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel
        .exchange_declare(
            EXCHANGE.into(),
            ExchangeKind::Fanout,
            ExchangeDeclareOptions::default(),
            FieldTable::default(),
        )
        .await?;

    let mut subscribers = Vec::new();
    for _ in 0..SUBSCRIBERS {
        subscribers.push(subscribe(&connection).await?);
    }

    for news in ["hares are running", "hares are resting"] {
        channel
            .basic_publish(
                EXCHANGE.into(),
                "".into(),
                BasicPublishOptions::default(),
                news.as_bytes(),
                BasicProperties::default(),
            )
            .await?;
        for (number, inbox) in subscribers.iter_mut().enumerate() {
            let delivery = timeout(Duration::from_secs(10), inbox.next())
                .await?
                .ok_or("the consumer was cancelled")??;
            println!("subscriber {number} heard: {}", String::from_utf8_lossy(&delivery.data));
            if delivery.data != news.as_bytes() {
                return Err("that is not what was said".into());
            }
        }
    }

    channel.exchange_delete(EXCHANGE.into(), ExchangeDeleteOptions::default()).await?;
    connection.close(200, "done".into()).await?;
    println!("all {SUBSCRIBERS} subscribers heard everything");
    Ok(())
}

/// Bind a queue of one's own to the exchange and consume from it.
async fn subscribe(connection: &Connection) -> Result<Consumer> {
    let channel = connection.create_channel().await?;
    let own = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("".into(), own, FieldTable::default()).await?;
    channel
        .queue_bind(
            queue.name().clone(),
            EXCHANGE.into(),
            "".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let no_ack = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    Ok(channel
        .basic_consume(queue.name().clone(), "".into(), no_ack, FieldTable::default())
        .await?)
}
