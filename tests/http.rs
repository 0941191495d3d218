//! The HTTP API, asked over sockets: what probes and RabbitMQ's tools get to see.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use api::{basic, connect, read_answer, start, start_with};
use leveret::broker::{Client, Connected, Limits, Resource};
use leveret::management::Protocol;
use serde_json::json;

#[path = "http/api.rs"]
mod api;
#[path = "http/browse.rs"]
mod browse;
#[path = "support/certificates.rs"]
mod certificates;
#[path = "http/connections.rs"]
mod connections;
#[path = "http/contract.rs"]
mod contract;
#[path = "http/definitions.rs"]
mod definitions;
#[path = "http/exposition.rs"]
mod exposition;
#[path = "http/lists.rs"]
mod lists;
#[path = "http/messages.rs"]
mod messages;
#[path = "http/monitoring.rs"]
mod monitoring;
#[path = "http/openapi.rs"]
mod openapi;
#[path = "http/options.rs"]
mod options;
#[path = "http/page.rs"]
mod page;
#[path = "http/parameters.rs"]
mod parameters;
#[path = "http/policies.rs"]
mod policies;
#[path = "support/mod.rs"]
mod support;
#[path = "http/tls.rs"]
mod tls;
#[path = "http/topology.rs"]
mod topology;
#[path = "http/users.rs"]
mod users;

const NOT_FOUND: &str = r#"{"error":"Object Not Found","reason":"Not Found"}"#;
const LOGIN_FAILED: &str = r#"{"error":"not_authorized","reason":"Not_Authorized"}"#;
const NO_TAG: &str = r#"{"error":"not_authorised","reason":"Not management user"}"#;
const CHALLENGE: Option<&str> = Some("Basic realm=\"RabbitMQ Management\"");
const OK: &str = r#"{"status":"ok"}"#;

mod endpoints {
    use super::*;

    #[test]
    fn what_is_open_needs_no_user() {
        let api = start();
        api.get("", "/api/version").expect(200, r#""3.13.0""#);
        api.get("", "/api/auth").expect(200, r#"{"oauth_enabled":false}"#);
        // Nobody is judged where nobody has to be known.
        let wrong = basic("guest", "wrong");
        api.ask("GET", "/api/version", &[&wrong]).expect(200, r#""3.13.0""#);
    }

    #[test]
    fn whoami_names_the_user_and_the_tags() {
        let api = start();
        let body = r#"{"name":"guest","tags":["administrator"]}"#;
        api.get("guest", "/api/whoami").expect(200, body);
        let body = r#"{"name":"hare","tags":["management"]}"#;
        api.get("hare", "/api/whoami").expect(200, body);
        api.get("hare", "/api/extensions").expect(200, "[]");
    }

    #[test]
    fn aliveness_test_walks_through_the_vhosts_one_may_enter() {
        let api = start();
        let refused =
            r#"{"error":"not_authorised","reason":"User not authorised to access virtual host"}"#;
        for (user, vhost, status, body) in [
            ("guest", "%2F", 200, OK),
            ("guest", "%2f", 200, OK),
            // An administrator has no need of a permission.
            ("guest", "field", 200, OK),
            ("hare", "%2F", 200, OK),
            ("hare", "field", 401, refused),
            ("owl", "field", 200, OK),
            ("owl", "%2F", 401, refused),
            ("fox", "field", 401, refused),
            ("mouse", "%2F", 401, NO_TAG),
            ("guest", "wood", 404, NOT_FOUND),
            ("hare", "wood", 404, NOT_FOUND),
            ("guest", "+", 404, NOT_FOUND),
        ] {
            api.get(user, &format!("/api/aliveness-test/{vhost}")).expect(status, body);
        }
    }

    #[test]
    fn aliveness_test_can_be_repeated_and_walked_by_many() {
        let api = start();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        api.get("guest", "/api/aliveness-test/%2F").expect(200, OK);
                    }
                });
            }
        });
        assert_eq!(api.broker.connection_count(), 0);
    }
}

mod health {
    use super::*;

    fn check(path: &str) -> String {
        format!("/api/health/checks/{path}")
    }

