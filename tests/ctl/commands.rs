//! The nouns, each with all it can do.

use serde_json::json;

use crate::broker::{Broker, ctl, path, run, words};

#[test]
fn queues_are_declared_listed_shown_and_deleted() {
    let broker = Broker::start();
    broker
        .ctl(
            "queues declare orders --argument x-max-length=10 --argument x-overflow=reject-publish",
        )
        .ok();
    assert_eq!(
        broker.ctl("queues declare tmp --transient").ok(),
        "queue 'tmp' in vhost '/' is made\n"
    );
    assert_eq!(
        broker.ctl("queues declare tmp --transient").ok(),
        "queue 'tmp' in vhost '/' was there\n"
    );
    broker.ctl("queues declare q --type quorum").ok();
    broker.ctl("queues declare gone --auto-delete").ok();

    let table = broker.ctl("queues list name type durable arguments --sort name").ok();
    let expected: Vec<Vec<&str>> = vec![
        vec!["name", "type", "durable", "arguments"],
        vec!["gone", "classic", "true"],
        vec![
            "orders",
            "classic",
            "true",
            "{\"x-max-length\":10,\"x-overflow\":\"reject-publish\"}",
        ],
        vec!["q", "quorum", "true", "{\"x-queue-type\":\"quorum\"}"],
        vec!["tmp", "classic", "false"],
    ];
    assert_eq!(words(&table), expected);
    let table = broker.ctl("queues list").ok();
    assert!(table.starts_with("vhost  name    type     ready  unacked"), "{table}");
    let names = broker.ctl("queues list name --name ^[qt] --sort name --reverse --no-headers").ok();
    assert_eq!(names, "tmp\nq\n");

    let shown = broker.ctl("queues show orders").ok();
    assert!(shown.contains("\nmessages_ready               0\n"), "{shown}");
    assert_eq!(broker.ctl("queues show orders name type").ok(), "name  orders\ntype  classic\n");
    assert_eq!(broker.ctl("queues show q --format json").json()["type"], "quorum");

    broker.ctl("exchanges publish amq.default -k tmp --body x").ok();
    broker.ctl("queues delete tmp --if-empty").fails(65, "not empty");
    assert_eq!(broker.ctl("queues purge tmp").ok(), "queue 'tmp' in vhost '/' is empty\n");
    broker.ctl("queues delete tmp --if-empty --if-unused").ok();
    broker.ctl("queues delete tmp").fails(65, "there is no queue 'tmp' in vhost '/'");
    broker.ctl("queues declare orders --transient").fails(65, "inequivalent arg");
}

