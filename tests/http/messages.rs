//! Publish, get and purge.

use leveret::broker::Resource;
use serde_json::{Value, json};

use super::NOT_FOUND;
use super::api::{Answer, Api, start};

fn bad(reason: &str) -> String {
    json!({ "error": "bad_request", "reason": reason }).to_string()
}

fn send(api: &Api, method: &str, path: &str, body: &Value) -> Answer {
    api.send_body("guest", method, &format!("/api/{path}"), &body.to_string())
}

fn publish(api: &Api, exchange: &str, properties: Value, payload: &str) -> Answer {
    let body = json!({
        "routing_key": "q", "properties": properties, "payload": payload,
        "payload_encoding": "string",
    });
    send(api, "POST", &format!("exchanges/%2F/{exchange}/publish"), &body)
}

fn get(api: &Api, count: usize, ackmode: &str) -> Vec<Value> {
    let body = json!({ "count": count, "ackmode": ackmode, "encoding": "auto" });
    let answer = send(api, "POST", "queues/%2F/q/get", &body);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json().as_array().unwrap().clone()
}

fn payloads(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["payload"].as_str().unwrap()).collect()
}

fn counts(api: &Api) -> [u64; 2] {
    let shown = api.get("guest", "/api/queues/%2F/q").json();
    ["messages_ready", "messages_unacknowledged"].map(|key| shown[key].as_u64().unwrap())
}

/// A queue `q`.
fn prepared(arguments: Value) -> Api {
    let api = start();
    send(&api, "PUT", "queues/%2F/q", &json!({ "arguments": arguments })).expect(201, "");
    api
}

