//! Overview, nodes, rates and metrics: what scripted clients do is what operators see.

use std::sync::Arc;
use std::time::Duration;

use leveret::auth::{PasswordHash, Patterns, Tag, User, UserLimits, unheard};
use leveret::broker::{AlarmLimits, Resource};
use leveret::management::{Bound, Listener, Management, Node, Protocol, Services};
use leveret::time::Time;
use serde_json::{Value, json};

use crate::api::{Answer, Api, basic, connect, read_answer};
use crate::exposition::{Exposition, parse};
use crate::support::{Peer, World, text};

/// When a world begins; a sampling interval, too.
const NOW: u64 = 1_700_000_000_000;

/// A world and its API. Users beside guest: hare (management, `/`), owl (monitoring, nowhere), and mole
/// (management, `field`).
fn start() -> (World, Api) {
    let world = World::new();
    world.broker.create_vhost(&"field".into());
    for (name, tag, vhost) in [
        ("hare", "management", Some("/")),
        ("owl", "monitoring", None),
        ("mole", "management", Some("field")),
    ] {
        let user = User {
            name: name.into(),
            password: PasswordHash::new(name),
            tags: [Tag::from(tag)].into(),
            limits: UserLimits::default(),
        };
        world.authenticator.put_user(user, unheard());
        if let Some(vhost) = vhost {
            let (user, vhost, everything) = (name.into(), vhost.into(), Patterns::EVERYTHING);
            world.authenticator.permit(&user, &vhost, everything, unheard()).unwrap();
        }
    }
    let amqp = Listener { protocol: Protocol::Amqp, address: "127.0.0.1:5672".parse().unwrap() };
    let node = Node {
        limits: Arc::new(AlarmLimits::new(Some(1 << 30), 50_000_000)),
        directory: "/".into(),
        config_files: Vec::new(),
        started: Time(NOW - 60_000),
    };
    let services = Services {
        broker: Arc::clone(&world.broker),
        authenticator: Arc::clone(&world.authenticator),
        listeners: vec![amqp],
        tls: None,
        node,
        options: leveret::management::Options::default(),
        now: Box::new(|| Time(NOW)),
    };
    let bind = || "127.0.0.1:0".parse().unwrap();
    let bound = vec![Bound::bind(bind(), None).unwrap(), Bound::bind_metrics(bind()).unwrap()];
    let management = Management::start(bound, services).unwrap();
    let api = Api { broker: Arc::clone(&world.broker), management };
    // The first sample is that of the start.
    api.management.sample(Time(NOW));
    (world, api)
}

