//! Subscribers choose what they hear by pattern: `*` is one word of the routing key, `#` any number.

use std::{env, error::Error};

use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind,
    options::*,
    types::{FieldTable, ShortString},
};

const EXCHANGE: &str = "example.topic_multicast";

const KEYS: [&str; 5] =
    ["eu.orders.created", "eu.orders.paid", "us.orders.created", "us.users.created", "eu.alarm"];

/// Each pattern, and the keys it should hear.
const PATTERNS: [(&str, &[&str]); 4] = [
    ("eu.#", &["eu.orders.created", "eu.orders.paid", "eu.alarm"]),
    ("*.orders.*", &["eu.orders.created", "eu.orders.paid", "us.orders.created"]),
    ("#.created", &["eu.orders.created", "us.orders.created", "us.users.created"]),
    ("*.alarm", &["eu.alarm"]),
];

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let url = env::var("AMQP_URL").unwrap_or_else(|_| "amqp://127.0.0.1:5672/%2f".into());
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel
        .exchange_declare(
            EXCHANGE.into(),
            ExchangeKind::Topic,
            ExchangeDeclareOptions::default(),
            FieldTable::default(),
        )
        .await?;

    let mut queues = Vec::new();
    for (pattern, _) in PATTERNS {
        queues.push(subscribe(&channel, pattern).await?);
    }
    for key in KEYS {
        channel
            .basic_publish(
                EXCHANGE.into(),
                key.into(),
                BasicPublishOptions::default(),
                b"",
                BasicProperties::default(),
            )
            .await?;
    }

    for ((pattern, expected), queue) in PATTERNS.into_iter().zip(queues) {
        let heard = drain(&channel, queue).await?;
        println!("{pattern:12} heard {heard:?}");
        if heard != expected {
            return Err(format!("{pattern} should have heard {expected:?}").into());
        }
    }
    channel.exchange_delete(EXCHANGE.into(), ExchangeDeleteOptions::default()).await?;
    connection.close(200, "done".into()).await?;
    Ok(())
}

async fn subscribe(channel: &Channel, pattern: &str) -> Result<ShortString> {
    let own = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("".into(), own, FieldTable::default()).await?;
    channel
        .queue_bind(
            queue.name().clone(),
            EXCHANGE.into(),
            pattern.into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await?;
    Ok(queue.name().clone())
}

/// The routing keys of all messages in the queue.
async fn drain(channel: &Channel, queue: ShortString) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    while let Some(message) =
        channel.basic_get(queue.clone(), BasicGetOptions { no_ack: true }).await?
    {
        keys.push(message.routing_key.to_string());
    }
    Ok(keys)
}
