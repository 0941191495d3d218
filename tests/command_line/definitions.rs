//! Definitions that a broker starts with: `load_definitions`.

use std::path::Path;

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use serde_json::{Value, json};

use super::*;

fn write(path: &Path, document: &Value) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, document.to_string()).unwrap();
}

/// With the settings of a file of ours.
fn start(directory: &Path, settings: &str) -> Broker {
    Broker::start_command(serve(directory, settings))
}

fn serve(directory: &Path, settings: &str) -> Command {
    let config = directory.join("leveret.toml");
    let data = directory.join("data").display().to_string();
    std::fs::write(&config, format!("amqp = \"127.0.0.1:0\"\ndata_dir = {data:?}\n{settings}"))
        .unwrap();
    command(["--config", &config.display().to_string()])
}

/// Whether such a queue is there, for who can log in.
async fn has_queue(broker: &Broker, login: &str, queue: &str) -> Result<bool, lapin::Error> {
    let uri = format!("amqp://{login}@{}/shop", broker.address());
    let connection = Connection::connect(&uri, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    Ok(channel.queue_declare(queue.into(), passive, FieldTable::default()).await.is_ok())
}

fn shop() -> Value {
    json!({
        "users": [{ "name": "ann", "password": "ann", "tags": "administrator" }],
        "vhosts": [{ "name": "shop" }],
        "permissions":
            [{ "user": "ann", "vhost": "shop", "configure": ".*", "write": ".*", "read": ".*" }],
        "queues": [queue("orders")],
    })
}

fn queue(name: &str) -> Value {
    json!({ "name": name, "vhost": "shop", "durable": true, "auto_delete": false, "arguments": {} })
}

#[tokio::test]
async fn definitions_are_there_before_the_first_client() {
    let directory = directory();
    let path = directory.path().join("definitions.json");
    write(&path, &shop());
    let settings = format!("load_definitions = {path:?}");
    let broker = start(directory.path(), &settings);
    assert!(has_queue(&broker, "ann:ann", "orders").await.unwrap());
    // Who brings users has no use for one that everybody knows...
    assert!(has_queue(&broker, "guest:guest", "orders").await.is_err());
    drop(broker);
    // ...and does not get one without the definitions, either.
    let broker = start(directory.path(), "");
    assert!(has_queue(&broker, "ann:ann", "orders").await.unwrap());
    assert!(has_queue(&broker, "guest:guest", "orders").await.is_err());
}

#[tokio::test]
async fn definitions_without_users_leave_the_default_one() {
    let directory = directory();
    let path = directory.path().join("definitions.json");
    let guest =
        json!({ "user": "guest", "vhost": "shop", "configure": ".*", "write": ".*", "read": ".*" });
    write(&path, &json!({ "vhosts": [{ "name": "shop" }], "permissions": [guest] }));
    let broker = start(directory.path(), &format!("load_definitions = {path:?}"));
    assert!(!has_queue(&broker, "guest:guest", "orders").await.unwrap());
}

#[tokio::test]
async fn files_of_a_directory_are_one_document() {
    let directory = directory();
    let files = directory.path().join("definitions");
    // What comes first by name may need what comes later.
    write(&files.join("10-queues.json"), &json!({ "queues": [queue("late")] }));
    write(&files.join("20-shop.json"), &shop());
    write(&files.join(".hidden.json"), &json!({ "queues": "nonsense" }));
    std::fs::write(files.join("README"), "nonsense").unwrap();
    let broker = start(directory.path(), &format!("load_definitions = {files:?}"));
    assert!(has_queue(&broker, "ann:ann", "late").await.unwrap());
    assert!(has_queue(&broker, "ann:ann", "orders").await.unwrap());
}

#[tokio::test]
async fn unchanged_files_are_not_loaded_again_if_that_is_wanted() {
    let directory = directory();
    let path = directory.path().join("definitions.json");
    write(&path, &shop());
    let skipping = format!("load_definitions = {path:?}\ndefinitions_skip_if_unchanged = true");
    let always = format!("load_definitions = {path:?}");
    start(directory.path(), &skipping);
    for (settings, expected) in
        [(&skipping, "have not changed"), (&always, "loaded the"), (&skipping, "have not changed")]
    {
        let mut command = serve(directory.path(), settings);
        let said = stderr_until_ready(&mut command);
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let mut changed = shop();
    changed["queues"].as_array_mut().unwrap().push(queue("more"));
    write(&path, &changed);
    let broker = start(directory.path(), &skipping);
    assert!(has_queue(&broker, "ann:ann", "more").await.unwrap());
}

fn stderr_until_ready(command: &mut Command) -> String {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = String::new();
    for line in lines.map_while(Result::ok) {
        said += &line;
        if line.contains(" ready: ") {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    said
}

/// It does not start, says one sentence, and nothing of what is right was done.
#[tokio::test]
async fn wrong_definitions_stop_the_start() {
    let directory = directory();
    let files = directory.path().join("definitions");
    write(&files.join("1.json"), &shop());
    let path = files.join("2.json");
    for (text, expected) in [
        ("{", "it is not a JSON object: EOF while parsing an object at line 1 column 1"),
        (
            "[]",
            "it is not a JSON object: invalid type: sequence, expected a map at line 1 column 0",
        ),
        (r#"{"queues": {}}"#, "'queues' must be a list of objects"),
        (
            r#"{"queues": [{"name": "a", "vhost": "shop"}, {"name": "q", "vhost": "none"}]}"#,
            "queues[1]: no_such_vhost: none",
        ),
        (
            r#"{"policies": [{"name": "p", "vhost": "shop", "pattern": "", "definition": {"x": 1}}]}"#,
            "policies[0]: Validation failed [{<<\"x\">>,1}] are not recognised policy settings (shop/p)",
        ),
        (
            r#"{"queues": [{"name": "a", "vhost": "shop", "arguments": {"x-max-length": "a"}}]}"#,
            "queues[0]: invalid arg 'x-max-length' for queue 'a' in vhost 'shop': \"expected integer, got longstr\"",
        ),
    ] {
        std::fs::write(&path, text).unwrap();
        let Output { status, stderr, .. } =
            serve(directory.path(), &format!("load_definitions = {files:?}")).output().unwrap();
        let said = String::from_utf8(stderr).unwrap();
        let line = said.lines().last().unwrap();
        let expected =
            format!("leveret: the definitions in {} are wrong: {expected}", path.display());
        assert_eq!((status.code(), line), (Some(1), &*expected), "{said}");
    }
    let line = {
        let path = directory.path().join("nowhere.json");
        let output = serve(directory.path(), &format!("load_definitions = {path:?}")).output();
        let said = String::from_utf8(output.unwrap().stderr).unwrap();
        said.lines().filter(|line| !line.contains(" [info] ")).collect::<Vec<_>>().join("\n")
    };
    assert!(
        line.starts_with("leveret: cannot read the definitions in ") && line.lines().count() == 1,
        "{line}"
    );
    std::fs::remove_file(&path).unwrap();
    write(
        &files.join("1.json"),
        &json!({ "users": shop()["users"], "vhosts": [{ "name": "shop" }] }),
    );
    let broker = start(directory.path(), &format!("load_definitions = {files:?}"));
    // No queue, and no permission for ann either.
    assert!(has_queue(&broker, "ann:ann", "orders").await.is_err());
}