#[test]
fn exchanges_and_bindings_come_and_go() {
    let broker = Broker::start();
    broker.ctl("exchanges declare news --type topic").ok();
    broker.ctl("exchanges declare inner --type headers --transient --auto-delete --internal").ok();
    broker.ctl("queues declare q").ok();
    let list = broker.ctl("exchanges list name type internal --name ^(news|inner)$ --format csv");
    assert_eq!(list.ok(), "name,type,internal\ninner,headers,true\nnews,topic,false\n");
    assert_eq!(broker.ctl("exchanges show news --format json").json()["type"], "topic");

    assert_eq!(
        broker.ctl("bindings declare news q -k a.#").ok(),
        "binding from 'news' to 'q' with key 'a.#' is made\n"
    );
    broker.ctl("bindings declare news q -k a.# --argument n=1").ok();
    broker.ctl("bindings declare news inner --to-exchange").ok();
    let of = |flags: &str| {
        let columns = "destination routing_key arguments --format tsv --no-headers";
        let list = broker.ctl(&format!("bindings list {columns} {flags}")).ok();
        let mut lines: Vec<String> = list.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(of("--queue q"), ["q\ta.#\t", "q\ta.#\t{\"n\":1}", "q\tq\t"]);
    assert_eq!(of("--source news").len(), 3);
    assert_eq!(of("").len(), 4);

    broker.ctl("exchanges delete news --if-unused").fails(65, "in use");
    broker.ctl("bindings delete news q -k a.# --argument n=2").fails(65, "there is no binding");
    broker.ctl("bindings delete news q -k a.# --argument n=1").ok();
    broker.ctl("bindings delete news q -k a.#").ok();
    broker.ctl("bindings delete news inner --to-exchange").ok();
    assert_eq!(of("--queue q"), ["q\tq\t"]);
    broker.ctl("exchanges delete news").ok();
    broker.ctl("bindings declare news q").fails(65, "no exchange 'news' in vhost '/'");
}

#[test]
fn users_have_passwords_tags_permissions_and_limits() {
    let broker = Broker::start();
    assert_eq!(
        broker.ctl("users add carol s3cret --tag monitoring").ok(),
        "user 'carol' is made\n"
    );
    broker.ctl("users add carol other").fails(70, "user 'carol' is there already");
    // From the input, as scripts do that keep it out of the list of processes.
    broker.ctl_reading("users add dave --tag administrator", b"pass word\n").ok();
    broker.ctl_reading("users add eve", b"").fails(64, "there is no password");
    let authenticated = |name: &str, password: &[u8]| {
        broker.ctl_reading(&format!("users authenticate {name}"), password).code
    };
    assert_eq!([authenticated("dave", b"pass word"), authenticated("dave", b"password")], [0, 65]);

    broker.ctl("users passwd carol n3w").ok();
    assert_eq!([authenticated("carol", b"s3cret"), authenticated("carol", b"n3w")], [65, 0]);
    broker.ctl("users set-tags carol management policymaker").ok();
    let tags = broker.ctl("users list name tags --format csv").ok();
    assert!(tags.contains("carol,\"management, policymaker\"\n"), "{tags}");
    broker.ctl("users set-tags carol").ok();
    // Who has no tag may not ask for anything, but has a password.
    assert_eq!([authenticated("carol", b"s3cret"), authenticated("carol", b"n3w")], [65, 0]);
    for words in ["users passwd nobody x", "users set-tags nobody x", "users delete nobody"] {
        broker.ctl(words).fails(67, "there is no user 'nobody'");
    }

    let hash = run(ctl().args(["users", "hash-password", "p"]), b"").ok();
    assert_eq!(hash.trim().len(), 48, "{hash}");
    broker.ctl(&format!("users add frank --password-hash {hash}")).ok();
    assert_eq!(authenticated("frank", b"p"), 0);

    broker.ctl("permissions set carol ^c .* ^$").ok();
    broker.ctl("permissions set carol ^a ^b --topic amq.topic").ok();
    let list = broker.ctl("permissions list --of-user carol").ok();
    assert_eq!(list, "vhost  user   configure  write  read\n/      carol  ^c         .*     ^$\n");
    let list = broker.ctl("permissions list --topic --format tsv --no-headers").ok();
    assert_eq!(list, "/\tcarol\tamq.topic\t^a\t^b\n");
    assert_eq!(broker.ctl("permissions list -p / --no-headers").ok().lines().count(), 2);
    broker.ctl("permissions set carol a b").fails(64, "CONFIGURE WRITE READ");
    broker.ctl("permissions set carol ( .* .*").fails(65, "(");
    broker.ctl("permissions clear carol --topic amq.topic").ok();
    broker.ctl("permissions clear carol").ok();
    broker.ctl("permissions clear carol").fails(65, "permission of user 'carol' in vhost '/'");

    broker.ctl("users limits carol --max-connections 5 --max-channels 7").ok();
    let limits = broker.ctl("users limits carol --format json").json();
    let expected =
        json!([{ "user": "carol", "value": { "max-channels": 7, "max-connections": 5 } }]);
    assert_eq!(limits, expected);
    broker.ctl("users limits carol --max-channels -1").ok();
    assert_eq!(broker.ctl("users limits --no-headers").ok(), "carol  {\"max-connections\":5}\n");
    broker.ctl("users limits carol --clear").ok();
    assert_eq!(broker.ctl("users limits --no-headers").ok(), "");
    broker.ctl("users limits --clear").fails(64, "say which user");
    broker.ctl("users delete carol").ok();
}

#[test]
fn vhosts_policies_and_parameters() {
    let broker = Broker::start();
    let made = broker.ctl_of(&["vhosts", "add", "a/b", "--description", "one", "--tags", "x,y"]);
    assert_eq!(made.ok(), "virtual host 'a/b' is made\n");
    broker.ctl("vhosts add a/b --default-queue-type quorum").ok();
    let list = broker.ctl("vhosts list name description tags default_queue_type --format tsv");
    assert!(list.ok().contains("a/b\tone\tx, y\tquorum\n"));
    broker.ctl("queues declare q -p a/b").ok();
    assert_eq!(broker.ctl("queues list vhost name type --no-headers").ok(), "a/b  q  quorum\n");
    broker.ctl("queues list -p nowhere").fails(65, "there is no virtual host 'nowhere'");
    broker.ctl("queues declare q -p nowhere").fails(65, "vhost_not_found");
    broker.ctl("vhosts limits a/b --max-queues 1").ok();
    broker.ctl("queues declare q2 -p a/b").fails(65, "queue limit");
    let limits = broker.ctl("vhosts limits -p a/b --no-headers").ok();
    assert_eq!(limits, "a/b  {\"max-queues\":1}\n");

    broker
        .ctl("policies set short ^q max-length=5,overflow=reject-publish --priority 3 -p a/b")
        .ok();
    broker
        .ctl_of(&["policies", "set", "json", "^x", "{\"expires\": 1000}", "--apply-to", "queues"])
        .ok();
    broker.ctl("policies set cap .* max-length=100 --operator").ok();
    let list = broker.ctl(
        "policies list name pattern apply-to priority definition --format tsv --no-headers -p a/b",
    );
    assert_eq!(
        list.ok(),
        "short\t^q\tall\t3\t{\"max-length\":5,\"overflow\":\"reject-publish\"}\n"
    );
    assert_eq!(broker.ctl("policies list name --no-headers").ok(), "json\nshort\n");
    assert_eq!(broker.ctl("policies list name --operator --no-headers").ok(), "cap\n");
    broker.ctl("policies set bad .* bogus=1").fails(65, "bogus");
    broker.ctl("policies set bad .* {").fails(65, "no JSON");
    broker.ctl("policies set bad .* novalue").fails(64, "NAME=VALUE");
    broker.ctl("policies clear short -p a/b").ok();
    broker
        .ctl("policies clear short -p a/b")
        .fails(65, "there is no policy 'short' in vhost 'a/b'");
    broker.ctl("policies clear cap --operator").ok();

    broker.ctl("parameters set shovel s1 {\"a\":1} -p a/b").ok();
    broker.ctl("parameters set g [1,2] --global").ok();
    let list =
        broker.ctl("parameters list component vhost name value -p a/b --format tsv --no-headers");
    assert!(list.ok().ends_with("shovel\ta/b\ts1\t{\"a\":1}\n"));
    assert!(!broker.ctl("parameters list name -p /").ok().contains("s1"));
    assert!(broker.ctl("parameters list --global --format tsv").ok().contains("\ng\t1, 2\n"));
    broker.ctl("parameters clear shovel s1 -p a/b").ok();
    broker.ctl("parameters clear shovel s1 -p a/b").fails(65, "there is no parameter 's1'");
    broker.ctl("parameters clear g --global").ok();
    broker.ctl("parameters set a b").fails(64, "COMPONENT NAME JSON");
    broker.ctl("parameters clear a").fails(64, "COMPONENT NAME");

    broker.ctl("vhosts limits a/b --clear").ok();
    assert_eq!(broker.ctl("vhosts limits --no-headers").ok(), "");
    broker.ctl("vhosts delete a/b").ok();
    broker.ctl("vhosts delete a/b").fails(65, "there is no virtual host 'a/b'");
}

#[test]
fn clients_are_seen_and_closed() {
    let broker = Broker::start();
    let uri = broker.server.url();
    let connect = || {
        let connected = lapin::Connection::connect(&uri, Default::default());
        broker.runtime.block_on(connected).unwrap()
    };
    let consume = |connection: &lapin::Connection| {
        broker.runtime.block_on(async {
            let channel = connection.create_channel().await.unwrap();
            channel.basic_qos(7, Default::default()).await.unwrap();
            let consumer = channel.basic_consume(
                "q".into(),
                "tag".into(),
                Default::default(),
                Default::default(),
            );
            (consumer.await.unwrap(), channel)
        })
    };
    broker.ctl("queues declare q").ok();
    let (first, _second) = (connect(), connect());
    let _consumer = consume(&first);
    let connections = broker.ctl("connections list name user state --format json").json();
    let names: Vec<&str> =
        connections.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 2);
    assert_eq!(broker.ctl("connections list -p / --no-headers").ok().lines().count(), 2);
    let shown = broker.ctl_of(&["connections", "show", names[0], "--format", "json"]).json();
    assert_eq!((&shown["user"], &shown["vhost"]), (&json!("guest"), &json!("/")));

    let channels =
        broker.ctl("channels list prefetch_count consumer_count vhost --no-headers").ok();
    assert_eq!(words(&channels), [["7", "1", "/"]]);
    let consumers = "consumers list queue.name consumer_tag ack_required --no-headers";
    assert_eq!(words(&broker.ctl(consumers).ok()), [["q", "tag", "true"]]);
    assert!(broker.ctl("consumers list -p /").ok().contains(" -> "));
    assert_eq!(broker.ctl("channels list -p / --no-headers").ok().lines().count(), 1);

    let closed = broker.ctl_of(&["connections", "close", names[0], "--reason", "spring cleaning"]);
    assert_eq!(closed.ok(), format!("connection '{}' is closed\n", names[0]));
    broker.ctl("connections close nobody").fails(65, "there is no connection 'nobody'");
    let until = |count: usize| {
        let reached = broker
            .server
            .until("connections closed", || broker.server.broker.connection_count() == count);
        broker.runtime.block_on(reached);
    };
    until(1);
    assert_eq!(
        broker.ctl("connections close-all --of-user somebody").ok(),
        "0 connections are closed\n"
    );
    assert_eq!(broker.ctl("connections close-all").ok(), "1 connections are closed\n");
    until(0);
}

