//! What SIGHUP does with settings that have changed.

use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Connection, ConnectionProperties};

use super::server::soon;
use super::{Broker, directory};

#[tokio::test]
async fn hangup_says_which_settings_are_in_force_and_which_want_a_restart() {
    let directory = directory();
    let file = directory.path().join("leveret.toml");
    let write = |more: &str| {
        let data = directory.path().join("data");
        let text = format!("amqp = \"127.0.0.1:0\"\ndata_dir = {data:?}\nqueue_memory = 5000000\n");
        std::fs::write(&file, text + more).unwrap();
    };
    write("heartbeat_seconds = 30\n");
    let broker = Broker::start(["--config".as_ref(), file.as_os_str()]);
    let url = format!("amqp://{}/%2f", broker.address());
    let connect =
        || async { soon(Connection::connect(&url, ConnectionProperties::default())).await };
    let connection = connect().await.unwrap();
    let publish = async |body: &[u8]| {
        let channel = soon(connection.create_channel()).await.unwrap();
        let confirms = lapin::options::ConfirmSelectOptions::default();
        soon(channel.confirm_select(confirms)).await.unwrap();
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let sent = channel.basic_publish("".into(), "nowhere".into(), options, body, properties);
        soon(soon(sent).await.unwrap()).await.map(drop)
    };
    publish(b"eleven letters").await.unwrap();

    write(
        "heartbeat_seconds = 40\nmessage_size_max = 10\nconnections_max = 1\n\
         memory_high_watermark = \"1 MiB\"\nlog_level = \"debug\"\nconsumer_timeout = 120000\n",
    );
    broker.signal("HUP");
    for key in ["memory_high_watermark", "log_level", "message_size_max", "connections_max"] {
        broker.line(&format!("SIGHUP: {key} has changed and is in force"));
    }
    broker.line("SIGHUP: consumer_timeout has changed and is in force");
    broker.line("SIGHUP: heartbeat_seconds has changed, which counts after a restart");
    broker.line("memory resource limit alarm set");
    assert!(connect().await.is_err(), "there is one already");

    // Everything back, which is a change for those that are in force, and none for the other.
    write("heartbeat_seconds = 30\n");
    broker.signal("HUP");
    for key in ["memory_high_watermark", "log_level", "message_size_max", "connections_max"] {
        broker.line(&format!("SIGHUP: {key} has changed and is in force"));
    }
    broker.line("memory resource limit alarm cleared");
    drop(connect().await.unwrap());
    write("heartbeat_seconds = 30\nmessage_size_max = 10\n");
    broker.signal("HUP");
    broker.line("SIGHUP: message_size_max has changed and is in force");
    let refusal = publish(b"eleven letters").await.unwrap_err().to_string();
    assert!(refusal.contains("message size"), "{refusal}");
    publish(b"ten").await.unwrap();

    // What cannot be read changes nothing.
    write("message_size_max = \"many\"\n");
    broker.signal("HUP");
    broker.line("SIGHUP: the settings stay as they were");
    assert!(publish(b"eleven letters").await.is_err());
}
