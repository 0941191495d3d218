//! `doctor` and `top`.

use std::sync::Arc;

use leveret::broker::{AlarmLimits, Resource};
use leveret::management::Node;
use leveret::time::Time;
use serde_json::{Value, json};

use crate::broker::{Broker, NOW, Ran};

/// What a check of the doctor found, and whether that is a problem.
fn check(report: &Value, name: &str) -> (bool, String) {
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["check"] == name).unwrap();
    assert_eq!(check["status"] == "problem", check["advice"].is_string(), "{check}");
    (check["status"] == "problem", check["found"].as_str().unwrap().to_owned())
}

fn doctor(broker: &Broker, flags: &str) -> (i32, Value) {
    let Ran { code, out, err } = broker.ctl(&format!("doctor --format json {flags}"));
    assert_eq!(err, "");
    (code, serde_json::from_str(&out).unwrap())
}

#[test]
fn a_broker_with_nothing_to_do_is_well() {
    let broker = Broker::start();
    let ran = broker.ctl("doctor");
    assert_eq!((ran.code, &*ran.err), (0, ""), "{}", ran.out);
    assert!(
        ran.out.contains(", up for 1 h 0 min\n\nok       alarms                none\n"),
        "{}",
        ran.out
    );
    assert!(ran.out.ends_with("\nNothing is wrong.\n"), "{}", ran.out);
    let (code, report) = doctor(&broker, "");
    assert_eq!((code, &report["problems"]), (0, &json!(0)));
    assert_eq!(report["checks"].as_array().unwrap().len(), 11);
    let (_, found) = check(&report, "user guest");
    assert!(
        found.starts_with("does not log in") || found.starts_with("nothing listens"),
        "{found}"
    );
}

#[test]
fn alarms_and_limits_are_seen() {
    let limits = AlarmLimits::new(Some(1), u64::MAX / 4);
    let mut node = Node { limits: Arc::new(limits), ..Node::default() };
    node.directory = std::env::temp_dir();
    let broker = Broker::start_with(None, node);
    broker.server.broker.alarms.set(Resource::Memory, true);
    let (code, report) = doctor(&broker, "");
    assert_eq!(code, 1);
    assert_eq!(check(&report, "alarms"), (true, "1: memory".to_owned()));
    assert!(check(&report, "memory").0 && check(&report, "disk").0);
    assert!(!check(&report, "files").0);
    let ran = broker.ctl("doctor");
    assert!(ran.out.contains("\nPROBLEM  alarms                1: memory\n"), "{}", ran.out);
    assert!(ran.out.contains("-> publishers are blocked: "), "{}", ran.out);
    assert!(ran.out.ends_with("\n3 problems.\n"), "{}", ran.out);
}

#[test]
fn queues_that_nobody_reads_and_old_messages_are_seen() {
    let broker = Broker::start();
    broker.ctl("queues declare idle").ok();
    broker.ctl("vhosts add v").ok();
    broker.ctl("queues declare other -p v").ok();
    let old = "--property timestamp=1000000000";
    broker.ctl(&format!("exchanges publish amq.default -k idle --body x {old}")).ok();
    let (code, report) = doctor(&broker, "");
    assert_eq!(code, 1);
    assert_eq!(check(&report, "no consumers"), (true, "1: /: idle has 1".to_owned()));
    let (is_old, found) = check(&report, "old messages");
    assert!(is_old && found.starts_with("1: /: idle since "), "{found}");
    // Of one that is not old enough, and of another virtual host.
    let (_, report) = doctor(&broker, "--age 99999999999");
    assert!(!check(&report, "old messages").0);
    let (code, report) = doctor(&broker, "-p v");
    assert_eq!((code, &report["problems"]), (0, &json!(0)));

    // A stream is not emptied by its readers, and a queue without messages needs none.
    broker.ctl("queues delete idle").ok();
    broker.ctl("queues declare log --type stream").ok();
    broker.ctl("exchanges publish amq.default -k log --body x").ok();
    assert_eq!(doctor(&broker, "").0, 0);
}

#[test]
fn letters_that_wait_are_seen() {
    let broker = Broker::start();
    let arguments = "-a x-dead-letter-exchange=nowhere -a x-dead-letter-strategy=at-least-once -a x-overflow=reject-publish";
    broker.ctl(&format!("queues declare q --type quorum {arguments}")).ok();
    broker.ctl("exchanges publish amq.default -k q --body x").ok();
    broker.ctl("queues get q --ack-mode reject").ok();
    let (code, report) = doctor(&broker, "");
    assert_eq!(
        (code, check(&report, "waiting dead letters")),
        (1, (true, "1: /: q has 1".to_owned()))
    );
}