#[test]
fn definitions_are_kept_checked_and_brought_back() {
    let broker = Broker::start();
    broker.ctl("queues declare kept").ok();
    broker.ctl("vhosts add v").ok();
    broker.ctl("queues declare inner -p v").ok();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("definitions.json");
    let file = path(&file);
    let exported = broker.ctl_of(&["definitions", "export", file]).ok();
    assert_eq!(exported, format!("definitions are in {file}\n"));
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let whole = broker.ctl("definitions export").json();
    assert_eq!(whole["queues"].as_array().unwrap().len(), 2);
    assert_eq!(broker.ctl("definitions export -p v").json()["queues"].as_array().unwrap().len(), 1);

    broker.ctl("queues delete kept").ok();
    let valid = broker.ctl_of(&["definitions", "validate", file]).ok();
    assert_eq!(valid, "the broker would take it: 2 vhosts, 1 users, 2 permissions, 2 queues\n");
    assert!(broker.server.queue("kept").is_none());
    assert_eq!(broker.ctl_of(&["definitions", "import", file]).ok(), "definitions are imported\n");
    assert!(broker.server.queue("kept").is_some());
    let only = br#"{"queues":[{"name":"more","durable":true,"auto_delete":false,"arguments":{}}]}"#;
    broker.ctl_reading("definitions validate - -p v", only).ok();
    broker.ctl_reading("definitions import - -p v", only).ok();
    assert_eq!(broker.ctl("queues list name -p v --no-headers").ok(), "inner\nmore\n");

    let bad = br#"{"users":[{"name":"x"}]}"#;
    broker.ctl_reading("definitions validate -", bad).fails(65, "tags_not_present");
    broker.ctl_reading("definitions import -", b"{").fails(65, "- is no JSON");
    broker.ctl("definitions import /nonexistent").fails(74, "cannot read /nonexistent");
    broker.ctl("definitions validate -p nowhere /dev/null").fails(65, "is no JSON");
    broker.ctl_reading("definitions validate -p nowhere -", b"{}").fails(65, "vhost_not_found");
}