    #[test]
    fn all_is_well_in_a_broker_that_has_just_started() {
        let api = start();
        let single = r#"{"reason":"single node cluster","status":"ok"}"#;
        for (path, body) in [
            ("alarms", OK),
            ("local-alarms", OK),
            ("virtual-hosts", OK),
            ("node-is-quorum-critical", single),
            ("node-is-mirror-sync-critical", single),
        ] {
            api.get("hare", &check(path)).expect(200, body);
            api.get("mouse", &check(path)).expect(401, NO_TAG);
            api.get("", &check(path)).expect(401, "");
        }
        for path in ["is-in-service", "below-node-connection-limit", "ready-to-serve-clients"] {
            api.get("", &check(path)).expect(200, OK);
        }
    }

    #[test]
    fn alarms_are_reported_while_they_are_on() {
        let api = start();
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let node = format!("rabbit@{}", host.trim().split('.').next().unwrap());
        let disk = json!({ "node": node, "resource": "disk space" });
        let memory = json!({ "node": node, "resource": "memory" });
        for (resource, on, alarms) in [
            (Resource::Disk, true, vec![&disk]),
            (Resource::Memory, true, vec![&disk, &memory]),
            (Resource::Disk, false, vec![&memory]),
        ] {
            api.broker.alarms.set(resource, on);
            for (path, place) in [("alarms", "in the cluster"), ("local-alarms", "on the node")] {
                let answer = api.get("hare", &check(path));
                let reason = format!("There are alarms in effect {place}");
                let expected = json!({ "status": "failed", "reason": reason, "alarms": alarms });
                assert_eq!((answer.status, answer.json()), (503, expected), "{path}");
            }
        }
        // Probes do not take a node out of service for it: consumers are to go on.
        api.get("", &check("ready-to-serve-clients")).expect(200, OK);
        api.broker.alarms.set(Resource::Memory, false);
        api.get("hare", &check("alarms")).expect(200, OK);
    }

