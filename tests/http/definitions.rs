//! `/api/definitions`: out of one broker, into another.

use leveret::broker::PolicyScope;
use serde_json::{Value, json};

use super::api::{Answer, Api, basic, start};

/// Small files as people have them.
const CORPUS: [(&str, &str); 4] = [
    ("rabbitmq-3.8", include_str!("definitions/rabbitmq-3.8.json")),
    ("rabbitmq-4.1", include_str!("definitions/rabbitmq-4.1.json")),
    ("lavinmq-2", include_str!("definitions/lavinmq-2.json")),
    ("helm-load-definitions", include_str!("definitions/helm-load-definitions.json")),
];

fn post(api: &Api, user: &str, path: &str, kind: &str, body: &str) -> Answer {
    let length = body.len();
    let credentials = basic(user, user);
    let request = format!(
        "POST /api/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{credentials}\r\n\
         Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    api.send(request.as_bytes())
}

fn import(api: &Api, path: &str, body: &str) -> Answer {
    post(api, "guest", path, "application/json", body)
}

fn export(api: &Api, path: &str) -> Value {
    let answer = api.get("guest", &format!("/api/{path}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn bad(reason: &str) -> String {
    json!({ "error": "bad_request", "reason": reason }).to_string()
}

fn imported(name: &str) -> Api {
    let api = start();
    let (_, body) = CORPUS.iter().find(|(known, _)| *known == name).unwrap();
    import(&api, "definitions", body).expect(204, "");
    // A second time there is nothing to do.
    let once = export(&api, "definitions");
    import(&api, "definitions", body).expect(204, "");
    let mut twice = export(&api, "definitions");
    // Plain passwords are salted anew.
    if name.starts_with("helm") {
        twice["users"] = once["users"].clone();
    }
    assert_eq!(once, twice);
    api
}

/// Everything that the broker says of itself, it takes.
#[test]
fn what_goes_out_comes_in_again() {
    for (name, _) in CORPUS {
        let out = export(&imported(name), "definitions");
        let other = start();
        import(&other, "definitions", &out.to_string()).expect(204, "");
        let again = export(&other, "definitions");
        for key in [
            "users",
            "vhosts",
            "permissions",
            "topic_permissions",
            "parameters",
            "policies",
            "global_parameters",
            "queues",
            "exchanges",
            "bindings",
        ] {
            assert_eq!(again[key], out[key], "{name}: {key}");
        }
    }
}

#[test]
fn files_of_rabbitmq_3_are_taken() {
    let api = imported("rabbitmq-3.8");
    let vhost = api.broker.vhost("shop").unwrap();
    assert_eq!(vhost.policy(PolicyScope::Operator, "cap").unwrap().pattern(), "");
    assert_eq!(vhost.policy(PolicyScope::User, "ha-all").unwrap().priority, 1);
    assert_eq!(
        (vhost.metadata().connections_max, vhost.metadata().queues_max),
        (Some(100), Some(50))
    );
    assert_eq!(vhost.find_queue("votes").unwrap().kind().as_str(), "quorum");
    let parameters = export(&api, "parameters/shovel/shop");
    assert_eq!(parameters[0]["value"]["src-queue"], "a");
    assert_eq!(export(&api, "cluster-name"), json!({"name": "rabbit@old"}));
    // The hash is one of the password.
    let whoami = api.ask("GET", "/api/whoami", &[&basic("shop", "s3cret")]);
    whoami.expect(200, r#"{"name":"shop","tags":["administrator","monitoring"]}"#);
    let topics = export(&api, "topic-permissions/shop/shop");
    assert_eq!(topics[0]["exchange"], "amq.topic");
    // A binding without its queue is left out.
    let bound = export(&api, "exchanges/shop/shop.topic/bindings/source");
    assert_eq!((bound.as_array().unwrap().len(), &bound[0]["destination"]), (1, &json!("orders")));
}

#[test]
fn files_of_rabbitmq_4_are_taken() {
    let api = imported("rabbitmq-4.1");
    let queues = export(&api, "queues/app?columns=name,type&sort=name");
    assert_eq!(
        queues,
        json!([{"name": "app.c", "type": "classic"}, {"name": "app.log", "type": "stream"},
               {"name": "app.q", "type": "quorum"}])
    );
    assert_eq!(export(&api, "user-limits/app")[0]["value"]["max-connections"], 10);
    assert_eq!(export(&api, "vhosts/app")["tags"], json!(["a", "b"]));
    assert_eq!(export(&api, "bindings/app/e/app.x/e/app.y")[0]["routing_key"], "k");
}

#[test]
fn files_of_lavinmq_are_taken() {
    let api = imported("lavinmq-2");
    let whoami = api.ask("GET", "/api/whoami", &[&basic("hops", "s3cret")]);
    assert_eq!(whoami.status, 200);
    assert_eq!(export(&api, "exchanges/hops/hop.x")["type"], "x-consistent-hash");
    assert_eq!(export(&api, "bindings/hops/e/hop.x/q/hop")[0]["routing_key"], "1");
    assert_eq!(export(&api, "parameters/federation-upstream")[0]["name"], "up");
}

#[test]
fn hand_written_files_are_taken() {
    let api = imported("helm-load-definitions");
    let whoami = api.ask("GET", "/api/whoami", &[&basic("worker", "s3cret")]);
    assert_eq!(whoami.json()["tags"], json!(["monitoring"]));
    let task = export(&api, "queues/work/task");
    assert_eq!((&task["durable"], &task["policy"]), (&json!(true), &json!("dlx")));
}

#[test]
fn one_vhost_goes_to_another() {
    let api = imported("rabbitmq-3.8");
    let out = export(&api, "definitions/shop");
    for (key, count) in
        [("parameters", 3), ("policies", 1), ("queues", 2), ("exchanges", 1), ("bindings", 2)]
    {
        let items = out[key].as_array().unwrap();
        assert_eq!(items.len(), count, "{key}");
        assert!(items.iter().all(|item| item.get("vhost").is_none()), "{key}");
    }
    assert!(out.get("users").is_none());
    import(&api, "definitions/field", &out.to_string()).expect(204, "");
    let mut again = export(&api, "definitions/field");
    for key in ["original_vhost_name", "explanation"] {
        again[key] = out[key].clone();
    }
    assert_eq!(again, out);
    api.get("guest", "/api/definitions/none").expect(400, &bad("vhost_not_found"));
    let unknown = r#"{"error":"not_found","reason":"vhost_not_found"}"#;
    import(&api, "definitions/none", "{}").expect(404, unknown);
}

#[test]
fn what_is_there_is_kept_where_it_cannot_change() {
    let api = start();
    let q = |durable: bool| {
        json!({"queues": [{"name": "q", "vhost": "/", "durable": durable, "auto_delete": false,
                           "arguments": {}}]})
        .to_string()
    };
    import(&api, "definitions", &q(true)).expect(204, "");
    import(&api, "definitions", &q(false)).expect(204, "");
    assert_eq!(export(&api, "queues/%2F/q")["durable"], true);
}

/// The first object is good, and is not made.
#[test]
fn nothing_changes_when_something_is_wrong() {
    let api = start();
    let before = export(&api, "definitions");
    let queue = json!({"name": "q", "vhost": "/", "durable": true, "arguments": {}});
    let with = |key: &str, item: Value| {
        json!({"vhosts": [{"name": "new"}], "queues": [queue], key: [item]}).to_string()
    };
    let wrong = "invalid arg 'x-max-length' for queue 'z' in vhost '/': \"expected integer, got \
                 longstr\"";
    let policy = "Validation failed\n\n[{<<\"x\">>,1}] are not recognised policy settings\n (//p)";
    let component = "Validation failed\n\ncomponent zz not found\n";
    for (body, reason) in [
        (with("users", json!({"name": "u"})), "tags_not_present"),
        (with("users", json!({"tags": ""})), "[{key_missing,name}]"),
        (
            with("users", json!({"name": "u", "tags": "", "hashing_algorithm": "x"})),
            "unknown hashing algorithm 'x'",
        ),
        (
            with("users", json!({"name": "u", "tags": "", "password_hash": "x"})),
            "a password hash is base64 of 36 bytes, or empty",
        ),
        (with("permissions", json!({"user": "none", "vhost": "/"})), "no_such_user: none"),
        (with("permissions", json!({"user": "guest", "vhost": "none"})), "no_such_vhost: none"),
        (with("permissions", json!({"user": "guest", "vhost": "/"})), "[{key_missing,configure}]"),
        (
            with(
                "policies",
                json!({"name": "p", "vhost": "/", "pattern": "", "definition": {"x": 1}}),
            ),
            policy,
        ),
        (
            with("parameters", json!({"name": "p", "vhost": "/", "component": "zz", "value": 1})),
            component,
        ),
        (
            with("exchanges", json!({"name": "x", "vhost": "/", "type": "zz"})),
            "unknown exchange type 'zz'",
        ),
        (
            with("queues", json!({"name": "z", "vhost": "/", "arguments": {"x-max-length": "a"}})),
            wrong,
        ),
        (with("queues", json!({"name": "z", "vhost": "none"})), "no_such_vhost: none"),
        (
            with("bindings", json!({"vhost": "/", "source": "a", "destination": "b"})),
            "destination_type: ",
        ),
        (json!({"queues": {}}).to_string(), "'queues' must be a list of objects"),
        (json!({"queues": [7]}).to_string(), "'queues' must be a list of objects"),
        ("[]".to_owned(), "failed_to_parse_json"),
        ("{".to_owned(), "failed_to_parse_json"),
    ] {
        import(&api, "definitions", &body).expect(400, &bad(reason));
    }
    assert_eq!(export(&api, "definitions"), before);
}

#[test]
fn limits_are_looked_at_before_the_first_queue_is_made() {
    let api = start();
    let limit = api.send_body("guest", "PUT", "/api/vhost-limits/%2F/max-queues", r#"{"value":2}"#);
    limit.expect(204, "");
    let queues: Vec<Value> =
        (0..3).map(|number| json!({"name": format!("q{number}"), "vhost": "/"})).collect();
    let body = json!({ "queues": queues }).to_string();
    let reason = "queue limit in vhost '/' (2) would be exceeded";
    import(&api, "definitions", &body).expect(400, &bad(reason));
    assert_eq!(export(&api, "queues"), json!([]));
}

#[test]
fn forms_and_downloads_are_for_browsers() {
    let api = start();
    let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"d.json\"\r\n\r\n\
                {\"queues\":[{\"name\":\"q\",\"vhost\":\"/\"}]}\r\n--b--\r\n";
    let kind = "multipart/form-data; boundary=b";
    post(&api, "guest", "definitions", kind, form).expect(204, "");
    assert!(api.broker.vhost("/").unwrap().find_queue("q").is_some());
    post(&api, "guest", "definitions/upload", kind, form).expect(204, "");
    let none = bad("the form has no field 'file'");
    post(&api, "guest", "definitions", kind, "--b--\r\n").expect(400, &none);
    assert_eq!(post(&api, "guest", "definitions", "text/plain", "{}").status, 415);
    let saved = api.get("guest", "/api/definitions?download=my%22%0a.json");
    assert_eq!(saved.header("content-disposition"), Some("attachment; filename=\"my.json\""));
    assert_eq!(api.get("guest", "/api/all-configuration").json(), export(&api, "definitions"));
}

#[test]
fn definitions_are_for_administrators() {
    let api = start();
    let refused = r#"{"error":"not_authorised","reason":"Not administrator user"}"#;
    for user in ["hare", "wolf", "owl"] {
        api.get(user, "/api/definitions").expect(401, refused);
        api.get(user, "/api/definitions/%2F").expect(401, refused);
        post(&api, user, "definitions", "application/json", "{}").expect(401, refused);
    }
}
