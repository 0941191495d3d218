//! Parameters, and what there is one answer to.

use serde_json::{Value, json};

use super::NOT_FOUND;
use super::api::{Answer, Api, start};

fn send(api: &Api, user: &str, method: &str, path: &str, body: &str) -> Answer {
    api.send_body(user, method, &format!("/api/{path}"), body)
}

fn get(api: &Api, path: &str) -> Value {
    let answer = api.get("guest", &format!("/api/{path}"));
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

fn bad(reason: &str) -> String {
    json!({ "error": "bad_request", "reason": reason }).to_string()
}

#[test]
fn parameters_are_put_shown_and_deleted() {
    let api = start();
    let one = "parameters/shovel/%2F/my%2Fshovel";
    let body = r#"{"value":{"src-uri":"amqp://","n":[1,null]},"vhost":"/","component":"shovel"}"#;
    send(&api, "guest", "PUT", one, body).expect(201, "");
    send(&api, "guest", "PUT", one, body).expect(204, "");
    let shown = json!({
        "value": {"src-uri": "amqp://", "n": [1, null]}, "vhost": "/", "component": "shovel",
        "name": "my/shovel",
    });
    assert_eq!(get(&api, one), shown);
    for list in ["parameters", "parameters/shovel", "parameters/shovel/%2F"] {
        assert_eq!(get(&api, list), json!([shown]), "{list}");
    }
    assert_eq!(get(&api, "parameters/shovel/field"), json!([]));
    assert_eq!(get(&api, "parameters/none"), json!([]));
    send(&api, "guest", "DELETE", one, "").expect(204, "");
    send(&api, "guest", "DELETE", one, "").expect(404, NOT_FOUND);
    let unknown = bad("Validation failed\n\ncomponent zz not found\n");
    send(&api, "guest", "PUT", "parameters/zz/%2F/x", body).expect(400, &unknown);
    send(&api, "guest", "PUT", one, "{}").expect(400, &bad("[{key_missing,value}]"));
    send(&api, "guest", "PUT", "parameters/shovel/wood/x", body).expect(404, NOT_FOUND);
}

#[test]
fn limits_of_a_vhost_are_a_parameter() {
    let api = start();
    let one = "parameters/vhost-limits/%2F/limits";
    send(&api, "guest", "PUT", one, r#"{"value":{"max-queues":5}}"#).expect(201, "");
    assert_eq!(get(&api, "vhost-limits"), json!([{"vhost": "/", "value": {"max-queues": 5}}]));
    assert_eq!(get(&api, one)["value"], json!({"max-queues": 5}));
    send(&api, "guest", "PUT", one, r#"{"value":{"max-connections":1}}"#).expect(204, "");
    assert_eq!(get(&api, one)["value"], json!({"max-connections": 1}));
    send(&api, "guest", "DELETE", one, "").expect(204, "");
    send(&api, "guest", "DELETE", one, "").expect(404, NOT_FOUND);
    assert_eq!(get(&api, "vhost-limits"), json!([]));
}

#[test]
fn global_parameters_have_a_name_and_any_value() {
    let api = start();
    let body = r#"{"value":[1,{"a":null}],"name":"nonsense"}"#;
    send(&api, "guest", "PUT", "global-parameters/x", body).expect(201, "");
    send(&api, "guest", "PUT", "global-parameters/x", body).expect(204, "");
    let shown = json!({"name": "x", "value": [1, {"a": null}]});
    assert_eq!(get(&api, "global-parameters/x"), shown);
    assert_eq!(get(&api, "global-parameters"), json!([shown]));
    send(&api, "guest", "PUT", "global-parameters/x", "{}")
        .expect(400, &bad("[{key_missing,value}]"));
    send(&api, "guest", "DELETE", "global-parameters/x", "").expect(204, "");
    send(&api, "guest", "DELETE", "global-parameters/x", "").expect(404, NOT_FOUND);
    api.get("guest", "/api/global-parameters/x").expect(404, NOT_FOUND);
}

#[test]
fn cluster_has_the_name_that_it_is_given() {
    let api = start();
    let name = get(&api, "cluster-name")["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("rabbit@"), "{name}");
    send(&api, "guest", "PUT", "cluster-name", r#"{"name":"häsin"}"#).expect(204, "");
    api.get("hare", "/api/cluster-name").expect(200, r#"{"name":"häsin"}"#);
    send(&api, "guest", "PUT", "cluster-name", "{}").expect(400, &bad("[{key_missing,name}]"));
    assert_eq!(send(&api, "hare", "PUT", "cluster-name", r#"{"name":"x"}"#).status, 401);
}

#[test]
fn who_may_change_policies_may_change_parameters() {
    let api = start();
    let body = r#"{"value":{}}"#;
    for (user, path, status) in [
        ("wolf", "parameters/shovel/%2F/x", 201),
        ("wolf", "parameters/shovel/field/x", 401),
        ("wolf", "parameters/vhost-limits/%2F/limits", 401),
        ("wolf", "global-parameters/x", 201),
        ("hare", "parameters/shovel/%2F/x", 401),
        ("owl", "parameters/shovel/field/x", 401),
        ("hare", "global-parameters/x", 401),
    ] {
        assert_eq!(send(&api, user, "PUT", path, body).status, status, "{user} {path}");
    }
    assert_eq!(api.get("hare", "/api/parameters").status, 401);
    assert_eq!(api.get("wolf", "/api/parameters").json().as_array().unwrap().len(), 1);
    assert_eq!(api.get("fox", "/api/parameters").json(), json!([]));
}

#[test]
fn one_answer_is_enough_for_some_questions() {
    let api = start();
    let node = get(&api, "vhosts/%2F")["cluster_state"]
        .as_object()
        .unwrap()
        .keys()
        .next()
        .unwrap()
        .clone();
    for (method, path, status, body) in [
        ("GET", "deprecated-features".to_owned(), 200, "[]"),
        ("GET", "deprecated-features/used".to_owned(), 200, "[]"),
        ("GET", "shovels".to_owned(), 200, "[]"),
        ("GET", "shovels/%2F".to_owned(), 200, "[]"),
        ("GET", "shovels/wood".to_owned(), 404, NOT_FOUND),
        ("GET", "shovels/%2F/x".to_owned(), 404, NOT_FOUND),
        ("GET", "federation-links".to_owned(), 200, "[]"),
        ("GET", "federation-links/%2F".to_owned(), 200, "[]"),
        ("GET", "stream/connections".to_owned(), 200, "[]"),
        ("GET", "stream/connections/%2F".to_owned(), 200, "[]"),
        ("GET", "stream/connections/wood".to_owned(), 404, NOT_FOUND),
        ("GET", "stream/connections/%2F/x".to_owned(), 404, NOT_FOUND),
        ("GET", "stream/consumers".to_owned(), 200, "[]"),
        ("GET", "stream/consumers/%2F".to_owned(), 200, "[]"),
        ("GET", "stream/publishers".to_owned(), 200, "[]"),
        ("GET", "stream/publishers/%2F".to_owned(), 200, "[]"),
        ("PUT", "queues/%2F/rivulet".to_owned(), 201, ""),
        ("GET", "stream/publishers/%2F/rivulet".to_owned(), 200, "[]"),
        ("GET", "stream/publishers/%2F/none".to_owned(), 404, NOT_FOUND),
        ("POST", "rebalance/queues".to_owned(), 204, ""),
        ("DELETE", "reset".to_owned(), 204, ""),
        ("DELETE", format!("reset/{node}"), 204, ""),
        ("DELETE", "reset/rabbit@none".to_owned(), 404, NOT_FOUND),
        ("GET", "healthchecks/node".to_owned(), 200, r#"{"status":"ok"}"#),
        ("GET", format!("healthchecks/node/{node}"), 200, r#"{"status":"ok"}"#),
        ("GET", "healthchecks/node/rabbit@none".to_owned(), 404, NOT_FOUND),
        ("PUT", "feature-flags/quorum_queue/enable".to_owned(), 204, ""),
        ("POST", format!("vhosts/%2F/start/{node}"), 204, ""),
    ] {
        send(&api, "guest", method, &path, "").expect(status, body);
    }
    for flag in get(&api, "feature-flags").as_array().unwrap() {
        for key in ["name", "desc", "doc_url", "state", "stability", "provided_by"] {
            assert!(flag[key].is_string(), "{flag}");
        }
    }
    assert_eq!(send(&api, "guest", "PUT", "feature-flags/zz/enable", "").status, 400);
    for path in ["shovels", "federation-links"] {
        assert_eq!(api.get("hare", &format!("/api/{path}")).status, 401);
        assert_eq!(api.get("owl", &format!("/api/{path}")).status, 200);
    }
    for path in ["rebalance/queues", "feature-flags/quorum_queue/enable"] {
        let method = if path.starts_with('r') { "POST" } else { "PUT" };
        assert_eq!(send(&api, "owl", method, path, "").status, 401, "{path}");
    }
}

#[test]
fn hash_of_a_password_fits_it() {
    let api = start();
    let hash = get(&api, "auth/hash_password/s3cret")["ok"].as_str().unwrap().to_owned();
    let body = json!({ "tags": "management", "password_hash": hash }).to_string();
    send(&api, "guest", "PUT", "users/new", &body).expect(201, "");
    let login = super::api::basic("new", "s3cret");
    assert_eq!(api.ask("GET", "/api/whoami", &[&login]).status, 200);
    let other = send(&api, "guest", "PUT", "auth/hash_password", r#"{"password":"x"}"#).json();
    assert_eq!(other["password_hash"].as_str().unwrap().len(), 48);
    assert_eq!(api.get("hare", "/api/auth/hash_password/x").status, 401);
}
