//! A connection of an AMQP client, which the HTTP API shows.

use std::sync::{Arc, Mutex};

use amqprs::callbacks::{ConnectionCallback, DefaultChannelCallback};
use amqprs::channel::{
    BasicConsumeArguments, BasicPublishArguments, Channel, ConfirmSelectArguments,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::consumer::DefaultConsumer;
use amqprs::{BasicProperties, Close};
use tokio::runtime::{Builder, Runtime};

use crate::scene::Scene;

pub struct Amqp {
    runtime: Runtime,
    /// There until it is dropped.
    open: Option<(Connection, Channel)>,
    closed: Closed,
}

/// What the broker said when it closed the connection.
#[derive(Clone, Default)]
struct Closed(Arc<Mutex<Option<String>>>);

impl Amqp {
    /// A connection of this user in the scenario's vhost, with a channel that confirms.
    pub fn connect(scene: &Scene, user: &str, password: &str) -> Self {
        let (host, port) = (scene.uri.host_str().unwrap(), scene.uri.port().unwrap_or(5672));
        let mut arguments = OpenConnectionArguments::new(host, port, user, password);
        arguments.virtual_host(&scene.vhost).connection_name("interop http client");
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let closed = Closed::default();
        let open = runtime.block_on(async {
            let connection = Connection::open(&arguments).await.unwrap();
            connection.register_callback(closed.clone()).await.unwrap();
            let channel = connection.open_channel(None).await.unwrap();
            channel.register_callback(DefaultChannelCallback).await.unwrap();
            channel.confirm_select(ConfirmSelectArguments::default()).await.unwrap();
            (connection, channel)
        });
        Self { runtime, open: Some(open), closed }
    }

    /// Consumes from the queue, and acknowledges nothing.
    pub fn consume(&self, queue: &str, tag: &str) {
        let arguments = BasicConsumeArguments::new(queue, tag);
        let consumer = DefaultConsumer::new(false);
        self.runtime.block_on(self.channel().basic_consume(consumer, arguments)).unwrap();
    }

    pub fn publish(&self, queue: &str, body: &str) {
        let arguments = BasicPublishArguments::new("", queue);
        let published =
            self.channel().basic_publish(BasicProperties::default(), body.into(), arguments);
        self.runtime.block_on(published).unwrap();
    }

    fn channel(&self) -> &Channel {
        &self.open.as_ref().unwrap().1
    }

    /// Why the broker has closed the connection, if it has.
    pub fn closed(&self) -> Option<String> {
        self.closed.0.lock().unwrap().clone()
    }
}

/// The client says goodbye in a task of its own.
impl Drop for Amqp {
    fn drop(&mut self) {
        let _runtime = self.runtime.enter();
        drop(self.open.take());
    }
}

#[async_trait::async_trait]
impl ConnectionCallback for Closed {
    async fn close(&mut self, _: &Connection, close: Close) -> Result<(), amqprs::error::Error> {
        *self.0.lock().unwrap() = Some(close.reply_text().to_owned());
        Ok(())
    }
    async fn blocked(&mut self, _: &Connection, _: String) {}
    async fn unblocked(&mut self, _: &Connection) {}
    async fn secret_updated(&mut self, _: &Connection) {}
}
