//! Looking at messages without disturbing them, and moving or deleting some of them.

use serde_json::{Value, json};

use super::api::{Answer, Api, start};

const QUEUE: &str = "/api/queues/%2F/q";

fn declare(api: &Api, name: &str, arguments: &Value) {
    let body = json!({ "durable": true, "arguments": arguments }).to_string();
    assert_eq!(
        api.send_body("guest", "PUT", &format!("/api/queues/%2F/{name}"), &body).status,
        201
    );
}

fn publish(api: &Api, queue: &str, body: &str, properties: &Value) {
    let body = json!({
        "routing_key": queue, "payload": body, "payload_encoding": "string", "properties": properties,
    });
    let answer =
        api.send_body("guest", "POST", "/api/exchanges/%2F/amq.default/publish", &body.to_string());
    answer.expect(200, r#"{"routed":true}"#);
}

/// A queue of messages 1 to `count`, which say whether they are even.
fn filled(count: u32) -> Api {
    let api = start();
    declare(&api, "q", &json!({}));
    declare(&api, "to", &json!({}));
    for n in 1..=count {
        let even = if n % 2 == 0 { "yes" } else { "no" };
        publish(&api, "q", &format!("body {n}"), &json!({ "headers": { "even": even, "n": n } }));
    }
    api
}

fn list(api: &Api, query: &str) -> Value {
    let answer = api.get("guest", &format!("{QUEUE}/messages?{query}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn bodies(page: &Value) -> Vec<&str> {
    page["messages"].as_array().unwrap().iter().map(|m| m["payload"].as_str().unwrap()).collect()
}

/// What is taken from a queue to its end.
fn drained(api: &Api, queue: &str) -> Vec<String> {
    let body = json!({ "count": 1000, "ackmode": "ack_requeue_false", "encoding": "auto" });
    let got = api
        .send_body("guest", "POST", &format!("/api/queues/%2F/{queue}/get"), &body.to_string())
        .json();
    let bodies = got.as_array().unwrap().iter().map(|message| {
        assert_eq!(message["redelivered"], false);
        message["payload"].as_str().unwrap().to_owned()
    });
    bodies.collect()
}

fn act(api: &Api, verb: &str, body: &Value) -> Answer {
    api.send_body("guest", "POST", &format!("{QUEUE}/messages/{verb}"), &body.to_string())
}

#[test]
fn whoever_looks_sees_pages_and_disturbs_nothing() {
    let api = filled(5);
    let first = list(&api, "count=2");
    assert_eq!(bodies(&first), ["body 1", "body 2"]);
    let message = &first["messages"][0];
    let expected = json!({
        "position": 1, "redelivered": false, "delivery_count": 0, "exchange": "", "routing_key": "q",
        "properties": { "headers": { "even": "no", "n": 1 } },
        "payload_bytes": 6, "payload": "body 1", "payload_encoding": "string",
    });
    assert_eq!(*message, expected);
    let second = list(&api, &format!("count=2&after={}", first["next"].as_str().unwrap()));
    assert_eq!(bodies(&second), ["body 3", "body 4"]);
    let third = list(&api, &format!("count=2&after={}", second["next"].as_str().unwrap()));
    assert_eq!((bodies(&third), &third["next"]), (vec!["body 5"], &Value::Null));
    assert_eq!(bodies(&list(&api, "truncate=4")), ["body"; 5]);
    assert_eq!(drained(&api, "q"), ["body 1", "body 2", "body 3", "body 4", "body 5"]);
}

#[test]
fn filters_find_what_is_meant() {
    let api = filled(12);
    assert_eq!(bodies(&list(&api, "body=1")), ["body 1", "body 10", "body 11", "body 12"]);
    assert_eq!(bodies(&list(&api, "header=even:yes&body=1")), ["body 10", "body 12"]);
    assert_eq!(bodies(&list(&api, "header=n:7")), ["body 7"]);
    assert_eq!(bodies(&list(&api, "header=even&count=3")).len(), 3);
    assert_eq!(list(&api, "routing_key=elsewhere")["messages"], json!([]));
    assert_eq!(list(&api, "reason=expired")["messages"], json!([]));
}

#[test]
fn single_messages_and_ranges_are_deleted() {
    let api = filled(8);
    act(&api, "delete", &json!({ "positions": [2, [4, 6], 99] })).expect(200, r#"{"deleted":4}"#);
    let even = json!({ "filter": { "header": "even:yes" } });
    act(&api, "delete", &even).expect(200, r#"{"deleted":1}"#);
    assert_eq!(bodies(&list(&api, "")), ["body 1", "body 3", "body 7"]);
    act(&api, "delete", &json!({ "all": true })).expect(200, r#"{"deleted":3}"#);
    assert_eq!(drained(&api, "q"), Vec::<String>::new());
}

#[test]
fn messages_are_moved_to_a_queue_or_an_exchange() {
    let api = filled(6);
    let to_queue = json!({ "positions": [2, 3], "to": { "queue": "to" } });
    act(&api, "move", &to_queue).expect(200, r#"{"moved":2,"kept":0}"#);
    let nowhere = json!({ "all": true, "to": { "exchange": "amq.direct" } });
    act(&api, "move", &nowhere).expect(200, r#"{"moved":0,"kept":4}"#);
    let routed = json!({ "positions": [5], "to": { "exchange": "", "routing_key": "to" } });
    act(&api, "move", &routed).expect(200, r#"{"moved":1,"kept":0}"#);
    assert_eq!(drained(&api, "to"), ["body 2", "body 3", "body 5"]);
    // Through an exchange into the same queue: each goes once.
    let round = json!({ "all": true, "to": { "exchange": "", "routing_key": "q" } });
    act(&api, "move", &round).expect(200, r#"{"moved":3,"kept":0}"#);
    assert_eq!(drained(&api, "q"), ["body 1", "body 4", "body 6"]);
}

#[test]
fn the_dead_are_grouped_and_sent_back() {
    let api = start();
    declare(&api, "q", &json!({}));
    let to_q = json!({ "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q" });
    declare(&api, "tasks", &to_q);
    let limited = json!({
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q", "x-max-length": 1,
    });
    declare(&api, "limited", &limited);
    publish(&api, "tasks", "rejected", &json!({}));
    let reject = json!({ "count": 1, "ackmode": "reject_requeue_false", "encoding": "auto" });
    assert_eq!(
        api.send_body("guest", "POST", "/api/queues/%2F/tasks/get", &reject.to_string()).status,
        200
    );
    for body in ["too", "many", "here"] {
        publish(&api, "limited", body, &json!({}));
    }
    publish(&api, "q", "alive", &json!({}));
    let expected = json!({
        "groups": [
            { "reason": null, "queue": null, "count": 1 },
            { "reason": "maxlen", "queue": "limited", "count": 2 },
            { "reason": "rejected", "queue": "tasks", "count": 1 },
        ],
        "scanned": 4, "complete": true,
    });
    assert_eq!(api.get("guest", &format!("{QUEUE}/messages/groups")).json(), expected);
    let back =
        json!({ "filter": { "reason": "rejected", "from": "tasks" }, "to": { "origin": true } });
    act(&api, "move", &back).expect(200, r#"{"moved":1,"kept":0}"#);
    assert_eq!(drained(&api, "tasks"), ["rejected"]);
    assert_eq!(drained(&api, "q"), ["too", "many", "alive"]);
}

#[test]
fn bad_requests_are_explained() {
    let api = filled(1);
    declare(&api, "stream", &json!({ "x-queue-type": "stream" }));
    for (verb, body) in [
        ("delete", json!({})),
        ("delete", json!({ "positions": "1" })),
        ("delete", json!({ "positions": [[1]] })),
        ("delete", json!({ "positions": [-1] })),
        ("delete", json!({ "positions": [1], "all": true })),
        ("move", json!({ "all": true })),
        ("move", json!({ "all": true, "to": {} })),
        ("move", json!({ "all": true, "to": { "queue": "q" } })),
        ("move", json!({ "all": true, "to": { "queue": "to", "exchange": "x" } })),
    ] {
        let answer = act(&api, verb, &body);
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (400, &json!("bad_request")),
            "{body}"
        );
    }
    for to in [json!({ "queue": "none" }), json!({ "exchange": "none" })] {
        assert_eq!(act(&api, "move", &json!({ "all": true, "to": to })).status, 404, "{to}");
    }
    assert_eq!(api.get("guest", &format!("{QUEUE}/messages?after=x")).status, 400);
    assert_eq!(api.get("guest", "/api/queues/%2F/none/messages").status, 404);
    assert_eq!(api.get("guest", "/api/queues/%2F/stream/messages").status, 400);
    assert_eq!(drained(&api, "q"), ["body 1"]);
}

#[test]
fn rights_are_those_of_consuming_and_publishing() {
    let api = filled(3);
    let permit = |write: &str, read: &str| {
        let body = json!({ "configure": "", "write": write, "read": read }).to_string();
        assert_eq!(api.send_body("guest", "PUT", "/api/permissions/%2F/hare", &body).status, 204);
    };
    let all = |verb: &str, to: Value| {
        let body = json!({ "all": true, "to": to }).to_string();
        api.send_body("hare", "POST", &format!("{QUEUE}/messages/{verb}"), &body).status
    };
    permit(".*", "to");
    assert_eq!(api.get("hare", &format!("{QUEUE}/messages")).status, 401);
    assert_eq!(api.get("hare", &format!("{QUEUE}/messages/groups")).status, 401);
    assert_eq!(all("delete", Value::Null), 401);
    permit("amq\\.topic", "q");
    assert_eq!(api.get("hare", &format!("{QUEUE}/messages")).status, 200);
    assert_eq!(all("move", json!({ "queue": "to" })), 401);
    assert_eq!(all("move", json!({ "origin": true })), 401);
    assert_eq!(all("move", json!({ "exchange": "amq.fanout" })), 401);
    assert_eq!(all("move", json!({ "exchange": "amq.topic" })), 200);
    assert_eq!(drained(&api, "q").len(), 3);
}