#[test]
fn the_broker_says_how_it_is() {
    let broker = Broker::start();
    assert_eq!(broker.ctl("ping").ok(), format!("http://{} answers\n", broker.http));
    let startup = broker.ctl("await-startup").ok();
    assert_eq!(startup, format!("http://{} is ready for clients\n", broker.http));
    let status = broker.ctl("status").ok();
    for line in ["up for        1 h 0 min", "alarms        none", "queues        0"] {
        assert!(status.contains(&format!("{line}\n")), "no {line:?}: {status}");
    }
    assert!(status.contains(&format!("amqp {}", broker.server.address)), "{status}");
    assert!(broker.ctl("status --format json").json()["node"]["name"].is_string());
    let version = broker.ctl("version").ok();
    assert!(version.contains(concat!("leveret ", env!("CARGO_PKG_VERSION"))), "{version}");
    broker.ctl("queues declare q").ok();
    broker.ctl("exchanges publish amq.default -k q --body x").ok();
    let overview = broker.ctl("overview --format tsv").ok();
    for line in ["messages_ready\t1\t", "queues\t1\t"] {
        assert!(overview.contains(&format!("\n{line}")), "no {line:?}: {overview}");
    }
    assert_eq!(broker.ctl("overview --format json").json()["queue_totals"]["messages"], 1);

    let health = broker.ctl("health --format csv").ok();
    assert!(health.contains("\nalarms,ok,\nlocal-alarms,ok,\n"), "{health}");
    let bad = broker.ctl("health port-listener/1 alarms --no-headers");
    assert_eq!((bad.code, &*bad.err), (1, ""));
    let expected = "port-listener/1  failed  No active listener\nalarms           ok\n";
    assert_eq!(bad.out, expected);
    broker.ctl("health nonsense").fails(65, "there is no health check 'nonsense'");
}

