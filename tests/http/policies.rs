//! `/api/policies` and `/api/operator-policies`.

use leveret::broker::{PolicyScope, Vhost};
use leveret::names::QueueName;
use leveret::protocol::FieldTable;
use leveret::queue::{ConnectionId, Declaration, Queue};
use serde_json::{Value, json};

use super::NOT_FOUND;
use super::api::{Answer, Api, start};

const LENGTH: &str = r#"{"pattern":"^q","definition":{"max-length":1}}"#;

fn denied(reason: &str) -> String {
    format!(r#"{{"error":"not_authorised","reason":"{reason}"}}"#)
}

fn bad(reason: &str) -> String {
    json!({ "error": "bad_request", "reason": reason }).to_string()
}

fn put(api: &Api, user: &str, path: &str, body: &str) -> Answer {
    api.send_body(user, "PUT", &format!("/api/{path}"), body)
}

fn delete(api: &Api, user: &str, path: &str) -> Answer {
    api.send_body(user, "DELETE", &format!("/api/{path}"), "")
}

fn names(api: &Api, user: &str, path: &str) -> Vec<String> {
    let answer = api.get(user, &format!("/api/{path}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    let name = |policy: &Value| {
        format!("{} {}", policy["vhost"].as_str().unwrap(), policy["name"].as_str().unwrap())
    };
    answer.json().as_array().unwrap().iter().map(name).collect()
}

fn policy_names(vhost: &Vhost, scope: PolicyScope) -> Vec<String> {
    vhost.policies(scope).iter().map(|policy| policy.name.clone()).collect()
}

#[test]
fn put_shows_replaces_and_deletes() {
    for path in ["policies", "operator-policies"] {
        let api = start();
        let one = format!("{path}/%2F/my%2Fpolicy");
        put(&api, "guest", &one, LENGTH).expect(201, "");
        let shown = json!({
            "vhost": "/", "name": "my/policy", "pattern": "^q", "apply-to": "all", "priority": 0,
            "definition": {"max-length": 1},
        });
        assert_eq!(api.get("guest", &format!("/api/{one}")).json(), shown);
        assert_eq!(api.get("guest", &format!("/api/{path}/%2F/")).json(), json!([shown]));
        assert_eq!(api.get("guest", &format!("/api/{path}")).json(), json!([shown]));
        api.get("guest", &format!("/api/{path}/field")).expect(200, "[]");
        let body = json!({
            "vhost": "nonsense", "name": "ignored", "pattern": "x", "apply-to": "queues",
            "priority": "7", "definition": {"max-length": 2, "overflow": "reject-publish"},
        });
        put(&api, "guest", &one, &body.to_string()).expect(204, "");
        let shown = api.get("guest", &format!("/api/{one}")).json();
        let found = (&shown["priority"], &shown["apply-to"], &shown["definition"]["overflow"]);
        assert_eq!(found, (&json!(7), &json!("queues"), &json!("reject-publish")));
        delete(&api, "guest", &one).expect(204, "");
        delete(&api, "guest", &one).expect(404, NOT_FOUND);
        api.get("guest", &format!("/api/{one}")).expect(404, NOT_FOUND);
        assert_eq!(api.send_body("guest", "POST", &format!("/api/{one}"), "{}").status, 405);
    }
}

/// Users' and operators' policies have the same names and nothing else in common.
#[test]
fn the_two_kinds_are_apart() {
    let api = start();
    put(&api, "guest", "policies/%2F/p", LENGTH).expect(201, "");
    put(&api, "guest", "operator-policies/%2F/p", LENGTH).expect(201, "");
    put(&api, "guest", "operator-policies/%2F/o", LENGTH).expect(201, "");
    delete(&api, "guest", "policies/%2F/p").expect(204, "");
    let vhost = api.broker.vhost("/").unwrap();
    assert_eq!(policy_names(&vhost, PolicyScope::Operator), ["o", "p"]);
    assert!(policy_names(&vhost, PolicyScope::User).is_empty());
}

#[test]
fn invalid_bodies_are_refused_in_rabbitmqs_words() {
    let api = start();
    let validation = |text: &str| bad(&format!("Validation failed\n\n{text}\n"));
    for (body, expected) in [
        ("", bad("[{key_missing,pattern}]")),
        ("null", bad("[{key_missing,pattern}]")),
        (r#"{"pattern":"x"}"#, bad("[{key_missing,definition}]")),
        ("[]", bad("not_json")),
        ("{", bad("not_json")),
        (r#""{}""#, bad("not_json")),
        (r#"{"pattern":"x","definition":{}}"#, validation("no policy provided")),
        (
            r#"{"pattern":"x","definition":{"bogus":100}}"#,
            validation("[{<<\"bogus\">>,100}] are not recognised policy settings"),
        ),
        (
            r#"{"pattern":"x","definition":{"max-length":"1"}}"#,
            validation("<<\"1\">> is not a valid maximum length"),
        ),
        (
            r#"{"pattern":"x","priority":"high","definition":{"max-length":1}}"#,
            validation("priority should be a number, actually was <<\"high\">>"),
        ),
        (
            r#"{"pattern":"(","definition":{"max-length":1}}"#,
            validation("pattern should be regular expression but is invalid: unclosed group"),
        ),
        (
            r#"{"pattern":"x","apply-to":"zz","definition":{"max-length":1}}"#,
            validation(
                "apply-to 'zz' unrecognised; should be one of: 'queues', 'classic_queues', \
                 'quorum_queues', 'streams', 'exchanges', or 'all'",
            ),
        ),
    ] {
        put(&api, "guest", "policies/%2F/p", body).expect(400, &expected);
    }
    let operator = r#"{"pattern":"x","definition":{"alternate-exchange":"x"}}"#;
    put(&api, "guest", "operator-policies/%2F/p", operator).expect(
        400,
        &validation("[{<<\"alternate-exchange\">>,<<\"x\">>}] are not recognised policy settings"),
    );
    assert!(policy_names(&api.broker.vhost("/").unwrap(), PolicyScope::User).is_empty());
}

#[test]
fn policymakers_change_policies_where_they_may_enter() {
    let api = start();
    let object = denied("User not authorised to access object");
    let administrator = denied("Not administrator user");
    for (user, path, status, body) in [
        ("wolf", "policies/%2F/p", 201, ""),
        ("wolf", "policies/field/p", 401, &*object),
        ("fox", "policies/%2F/p", 401, &object),
        ("hare", "policies/%2F/p", 401, &object),
        ("owl", "policies/field/p", 401, &object),
        ("guest", "policies/field/p", 201, ""),
        ("guest", "policies/wood/p", 404, NOT_FOUND),
        ("mouse", "policies/%2F/p", 401, super::NO_TAG),
        ("wolf", "operator-policies/%2F/p", 401, &administrator),
        ("guest", "operator-policies/wood/p", 404, NOT_FOUND),
        ("guest", "operator-policies/field/p", 201, ""),
    ] {
        put(&api, user, path, LENGTH).expect(status, body);
        if status == 401 {
            delete(&api, user, path).expect(status, body);
        }
    }
    api.get("wolf", "/api/policies/%2F/p").expect(
        200,
        r#"{"apply-to":"all","definition":{"max-length":1},"name":"p","pattern":"^q","priority":0,"vhost":"/"}"#,
    );
    api.get("hare", "/api/policies/%2F/p").expect(401, &object);
    // Who may enter a vhost sees the list.
    assert_eq!(names(&api, "hare", "policies/%2F"), ["/ p"]);
    assert_eq!(names(&api, "hare", "policies"), ["/ p"]);
    assert_eq!(names(&api, "guest", "policies"), ["/ p", "field p"]);
    assert_eq!(names(&api, "owl", "operator-policies"), ["field p"]);
    assert!(names(&api, "fox", "policies").is_empty());
    api.get("", "/api/policies").expect(401, "");
}

#[test]
fn a_policy_holds_as_soon_as_it_is_answered() {
    let api = start();
    let vhost = api.broker.vhost("/").unwrap();
    let declaration = Declaration {
        durable: false,
        auto_delete: false,
        owner: None,
        arguments: FieldTable::new(),
        options: Default::default(),
    };
    let flags = leveret::broker::Flags {
        durable: false,
        exclusive: false,
        auto_delete: false,
        arguments: &FieldTable::new(),
    };
    let declared = vhost.declare_queue(
        &QueueName::from("q"),
        ConnectionId(1),
        &|| Ok(declaration.clone()),
        &flags,
        &|| Box::new(|_| {}),
    );
    let queue: std::sync::Arc<Queue> = declared.unwrap().queue;
    put(&api, "guest", "policies/%2F/p", LENGTH).expect(201, "");
    assert_eq!(queue.options().max_length, Some(1));
    delete(&api, "guest", "policies/%2F/p").expect(204, "");
    assert_eq!(queue.options().max_length, None);
}