#[test]
fn clients_that_are_blocked_or_slow_are_seen() {
    let broker = Broker::start();
    for name in ["q", "other"] {
        broker.ctl(&format!("queues declare {name}")).ok();
    }
    for _ in 0..3 {
        broker.ctl("exchanges publish amq.default -k q --body x").ok();
    }
    let uri = broker.server.url();
    let _consumer = broker.runtime.block_on(async {
        let connection = lapin::Connection::connect(&uri, Default::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let (queue, tag) = ("q".into(), "t".into());
        let consumed = channel.basic_consume(queue, tag, Default::default(), Default::default());
        let consumer = consumed.await.unwrap();
        let unacked = || broker.server.counts("q").unacked;
        broker.server.until("three messages on their way", || unacked() == 3).await;
        (consumer, channel, connection)
    });
    let (code, report) = doctor(&broker, "");
    assert_eq!(code, 0, "{report}");
    let (code, report) = doctor(&broker, "--unacked 3");
    let (is_slow, found) = check(&report, "many unacked");
    assert!(code == 1 && is_slow && found.ends_with(" (1) (guest) has 3"), "{found}");

    // Who publishes while there is an alarm is blocked.
    broker.server.broker.alarms.set(Resource::Memory, true);
    let _publisher = broker.runtime.block_on(async {
        let connection = lapin::Connection::connect(&uri, Default::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let (exchange, key) = ("".into(), "other".into());
        let published =
            channel.basic_publish(exchange, key, Default::default(), b"x", Default::default());
        published.await.unwrap();
        (channel, connection)
    });
    // Nobody hears of it but by asking.
    let reached = std::time::Instant::now() + crate::server::PATIENCE;
    loop {
        let (code, report) = doctor(&broker, "");
        let (is_blocked, found) = check(&report, "blocked connections");
        if is_blocked {
            assert!(code == 1 && found.contains(" (guest)"), "{found}");
            break;
        }
        assert!(std::time::Instant::now() < reached, "never blocked: {report}");
    }
}

#[test]
fn idle_channels_say_since_when() {
    let broker = Broker::start();
    let uri = broker.server.url();
    let (_connection, channel) = broker.runtime.block_on(async {
        let connection = lapin::Connection::connect(&uri, Default::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        (connection, channel)
    });
    let sample = |seconds: u64| broker.management.sample(Time(NOW.0 + seconds * 1000));
    let idle_since = || {
        let channels = broker.ctl("channels list --format json").json();
        channels[0]["idle_since"].as_str().map(str::to_owned)
    };
    assert_eq!(idle_since(), None, "nobody knows yet");
    sample(5);
    assert_eq!(idle_since(), None, "it was opened");
    sample(10);
    assert_eq!(idle_since().as_deref(), Some("2023-11-14T22:13:25.000+00:00"));
    sample(15);
    assert_eq!(idle_since().as_deref(), Some("2023-11-14T22:13:25.000+00:00"));
    broker.runtime.block_on(async {
        let declared = channel.queue_declare("q".into(), Default::default(), Default::default());
        declared.await.unwrap();
    });
    assert_eq!(idle_since(), None, "it asked for something that is no message");
    sample(20);
    assert_eq!(idle_since(), None);
    sample(25);
    assert_eq!(idle_since().as_deref(), Some("2023-11-14T22:13:40.000+00:00"));
}

#[test]
fn certificates_that_end_are_seen() {
    use crate::certificates::{Authority, Directory};
    use leveret::transport::tls::Tls;
    use std::sync::Arc;
    let authority = Authority::new("Test CA");
    let directory = Directory::new(&authority);
    let tls = Arc::new(Tls::load(directory.options()).unwrap());
    let broker = Broker::start_with(Some(tls), Node::default());
    let ca = directory.path("ca.pem");
    let ending = |days: &str| {
        let uri = format!("https://guest:guest@localhost:{}", broker.http.port());
        let mut command = crate::broker::ctl();
        command.args(["--uri", &uri, "--cacert"]).arg(&ca);
        let command = command.args(["doctor", "--format", "json", "--days", days]);
        let ran = crate::broker::run(command, b"");
        let report = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"));
        check(&report, "ending certificates")
    };
    assert_eq!(ending("30"), (false, "none".to_owned()));
    // Those of rcgen are good until the year 4096.
    let (ends, found) = ending("1000000");
    assert!(ends && found.contains(&format!("port {}: ", broker.http.port())), "{found}");
}

#[test]
fn top_shows_one_frame_where_nobody_looks() {
    let broker = Broker::start();
    for (queue, messages) in [("a", 1), ("b", 3), ("c", 2)] {
        broker.ctl(&format!("queues declare {queue}")).ok();
        for _ in 0..messages {
            broker.ctl(&format!("exchanges publish amq.default -k {queue} --body x")).ok();
        }
    }
    let names = |flags: &str| {
        let frame = broker.ctl(&format!("top {flags}")).ok();
        let lines = frame.lines().filter(|line| line.starts_with("/ "));
        lines.filter_map(|line| line.split_whitespace().nth(1)).collect::<String>()
    };
    assert_eq!(names("--once --sort messages"), "bca");
    assert_eq!(names("--once --sort messages --reverse"), "acb");
    assert_eq!(names("--once --sort name"), "abc");
    assert_eq!(names("--once --sort messages --rows 2"), "bc");
    assert_eq!(names("--sort messages -p /"), "bca");
    let frame = broker.ctl("top --once --rows 2 --sort messages").ok();
    assert!(frame.contains("\nmessages 6  ready 6  unacked 0"), "{frame}");
    assert!(frame.contains("  messages▼  ") && frame.ends_with("… and 1 more\n"), "{frame}");
    let frame = broker.ctl("top connections --once").ok();
    assert!(frame.contains("received_rate▼"), "{frame}");
    broker.ctl("top --interval 0").fails(64, "0");
    broker.ctl("top -p nowhere --once").ok();
}
