//! Questions and answers over direct reply-to: the client needs no reply queue of its own.
//!
//! The client consumes from `amq.rabbitmq.reply-to` and names it in its requests; the broker gives the
//! server a private address to answer to. A correlation id tells which answer belongs to which question.

use std::{collections::BTreeMap, env, error::Error, time::Duration};

use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::*,
    types::{FieldTable, ShortString},
};
use tokio::time::timeout;

const REPLY_TO: &str = "amq.rabbitmq.reply-to";

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let url = env::var("AMQP_URL").unwrap_or_else(|_| "amqp://127.0.0.1:5672/%2f".into());
    let server = Connection::connect(&url, ConnectionProperties::default()).await?;
    let requests = serve(server.create_channel().await?).await?;

    let client = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = client.create_channel().await?;
    let no_ack = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    // On the channel that publishes the requests, and before the first of them.
    let mut replies =
        channel.basic_consume(REPLY_TO.into(), "".into(), no_ack, FieldTable::default()).await?;

    let questions = BTreeMap::from([("a", 10), ("b", 20), ("c", 90)]);
    for (id, number) in &questions {
        let properties = BasicProperties::default()
            .with_reply_to(REPLY_TO.into())
            .with_correlation_id((*id).into());
        publish(&channel, requests.clone(), number.to_string(), properties).await?;
    }
    for _ in &questions {
        let reply = timeout(Duration::from_secs(10), replies.next())
            .await?
            .ok_or("the reply consumer was cancelled")??;
        let id = reply.properties.correlation_id().as_ref().ok_or("a reply to nothing")?;
        let number = *questions.get(id.as_str()).ok_or("a reply to something else")?;
        let answer = String::from_utf8_lossy(&reply.data).into_owned();
        println!("fibonacci({number}) = {answer}");
        if answer != fibonacci(number).to_string() {
            return Err("that is wrong".into());
        }
    }
    client.close(200, "done".into()).await?;
    server.close(200, "done".into()).await?;
    Ok(())
}

/// Start answering, and tell the queue to ask on.
async fn serve(channel: Channel) -> Result<ShortString> {
    let temporary = QueueDeclareOptions { auto_delete: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("".into(), temporary, FieldTable::default()).await?;
    let name = queue.name().clone();
    let mut requests = channel
        .basic_consume(
            name.clone(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    tokio::spawn(async move {
        while let Some(Ok(request)) = requests.next().await {
            let number: u32 = String::from_utf8_lossy(&request.data).parse()?;
            let (Some(reply_to), Some(id)) =
                (request.properties.reply_to(), request.properties.correlation_id())
            else {
                return Err("a request without an address".into());
            };
            let properties = BasicProperties::default().with_correlation_id(id.clone());
            publish(&channel, reply_to.clone(), fibonacci(number).to_string(), properties).await?;
            request.ack(BasicAckOptions::default()).await?;
        }
        Result::Ok(())
    });
    Ok(name)
}

async fn publish(
    channel: &Channel,
    queue: ShortString,
    body: String,
    properties: BasicProperties,
) -> Result<()> {
    let options = BasicPublishOptions::default();
    channel.basic_publish("".into(), queue, options, body.as_bytes(), properties).await?;
    Ok(())
}

fn fibonacci(n: u32) -> u64 {
    (0..n).fold((0, 1), |(a, b), _| (b, a + b)).0
}