    #[test]
    fn port_listener_knows_the_ports_that_were_bound() {
        let api = start();
        let http = api.address().port();
        for port in [5672, 5671, http] {
            let answer = api.get("hare", &check(&format!("port-listener/{port}")));
            answer.expect(200, &format!(r#"{{"port":{port},"status":"ok"}}"#));
        }
        let answer = api.get("hare", &check("port-listener/1"));
        assert_eq!(answer.status, 503);
        assert_eq!(
            answer.json(),
            json!({
                "status": "failed", "reason": "No active listener", "missing": 1,
                "ports": [5672, 5671, http],
            })
        );
        for bad in ["amqp", "-1", "65536", "5672x", "%20", "99999999999999999999"] {
            let body = r#"{"error":"bad_request","reason":"Invalid port"}"#;
            api.get("hare", &check(&format!("port-listener/{bad}"))).expect(400, body);
        }
        api.get("", &check("port-listener/5672")).expect(401, "");
    }

    #[test]
    fn protocol_listener_knows_the_protocols_that_are_spoken() {
        let api = start();
        for (asked, expected) in [
            ("amqp", json!({"status": "ok", "protocol": "amqp"})),
            ("AMQP091", json!({"status": "ok", "protocol": "amqp"})),
            ("amqp%2Fssl", json!({"status": "ok", "protocol": "amqp/ssl"})),
            ("amqps", json!({"status": "ok", "protocol": "amqp/ssl"})),
            ("http", json!({"status": "ok", "protocol": "http"})),
            ("amqp,http", json!({"status": "ok", "protocols": ["amqp", "http"]})),
        ] {
            let answer = api.get("hare", &check(&format!("protocol-listener/{asked}")));
            assert_eq!((answer.status, answer.json()), (200, expected), "{asked}");
        }
        let active = ["amqp", "amqp/ssl", "http"];
        for (asked, missing) in [
            ("mqtt", json!("mqtt")),
            ("https", json!("https")),
            ("amqp10", json!("amqp10")),
            ("h%C3%A4sin", json!("häsin")),
            ("amqp,mqtt,stomp", json!(["mqtt", "stomp"])),
        ] {
            let answer = api.get("hare", &check(&format!("protocol-listener/{asked}")));
            let expected = json!({
                "status": "failed", "reason": "No active listener", "missing": missing,
                "protocols": active,
            });
            assert_eq!((answer.status, answer.json()), (503, expected), "{asked}");
        }
    }

    #[test]
    fn full_broker_is_not_ready_for_clients() {
        let limits = Limits { connections_max: Some(1), ..Limits::default() };
        let api = start_with(limits, vec![(Protocol::Amqp, api::AMQP)]);
        let id = api.broker.next_connection_id();
        let outbox = std::sync::Arc::new(leveret::delivery::Outbox::new(0));
        let connected = Connected::new(
            "/".into(),
            "guest".into(),
            outbox,
            Default::default(),
            Client::default(),
        );
        api.broker.connect(id, connected, None).unwrap();
        let full =
            r#"{"connections":1,"reason":"node connection limit is reached","status":"failed"}"#;
        for path in ["below-node-connection-limit", "ready-to-serve-clients"] {
            api.get("", &check(path)).expect(503, full);
        }
        api.get("", &check("is-in-service")).expect(200, OK);
        api.broker.disconnect(id);
        api.get("", &check("ready-to-serve-clients")).expect(200, OK);
    }

    #[test]
    fn broker_without_an_amqp_listener_is_not_ready_for_clients() {
        let api = start_with(Limits::default(), Vec::new());
        let body = r#"{"reason":"no active listeners for AMQP/AMQPS","status":"failed"}"#;
        api.get("", &check("ready-to-serve-clients")).expect(503, body);
        assert_eq!(api.get("hare", &check("protocol-listener/amqp")).status, 503);
    }

    #[test]
    fn draining_broker_takes_no_more_clients_and_still_answers() {
        let api = start();
        api.management.drain();
        let body = r#"{"reason":"the node is not currently available to serve","status":"failed"}"#;
        for path in ["is-in-service", "ready-to-serve-clients"] {
            api.get("", &check(path)).expect(503, body);
        }
        assert_eq!(api.get("hare", &check("port-listener/5672")).status, 503);
        assert_eq!(api.get("hare", &check("protocol-listener/http")).status, 200);
    }
}

mod login {
    use super::*;

    #[test]
    fn nobody_is_asked_for_credentials_with_an_empty_body() {
        let api = start();
        let no_credentials = [
            vec![],
            vec!["Authorization: "],
            vec!["Authorization: Basic"],
            vec!["Authorization: Basic !!!"],
            // "guest", without a colon.
            vec!["Authorization: Basic Z3Vlc3Q="],
            vec!["Authorization: Digest username=guest"],
        ];
        for headers in no_credentials {
            let answer = api.ask("GET", "/api/whoami", &headers);
            answer.expect(401, "");
            assert_eq!(answer.header("www-authenticate"), CHALLENGE, "{headers:?}");
        }
    }

    #[test]
    fn wrong_password_looks_like_an_unknown_user() {
        let api = start();
        for (user, password) in
            [("guest", "wrong"), ("guest", ""), ("ghost", "ghost"), ("", ""), ("mouse", "wrong")]
        {
            let answer = api.ask("GET", "/api/whoami", &[&basic(user, password)]);
            answer.expect(401, LOGIN_FAILED);
            assert_eq!(answer.header("www-authenticate"), CHALLENGE);
        }
        // A name that is not UTF-8: "\xff:x".
        let answer = api.ask("GET", "/api/whoami", &["Authorization: Basic /zp4"]);
        answer.expect(401, LOGIN_FAILED);
    }

    #[test]
    fn user_without_a_tag_is_known_and_refused() {
        let api = start();
        let answer = api.get("mouse", "/api/whoami");
        answer.expect(401, NO_TAG);
        assert_eq!(answer.header("www-authenticate"), None);
        for user in ["hare", "fox", "owl", "guest"] {
            assert_eq!(api.get(user, "/api/whoami").status, 200);
        }
    }
}

mod conventions {
    use super::*;

    #[test]
    fn unknown_paths_say_so_to_everybody() {
        let api = start();
        for path in ["/none", "/api/nothing", "/api/aliveness-test", "/api//version", "/x?y=z"] {
            api.get("", path).expect(404, NOT_FOUND);
            api.get("guest", path).expect(404, NOT_FOUND);
        }
        api.ask("DELETE", "/api/nothing", &[]).expect(404, NOT_FOUND);
        api.ask("OPTIONS", "/api/nothing", &[]).expect(404, NOT_FOUND);
    }

    #[test]
    fn wrong_method_is_refused_with_an_empty_body() {
        let api = start();
        for method in ["PUT", "POST", "DELETE", "PATCH", "BREW"] {
            for path in ["/api/whoami", "/api/version", "/api/aliveness-test/%2F"] {
                let answer = api.ask(method, path, &[]);
                answer.expect(405, "");
                assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
            }
        }
    }

    #[test]
    fn options_are_told_to_everybody() {
        let api = start();
        for path in ["/api/whoami", "/api/version/", "/api/health/checks/alarms"] {
            let answer = api.ask("OPTIONS", path, &[]);
            answer.expect(200, "");
            assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
        }
    }

    #[test]
    fn head_is_get_without_its_body() {
        let api = start();
        for path in ["/api/whoami", "/api/version", "/api/aliveness-test/%2F"] {
            let get = api.get("guest", path);
            let head = api.ask("HEAD", path, &[&basic("guest", "guest")]);
            assert_eq!((head.status, head.body.as_str()), (200, ""));
            for header in ["content-type", "content-length", "cache-control", "vary"] {
                assert_eq!(head.header(header), get.header(header));
            }
        }
        assert_eq!(api.ask("HEAD", "/api/whoami", &[]).status, 401);
    }

    #[test]
    fn slash_at_the_end_and_unknown_parameters_do_not_matter() {
        let api = start();
        for path in
            ["/api/version/", "/api/version?x=1&sort=", "/api/version/?", "/api/version//?a=%ff"]
        {
            api.get("", path).expect(200, r#""3.13.0""#);
        }
        api.get("guest", "/api/aliveness-test/%2F/").expect(200, OK);
    }

    #[test]
    fn names_are_decoded_after_the_path_is_split() {
        let api = start();
        for (name, path) in [
            ("a/b", "a%2fb"),
            ("a b", "a%20b"),
            ("a+b", "a+b"),
            ("a?b#c%d", "a%3Fb%23c%25d"),
            ("häsin", "h%C3%A4sin"),
            ("%zz", "%zz"),
        ] {
            api.broker.create_vhost(&name.into());
            api.get("guest", &format!("/api/aliveness-test/{path}")).expect(200, OK);
        }
        let body = r#"{"error":"bad_request","reason":"the path is not UTF-8"}"#;
        api.get("guest", "/api/aliveness-test/%ff").expect(400, body);
        api.get("", "/api/aliveness-test/%ff").expect(401, "");
    }

    #[test]
    fn who_takes_no_json_gets_nothing() {
        let api = start();
        let guest = basic("guest", "guest");
        for path in ["/api/whoami", "/api/version"] {
            let ask = |accept| api.ask("GET", path, &[&guest, accept]);
            ask("Accept: text/html").expect(406, "");
            assert_eq!(ask("Accept: application/bert, application/json;q=0.1").status, 200);
            assert_eq!(ask("Accept: text/html, */*;q=0.8").status, 200);
        }
    }

    #[test]
    fn too_long_a_body_is_refused_before_it_is_sent() {
        let api = start();
        let body = r#"{"error":"bad_request","reason":"Exceeded HTTP request body size limit"}"#;
        api.ask("GET", "/api/version", &["Content-Length: 20000001"]).expect(400, body);
        api.ask("PUT", "/api/version", &["Content-Length: 20000001"]).expect(400, body);
    }
}

mod hostile_clients {
    use super::*;

    #[test]
    fn junk_is_refused_and_harms_nobody() {
        let api = start();
        let long_header = format!("GET /none HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000));
        let many_headers = format!("GET /none HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(1000));
        let long_path = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
        let junk: [&[u8]; 8] = [
            b"AMQP\0\0\x09\x01\r\n\r\n",
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n",
            b"GET /none HTTP/9.9\r\n\r\n",
            b"GET /\0 HTTP/1.1\r\n\r\n",
            b"GET /none HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            long_header.as_bytes(),
            many_headers.as_bytes(),
            long_path.as_bytes(),
        ];
        for bytes in junk {
            let mut socket = connect(api.address());
            // It may be gone before it has taken all.
            let _ = socket.write_all(bytes);
            let mut answer = Vec::new();
            let _ = socket.read_to_end(&mut answer);
            let answer = String::from_utf8_lossy(&answer);
            let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4");
            assert!(refused, "{:?}: {answer}", String::from_utf8_lossy(&bytes[..20]));
        }
        api.get("", "/api/version").expect(200, r#""3.13.0""#);
    }

    /// All of them at once: each would hold its connection for ever if it could.
    #[test]
    fn slow_clients_are_given_up() {
        let api = start();
        let started = Instant::now();
        let mut silent = connect(api.address());
        let mut half = connect(api.address());
        half.write_all(b"GET /api/version HTTP/1.1\r\nHost:").unwrap();
        let mut idle = connect(api.address());
        idle.write_all(b"GET /api/version HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut bodiless = connect(api.address());
        let head = b"GET /api/version HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
        bodiless.write_all(head).unwrap();
        let drip = connect(api.address());
        let dripping = std::thread::spawn(move || drip_until_closed(drip));

        api.get("", "/api/version").expect(200, r#""3.13.0""#);
        for (name, socket) in [
            ("silent", &mut silent),
            ("half", &mut half),
            ("idle", &mut idle),
            ("bodiless", &mut bodiless),
        ] {
            let ended = socket.read_to_end(&mut Vec::new());
            let closed = ended.is_ok()
                || ended.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset);
            assert!(closed, "{name} was not closed");
        }
        dripping.join().unwrap();
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    /// One byte of a head at a time.
    fn drip_until_closed(mut socket: std::net::TcpStream) {
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        for _ in 0..150 {
            if socket.write_all(b"G").is_err() {
                return;
            }
            match socket.read(&mut [0; 512]) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                _ => return,
            }
        }
        panic!("a dripping client was not closed");
    }

    #[test]
    fn client_that_asks_and_does_not_read_is_given_up() {
        let api = start();
        let mut socket = connect(api.address());
        socket.set_write_timeout(Some(Duration::from_secs(40))).unwrap();
        let requests = b"GET /api/version HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
        let started = Instant::now();
        while socket.write_all(&requests).is_ok() {}
        assert!(started.elapsed() < Duration::from_secs(35), "it took our timeout to end it");
        api.get("", "/api/version").expect(200, r#""3.13.0""#);
    }

    #[test]
    fn kept_connection_answers_one_request_after_the_other() {
        let api = start();
        let mut socket = connect(api.address());
        let request = "GET /api/version HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2);
        let last = "GET /api/auth HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        socket.write_all(format!("{request}{last}").as_bytes()).unwrap();
        let answer = read_answer(&mut socket);
        assert_eq!(answer.body.matches("HTTP/1.1 200 OK").count(), 2);
        assert!(answer.body.ends_with(r#"{"oauth_enabled":false}"#));
    }
}

mod process {
    use super::*;

    #[test]
    fn stop_closes_the_port_and_idle_connections() {
        let api = start();
        let address = api.address();
        let mut idle = connect(address);
        idle.write_all(b"GET /api/version HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut first = [0];
        idle.read_exact(&mut first).unwrap();
        let started = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(api.management.stop());
        assert!(started.elapsed() < Duration::from_secs(2));
        idle.read_to_end(&mut Vec::new()).unwrap();
        assert!(std::net::TcpStream::connect(address).is_err());
    }

    /// The real binary; everything on ports that the system chooses, but for `http`.
    fn leveret(data: &std::path::Path, http: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
        let args = ["serve", "--amqp", "127.0.0.1:0", "--http", http, "--data-dir"];
        command.env_clear().args(args).arg(data).stderr(Stdio::piped());
        command
    }

    #[test]
    fn port_in_use_is_one_line_and_exit_code_1() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let data = tempfile::tempdir().unwrap();
        let output = leveret(data.path(), &address).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        let start = format!("leveret: cannot listen on {address} for HTTP: Address already in use");
        // Beside what the log says of the start.
        let mut lines = errors.lines().filter(|line| !line.contains(" [info] "));
        assert!(lines.next().is_some_and(|line| line.starts_with(&start)), "{errors}");
        assert_eq!(lines.count(), 0, "{errors}");
    }

    #[test]
    fn ready_line_names_the_address_that_answers() {
        let data = tempfile::tempdir().unwrap();
        let mut child = leveret(data.path(), "127.0.0.1:0").spawn().unwrap();
        let mut lines =
            std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
        let ready =
            lines.find(|line| line.as_ref().unwrap().contains(" ready: ")).unwrap().unwrap();
        let (_, http) = ready.split_once(", http ").unwrap();
        let mut socket = connect(http.parse().unwrap());
        let request = format!(
            "GET /api/aliveness-test/%2F HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}\r\n\r\n",
            basic("guest", "guest")
        );
        socket.write_all(request.as_bytes()).unwrap();
        read_answer(&mut socket).expect(200, OK);

        let pid = child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}
