//! A worker dies in the middle of a task, and the task goes to another worker.
//!
//! Two workers take one task each. The first is killed with its whole runtime, so that its socket closes
//! without any goodbye. Its task was not acknowledged: the broker gives it to the second worker, marked
//! as redelivered.

use std::{env, error::Error, time::Duration};

use futures_util::StreamExt;
use lapin::{
    BasicProperties, Connection, ConnectionProperties, Consumer, message::Delivery, options::*,
    types::FieldTable,
};
use tokio::{runtime, sync::oneshot, time::timeout};

const QUEUE: &str = "example.worker_dies";

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
    channel
        .basic_publish(
            "".into(),
            QUEUE.into(),
            BasicPublishOptions::default(),
            b"dig a form",
            BasicProperties::default().with_delivery_mode(2),
        )
        .await?;

    let doomed = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (taken, is_taken) = oneshot::channel();
    doomed.spawn(async move { taken.send(take_and_hold(&url).await) });
    let held = timeout(Duration::from_secs(10), is_taken).await???;
    println!("first worker took '{held}' and is busy with it");

    let mut survivor = consume(&connection).await?;
    doomed.shutdown_background();
    println!("first worker is dead");

    let task = next(&mut survivor).await?;
    let name = String::from_utf8_lossy(&task.data).into_owned();
    println!("second worker took '{name}', redelivered={}", task.redelivered);
    task.ack(BasicAckOptions::default()).await?;
    channel.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await?;
    connection.close(200, "done".into()).await?;
    if name != held || !task.redelivered {
        return Err("the task should have been redelivered".into());
    }
    Ok(())
}

/// Take a task and keep the connection that owns it for as long as the runtime lives.
async fn take_and_hold(url: &str) -> Result<String> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let mut tasks = consume(&connection).await?;
    let task = next(&mut tasks).await?;
    let name = String::from_utf8_lossy(&task.data).into_owned();
    tokio::spawn(async move {
        std::future::pending::<()>().await;
        drop((connection, tasks, task));
    });
    Ok(name)
}

async fn consume(connection: &Connection) -> Result<Consumer> {
    let channel = connection.create_channel().await?;
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    Ok(channel
        .basic_consume(
            QUEUE.into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?)
}

async fn next(tasks: &mut Consumer) -> Result<Delivery> {
    let task = timeout(Duration::from_secs(10), tasks.next()).await?;
    Ok(task.ok_or("the consumer was cancelled")??)
}
