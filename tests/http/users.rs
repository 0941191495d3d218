//! `/api/users`, `/api/vhosts`, `/api/permissions`, `/api/topic-permissions` and the limits.

use leveret::broker::{Client, Connected};
use leveret::delivery::Outbox;
use leveret::queue::ConnectionId;
use serde_json::{Value, json};

use super::api::{Answer, Api, start};
use super::{LOGIN_FAILED, NOT_FOUND};

/// RabbitMQ takes it for `s3cret`.
const SHA512: &str =
    "yv66vrnHreJGUY7wtTFvXXqELtbwo6zRoowacVh+Tr4DI4KgG6oLbPsZ4m/TY32QR2MwFdjjsObZ5jce4WEs8l6jVb4=";

const ALL: &str = r#"{"configure":".*","write":".*","read":".*"}"#;

fn bad(reason: &str) -> String {
    json!({ "error": "bad_request", "reason": reason }).to_string()
}

fn send(api: &Api, method: &str, path: &str, body: &str) -> Answer {
    api.send_body("guest", method, &format!("/api/{path}"), body)
}

fn put(api: &Api, path: &str, body: &str) -> Answer {
    send(api, "PUT", path, body)
}

fn delete(api: &Api, path: &str) -> Answer {
    send(api, "DELETE", path, "")
}