#[track_caller]
fn get(api: &Api, user: &str, path: &str) -> Value {
    let answer = api.get(user, path);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

/// What a scraper gets on the port for metrics. An old client's request, whose answer has no chunks.
fn scrape(api: &Api, path: &str) -> Answer {
    scrape_at(api.management.listeners()[1].address, path, "")
}

fn scrape_at(address: std::net::SocketAddr, path: &str, header: &str) -> Answer {
    let mut socket = connect(address);
    let request = format!("GET {path} HTTP/1.0\r\nHost: x\r\n{header}\r\n");
    std::io::Write::write_all(&mut socket, request.as_bytes()).unwrap();
    read_answer(&mut socket)
}

#[track_caller]
fn metrics(api: &Api, path: &str) -> Exposition {
    let answer = scrape(api, path);
    let content_type = answer.header("content-type").map(str::to_owned);
    assert_eq!(content_type.as_deref(), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(answer.status, 200);
    parse(&answer.body).unwrap_or_else(|problem| panic!("{path}: {problem}"))
}

/// One queue, three publishes, of which one is got and acknowledged, and one that goes nowhere.
fn work(world: &World) -> Peer {
    let peer = world.open();
    peer.declare(1, "q");
    peer.publish_texts(1, "q", &["1", "22", "333"]);
    peer.publish(1, "", "nowhere", &text(), b"x");
    let tag = peer.get(1, "q").unwrap().delivery_tag;
    peer.ack(1, tag);
    peer
}

#[test]
fn rates_are_those_of_the_last_interval() {
    let (world, api) = start();
    let peer = work(&world);
    let stats = &get(&api, "guest", "/api/overview")["message_stats"];
    assert_eq!((&stats["publish"], &stats["publish_details"]["rate"]), (&json!(4), &json!(0.0)));
    api.management.sample(Time(NOW + 5000));
    let overview = get(&api, "guest", "/api/overview");
    let stats = &overview["message_stats"];
    for (key, count, rate) in [
        ("publish", 4, 0.8),
        ("drop_unroutable", 1, 0.2),
        ("get", 1, 0.2),
        ("deliver_get", 1, 0.2),
        ("ack", 1, 0.2),
        ("confirm", 0, 0.0),
        ("deliver", 0, 0.0),
        ("disk_reads", 0, 0.0),
    ] {
        let details = &stats[format!("{key}_details")];
        assert_eq!((&stats[key], &details["rate"]), (&json!(count), &json!(rate)), "{key}");
    }
    let totals = &overview["queue_totals"];
    assert_eq!(
        (&totals["messages"], &totals["messages_details"]),
        (&json!(2), &json!({"rate": 0.4}))
    );
    let churn = &overview["churn_rates"];
    assert_eq!(churn["queue_declared_details"]["rate"], json!(0.2));
    assert_eq!(churn["connection_created"], json!(1));
    peer.publish_texts(1, "q", &["4"]);
    api.management.sample(Time(NOW + 5001));
    let stats = &get(&api, "guest", "/api/overview")["message_stats"];
    assert_eq!(stats["publish_details"]["rate"], json!(0.8), "the interval is not over");
    api.management.sample(Time(NOW + 10_000));
    let stats = &get(&api, "guest", "/api/overview")["message_stats"];
    assert_eq!(stats["publish_details"]["rate"], json!(0.2));
    assert_eq!(stats["get_details"]["rate"], json!(0.0));
}

#[test]
fn idle_queues_say_since_when() {
    let (world, api) = start();
    let peer = world.open();
    peer.declare(1, "q");
    let idle_since = || {
        let (list, one) =
            (get(&api, "guest", "/api/queues"), get(&api, "guest", "/api/queues/%2F/q"));
        assert_eq!(list[0]["idle_since"], one["idle_since"]);
        assert_eq!(
            list[0].get("idle_since"),
            one.get("idle_since"),
            "absent in both or in neither"
        );
        one.get("idle_since").cloned()
    };
    assert_eq!(idle_since(), Some(json!("2023-11-14T22:13:20.000+00:00")), "it was declared then");
    peer.publish_texts(1, "q", &["1"]);
    assert_eq!(idle_since(), None);
    api.management.sample(Time(NOW + 5000));
    assert_eq!(idle_since(), None, "it was used in that interval");
    api.management.sample(Time(NOW + 10_000));
    assert_eq!(idle_since(), Some(json!("2023-11-14T22:13:25.000+00:00")));
    api.management.sample(Time(NOW + 600_000));
    assert_eq!(idle_since(), Some(json!("2023-11-14T22:13:25.000+00:00")), "it is still so");
    // A consumer moves nothing and changes no rate.
    peer.consume(1, "q", "tag");
    assert_eq!(idle_since(), None);
    let shown = get(&api, "guest", "/api/queues?disable_stats=true&enable_queue_totals=true");
    assert_eq!(shown[0].get("idle_since"), None, "it is one of the statistics");
}

#[test]
fn samples_are_as_they_were_asked_for() {
    let (world, api) = start();
    let peer = world.open();
    peer.declare(1, "q");
    for n in 1..=6 {
        peer.publish_texts(1, "q", &["1", "2"]);
        api.management.sample(Time(NOW + n * 5000));
    }
    let path = "/api/overview?msg_rates_age=20&msg_rates_incr=10&lengths_age=10&lengths_incr=5";
    let overview = get(&api, "guest", path);
    let expected = json!({
        "rate": 0.4,
        "samples": [
            { "sample": 12, "timestamp": NOW + 30_000 },
            { "sample": 8, "timestamp": NOW + 20_000 },
            { "sample": 4, "timestamp": NOW + 10_000 },
        ],
        "avg": 8.0,
        "avg_rate": 0.4,
    });
    assert_eq!(overview["message_stats"]["publish_details"], expected);
    let samples = &overview["queue_totals"]["messages_ready_details"]["samples"];
    assert_eq!(samples.as_array().unwrap().len(), 3);
    assert_eq!(overview["recv_oct_details"].as_object().unwrap().len(), 1, "not asked for");
    for query in ["age=10&msg_rates_incr=0", "age=10000&msg_rates_incr=1", "age=x&msg_rates_incr=1"]
    {
        let answer = api.get("guest", &format!("/api/overview?msg_rates_{query}"));
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, error), (400, json!("invalid_range_parameters")), "{query}");
    }
}

