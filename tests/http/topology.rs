//! `/api/exchanges`, `/api/queues`, `/api/bindings`.

use serde_json::{Value, json};

use super::NOT_FOUND;
use super::api::{Answer, Api, start};

const REFUSED: &str = r#"{"error":"not_authorised","reason":"Access refused."}"#;
const NO_VHOST: &str = r#"{"error":"not_found","reason":"vhost_not_found"}"#;

fn bad(reason: &str) -> String {
    json!({ "error": "bad_request", "reason": reason }).to_string()
}

fn missing(reason: &str) -> String {
    json!({ "error": "not_found", "reason": reason }).to_string()
}

fn send(api: &Api, method: &str, path: &str, body: &str) -> Answer {
    api.send_body("guest", method, &format!("/api/{path}"), body)
}

fn get(api: &Api, path: &str) -> Value {
    let answer = api.get("guest", &format!("/api/{path}"));
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

mod exchanges {
    use super::*;

    #[test]
    fn every_vhost_has_seven() {
        let api = start();
        let all = get(&api, "exchanges/field");
        let shown = |item: &Value| {
            format!("{} {} {}", item["name"].as_str().unwrap(), item["type"], item["internal"])
        };
        let all: Vec<String> = all.as_array().unwrap().iter().map(shown).collect();
        assert_eq!(
            all,
            [
                " \"direct\" false",
                "amq.direct \"direct\" false",
                "amq.fanout \"fanout\" false",
                "amq.headers \"headers\" false",
                "amq.match \"headers\" false",
                "amq.rabbitmq.trace \"topic\" true",
                "amq.topic \"topic\" false",
            ]
        );
        assert_eq!(get(&api, "exchanges").as_array().unwrap().len(), 14);
        assert_eq!(get(&api, "exchanges/%2F/amq.default")["name"], "");
    }

    #[test]
    fn are_declared_shown_and_deleted() {
        let api = start();
        let body = r#"{"type":"topic","durable":"true","auto_delete":false,"vhost":"nonsense",
                       "arguments":{"alternate-exchange":"amq.fanout","x":[1,2.5,{"y":true}]}}"#;
        send(&api, "PUT", "exchanges/%2F/a%2Fb", body).expect(201, "");
        send(&api, "PUT", "exchanges/%2F/a%2Fb", body).expect(204, "");
        let shown = json!({
            "name": "a/b", "vhost": "/", "type": "topic", "durable": true, "auto_delete": false,
            "internal": false, "user_who_performed_action": "", "incoming": [], "outgoing": [],
            "arguments": {"alternate-exchange": "amq.fanout", "x": [1, 2.5, {"y": true}]},
        });
        assert_eq!(get(&api, "exchanges/%2F/a%2Fb"), shown);
        let inequivalent = "inequivalent arg 'type' for exchange 'a/b' in vhost '/': received \
                            'direct' but current is 'topic'";
        send(&api, "PUT", "exchanges/%2F/a%2Fb", r#"{"durable":true}"#)
            .expect(400, &bad(inequivalent));
        send(&api, "DELETE", "exchanges/%2F/a%2Fb", "").expect(204, "");
        send(&api, "DELETE", "exchanges/%2F/a%2Fb", "").expect(404, NOT_FOUND);
        api.get("guest", "/api/exchanges/%2F/a%2Fb").expect(404, NOT_FOUND);
        // Over HTTP nothing is durable unless it is said.
        send(&api, "PUT", "exchanges/%2F/x", "").expect(201, "");
        let shown = get(&api, "exchanges/%2F/x");
        assert_eq!((&shown["type"], &shown["durable"]), (&json!("direct"), &json!(false)));
    }

    #[test]
    fn what_cannot_be_declared_is_refused() {
        let api = start();
        for (path, body, status, answer) in [
            ("%2F/x", r#"{"type":"zz"}"#, 400, bad("unknown exchange type 'zz'")),
            ("%2F/x", r#"{"type":7}"#, 400, bad("'type' must be a string")),
            ("%2F/x", r#"{"durable":"yes"}"#, 400, bad("not_boolean: yes")),
            ("%2F/x", r#"{"arguments":{"a":null}}"#, 400, bad("null_not_allowed")),
            ("%2F/x", r#"{"arguments":{"a":[{"b":null}]}}"#, 400, bad("null_not_allowed")),
            ("%2F/x", r#"{"arguments":7}"#, 400, bad("'arguments' must be an object")),
            ("%2F/x", "[]", 400, bad("not_json")),
            ("%2F/x", "{", 400, bad("not_json")),
            ("%2F/x", r#""{}""#, 400, bad("not_json")),
            ("%2F/amq.x", "{}", 401, REFUSED.to_owned()),
            ("%2F/amq.default", "{}", 401, REFUSED.to_owned()),
            ("wood/x", "{}", 404, NO_VHOST.to_owned()),
        ] {
            send(&api, "PUT", &format!("exchanges/{path}"), body).expect(status, &answer);
        }
        let deep = format!(r#"{{"arguments":{{"a":{}1{}}}}}"#, "[".repeat(120), "]".repeat(120));
        assert_eq!(send(&api, "PUT", "exchanges/%2F/x", &deep).status, 400);
        let name = "x".repeat(256);
        let reason = bad("the name is longer than 255 bytes");
        send(&api, "PUT", &format!("exchanges/%2F/{name}"), "{}").expect(400, &reason);
        let key = format!(r#"{{"arguments":{{"{name}":1}}}}"#);
        send(&api, "PUT", "exchanges/%2F/x", &key)
            .expect(400, &bad("a table that AMQP cannot carry"));
        assert_eq!(get(&api, "exchanges/%2F").as_array().unwrap().len(), 7);
        // What is there may be declared again as it is.
        send(&api, "PUT", "exchanges/%2F/amq.direct", r#"{"durable":true}"#).expect(204, "");
        for path in ["%2F/amq.direct", "%2F/amq.default"] {
            send(&api, "DELETE", &format!("exchanges/{path}"), "").expect(401, REFUSED);
        }
    }

    #[test]
    fn in_use_is_not_unused() {
        let api = start();
        send(&api, "PUT", "exchanges/%2F/x", "{}").expect(201, "");
        send(&api, "POST", "bindings/%2F/e/x/e/amq.fanout", "").expect(201, "");
        let reason = bad("exchange 'x' in vhost '/' in use");
        send(&api, "DELETE", "exchanges/%2F/x?if-unused=true", "").expect(400, &reason);
        let from = get(&api, "exchanges/%2F/x/bindings/source");
        let to = get(&api, "exchanges/%2F/amq.fanout/bindings/destination");
        assert_eq!((from.as_array().unwrap().len(), &from), (1, &to));
        api.get("guest", "/api/exchanges/%2F/none/bindings/source").expect(404, NOT_FOUND);
        send(&api, "DELETE", "exchanges/%2F/x", "").expect(204, "");
        assert_eq!(get(&api, "exchanges/%2F/amq.fanout/bindings/destination"), json!([]));
    }
}

mod queues {
    use super::*;

    #[test]
    fn are_declared_shown_and_deleted() {
        let api = start();
        let body = r#"{"durable":"true","auto_delete":"false","exclusive":"false","node":"x",
                       "arguments":{"x-max-length":10,"x-queue-type":"quorum"}}"#;
        send(&api, "PUT", "queues/%2F/a%3Fb", body).expect(201, "");
        send(&api, "PUT", "queues/%2F/a%3Fb", body).expect(204, "");
        let shown = get(&api, "queues/%2F/a%3Fb");
        for (key, expected) in [
            ("name", json!("a?b")),
            ("vhost", json!("/")),
            ("type", json!("quorum")),
            ("durable", json!(true)),
            ("auto_delete", json!(false)),
            ("exclusive", json!(false)),
            ("arguments", json!({"x-max-length": 10, "x-queue-type": "quorum"})),
            ("state", json!("running")),
            ("messages", json!(0)),
            ("messages_ready", json!(0)),
            ("messages_unacknowledged", json!(0)),
            ("consumers", json!(0)),
            ("consumer_utilisation", json!(0.0)),
            ("policy", Value::Null),
            ("operator_policy", Value::Null),
            ("effective_policy_definition", json!({})),
            ("consumer_details", json!([])),
            ("members", json!([shown["node"]])),
            ("leader", shown["node"].clone()),
        ] {
            assert_eq!(shown[key], expected, "{key}");
        }
        let text = "inequivalent arg 'durable' for queue 'a?b' in vhost '/': received 'false' but \
                    current is 'true'";
        send(&api, "PUT", "queues/%2F/a%3Fb", "{}").expect(400, &bad(text));
        send(&api, "DELETE", "queues/%2F/a%3Fb", "").expect(204, "");
        send(&api, "DELETE", "queues/%2F/a%3Fb", "").expect(404, NOT_FOUND);
        api.get("guest", "/api/queues/%2F/a%3Fb").expect(404, NOT_FOUND);
    }

    #[test]
    fn what_cannot_be_declared_is_refused() {
        let api = start();
        let wrong = "invalid arg 'x-max-length' for queue 'q' in vhost '/': \"expected integer, got \
                     longstr\"";
        let transient = "invalid property 'non-durable' for queue 'q' in vhost '/'";
        for (path, body, status, answer) in [
            ("%2F/q", r#"{"arguments":{"x-max-length":"a"}}"#, 400, bad(wrong)),
            ("%2F/q", r#"{"arguments":{"x-queue-type":"quorum"}}"#, 400, bad(transient)),
            ("%2F/q", r#"{"durable":1}"#, 400, bad("not_boolean: 1")),
            ("%2F/amq.q", "{}", 401, REFUSED.to_owned()),
            ("wood/q", "{}", 404, NO_VHOST.to_owned()),
        ] {
            send(&api, "PUT", &format!("queues/{path}"), body).expect(status, &answer);
        }
        assert_eq!(get(&api, "queues"), json!([]));
    }

    #[test]
    fn policies_that_apply_are_shown() {
        let api = start();
        send(&api, "PUT", "queues/%2F/q", "{}").expect(201, "");
        let policy = r#"{"pattern":"","definition":{"max-length":5},"apply-to":"queues"}"#;
        send(&api, "PUT", "policies/%2F/p", policy).expect(201, "");
        let operator = r#"{"pattern":"","definition":{"max-length":3},"apply-to":"queues"}"#;
        send(&api, "PUT", "operator-policies/%2F/o", operator).expect(201, "");
        let shown = &get(&api, "queues/%2F")[0];
        assert_eq!((&shown["policy"], &shown["operator_policy"]), (&json!("p"), &json!("o")));
        assert_eq!(shown["effective_policy_definition"], json!({"max-length": 3}));
    }

    #[test]
    fn less_is_shown_where_less_is_wanted() {
        let api = start();
        send(&api, "PUT", "queues/%2F/q", "{}").expect(201, "");
        let keys = |query: &str| {
            let shown = get(&api, &format!("queues?{query}"));
            shown[0].as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
        };
        let declared = "arguments auto_delete durable exclusive name node state type vhost";
        assert_eq!(keys("disable_stats=true"), declared);
        let totals = "arguments auto_delete durable exclusive messages messages_ready \
                      messages_unacknowledged name node state type vhost";
        assert_eq!(keys("disable_stats=true&enable_queue_totals=true"), totals);
        assert!(keys("").contains("consumers") && keys("").contains("messages_ready"));
    }

    #[test]
    fn actions_are_for_administrators_and_do_nothing() {
        let api = start();
        send(&api, "PUT", "queues/%2F/q", "{}").expect(201, "");
        for (body, status, answer) in [
            (r#"{"action":"sync"}"#, 204, String::new()),
            (r#"{"action":"cancel_sync"}"#, 204, String::new()),
            (r#"{"action":"zz"}"#, 400, bad("unknown: zz")),
            ("{}", 400, bad("[{key_missing,action}]")),
        ] {
            send(&api, "POST", "queues/%2F/q/actions", body).expect(status, &answer);
        }
        let hare = api.send_body("hare", "POST", "/api/queues/%2F/q/actions", "{}");
        hare.expect(401, r#"{"error":"not_authorised","reason":"Not administrator user"}"#);
        send(&api, "POST", "queues/%2F/none/actions", "{}").expect(404, NOT_FOUND);
    }

    #[test]
    fn permissions_are_those_of_amqp() {
        let api = start();
        send(&api, "PUT", "queues/%2F/mine", "{}").expect(201, "");
        send(&api, "PUT", "queues/%2F/other", "{}").expect(201, "");
        let body = r#"{"configure":"^mine","write":"^mine|^amq\\.default","read":"^mine"}"#;
        send(&api, "PUT", "permissions/%2F/hare", body).expect(204, "");
        let hare = |method: &str, path: &str, body: &str| {
            api.send_body("hare", method, &format!("/api/{path}"), body)
        };
        let publish = r#"{"routing_key":"mine","properties":{},"payload":"x",
                          "payload_encoding":"string"}"#;
        let get = r#"{"count":1,"ackmode":"ack_requeue_true","encoding":"auto"}"#;
        for (method, path, body, status) in [
            ("PUT", "queues/%2F/mine2", "{}", 201),
            ("PUT", "queues/%2F/other2", "{}", 401),
            ("PUT", "exchanges/%2F/mine", "{}", 201),
            ("PUT", "exchanges/%2F/other", "{}", 401),
            ("POST", "exchanges/%2F/mine/publish", publish, 200),
            ("POST", "exchanges/%2F/amq.default/publish", publish, 200),
            ("POST", "exchanges/%2F/amq.fanout/publish", publish, 401),
            ("POST", "queues/%2F/mine/get", get, 200),
            ("POST", "queues/%2F/other/get", get, 401),
            ("POST", "bindings/%2F/e/mine/q/mine", "{}", 201),
            ("POST", "bindings/%2F/e/mine/q/other", "{}", 401),
            ("POST", "bindings/%2F/e/amq.fanout/q/mine", "{}", 401),
            ("DELETE", "bindings/%2F/e/mine/q/mine/~", "", 204),
            ("DELETE", "queues/%2F/mine/contents", "", 204),
            ("DELETE", "queues/%2F/other/contents", "", 401),
            ("DELETE", "queues/%2F/mine", "", 204),
            ("DELETE", "queues/%2F/other", "", 401),
            ("DELETE", "exchanges/%2F/mine", "", 204),
            // A dead letter exchange has to be one that the user may publish to.
            ("PUT", "queues/%2F/mine3", r#"{"arguments":{"x-dead-letter-exchange":"o"}}"#, 401),
            ("PUT", "exchanges/%2F/mine3", r#"{"arguments":{"alternate-exchange":"o"}}"#, 401),
        ] {
            let answer = hare(method, path, body);
            assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
            if status == 401 {
                answer.expect(401, REFUSED);
            }
        }
    }
}

mod bindings {
    use super::*;

    fn prepared() -> Api {
        let api = start();
        send(&api, "PUT", "exchanges/%2F/x", r#"{"type":"topic"}"#).expect(201, "");
        send(&api, "PUT", "queues/%2F/q", "{}").expect(201, "");
        api
    }

    #[test]
    fn location_names_what_was_bound() {
        let api = prepared();
        for (body, location, key) in [
            (r#"{"routing_key":"a b/c~%"}"#, "q/a%2Bb%252Fc%257E%2525", "a+b%2Fc%7E%25"),
            ("{}", "q/~", "~"),
            (r#"{"routing_key":"a.*.#"}"#, "q/a.%252A.%2523", "a.%2A.%23"),
        ] {
            let answer = send(&api, "POST", "bindings/%2F/e/x/q/q", body);
            answer.expect(201, "");
            assert_eq!(answer.header("location"), Some(location));
            let (_, last) = location.split_once('/').unwrap();
            let one = get(&api, &format!("bindings/%2F/e/x/q/q/{last}"));
            assert_eq!(one["properties_key"], key);
        }
        let with = r##"{"routing_key":"#","arguments":{"n":1,"t":"x"}}"##;
        let answer = send(&api, "POST", "bindings/%2F/e/x/q/q", with);
        let location = answer.header("location").unwrap();
        assert!(location.starts_with("q/%2523~") && location.len() == "q/%2523~".len() + 6);
        let shown = get(&api, &format!("bindings/%2F/e/x/q/{location}"));
        let expected = json!({
            "source": "x", "vhost": "/", "destination": "q", "destination_type": "queue",
            "routing_key": "#", "arguments": {"n": 1, "t": "x"},
            "properties_key": shown["properties_key"],
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn are_listed_with_those_that_every_queue_has() {
        let api = prepared();
        send(&api, "POST", "bindings/%2F/e/x/q/q", r#"{"routing_key":"k"}"#).expect(201, "");
        send(&api, "POST", "bindings/%2F/e/x/e/amq.fanout", "{}").expect(201, "");
        let ends = |path: &str| {
            let all = get(&api, path);
            let end = |item: &Value| {
                let text = |key: &str| item[key].as_str().unwrap().to_owned();
                format!("{}>{} {}", text("source"), text("destination"), text("properties_key"))
            };
            all.as_array().unwrap().iter().map(end).collect::<Vec<_>>()
        };
        for path in ["bindings", "bindings/%2F"] {
            assert_eq!(ends(path), [">q q", "x>amq.fanout ~", "x>q k"]);
        }
        assert_eq!(ends("queues/%2F/q/bindings"), [">q q", "x>q k"]);
        assert_eq!(ends("bindings/%2F/e/x/q/q"), ["x>q k"]);
        assert_eq!(ends("bindings/%2F/e/amq.default/q/q"), [">q q"]);
        assert_eq!(ends("bindings/%2F/e/x/e/amq.fanout"), ["x>amq.fanout ~"]);
        assert_eq!(ends("exchanges/%2F/x/bindings/source"), ["x>amq.fanout ~", "x>q k"]);
        assert_eq!(ends("exchanges/%2F/amq.default/bindings/source"), [">q q"]);
        assert!(ends("bindings/%2F/e/x/q/none").is_empty() && ends("bindings/field").is_empty());
    }

    #[test]
    fn delete_takes_the_one_that_is_named() {
        let api = prepared();
        for body in [r#"{"routing_key":"k"}"#, r#"{"routing_key":"k","arguments":{"a":1}}"#, "{}"] {
            send(&api, "POST", "bindings/%2F/e/x/q/q", body).expect(201, "");
        }
        send(&api, "DELETE", "bindings/%2F/e/x/q/q/k", "").expect(204, "");
        send(&api, "DELETE", "bindings/%2F/e/x/q/q/k", "").expect(404, NOT_FOUND);
        let left = get(&api, "bindings/%2F/e/x/q/q");
        let keys: Vec<&str> = left
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["properties_key"].as_str().unwrap())
            .collect();
        assert!(keys.len() == 2 && keys[0] == "~" && keys[1].starts_with("k~"), "{keys:?}");
        send(&api, "DELETE", "bindings/%2F/e/amq.default/q/q/q", "").expect(401, REFUSED);
        send(&api, "DELETE", "bindings/%2F/e/x/z/q/k", "").expect(404, NOT_FOUND);
    }

    #[test]
    fn ends_have_to_be_there() {
        let api = prepared();
        for (path, status, answer) in [
            ("%2F/e/x/q/none", 404, missing("no queue 'none' in vhost '/'")),
            ("%2F/e/none/q/q", 404, missing("no exchange 'none' in vhost '/'")),
            ("%2F/e/x/e/none", 404, missing("no exchange 'none' in vhost '/'")),
            ("%2F/e/amq.default/q/q", 401, REFUSED.to_owned()),
            ("%2F/e/x/e/amq.default", 401, REFUSED.to_owned()),
            ("wood/e/x/q/q", 404, NO_VHOST.to_owned()),
        ] {
            send(&api, "POST", &format!("bindings/{path}"), "{}").expect(status, &answer);
        }
    }
}