#[test]
fn message_comes_out_as_it_went_in() {
    let api = prepared(json!({}));
    let properties = json!({
        "content_type": "text/plain", "content_encoding": "x", "delivery_mode": 2, "priority": 3,
        "correlation_id": "c", "reply_to": "r", "expiration": "60000", "message_id": "m",
        "timestamp": 1_700_000_000u64, "type": "t", "user_id": "guest", "app_id": "a",
        "cluster_id": "k", "headers": {"n": 1, "list": [true, {"x": 2.5}], "text": "häsin"},
        "bogus": "left out",
    });
    publish(&api, "amq.default", properties.clone(), "häsin").expect(200, r#"{"routed":true}"#);
    let mut expected = properties;
    expected.as_object_mut().unwrap().remove("bogus");
    let message = json!({
        "payload_bytes": 6, "redelivered": false, "exchange": "", "routing_key": "q",
        "message_count": 0, "properties": expected, "payload": "häsin", "payload_encoding": "string",
    });
    assert_eq!(get(&api, 5, "ack_requeue_false"), [message]);
    assert!(get(&api, 5, "ack_requeue_false").is_empty());
    // Where there are none, they are an object without any.
    publish(&api, "amq.default", json!([]), "").expect(200, r#"{"routed":true}"#);
    assert_eq!(get(&api, 1, "ack_requeue_false")[0]["properties"], json!({}));
}

#[test]
fn unroutable_is_not_routed() {
    let api = prepared(json!({}));
    publish(&api, "amq.fanout", json!({}), "x").expect(200, r#"{"routed":false}"#);
    let missing = json!({"error": "not_found", "reason": "no exchange 'none' in vhost '/'"});
    publish(&api, "none", json!({}), "x").expect(404, &missing.to_string());
    let internal = json!({"error": "not_authorised", "reason": "Access refused."}).to_string();
    publish(&api, "amq.rabbitmq.trace", json!({}), "x").expect(401, &internal);
    assert_eq!(counts(&api), [0, 0]);
}

#[test]
fn what_becomes_of_messages_is_said_by_the_ackmode() {
    let api = prepared(json!({"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}));
    send(&api, "PUT", "queues/%2F/dead", &json!({})).expect(201, "");
    for payload in ["a", "b", "c"] {
        publish(&api, "amq.default", json!({}), payload).expect(200, r#"{"routed":true}"#);
    }
    let first = get(&api, 2, "ack_requeue_true");
    assert_eq!(payloads(&first), ["a", "b"]);
    assert_eq!((&first[0]["message_count"], &first[1]["message_count"]), (&json!(2), &json!(1)));
    assert_eq!(counts(&api), [3, 0]);
    // All are taken before any goes back, so none comes twice.
    let all = get(&api, 10, "reject_requeue_true");
    assert_eq!(payloads(&all), ["a", "b", "c"]);
    let redelivered: Vec<bool> = all.iter().map(|it| it["redelivered"] == true).collect();
    assert_eq!(redelivered, [true, true, false]);
    assert_eq!(payloads(&get(&api, 1, "ack_requeue_false")), ["a"]);
    assert_eq!(payloads(&get(&api, 1, "reject_requeue_false")), ["b"]);
    assert_eq!(counts(&api), [1, 0]);
    let body = json!({ "count": 5, "ackmode": "ack_requeue_false", "encoding": "auto" });
    let dead = send(&api, "POST", "queues/%2F/dead/get", &body).json();
    assert_eq!((&dead[0]["payload"], &dead[1]), (&json!("b"), &Value::Null));
    assert_eq!(dead[0]["properties"]["headers"]["x-death"][0]["reason"], "rejected");
    send(&api, "DELETE", "queues/%2F/q/contents", &json!({})).expect(204, "");
    assert_eq!(counts(&api), [0, 0]);
}

#[test]
fn bodies_are_text_or_base64() {
    let api = prepared(json!({}));
    let body = json!({
        "routing_key": "q", "properties": {}, "payload": "/wBh", "payload_encoding": "base64",
    });
    send(&api, "POST", "exchanges/%2F/amq.default/publish", &body)
        .expect(200, r#"{"routed":true}"#);
    publish(&api, "amq.default", json!({}), "hello").expect(200, r#"{"routed":true}"#);
    let shown = |encoding: &str, truncate: Option<usize>| {
        let body = json!({
            "count": "2", "ackmode": "ack_requeue_true", "encoding": encoding, "truncate": truncate,
        });
        let messages = send(&api, "POST", "queues/%2F/q/get", &body).json();
        let of = |message: &Value| {
            let [payload, encoding] = ["payload", "payload_encoding"]
                .map(|key| message[key].as_str().unwrap().to_owned());
            format!("{payload} {encoding} {}", message["payload_bytes"])
        };
        messages.as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(shown("auto", None), ["/wBh base64 3", "hello string 5"]);
    assert_eq!(shown("base64", None), ["/wBh base64 3", "aGVsbG8= base64 5"]);
    assert_eq!(shown("auto", Some(2)), ["/wA= base64 3", "he string 5"]);
}

#[test]
fn large_bodies_and_other_keys_work() {
    let api = prepared(json!({}));
    send(&api, "PUT", "queues/%2F/other", &json!({})).expect(201, "");
    let headers = json!({"headers": {"CC": ["other"], "BCC": ["other", "x"]}});
    let large = "x".repeat(100_000);
    publish(&api, "amq.default", headers, &large).expect(200, r#"{"routed":true}"#);
    let message = &get(&api, 1, "ack_requeue_false")[0];
    assert_eq!(message["payload"], large);
    assert_eq!(message["properties"]["headers"], json!({"CC": ["other"]}));
    assert_eq!(api.get("guest", "/api/queues/%2F/other").json()["messages"], 1);
}

#[test]
fn what_a_queue_refuses_is_said() {
    let api = prepared(json!({"x-max-length": 0, "x-overflow": "reject-publish"}));
    let rejected = bad("rejected Unable to publish message. Check queue limits.");
    publish(&api, "amq.default", json!({}), "x").expect(400, &rejected);
}

#[test]
fn publishers_are_told_of_alarms() {
    let api = prepared(json!({}));
    api.broker.alarms.set(Resource::Disk, true);
    let answer = publish(&api, "amq.default", json!({}), "x");
    let blocked =
        r#"{"error":"service_unavailable","reason":"publishing is blocked: low on disk"}"#;
    answer.expect(503, blocked);
    api.broker.alarms.set(Resource::Disk, false);
    publish(&api, "amq.default", json!({}), "x").expect(200, r#"{"routed":true}"#);
}

#[test]
fn bad_publishes_are_refused() {
    let api = prepared(json!({}));
    let keys = "[{key_missing,routing_key},{key_missing,properties},{key_missing,payload},\
                {key_missing,payload_encoding}]";
    let with = |key: &str, value: Value| {
        let mut body = json!({
            "routing_key": "q", "properties": {}, "payload": "x", "payload_encoding": "string",
        });
        body[key] = value;
        body
    };
    let property = |key: &str, value: Value| with("properties", json!({ key: value }));
    let expiration = "406 PRECONDITION_FAILED - invalid expiration 'zz': no_integer";
    let user = "406 PRECONDITION_FAILED - user_id property set to 'zz' but authenticated user was \
                'guest'";
    for (body, reason) in [
        (json!({}), keys),
        (with("payload", json!(7)), "payload_not_string"),
        (with("payload_encoding", json!("zz")), "unsupported_encoding: zz"),
        (with("properties", json!("zz")), "'properties' must be an object"),
        (property("delivery_mode", json!("2")), "not_int: delivery_mode"),
        (property("delivery_mode", json!(256)), "not_int: delivery_mode"),
        (property("priority", json!(-1)), "not_int: priority"),
        (property("timestamp", json!(1.5)), "not_int: timestamp"),
        (property("content_type", json!(2)), "not_string: content_type"),
        (property("app_id", json!("x".repeat(256))), "longer than 255 bytes: app_id"),
        (property("headers", json!(7)), "'headers' must be an object"),
        (property("headers", json!({"a": null})), "null_not_allowed"),
        (property("expiration", json!("zz")), expiration),
        (property("user_id", json!("zz")), user),
    ] {
        let answer = send(&api, "POST", "exchanges/%2F/amq.default/publish", &body);
        answer.expect(400, &bad(reason));
    }
    assert_eq!(counts(&api), [0, 0]);
}

#[test]
fn bad_gets_are_refused() {
    let api = prepared(json!({}));
    send(
        &api,
        "PUT",
        "queues/%2F/s",
        &json!({"durable": true, "arguments": {"x-queue-type": "stream"}}),
    )
    .expect(201, "");
    let with = |key: &str, value: Value| {
        let mut body = json!({"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"});
        body[key] = value;
        body
    };
    let ackmode = "Unsupported ackmode 'zz'. Please use ack_requeue_true, ack_requeue_false, \
                   reject_requeue_true or reject_requeue_false.";
    let stream = "basic.get not supported by stream queues queue 's' in vhost '/'";
    for (queue, body, reason) in [
        ("q", json!({}), "[{key_missing,ackmode},{key_missing,count},{key_missing,encoding}]"),
        ("q", with("count", json!("x")), "not_integer: x"),
        ("q", with("count", json!(-1)), "'count' must not be negative"),
        ("q", with("encoding", json!("zz")), "Unsupported encoding. Please use auto or base64."),
        ("q", with("ackmode", json!("zz")), ackmode),
        ("s", with("count", json!(1)), stream),
    ] {
        send(&api, "POST", &format!("queues/%2F/{queue}/get"), &body).expect(400, &bad(reason));
    }
    let missing =
        json!({"error": "not_found", "reason": "NOT_FOUND - no queue 'none' in vhost '/'"});
    let answer = send(&api, "POST", "queues/%2F/none/get", &with("count", json!(1)));
    answer.expect(404, &missing.to_string());
    send(&api, "DELETE", "queues/%2F/none/contents", &json!({})).expect(404, NOT_FOUND);
    assert_eq!(send(&api, "DELETE", "queues/%2F/s/contents", &json!({})).status, 400);
}

#[test]
fn what_is_not_empty_is_not_deleted_if_empty() {
    let api = prepared(json!({}));
    publish(&api, "amq.default", json!({}), "x").expect(200, r#"{"routed":true}"#);
    let reason = bad("queue 'q' in vhost '/' not empty");
    send(&api, "DELETE", "queues/%2F/q?if-empty=true", &json!({})).expect(400, &reason);
    send(&api, "DELETE", "queues/%2F/q?if-empty=false&if-unused=true", &json!({})).expect(204, "");
}

#[test]
fn letters_that_have_to_arrive_are_shown_while_they_wait() {
    let api = start();
    let arguments = json!({
        "x-queue-type": "quorum", "x-overflow": "reject-publish",
        "x-dead-letter-exchange": "not.there", "x-dead-letter-strategy": "at-least-once",
    });
    let body = json!({ "durable": true, "arguments": arguments });
    send(&api, "PUT", "queues/%2F/q", &body).expect(201, "");
    publish(&api, "amq.default", json!({}), "x").expect(200, r#"{"routed":true}"#);
    let waiting = || api.get("guest", "/api/queues/%2F/q").json()["messages_dlx"].clone();
    assert_eq!(waiting(), 0);
    assert_eq!(payloads(&get(&api, 1, "reject_requeue_false")), ["x"]);
    assert_eq!(waiting(), 1);
}