#[test]
fn overview_adds_up_what_one_may_see() {
    let (world, api) = start();
    let _peer = work(&world);
    api.management.sample(Time(NOW + 5000));
    let overview = get(&api, "hare", "/api/overview");
    assert_eq!(overview["message_stats"]["publish"], json!(4));
    assert_eq!(overview["message_stats"]["publish_details"]["rate"], json!(0.8));
    let totals =
        json!({"connections": 1, "channels": 1, "exchanges": 7, "queues": 1, "consumers": 0});
    assert_eq!(overview["object_totals"], totals);
    for monitors_only in ["node", "listeners", "contexts"] {
        assert_eq!(overview.get(monitors_only), None);
    }
    let overview = get(&api, "mole", "/api/overview");
    assert_eq!(overview["message_stats"], json!({}), "nothing ever happened in that one");
    assert_eq!(overview["object_totals"]["queues"], json!(0));
    let zero = json!({"rate": 0.0});
    let expected = json!({
        "messages": 0, "messages_details": zero, "messages_ready": 0,
        "messages_ready_details": zero, "messages_unacknowledged": 0,
        "messages_unacknowledged_details": zero,
    });
    assert_eq!(overview["queue_totals"], expected);
    let overview = get(&api, "guest", "/api/overview");
    for (key, kind) in [
        ("management_version", "s"),
        ("rabbitmq_version", "s"),
        ("product_name", "s"),
        ("product_version", "s"),
        ("cluster_name", "s"),
        ("erlang_version", "s"),
        ("erlang_full_version", "s"),
        ("rates_mode", "s"),
        ("node", "s"),
        ("exchange_types", "a"),
        ("listeners", "a"),
        ("contexts", "a"),
        ("statistics_db_event_queue", "n"),
        ("churn_rates", "o"),
        ("sample_retention_policies", "o"),
    ] {
        assert!(is_of_kind(&overview[key], kind), "{key}: {}", overview[key]);
    }
    assert_eq!(overview["object_totals"]["exchanges"], json!(14));
    let ports: Vec<&Value> =
        overview["listeners"].as_array().unwrap().iter().map(|it| &it["port"]).collect();
    assert!(ports.len() == 3 && ports.iter().all(|port| port.is_u64()), "{ports:?}");
    assert!(overview["contexts"][0]["port"].is_string());
}

fn is_of_kind(value: &Value, kind: &str) -> bool {
    match kind {
        "s" => value.is_string(),
        "n" => value.is_u64(),
        "b" => value.is_boolean(),
        "a" => value.is_array(),
        _ => value.is_object(),
    }
}