#[test]
fn settings_are_checked_in_both_places() {
    let check = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_leveret"));
        run(command.env_clear().args(args).args(["check", "--config", "none"]), b"").ok()
    };
    let checked = check(&["ctl", "config"]);
    assert!(checked.contains("heartbeat_seconds"), "{checked}");
    assert_eq!(checked, check(&["config"]));
}

#[test]
fn shells_complete_the_words() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(ctl().args(["completions", shell]), b"").ok();
        for word in ["close-all", "data-dir", "peek"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
        // What is only there for old scripts is not offered.
        assert!(!script.contains("list_unresponsive_queues"), "{shell}");
    }
}

#[test]
fn formats_are_for_people_and_for_programs() {
    let broker = Broker::start();
    broker.ctl_of(&["queues", "declare", "a,\"b"]).ok();
    broker.ctl("queues declare c").ok();
    let list = |format: &str| broker.ctl(&format!("queues list name messages {format}")).ok();
    assert_eq!(list(""), "name  messages\na,\"b         0\nc            0\n");
    assert_eq!(list("--format csv"), "name,messages\n\"a,\"\"b\",0\nc,0\n");
    assert_eq!(list("--format tsv"), "name\tmessages\na,\"b\t0\nc\t0\n");
    assert_eq!(list("--no-headers --format tsv"), "a,\"b\t0\nc\t0\n");
    let json = broker.ctl("queues list name,messages --format json").json();
    assert_eq!(json, json!([{ "name": "a,\"b", "messages": 0 }, { "name": "c", "messages": 0 }]));
    // All that is known, and not only what a table shows.
    let everything = broker.ctl("queues list --format json").json();
    assert!(everything[0]["effective_policy_definition"].is_object(), "{everything}");
    // Only an answer is for programs; what was done is for people.
    assert_eq!(broker.ctl("queues declare d --format json").ok(), "");
    assert_eq!(broker.ctl("queues delete d --quiet").ok(), "");
    let typo = broker.ctl("queues list name mesages");
    assert_eq!((typo.code, &*typo.err), (0, "nothing here has the column 'mesages'\n"));
}
