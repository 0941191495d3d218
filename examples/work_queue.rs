//! Several workers share the tasks of one queue.
//!
//! Each worker takes one task at a time (prefetch 1) and acknowledges it when it is done, so a worker
//! with a long task gets fewer of them. Ends once all tasks are done, each exactly once.

use std::{collections::BTreeSet, env, error::Error, time::Duration};

use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, options::*, types::FieldTable,
};
use tokio::{sync::mpsc, time::timeout};

const WORKERS: usize = 3;
const TASKS: usize = 30;
const QUEUE: &str = "example.work_queue";

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

    let (done, mut reports) = mpsc::unbounded_channel();
    for number in 1..=WORKERS {
        let channel = connection.create_channel().await?;
        tokio::spawn(work(number, channel, done.clone()));
    }
    drop(done); // So that the reports end if all workers fail.

    for task in 1..=TASKS {
        let persistent = BasicProperties::default().with_delivery_mode(2);
        let body = format!("task {task}");
        channel
            .basic_publish(
                "".into(),
                QUEUE.into(),
                BasicPublishOptions::default(),
                body.as_bytes(),
                persistent,
            )
            .await?;
    }

    let mut finished = BTreeSet::new();
    let mut share = [0; WORKERS];
    while finished.len() < TASKS {
        let (worker, task) = timeout(Duration::from_secs(30), reports.recv())
            .await?
            .ok_or("all workers have stopped")?;
        println!("worker {worker} did {task}");
        if let Some(count) = share.get_mut(worker - 1) {
            *count += 1;
        }
        if !finished.insert(task) {
            return Err("a task was done twice".into());
        }
    }
    channel.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await?;
    connection.close(200, "done".into()).await?;

    println!("{TASKS} tasks done, shared as {share:?}");
    if share.contains(&0) {
        return Err("a worker got no task".into());
    }
    Ok(())
}

/// Do tasks until the connection ends, and report each.
async fn work(
    number: usize,
    channel: Channel,
    done: mpsc::UnboundedSender<(usize, String)>,
) -> Result<()> {
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let mut tasks = channel
        .basic_consume(
            QUEUE.into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    while let Some(task) = tasks.next().await {
        let task = task?;
        tokio::time::sleep(Duration::from_millis(10 * number as u64)).await; // The work.
        task.ack(BasicAckOptions::default()).await?;
        done.send((number, String::from_utf8_lossy(&task.data).into_owned()))?;
    }
    Ok(())
}
