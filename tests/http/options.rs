//! What operators choose of the API, and what it tells of logins.

use std::sync::Arc;

use leveret::broker::{Limits, node_name};
use leveret::management::{Bound, Cors, Management, Options, Protocol};
use leveret::queue::QueueKind;
use serde_json::json;

use super::api::{AMQP, Api, basic, services, start, start_with};

fn start_as(options: Options) -> Api {
    let mut services = services(Limits::default(), vec![(Protocol::Amqp, AMQP)]);
    services.options = options;
    services.node.config_files = vec!["/etc/leveret.toml".to_owned()];
    let broker = Arc::clone(&services.broker);
    let bound = Bound::bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
    Api { broker, management: Management::start(vec![bound], services).unwrap() }
}

#[test]
fn attempts_to_log_in_are_counted_and_forgotten() {
    let api = start();
    let path = format!("/api/auth/attempts/{}", node_name());
    let sources = format!("{path}/source");
    api.get("hare", "/api/whoami").expect(200, r#"{"name":"hare","tags":["management"]}"#);
    assert_eq!(api.ask("GET", "/api/whoami", &[&basic("hare", "wrong")]).status, 401);
    assert_eq!(api.get("hare", &path).status, 401);
    // Whoever asks has logged in, too.
    let counts = api.get("owl", &path).json();
    let http = json!({
        "protocol": "http", "auth_attempts": 4, "auth_attempts_failed": 1,
        "auth_attempts_succeeded": 3,
    });
    assert_eq!((&counts[0]["auth_attempts"], &counts[1]), (&json!(0), &http));
    let known = api.get("owl", &sources).json();
    assert_eq!(
        known[0],
        json!({
            "remote_address": "127.0.0.1", "username": "hare", "protocol": "http",
            "auth_attempts": 3, "auth_attempts_failed": 1, "auth_attempts_succeeded": 2,
        })
    );
    assert_eq!(api.send_body("owl", "DELETE", &path, "").status, 401);
    assert_eq!(api.send_body("guest", "DELETE", &sources, "").status, 204);
    assert_eq!(api.get("owl", &sources).json().as_array().unwrap().len(), 1);
    assert_eq!(api.send_body("guest", "DELETE", &path, "").status, 204);
    assert_eq!(api.get("owl", &path).json()[1]["auth_attempts"], 1);
    assert_eq!(api.get("owl", "/api/auth/attempts/rabbit@elsewhere").status, 404);
}

#[test]
fn login_turns_a_form_into_a_token() {
    let api = start();
    let form = |body: &str| {
        let request = format!(
            "POST /api/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        api.send(request.as_bytes())
    };
    let answer = form("username=%68are&password=hare").json();
    assert_eq!(answer["user"], json!({ "name": "hare", "tags": ["management"] }));
    assert_eq!(answer["token"]["type"], "basic");
    let token = format!("Authorization: Basic {}", answer["token"]["value"].as_str().unwrap());
    assert_eq!(api.ask("GET", "/api/whoami", &[&token]).status, 200);
    for refused in
        ["username=hare&password=wrong", "username=hare", "", "username=mouse&password=mouse"]
    {
        assert_eq!(form(refused).status, 401, "{refused}");
    }
}

#[test]
fn settings_and_their_files_are_shown() {
    let settings = json!({ "channel_max": 7, "default_pass": "(hidden)" });
    let settings = settings.as_object().unwrap().clone();
    let api = start_as(Options { settings: settings.clone(), ..Options::default() });
    assert_eq!(api.get("guest", "/api/config/effective").json(), json!(settings));
    assert_eq!(api.get("owl", "/api/config/effective").status, 401);
    let node = api.get("guest", "/api/nodes").json();
    assert_eq!(node[0]["config_files"], json!(["/etc/leveret.toml"]));
}

#[test]
fn pages_of_other_origins_ask_only_where_they_may() {
    let cors = Cors { origins: vec!["https://ops.example".to_owned()], max_age_seconds: 60 };
    let api = start_as(Options { cors, ..Options::default() });
    let allowed = |origin: &str| {
        let origin = format!("Origin: {origin}");
        let answer = api.ask("GET", "/api/version", &[&origin]);
        answer.header("access-control-allow-origin").map(str::to_owned)
    };
    assert_eq!(allowed("https://ops.example"), Some("https://ops.example".to_owned()));
    assert_eq!(allowed("https://evil.example"), None);
    assert_eq!(allowed("https://ops.example.evil"), None);
    let answer = api.ask(
        "OPTIONS",
        "/api/queues/%2F/q",
        &[
            "Origin: https://ops.example",
            "Access-Control-Request-Method: PUT",
            "Access-Control-Request-Headers: authorization",
        ],
    );
    assert_eq!(answer.status, 200);
    for (header, expected) in [
        ("access-control-allow-methods", "PUT"),
        ("access-control-allow-headers", "authorization"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "60"),
    ] {
        assert_eq!(answer.header(header), Some(expected), "{header}");
    }
    // Also on what is refused, or the page would not learn why.
    let refused = api.ask("GET", "/api/whoami", &["Origin: https://ops.example"]);
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://ops.example"));
    let everybody = Cors { origins: vec!["*".to_owned()], max_age_seconds: 0 };
    let api = start_as(Options { cors: everybody, ..Options::default() });
    let answer = api.ask("GET", "/api/version", &["Origin: http://any"]);
    assert_eq!(answer.header("access-control-allow-origin"), Some("http://any"));
    let answer = start().ask("GET", "/api/version", &["Origin: http://any"]);
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[test]
fn everything_stands_behind_the_prefix() {
    let api = start_as(Options { path_prefix: "/rabbit".to_owned(), ..Options::default() });
    for (path, status) in [
        ("/rabbit/api/version", 200),
        ("/rabbit/api/version/", 200),
        ("/rabbit", 200),
        ("/rabbit/", 200),
        ("/rabbit/style.css", 200),
        ("/rabbit/api/vhosts/%2F?x=y", 200),
        ("/api/version", 404),
        ("/", 404),
        ("/rabbits/api/version", 404),
        ("/rabbit/rabbit/api/version", 404),
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}\r\n\r\n",
            basic("guest", "guest")
        );
        assert_eq!(api.send_unchecked(request.as_bytes()).status, status, "{path}");
    }
}

#[test]
fn metrics_of_each_object_may_be_the_usual_ones() {
    let options = Options { metrics_per_object: true, ..Options::default() };
    let api = start_as(options);
    assert_eq!(api.send_body("guest", "PUT", "/api/queues/%2F/mine", "{}").status, 201);
    let metrics = api.get("guest", "/metrics").body;
    assert!(
        metrics.contains(r#"rabbitmq_queue_messages_ready{vhost="/",queue="mine"} 0"#),
        "{metrics}"
    );
}

#[test]
fn detailed_metrics_are_those_of_wanted_queues() {
    let api = start();
    for name in ["orders", "mail"] {
        assert_eq!(
            api.send_body("guest", "PUT", &format!("/api/queues/%2F/{name}"), "{}").status,
            201
        );
    }
    let path = "/metrics/detailed?family=queue_coarse_metrics&queue=%5Eord";
    let metrics = api.get("owl", path).body;
    assert!(
        metrics.contains("queue=\"orders\"") && !metrics.contains("queue=\"mail\""),
        "{metrics}"
    );
    assert_eq!(api.get("owl", "/metrics/detailed?queue=(").status, 400);
    let memory = api.get("owl", "/metrics/memory-breakdown").body;
    assert!(memory.contains("rabbitmq_memory_queue_procs_bytes "), "{memory}");
    assert!(memory.contains("rabbitmq_endpoint=\"memory-breakdown\""), "{memory}");
}

#[test]
fn vhosts_are_limited_and_their_queues_of_the_brokers_type() {
    let limits = Limits {
        vhosts_max: Some(3),
        default_queue_type: Some(QueueKind::Quorum),
        ..Limits::default()
    };
    let api = start_with(limits, Vec::new());
    assert_eq!(api.get("guest", "/api/overview").json()["default_queue_type"], "quorum");
    assert_eq!(api.get("guest", "/api/vhosts/%2F").json()["default_queue_type"], "quorum");
    let declared = api.send_body("guest", "PUT", "/api/queues/%2F/q", r#"{"durable":true}"#);
    assert_eq!(declared.status, 201);
    assert_eq!(api.get("guest", "/api/queues/%2F/q").json()["type"], "quorum");
    let body = r#"{"default_queue_type":"classic"}"#;
    assert_eq!(api.send_body("guest", "PUT", "/api/vhosts/third", body).status, 201);
    let declared = api.send_body("guest", "PUT", "/api/queues/third/q", r#"{"durable":true}"#);
    assert_eq!(declared.status, 201);
    assert_eq!(api.get("guest", "/api/queues/third/q").json()["type"], "classic");
    let reason = "cannot create vhost 'fourth': vhost limit of 3 is reached";
    let refused = json!({ "error": "bad_request", "reason": reason }).to_string();
    api.send_body("guest", "PUT", "/api/vhosts/fourth", "").expect(400, &refused);
    // Those that are there can be changed.
    assert_eq!(api.send_body("guest", "PUT", "/api/vhosts/third", body).status, 204);
}

#[test]
fn one_node_passes_the_checks_of_clusters() {
    let api = start();
    let ok = r#"{"status":"ok"}"#;
    let checks = "/api/health/checks";
    for path in [
        "metadata-store/initialized",
        "metadata-store/initialized/with-data",
        "quorum-queues-without-elected-leaders/all-vhosts",
        "quorum-queues-without-elected-leaders/all-vhosts/pattern/%5Eq",
        "quorum-queues-without-elected-leaders/vhost/%2F",
        "quorum-queues-without-elected-leaders/vhost/%2F/pattern/q",
    ] {
        api.get("hare", &format!("{checks}/{path}")).expect(200, ok);
    }
    let size = r#"{"online":1,"status":"ok","target":1}"#;
    api.get("", &format!("{checks}/reached-target-cluster-size")).expect(200, size);
    let elsewhere = format!("{checks}/quorum-queues-without-elected-leaders/vhost/none");
    assert_eq!(api.get("hare", &elsewhere).status, 404);
}