#[track_caller]
fn get(api: &Api, path: &str) -> Value {
    let answer = api.get("guest", &format!("/api/{path}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[track_caller]
fn names(api: &Api, path: &str, key: &str) -> Vec<String> {
    let list = get(api, path);
    list.as_array().unwrap().iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
}

/// A connection that only waits to be told that it is over.
fn connect(api: &Api, user: &str, vhost: &str) -> (ConnectionId, std::sync::Arc<Outbox>) {
    let (id, outbox) = (api.broker.next_connection_id(), std::sync::Arc::new(Outbox::new(0)));
    let shared = std::sync::Arc::clone(&outbox);
    let connected =
        Connected::new(vhost.into(), user.into(), shared, Default::default(), Client::default());
    api.broker.connect(id, connected, None).unwrap();
    (id, outbox)
}

fn told(outbox: &Outbox) -> String {
    let mut entries = Vec::new();
    outbox.take(&mut entries, &mut Vec::new());
    format!("{entries:?}")
}

#[test]
fn user_is_made_changed_and_deleted() {
    let api = start();
    let whoami = |password: &str| {
        let credentials = super::basic("new/one", password);
        api.ask("GET", "/api/whoami", &[&credentials])
    };
    put(&api, "users/new%2Fone", r#"{"password":"s3cret","tags":"management, on-call,"}"#)
        .expect(201, "");
    whoami("s3cret").expect(200, r#"{"name":"new/one","tags":["management","on-call"]}"#);
    let shown = get(&api, "users/new%2Fone");
    assert_eq!(shown["name"], "new/one");
    assert_eq!(shown["tags"], json!(["management", "on-call"]));
    assert_eq!(shown["hashing_algorithm"], "rabbit_password_hashing_sha256");
    assert_eq!(shown["password_hash"].as_str().unwrap().len(), 48);
    assert_eq!(shown["limits"], json!({}));
    assert!(get(&api, "users").as_array().unwrap().contains(&shown));

    let hashed = json!({
        "password_hash": SHA512, "hashing_algorithm": "rabbit_password_hashing_sha512",
        "tags": ["monitoring"], "name": "ignored",
    });
    put(&api, "users/new%2Fone", &hashed.to_string()).expect(204, "");
    whoami("s3cret").expect(200, r#"{"name":"new/one","tags":["monitoring"]}"#);
    assert_eq!(get(&api, "users/new%2Fone")["password_hash"], SHA512);

    // Without a password nobody can log in.
    for body in [r#"{"tags":"management"}"#, r#"{"tags":"management","password_hash":""}"#] {
        put(&api, "users/new%2Fone", body).expect(204, "");
        assert_eq!(get(&api, "users/new%2Fone")["password_hash"], "");
        whoami("").expect(401, LOGIN_FAILED);
    }
    put(&api, "users/new%2Fone", r#"{"tags":"management","password":""}"#).expect(204, "");
    whoami("").expect(401, LOGIN_FAILED);

    delete(&api, "users/new%2Fone").expect(204, "");
    delete(&api, "users/new%2Fone").expect(404, NOT_FOUND);
    api.get("guest", "/api/users/new%2Fone").expect(404, NOT_FOUND);
    whoami("s3cret").expect(401, LOGIN_FAILED);
}

#[test]
fn bad_users_are_refused_in_rabbitmqs_words() {
    let api = start();
    let before = names(&api, "users", "name");
    let long = format!("users/{}", "x".repeat(256));
    for (path, body, reason) in [
        ("users/u", "{}", "tags_not_present"),
        ("users/u", "", "tags_not_present"),
        ("users/u", "[]", "not_json"),
        ("users/u", "{", "not_json"),
        ("users/u", r#""{}""#, "not_json"),
        (
            "users/u",
            r#"{"tags":"","password":"a","password_hash":"b"}"#,
            "both_password_and_password_hash_are_provided",
        ),
        (
            "users/u",
            r#"{"tags":"","password_hash":"???"}"#,
            "a password hash is base64 of 36 bytes, or empty",
        ),
        (
            "users/u",
            r#"{"tags":"","password_hash":"","hashing_algorithm":"rot13"}"#,
            "unknown hashing algorithm 'rot13'",
        ),
        ("users/u", r#"{"tags":[1]}"#, "'tags' must be strings, or one with commas"),
        ("users/u", r#"{"tags":"","password":1}"#, "'password' must be a string"),
        (&long, r#"{"tags":""}"#, "the name is longer than 255 bytes"),
    ] {
        put(&api, path, body).expect(400, &bad(reason));
    }
    assert_eq!(names(&api, "users", "name"), before);
}

#[test]
fn several_users_are_deleted_at_once_or_none() {
    let api = start();
    let bulk = |users: Value| {
        let body = json!({ "users": users }).to_string();
        send(&api, "POST", "users/bulk-delete", &body)
    };
    let before = names(&api, "users", "name");
    bulk(json!(["hare", "nobody"])).expect(400, &bad("no_such_user"));
    assert_eq!(names(&api, "users", "name"), before);
    send(&api, "POST", "users/bulk-delete", "{}").expect(400, &bad("[{key_missing,users}]"));
    bulk(json!(["hare", "fox", "hare"])).expect(204, "");
    assert_eq!(names(&api, "users", "name"), ["guest", "mouse", "owl", "wolf"]);
    assert_eq!(names(&api, "users/without-permissions", "name"), [""; 0]);
    put(&api, "users/fox", r#"{"tags":""}"#).expect(201, "");
    assert_eq!(names(&api, "users/without-permissions", "name"), ["fox"]);
}

#[test]
fn connections_of_a_deleted_user_are_ended() {
    let api = start();
    let (hare, owl) = (connect(&api, "hare", "/").1, connect(&api, "owl", "/").1);
    // Another password or other tags end nothing.
    put(&api, "users/hare", r#"{"tags":"","password":"x"}"#).expect(204, "");
    delete(&api, "permissions/%2F/hare").expect(204, "");
    assert_eq!(told(&hare), "[]");
    delete(&api, "users/hare").expect(204, "");
    assert_eq!(told(&hare), r#"[Shutdown("user 'hare' is deleted")]"#);
    assert_eq!(told(&owl), "[]");
}

#[test]
fn permission_is_given_shown_and_taken() {
    let api = start();
    put(&api, "permissions/field/fox", r#"{"configure":"","write":"^a","read":".*"}"#)
        .expect(201, "");
    let shown =
        json!({"user": "fox", "vhost": "field", "configure": "", "write": "^a", "read": ".*"});
    assert_eq!(get(&api, "permissions/field/fox"), shown);
    assert_eq!(get(&api, "users/fox/permissions"), json!([shown]));
    assert_eq!(names(&api, "vhosts/field/permissions", "user"), ["fox", "owl"]);
    assert_eq!(get(&api, "permissions").as_array().unwrap().len(), 6);
    api.get("fox", "/api/aliveness-test/field").expect(200, r#"{"status":"ok"}"#);
    put(&api, "permissions/field/fox", ALL).expect(204, "");
    delete(&api, "permissions/field/fox").expect(204, "");
    delete(&api, "permissions/field/fox").expect(404, NOT_FOUND);
    api.get("guest", "/api/permissions/field/fox").expect(404, NOT_FOUND);
    assert_eq!(api.get("fox", "/api/aliveness-test/field").status, 401);
    // Deleted users do not leave any behind.
    delete(&api, "users/owl").expect(204, "");
    assert_eq!(get(&api, "vhosts/field/permissions"), json!([]));
    api.get("guest", "/api/users/owl/permissions").expect(404, NOT_FOUND);
}

#[test]
fn bad_permissions_are_refused() {
    let api = start();
    for (path, body, reason) in [
        ("field/fox", r#"{"configure":"","write":""}"#, "[{key_missing,read}]"),
        ("field/fox", "{}", "[{key_missing,configure},{key_missing,write},{key_missing,read}]"),
        ("wood/fox", ALL, "vhost_or_user_not_found"),
        ("field/nobody", ALL, "vhost_or_user_not_found"),
        (
            "field/fox",
            r#"{"configure":"(","write":"","read":""}"#,
            "invalid regular expression '(': unclosed group",
        ),
        (
            "field/fox",
            r#"{"configure":"","write":"((a{1000}){1000}){1000}","read":""}"#,
            "invalid regular expression '((a{1000}){1000}){1000}': it is too large when compiled",
        ),
        ("field/fox", r#"{"configure":1,"write":"","read":""}"#, "'configure' must be a string"),
    ] {
        put(&api, &format!("permissions/{path}"), body).expect(400, &bad(reason));
    }
    api.get("guest", "/api/permissions/field/fox").expect(404, NOT_FOUND);
}

#[test]
fn topic_permissions_are_kept_by_exchange() {
    let api = start();
    let body = |exchange: &str| json!({"exchange": exchange, "write": "^{username}", "read": ""});
    for (exchange, status) in [("amq.topic", 201), ("t/u", 201), ("amq.topic", 204)] {
        put(&api, "topic-permissions/%2F/hare", &body(exchange).to_string()).expect(status, "");
    }
    let shown = |exchange: &str| json!({"user": "hare", "vhost": "/", "exchange": exchange, "write": "^{username}", "read": ""});
    let both = json!([shown("amq.topic"), shown("t/u")]);
    for path in [
        "topic-permissions",
        "topic-permissions/%2F/hare",
        "users/hare/topic-permissions",
        "vhosts/%2F/topic-permissions",
    ] {
        assert_eq!(get(&api, path), both, "{path}");
    }
    assert_eq!(get(&api, "topic-permissions/%2F/hare/t%2Fu"), json!([shown("t/u")]));
    delete(&api, "topic-permissions/%2F/hare/t%2Fu").expect(204, "");
    delete(&api, "topic-permissions/%2F/hare/t%2Fu").expect(404, NOT_FOUND);
    assert_eq!(get(&api, "topic-permissions"), json!([shown("amq.topic")]));
    delete(&api, "topic-permissions/%2F/hare").expect(204, "");
    delete(&api, "topic-permissions/%2F/hare").expect(404, NOT_FOUND);
    api.get("guest", "/api/topic-permissions/%2F/hare").expect(404, NOT_FOUND);
    put(&api, "topic-permissions/%2F/hare", r#"{"write":"","read":""}"#)
        .expect(400, &bad("[{key_missing,exchange}]"));
    put(&api, "topic-permissions/wood/hare", &body("x").to_string())
        .expect(400, &bad("vhost_or_user_not_found"));
}

#[test]
fn vhost_is_made_changed_and_deleted() {
    let api = start();
    let body = r#"{"description":"Häsin","tags":"a,b","tracing":"false"}"#;
    put(&api, "vhosts/new%2Fone", body).expect(201, "");
    let shown = get(&api, "vhosts/new%2Fone");
    for (key, expected) in [
        ("name", json!("new/one")),
        ("description", json!("Häsin")),
        ("tags", json!(["a", "b"])),
        ("tracing", json!(false)),
        ("metadata", json!({"description": "Häsin", "tags": ["a", "b"]})),
    ] {
        assert_eq!(shown[key], expected, "{key}");
    }
    // Who makes it may do everything in it.
    assert_eq!(get(&api, "permissions/new%2Fone/guest")["configure"], ".*");
    put(&api, "permissions/new%2Fone/guest", ALL).expect(204, "");
    put(&api, "vhosts/new%2Fone", "").expect(204, "");
    assert_eq!(get(&api, "vhosts/new%2Fone")["description"], "Häsin", "what is not said stays");
    for (given, shown, stored) in [
        ("quorum", "quorum", json!("quorum")),
        ("stream", "stream", json!("stream")),
        ("undefined", "classic", json!(null)),
        ("classic", "classic", json!("classic")),
        ("", "classic", json!(null)),
    ] {
        let body = json!({ "default_queue_type": given }).to_string();
        put(&api, "vhosts/new%2Fone", &body).expect(204, "");
        let vhost = get(&api, "vhosts/new%2Fone");
        assert_eq!(vhost["default_queue_type"], shown, "{given}");
        assert_eq!(vhost["metadata"]["default_queue_type"], stored, "{given}");
    }
    put(&api, "vhosts/new%2Fone", r#"{"tags":[]}"#).expect(204, "");
    assert_eq!(get(&api, "vhosts/new%2Fone")["tags"], json!([]));
    assert_eq!(names(&api, "vhosts", "name"), ["/", "field", "new/one"]);

    let (in_it, elsewhere) = (connect(&api, "guest", "new/one").1, connect(&api, "guest", "/").1);
    delete(&api, "vhosts/new%2Fone").expect(204, "");
    assert_eq!(told(&in_it), r#"[Shutdown("vhost 'new/one' is deleted")]"#);
    assert_eq!(told(&elsewhere), "[]");
    delete(&api, "vhosts/new%2Fone").expect(404, NOT_FOUND);
    api.get("guest", "/api/permissions/new%2Fone/guest").expect(404, NOT_FOUND);

    for (body, reason) in [
        (r#"{"default_queue_type":"elk"}"#, "Unsupported default queue type 'elk'"),
        (r#"{"tracing":true}"#, "tracing is not available in this version"),
        (r#"{"description":1}"#, "'description' must be a string"),
        ("7", "not_json"),
    ] {
        put(&api, "vhosts/v", body).expect(400, &bad(reason));
    }
    assert_eq!(names(&api, "vhosts", "name"), ["/", "field"]);
}

#[test]
fn vhosts_are_listed_for_those_who_may_enter() {
    let api = start();
    for (user, expected) in [("guest", vec!["/", "field"]), ("hare", vec!["/"]), ("fox", vec![])] {
        let list = api.get(user, "/api/vhosts").json();
        let names: Vec<_> = list.as_array().unwrap().iter().map(|v| v["name"].as_str()).collect();
        assert_eq!(names, expected.into_iter().map(Some).collect::<Vec<_>>(), "{user}");
    }
}

#[test]
fn limits_are_set_shown_and_lifted() {
    let api = start();
    put(&api, "vhost-limits/field/max-queues", r#"{"value":"5"}"#).expect(204, "");
    put(&api, "vhost-limits/field/max-connections", r#"{"value":0}"#).expect(204, "");
    let shown = json!([{"vhost": "field", "value": {"max-connections": 0, "max-queues": 5}}]);
    assert_eq!(get(&api, "vhost-limits"), shown);
    assert_eq!(get(&api, "vhost-limits/field"), shown);
    assert_eq!(get(&api, "vhost-limits/%2F"), json!([]));
    assert_eq!(api.get("owl", "/api/vhost-limits").json(), shown);
    api.get("hare", "/api/vhost-limits").expect(200, "[]");
    put(&api, "vhosts/field", r#"{"description":"d"}"#).expect(204, "");
    assert_eq!(get(&api, "vhost-limits"), shown);
    put(&api, "vhost-limits/field/max-queues", r#"{"value":-1}"#).expect(204, "");
    delete(&api, "vhost-limits/field/max-connections").expect(204, "");
    delete(&api, "vhost-limits/field/max-connections").expect(204, "");
    assert_eq!(get(&api, "vhost-limits"), json!([]));

    // The rates are leveret's own.
    for (kind, name, own) in [("vhost", "field", "max-queues"), ("user", "hare", "max-channels")] {
        let mut limits = serde_json::Map::new();
        for limit in ["max-connections", own, "max-connection-rate", "max-message-rate"] {
            let path = format!("{kind}-limits/{name}/{limit}");
            put(&api, &path, r#"{"value":4294967296}"#)
                .expect(400, &bad("a limit is an integer below 2^32"));
            put(&api, &path, r#"{"value":4294967295}"#).expect(204, "");
            limits.insert(limit.to_owned(), json!(u32::MAX));
        }
        let path = format!("{kind}-limits/{name}");
        assert_eq!(get(&api, &path), json!([{ kind: name, "value": limits }]));
        for limit in limits.keys() {
            delete(&api, &format!("{path}/{limit}")).expect(204, "");
        }
        assert_eq!(get(&api, &path), json!([]));
    }

    put(&api, "user-limits/hare/max-connections", r#"{"value":7}"#).expect(204, "");
    let shown = json!([{"user": "hare", "value": {"max-connections": 7}}]);
    assert_eq!(get(&api, "user-limits"), shown);
    assert_eq!(api.get("hare", "/api/user-limits/hare").json(), shown);
    assert_eq!(api.get("hare", "/api/user-limits/owl").status, 401);
    put(&api, "users/hare", r#"{"tags":"management","password":"hare"}"#).expect(204, "");
    assert_eq!(get(&api, "users/hare")["limits"], json!({"max-connections": 7}));
    delete(&api, "user-limits/hare/max-connections").expect(204, "");
    assert_eq!(get(&api, "user-limits/hare"), json!([]));

    for (path, reason) in [
        (
            "vhost-limits/field/max-channels",
            "Validation failed\n\nUnrecognised terms [{<<\"max-channels\">>,100}] in limits\n",
        ),
        (
            "user-limits/hare/max-queues",
            "Unrecognised terms [{<<\"max-queues\">>,100}] in user-limits",
        ),
    ] {
        put(&api, path, r#"{"value":100}"#).expect(400, &bad(reason));
    }
    for path in ["vhost-limits/field/max-queues", "user-limits/hare/max-connections"] {
        put(&api, path, r#"{"value":"many"}"#)
            .expect(400, &bad("a limit is an integer below 2^32"));
        put(&api, path, "{}").expect(400, &bad("[{key_missing,value}]"));
    }
    put(&api, "vhost-limits/wood/max-queues", r#"{"value":1}"#).expect(404, NOT_FOUND);
}

/// Lists of vhosts apart, all this is for administrators.
#[test]
fn others_than_administrators_are_refused() {
    let api = start();
    let refused = r#"{"error":"not_authorised","reason":"Not administrator user"}"#;
    let paths = [
        "users",
        "users/without-permissions",
        "users/owl",
        "users/owl/permissions",
        "users/owl/topic-permissions",
        "vhosts/%2F",
        "vhosts/%2F/permissions",
        "vhosts/%2F/topic-permissions",
        "permissions",
        "permissions/%2F/hare",
        "topic-permissions",
        "topic-permissions/%2F/hare",
        "topic-permissions/%2F/hare/x",
        "user-limits",
    ];
    for user in ["hare", "wolf", "owl"] {
        for path in paths {
            api.get(user, &format!("/api/{path}")).expect(401, refused);
        }
        for path in [
            "users/owl",
            "vhosts/field",
            "permissions/%2F/hare",
            "topic-permissions/%2F/hare",
            "vhost-limits/%2F/max-queues",
            "user-limits/hare/max-connections",
        ] {
            for method in ["PUT", "DELETE"] {
                let path = format!("/api/{path}");
                api.send_body(user, method, &path, r#"{"tags":"administrator"}"#)
                    .expect(401, refused);
            }
        }
        api.send_body(user, "POST", "/api/users/bulk-delete", r#"{"users":["guest"]}"#)
            .expect(401, refused);
    }
    assert_eq!(api.get("", "/api/users").status, 401);
    assert_eq!(api.get("mouse", "/api/users").status, 401);
}

#[test]
fn protected_vhost_is_not_deleted() {
    let api = start();
    let path = "/api/vhosts/field";
    let protection = "/api/vhosts/field/deletion/protection";
    assert_eq!(api.send_body("hare", "POST", protection, "").status, 401);
    assert_eq!(
        api.send_body("guest", "POST", "/api/vhosts/none/deletion/protection", "").status,
        404
    );
    assert_eq!(api.send_body("guest", "POST", protection, "").status, 204);
    let shown = api.get("guest", path).json();
    assert_eq!(shown["protected_from_deletion"], true);
    assert_eq!(shown["metadata"]["protected_from_deletion"], true);
    let refused = api.send_body("guest", "DELETE", path, "");
    assert_eq!((refused.status, &refused.json()["error"]), (412, &"precondition_failed".into()));
    assert!(api.broker.vhost("field").is_some());
    // What is not said stays, and can be said with the rest.
    assert_eq!(api.send_body("guest", "PUT", path, r#"{"description":"x"}"#).status, 204);
    assert_eq!(api.send_body("guest", "DELETE", path, "").status, 412);
    assert_eq!(api.send_body("guest", "DELETE", protection, "").status, 204);
    assert_eq!(api.send_body("guest", "DELETE", path, "").status, 204);
    assert!(api.broker.vhost("field").is_none());
    let body = r#"{"protected_from_deletion":true}"#;
    assert_eq!(api.send_body("guest", "PUT", path, body).status, 201);
    assert_eq!(api.send_body("guest", "DELETE", path, "").status, 412);
}