#[test]
fn node_has_what_clients_decode() {
    let (world, api) = start();
    let nodes = get(&api, "owl", "/api/nodes");
    let [node] = &nodes.as_array().unwrap()[..] else { panic!("{nodes}") };
    for (key, kind) in [
        ("name", "s"),
        ("uptime", "n"),
        ("run_queue", "n"),
        ("processors", "n"),
        ("os_pid", "s"),
        ("fd_total", "n"),
        ("proc_total", "n"),
        ("mem_limit", "n"),
        ("mem_alarm", "b"),
        ("disk_free_limit", "n"),
        ("disk_free_alarm", "b"),
        ("rates_mode", "s"),
        ("enabled_plugins", "a"),
        ("being_drained", "b"),
        ("applications", "a"),
        ("rabbitmq_version", "s"),
        ("erlang_version", "s"),
        ("erlang_full_version", "s"),
        ("crypto_lib_version", "s"),
        ("running", "b"),
        ("type", "s"),
        ("partitions", "a"),
        ("mem_used", "n"),
        ("disk_free", "n"),
        ("fd_used", "n"),
        ("sockets_used", "n"),
        ("sockets_total", "n"),
        ("proc_used", "n"),
        ("mem_used_details", "o"),
        ("gc_num", "n"),
        ("context_switches", "n"),
        ("io_sync_count", "n"),
        ("connection_created", "n"),
    ] {
        assert!(is_of_kind(&node[key], kind), "{key}: {}", node[key]);
    }
    assert!(node["os_pid"].as_str().unwrap().chars().all(|c| c.is_ascii_digit()));
    assert_eq!((&node["mem_limit"], &node["uptime"]), (&json!(1 << 30), &json!(60_000)));
    let names: Vec<&Value> =
        node["applications"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert!(names.contains(&&json!("rabbit")));
    let _peers = [world.open(), world.open()];
    world.set_alarm(Resource::Disk, true);
    let name = node["name"].as_str().unwrap();
    let node = get(&api, "guest", &format!("/api/nodes/{name}"));
    assert_eq!((&node["sockets_used"], &node["disk_free_alarm"]), (&json!(2), &json!(true)));
    assert_eq!(api.get("guest", "/api/nodes/rabbit@nowhere").status, 404);
    assert_eq!(api.get("guest", "/api/nodes/rabbit@nowhere/memory").status, 404);
    let not_monitor = r#"{"error":"not_authorised","reason":"Not monitor user"}"#;
    api.get("hare", "/api/nodes").expect(401, not_monitor);
}

#[test]
fn memory_is_broken_down_by_what_it_is_for() {
    let (world, api) = start();
    let peer = world.open();
    let nodes = get(&api, "guest", "/api/nodes");
    let name = nodes[0]["name"].as_str().unwrap();
    let look = || get(&api, "guest", &format!("/api/nodes/{name}/memory"))["memory"].clone();
    peer.declare(1, "q");
    let before = look();
    for key in [
        "connection_readers connection_writers connection_channels connection_other queue_procs",
        "quorum_queue_procs stream_queue_procs stream_queue_replica_reader_procs plugins",
        "stream_queue_coordinator_procs metadata_store other_proc metrics mgmt_db mnesia",
        "quorum_ets metadata_store_ets other_ets binary msg_index code atom other_system",
        "allocated_unused reserved_unallocated",
    ]
    .iter()
    .flat_map(|keys| keys.split(' '))
    {
        assert!(before[key].is_u64(), "{key}: {}", before[key]);
    }
    assert!(before["strategy"].is_string());
    for key in ["rss", "allocated", "erlang"] {
        assert!(before["total"][key].as_u64().unwrap() > 1 << 20, "{key}");
    }
    peer.publish_texts(1, "q", &["x".repeat(100_000).as_str()]);
    let grown = look()["queue_procs"].as_u64().unwrap() - before["queue_procs"].as_u64().unwrap();
    assert!((100_000..101_000).contains(&grown), "{grown}");
    let relative = get(&api, "guest", &format!("/api/nodes/{name}/memory/relative"));
    assert_eq!(relative["memory"]["total"], json!(100));
}

#[test]
fn who_does_not_read_is_told_by_the_memory_of_the_connection() {
    let (world, api) = start();
    let (deaf, peer) = (world.open(), world.open());
    peer.declare(1, "q");
    deaf.consume_no_ack(1, "q", "c");
    let look = || {
        let all = metrics(&api, "/metrics").value("leveret_connection_memory_bytes", "");
        let written = get(&api, "guest", "/api/nodes")[0]["name"].as_str().unwrap().to_owned();
        let memory = get(&api, "guest", &format!("/api/nodes/{written}/memory"))["memory"].clone();
        (all.unwrap(), memory["connection_writers"].as_u64().unwrap())
    };
    let before = look();
    deaf.stop_reading();
    peer.publish_texts(1, "q", &["x".repeat(100_000).as_str(); 3]);
    let after = look();
    assert!(after.0 >= before.0 + 300_000.0, "{before:?} {after:?}");
    assert!(after.1 >= before.1 + 300_000, "{before:?} {after:?}");
    deaf.resume_reading();
    world.advance(Duration::from_secs(1));
    assert_eq!(look().1, before.1);
}

#[test]
fn metrics_count_what_clients_do() {
    let (world, api) = start();
    let _peer = work(&world);
    world.advance(Duration::from_secs(3));
    let all = metrics(&api, "/metrics");
    let classic = r#"protocol="amqp091",queue_type="rabbit_classic_queue""#;
    for (name, labels, value) in [
        ("rabbitmq_global_messages_received_total", r#"protocol="amqp091""#, 4.0),
        ("rabbitmq_global_messages_routed_total", r#"protocol="amqp091""#, 3.0),
        ("rabbitmq_global_messages_unroutable_dropped_total", r#"protocol="amqp091""#, 1.0),
        ("rabbitmq_global_messages_delivered_total", classic, 1.0),
        ("rabbitmq_global_messages_delivered_get_manual_ack_total", classic, 1.0),
        ("rabbitmq_global_messages_acknowledged_total", classic, 1.0),
        ("rabbitmq_global_publishers", r#"protocol="amqp091""#, 1.0),
        ("rabbitmq_message_size_bytes_count", r#"protocol="amqp091""#, 4.0),
        ("rabbitmq_message_size_bytes_sum", r#"protocol="amqp091""#, 7.0),
        ("rabbitmq_queue_messages_ready", "", 2.0),
        ("rabbitmq_queue_messages_ready_bytes", "", 5.0),
        ("rabbitmq_queues", "", 1.0),
        ("rabbitmq_connections", "", 1.0),
        ("rabbitmq_channels", "", 1.0),
        ("rabbitmq_queues_created_total", "", 1.0),
        ("rabbitmq_auth_attempts_succeeded_total", r#"protocol="amqp091""#, 1.0),
        ("leveret_queue_wait_seconds_count", "", 1.0),
        ("leveret_alarm", r#"resource="disk""#, 0.0),
    ] {
        assert_eq!(all.value(name, labels), Some(value), "{name}");
    }
    world.set_alarm(Resource::Disk, true);
    let all = metrics(&api, "/metrics");
    assert_eq!(all.value("rabbitmq_alarms_free_disk_space_watermark", ""), Some(1.0));
    assert_eq!(all.value("leveret_alarm", r#"resource="disk""#), Some(1.0));
}

/// Those that the public dashboard RabbitMQ-Overview (10991) asks for.
#[test]
fn public_dashboard_finds_its_series() {
    let (_world, api) = start();
    let all = metrics(&api, "/metrics");
    for name in "
        queue_messages_ready queue_messages_unacked connections channels queues global_publishers
        global_consumers global_messages_received_total global_messages_received_confirm_total
        global_messages_routed_total global_messages_confirmed_total consumers
        global_messages_unroutable_dropped_total global_messages_unroutable_returned_total
        global_messages_delivered_total global_messages_delivered_consume_auto_ack_total
        global_messages_delivered_consume_manual_ack_total
        global_messages_delivered_get_auto_ack_total global_messages_delivered_get_manual_ack_total
        global_messages_get_empty_total global_messages_redelivered_total
        global_messages_acknowledged_total connections_opened_total connections_closed_total
        channels_opened_total channels_closed_total queues_declared_total queues_created_total
        queues_deleted_total resident_memory_limit_bytes process_resident_memory_bytes
        disk_space_available_bytes disk_space_available_limit_bytes process_max_fds
        process_open_fds erlang_uptime_seconds identity_info build_info queue_messages
        queue_consumers queue_messages_bytes queue_messages_persistent queue_process_memory_bytes
        queue_disk_reads_total queue_disk_writes_total process_open_tcp_sockets
        alarms_memory_used_watermark alarms_free_disk_space_watermark alarms_file_descriptor_limit
        auth_attempts_total auth_attempts_failed_total connection_incoming_bytes_total
        connection_outgoing_packets_total connection_channels channel_consumers
        channel_messages_unacked channel_messages_unconfirmed channel_prefetch
        io_write_ops_total io_sync_ops_total io_sync_time_seconds_total io_read_ops_total
        erlang_processes_used erlang_processes_limit
        global_messages_dead_lettered_rejected_total global_messages_dead_lettered_expired_total
        global_messages_dead_lettered_maxlen_total
        global_messages_dead_lettered_delivery_limit_total"
        .split_whitespace()
    {
        assert!(all.has(&format!("rabbitmq_{name}")), "rabbitmq_{name}");
    }
    let ends = all.labels("rabbitmq_message_size_bytes_bucket", "le");
    assert_eq!(
        ends,
        ["100.0", "1.0e3", "1.0e4", "1.0e5", "1.0e6", "1.0e7", "5.0e7", "1.0e8", "+Inf"]
    );
    assert_eq!(all.labels("rabbitmq_identity_info", "rabbitmq_endpoint"), ["aggregated"]);
}

#[test]
fn each_object_has_its_samples_whatever_its_name() {
    let (world, api) = start();
    let peer = world.open();
    let names =
        ["plain", "with \"quotes\"", "back\\slash", "{a=\"b\"} 1", "ünïcode", "line # TYPE"];
    for name in names {
        peer.declare(1, name);
        peer.publish_texts(1, name, &["x"]);
    }
    peer.consume(1, "plain", "c");
    peer.recv();
    world.advance(Duration::from_secs(10));
    let all = metrics(&api, "/metrics/per-object");
    let mut found = all.labels("rabbitmq_queue_messages_ready", "queue");
    found.sort();
    let mut expected = names.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(
        all.value("rabbitmq_queue_messages_unacked", r#"vhost="/",queue="plain""#),
        Some(1.0)
    );
    let quotes = r#"vhost="/",queue="with \"quotes\"""#;
    assert_eq!(all.value("rabbitmq_queue_messages_published_total", quotes), Some(1.0));
    assert_eq!(all.labels("rabbitmq_identity_info", "rabbitmq_endpoint"), ["per-object"]);
    let [channel] = &all.labels("rabbitmq_channel_messages_published_total", "channel")[..] else {
        panic!("there is one channel")
    };
    assert!(channel.ends_with(" (1)"), "{channel}");
    let labels = format!("channel=\"{channel}\",vhost=\"/\"");
    for (name, value) in
        [("messages_published_total", 6.0), ("messages_unacked", 1.0), ("consumers", 1.0)]
    {
        assert_eq!(all.value(&format!("rabbitmq_channel_{name}"), &labels), Some(value), "{name}");
    }
    let ages = all.labels("leveret_queue_oldest_message_age_seconds", "queue");
    assert_eq!(ages.len(), names.len());
}

#[test]
fn details_are_those_that_are_asked_for() {
    let (world, api) = start();
    let peer = work(&world);
    peer.declare_exchange(1, "x", "topic");
    peer.bind(1, "q", "x", "#");
    let none = metrics(&api, "/metrics/detailed");
    assert_eq!(none.names(), ["rabbitmq_build_info", "rabbitmq_identity_info"]);
    let coarse = metrics(&api, "/metrics/detailed?family=queue_coarse_metrics");
    let names: Vec<&str> = coarse.names().into_iter().skip(2).collect();
    let expected = [
        "rabbitmq_detailed_queue_messages_ready",
        "rabbitmq_detailed_queue_messages_unacked",
        "rabbitmq_detailed_queue_messages",
    ];
    assert_eq!(names, expected);
    let q = r#"vhost="/",queue="q""#;
    assert_eq!(coarse.value("rabbitmq_detailed_queue_messages_ready", q), Some(2.0));
    let elsewhere = "/metrics/detailed?family=queue_coarse_metrics&vhost=field";
    assert!(
        metrics(&api, elsewhere).labels("rabbitmq_detailed_queue_messages", "queue").is_empty()
    );
    let here = "/metrics/detailed?family=queue_coarse_metrics&vhost=%2F&vhost=field";
    assert_eq!(metrics(&api, here).labels("rabbitmq_detailed_queue_messages", "queue"), ["q"]);
    let mut every = String::from("/metrics/detailed?a=b");
    for (family, name) in [
        ("queue_consumer_count", "rabbitmq_detailed_queue_consumers"),
        ("queue_metrics", "rabbitmq_detailed_queue_process_memory_bytes"),
        ("queue_delivery_metrics", "rabbitmq_detailed_queue_messages_acked_total"),
        ("channel_metrics", "rabbitmq_detailed_channel_consumers"),
        ("channel_exchange_metrics", "rabbitmq_detailed_channel_messages_published_total"),
        ("channel_queue_metrics", "rabbitmq_detailed_channel_messages_acked_total"),
        ("channel_queue_exchange_metrics", "rabbitmq_detailed_queue_messages_published_total"),
        ("connection_metrics", "rabbitmq_detailed_connection_channels"),
        ("connection_coarse_metrics", "rabbitmq_detailed_connection_incoming_bytes_total"),
        ("connection_churn_metrics", "rabbitmq_detailed_queues_created_total"),
        ("node_coarse_metrics", "rabbitmq_detailed_process_open_fds"),
        ("node_metrics", "rabbitmq_detailed_process_max_fds"),
        ("node_persister_metrics", "rabbitmq_detailed_io_sync_ops_total"),
        ("auth_attempt_metrics", "rabbitmq_detailed_auth_attempts_total"),
        ("vhost_status", "rabbitmq_cluster_vhost_status"),
        ("exchange_names", "rabbitmq_cluster_exchange_name"),
        ("exchange_bindings", "rabbitmq_cluster_exchange_bindings"),
        ("exchange_metrics", "rabbitmq_detailed_exchange_messages_published_total"),
    ] {
        let found = metrics(&api, &format!("/metrics/detailed?family={family}"));
        assert!(found.has(name), "{family}: {:?}", found.names());
        every += &format!("&family={family}");
    }
    let every = metrics(&api, &every);
    let x = r#"vhost="/",exchange="x",type="topic""#;
    assert_eq!(every.value("rabbitmq_cluster_exchange_bindings", x), Some(1.0));
    let default = r#"vhost="/",exchange="",type="direct""#;
    let published = "rabbitmq_detailed_exchange_messages_published_total";
    assert_eq!(every.value(published, default), Some(4.0));
    assert_eq!(every.labels("rabbitmq_cluster_vhost_status", "vhost"), ["/", "field"]);
}

#[test]
fn metrics_beside_the_api_are_for_monitors() {
    let (_world, api) = start();
    for path in ["/metrics", "/metrics/per-object", "/metrics/detailed"] {
        let ask = |user: &str| {
            let header = if user.is_empty() { String::new() } else { basic(user, user) + "\r\n" };
            scrape_at(api.address(), path, &header)
        };
        assert_eq!(ask("").status, 401);
        assert_eq!(ask("").header("www-authenticate"), Some("Basic realm=\"RabbitMQ Management\""));
        assert_eq!(ask("hare").status, 401);
        let answer = ask("owl");
        assert_eq!(answer.status, 200);
        parse(&answer.body).unwrap();
    }
    for path in ["/api/overview", "/metrics/other", "/"] {
        assert_eq!(scrape(&api, path).status, 404, "{path} is not served where nobody logs in");
    }
}

/// Long enough to come in many pieces.
#[test]
fn long_text_is_whole() {
    let (world, api) = start();
    let peer = world.open();
    for n in 0..3000 {
        peer.declare(1, &format!("queue {n}"));
    }
    let all = metrics(&api, "/metrics/per-object");
    for name in ["rabbitmq_queue_messages_ready", "leveret_queue_oldest_message_age_seconds"] {
        assert_eq!(all.labels(name, "queue").len(), 3000);
    }
}

#[test]
fn every_metric_of_the_dashboard_exists() {
    let (world, api) = start();
    let _peer = work(&world);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/grafana/leveret.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let mut names = std::collections::BTreeSet::new();
    collect(&dashboard, &mut names);
    assert!(names.len() > 30, "{names:?}");
    let both = [metrics(&api, "/metrics"), metrics(&api, "/metrics/per-object")];
    for name in names {
        assert!(both.iter().any(|all| all.has(&name)), "{name} is in the dashboard alone");
    }
}

/// The names of metrics in all expressions.
fn collect(value: &Value, names: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if let Some(expression) = object.get("expr").and_then(Value::as_str) {
                let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let is_metric =
                    |word: &&str| word.starts_with("rabbitmq_") || word.starts_with("leveret_");
                // A label, by which dashboards join.
                let is_label = |word: &&str| matches!(*word, "rabbitmq_node" | "rabbitmq_cluster");
                let found = words.filter(is_metric).filter(|word| !is_label(word));
                names.extend(found.map(str::to_owned));
            }
            object.values().for_each(|value| collect(value, names));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        _ => {}
    }
}

#[test]
fn objects_say_what_happened_to_them() {
    let (world, api) = start();
    let peer = work(&world);
    peer.declare_exchange(1, "unused", "topic");
    peer.declare(1, "idle");
    api.management.sample(Time(NOW + 5000));
    let path = "/api/queues/%2F/q?msg_rates_age=5&msg_rates_incr=5";
    let queue = get(&api, "guest", path);
    let stats = &queue["message_stats"];
    for (key, count, rate) in [
        ("publish", 3, 0.6),
        ("deliver_get", 1, 0.2),
        ("deliver", 0, 0.0),
        ("deliver_no_ack", 0, 0.0),
        ("get", 1, 0.2),
        ("get_no_ack", 0, 0.0),
        ("get_empty", 0, 0.0),
        ("ack", 1, 0.2),
        ("redeliver", 0, 0.0),
    ] {
        let found = (&stats[key], &stats[format!("{key}_details")]["rate"]);
        assert_eq!(found, (&json!(count), &json!(rate)), "{key}");
    }
    let samples = &stats["publish_details"]["samples"];
    assert_eq!((&samples[0]["sample"], &samples[1]["sample"]), (&json!(3), &json!(0)));
    assert_eq!((&queue["messages"], &queue["messages_details"]["rate"]), (&json!(2), &json!(0.4)));
    assert_eq!(queue["messages_ready_details"], json!({"rate": 0.4}));
    let idle = get(&api, "guest", "/api/queues/%2F/idle");
    assert_eq!((&idle["messages"], idle.get("message_stats")), (&json!(0), None));
    let exchange = get(&api, "guest", "/api/exchanges/%2F/amq.default");
    let expected = json!({
        "publish_in": 4, "publish_in_details": {"rate": 0.8},
        "publish_out": 3, "publish_out_details": {"rate": 0.6},
    });
    assert_eq!(exchange["message_stats"], expected);
    assert_eq!(get(&api, "guest", "/api/exchanges/%2F/unused").get("message_stats"), None);
    let vhosts = get(&api, "guest", "/api/vhosts");
    let [slash, field] = &vhosts.as_array().unwrap()[..] else { panic!("{vhosts}") };
    assert_eq!(slash["message_stats"]["publish_details"]["rate"], json!(0.8));
    assert_eq!((&slash["messages_ready"], &field["messages"]), (&json!(2), &json!(0)));
    assert_eq!(field["recv_oct"], json!(0));
    for list in ["queues", "exchanges", "queues?page=1"] {
        let all = get(&api, "guest", &format!("/api/{list}"));
        let items = all.get("items").unwrap_or(&all).as_array().unwrap();
        let touched = items.iter().filter(|item| item.get("message_stats").is_some());
        assert_eq!(touched.count(), 1, "{list}");
    }
}
