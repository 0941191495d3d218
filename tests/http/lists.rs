//! Columns, order, pages, and what wraps every answer.

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use leveret::broker::{Flags, Vhost};
use leveret::protocol::FieldTable;
use leveret::queue::{ConnectionId, Declaration};
use serde_json::{Value, json};

use super::api::{Api, basic, connect, start};

fn declare(vhost: &Vhost, name: &str) {
    let arguments = FieldTable::new();
    let flags =
        Flags { durable: false, exclusive: false, auto_delete: false, arguments: &arguments };
    let declaration = || {
        Ok(Declaration {
            durable: false,
            auto_delete: false,
            owner: None,
            arguments: FieldTable::new(),
            options: std::sync::Arc::default(),
        })
    };
    let done = || -> Box<dyn FnOnce(_) + Send> { Box::new(|_| {}) };
    vhost.declare_queue(&name.into(), ConnectionId(0), &declaration, &flags, &done).unwrap();
}

/// `/` has b10, B2, a1; `field` has c.
fn filled() -> Api {
    let api = start();
    for name in ["b10", "B2", "a1"] {
        declare(&api.broker.vhost("/").unwrap(), name);
    }
    declare(&api.broker.vhost("field").unwrap(), "c");
    api
}

fn get(api: &Api, path: &str) -> Value {
    let answer = api.get("guest", &format!("/api/{path}"));
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

fn names(items: &Value) -> Vec<&str> {
    items.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[test]
fn order_is_by_vhost_and_name_unless_another_is_wanted() {
    let api = filled();
    for (query, expected) in [
        ("", vec!["B2", "a1", "b10", "c"]),
        ("?sort=", vec!["B2", "a1", "b10", "c"]),
        ("?sort=name", vec!["B2", "a1", "b10", "c"]),
        ("?sort=name&sort_reverse=true", vec!["c", "b10", "a1", "B2"]),
        ("?sort_reverse=true", vec!["c", "b10", "a1", "B2"]),
        // What nothing has decides nothing.
        ("?sort=no.such.field", vec!["B2", "a1", "b10", "c"]),
        ("?sort=effective_policy_definition", vec!["B2", "a1", "b10", "c"]),
    ] {
        assert_eq!(names(&get(&api, &format!("queues{query}"))), expected, "{query}");
    }
}

#[test]
fn columns_keep_what_they_name() {
    let api = filled();
    let items =
        get(&api, "queues/field?columns=name,bogus,effective_policy_definition.x,arguments");
    let expected = json!([{"name": "c", "effective_policy_definition": {}, "arguments": {}}]);
    assert_eq!(items, expected);
    let page = get(&api, "queues?columns=vhost&page=1&page_size=1");
    assert_eq!(page["items"], json!([{"vhost": "/"}]));
    assert_eq!(get(&api, "users?columns=name")[0], json!({"name": "fox"}));
}

#[test]
fn pages_are_objects_and_count_what_there_is() {
    let api = filled();
    let page = |query: &str| {
        let mut page = get(&api, &format!("queues?{query}"));
        let items = page.as_object_mut().unwrap().remove("items").unwrap();
        let order =
            ["filtered_count", "item_count", "page", "page_count", "page_size", "total_count"];
        let counts = order.map(|key| page[key].as_u64().unwrap());
        assert_eq!(page.as_object().unwrap().len(), order.len());
        (names(&items).join(" "), counts)
    };
    assert_eq!(page("page=1"), ("B2 a1 b10 c".to_owned(), [4, 4, 1, 1, 100, 4]));
    assert_eq!(page("page=1&page_size=3"), ("B2 a1 b10".to_owned(), [4, 3, 1, 2, 3, 4]));
    assert_eq!(page("page=2&page_size=3"), ("c".to_owned(), [4, 1, 2, 2, 3, 4]));
    assert_eq!(
        page("page=2&page_size=2&sort=name&sort_reverse=true"),
        ("a1 B2".to_owned(), [4, 2, 2, 2, 2, 4])
    );
    // However names are written.
    assert_eq!(page("page=1&name=b"), ("B2 b10".to_owned(), [2, 2, 1, 1, 100, 4]));
    assert_eq!(page("page=1&name=^.1&use_regex=true"), ("a1 b10".to_owned(), [2, 2, 1, 1, 100, 4]));
    assert_eq!(page("page=1&name=%5E"), (String::new(), [0, 0, 1, 0, 100, 4]));
    // KEDA says both.
    assert_eq!(page("page=1&pagination=false&page_size=").1[0], 4);
    for list in
        ["vhosts", "users", "exchanges", "bindings", "permissions", "policies", "connections"]
    {
        let page = get(&api, &format!("{list}?page=1&page_size=2"));
        assert!(page["items"].is_array() && page["page_size"] == 2, "{list}: {page}");
    }
    // Without a page there is nothing to filter.
    assert_eq!(
        get(&api, "queues?name=zzz&page_size=1&use_regex=true").as_array().unwrap().len(),
        4
    );
}

#[test]
fn pages_that_cannot_be_are_refused() {
    let api = filled();
    let invalid = "invalid_pagination_parameters";
    let long = format!("page=1&name={}", "x".repeat(1025));
    for (query, error, reason) in [
        ("page=0", invalid, "Invalid pagination parameters: page number 0, page size undefined"),
        (
            "page=-1&page_size=5",
            invalid,
            "Invalid pagination parameters: page number -1, page size 5",
        ),
        (
            "page=1&page_size=501",
            invalid,
            "Invalid pagination parameters: page number 1, page size 501",
        ),
        (
            "page=1&page_size=0",
            invalid,
            "Invalid pagination parameters: page number 1, page size 0",
        ),
        ("page=5", "page_out_of_range", "Page out of range, page: 5 page size: 100, len: 4"),
        ("page=x", "bad_request", "Pagination parameters are invalid"),
        ("page=1&page_size=x", "bad_request", "Pagination parameters are invalid"),
        ("page=99999999999999999999", "bad_request", "Pagination parameters are invalid"),
        ("page=1&name=(&use_regex=true", "bad_request", "Pagination parameters are invalid"),
        (&long, "bad_request", "Pagination parameters are invalid"),
    ] {
        let answer = api.get("guest", &format!("/api/queues?{query}"));
        answer.expect(400, &json!({"error": error, "reason": reason}).to_string());
    }
}

#[test]
fn x_vhost_narrows_a_list() {
    let api = filled();
    let guest = basic("guest", "guest");
    let ask = |vhost: &str| {
        let header = format!("X-Vhost: {vhost}");
        api.ask("GET", "/api/queues?columns=name", &[&guest, &header]).json()
    };
    assert_eq!(ask("field"), json!([{"name": "c"}]));
    assert_eq!(names(&ask("/")), ["B2", "a1", "b10"]);
    assert_eq!(names(&ask("%2F")), ["B2", "a1", "b10"]);
    assert_eq!(ask("wood"), json!([]));
    assert_eq!(names(&ask("")).len(), 4);
}

#[test]
fn lists_show_what_the_caller_may_enter() {
    let api = filled();
    for (user, expected) in [("hare", 3), ("fox", 0), ("owl", 1), ("guest", 4)] {
        let queues = api.get(user, "/api/queues").json();
        assert_eq!(queues.as_array().unwrap().len(), expected, "{user}");
        let page = api.get(user, "/api/queues?page=1").json();
        assert_eq!(page["total_count"], expected, "{user}");
    }
    assert_eq!(api.get("hare", "/api/queues/field").status, 401);
    assert_eq!(api.get("hare", "/api/exchanges/field").status, 401);
    assert_eq!(api.get("hare", "/api/bindings/field").status, 401);
    assert_eq!(api.get("hare", "/api/queues/wood").status, 404);
}

#[test]
fn answers_are_packed_for_those_who_can_unpack_them() {
    use std::io::Read;
    let api = filled();
    for list in ["exchanges", "queues"] {
        let plain = api.get("guest", &format!("/api/{list}"));
        let mut socket = connect(api.address());
        let guest = basic("guest", "guest");
        let request = format!(
            "GET /api/{list} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{guest}\r\n\
             Accept-Encoding: deflate, gzip;q=0.5\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_ascii_lowercase();
        assert!(head.contains("content-encoding: gzip"), "{head}");
        assert!(head.contains("content-type: application/json"), "{head}");
        assert!(answer.len() < plain.body.len());
        // One chunk or more.
        let (mut packed, mut rest) = (Vec::new(), &answer[end + 4..]);
        while let Some(line) = rest.windows(2).position(|two| two == b"\r\n") {
            let size = std::str::from_utf8(&rest[..line]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            packed.extend_from_slice(&rest[line + 2..line + 2 + size]);
            rest = &rest[line + 4 + size..];
        }
        let mut text = String::new();
        GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, plain.body);
    }
}

/// More than is written at once.
#[test]
fn long_lists_are_written_piece_by_piece() {
    let api = start();
    let vhost = api.broker.vhost("/").unwrap();
    (0..1000).for_each(|number| declare(&vhost, &format!("q{number:04}")));
    let mut socket = connect(api.address());
    let guest = basic("guest", "guest");
    let request = format!("GET /api/queues?columns=name HTTP/1.0\r\nHost: x\r\n{guest}\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let queues = super::read_answer(&mut socket).json();
    assert_eq!(names(&queues).len(), 1000);
    assert_eq!((&queues[0]["name"], &queues[999]["name"]), (&json!("q0000"), &json!("q0999")));
}

/// Debug builds are ten times slower than those that people use.
#[test]
fn a_page_of_a_hundred_thousand_queues_takes_milliseconds() {
    let api = start();
    let vhost = api.broker.vhost("/").unwrap();
    (0..100_000).for_each(|number| declare(&vhost, &format!("q{number:06}")));
    for query in ["page=1&page_size=100", "page=700&page_size=100", "page=3&name=77"] {
        let started = Instant::now();
        let page = get(&api, &format!("queues?{query}"));
        let took = started.elapsed();
        assert_eq!(page["items"].as_array().unwrap().len(), 100);
        println!("{query}: {took:?}");
        assert!(took < Duration::from_secs(2), "{query}: {took:?}");
    }
}
