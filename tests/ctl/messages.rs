//! Messages: published, taken, looked at, moved, deleted.

use serde_json::json;

use crate::broker::Broker;

/// `work`, whose rejected messages go to `failed`, with messages `1` to `count` in it.
fn with_work(count: usize) -> Broker {
    let broker = Broker::start();
    broker.ctl("queues declare failed").ok();
    let dead_letters = "x-dead-letter-exchange= -a x-dead-letter-routing-key=failed";
    broker.ctl(&format!("queues declare work -a {dead_letters}")).ok();
    for number in 1..=count {
        let header = if number % 2 == 0 { "even" } else { "odd" };
        let words = format!("exchanges publish amq.default -k work --header kind={header}");
        broker.ctl_reading(&words, number.to_string().as_bytes()).ok();
    }
    broker
}

#[test]
fn publish_carries_properties_and_says_where_nothing_goes() {
    let broker = with_work(0);
    let words = "exchanges publish amq.default -k work --body hello --persistent \
        --property content_type=text/plain --property priority=5 --header n=7 --header s=x";
    assert_eq!(broker.ctl(words).ok(), "published\n");
    let message = &broker.ctl("queues peek work --format json").json()[0];
    let properties = json!({
        "content_type": "text/plain", "priority": 5, "delivery_mode": 2,
        "headers": { "n": 7, "s": "x" },
    });
    assert_eq!((&message["properties"], &message["payload"]), (&properties, &json!("hello")));

    let words = "exchanges publish amq.default -k nowhere --body x";
    broker.ctl(words).fails(1, "no queue got it");
    broker.ctl("exchanges publish nothing -k x --body x").fails(65, "no exchange 'nothing'");
    broker.ctl("exchanges publish amq.default --body x --file y").fails(64, "cannot be used with");
    broker.ctl("exchanges publish amq.default --file /nonexistent").fails(74, "cannot read");
}

#[test]
fn bodies_that_are_no_text_come_back_as_they_were() {
    let broker = with_work(0);
    let body = [0, 159, 255, 27, b'\n', 7];
    broker.ctl_reading("exchanges publish amq.default -k work", &body).ok();
    let raw = broker.command().args(["queues", "peek", "work", "--raw"]).output().unwrap();
    assert_eq!(raw.stdout, body);
    let shown = broker.ctl("queues peek work --columns payload,payload_encoding --format csv");
    assert_eq!(shown.ok(), "payload,payload_encoding\nAJ//GwoH,base64\n");
}

#[test]
fn get_puts_back_unless_it_is_told_otherwise() {
    let broker = with_work(3);
    let payloads = |words: &str| {
        let messages = broker.ctl(&format!("{words} --format json")).json();
        let messages = messages.as_array().unwrap().clone();
        messages.iter().map(|it| it["payload"].as_str().unwrap().to_owned()).collect::<String>()
    };
    assert_eq!(payloads("queues get work --count 2"), "12");
    assert_eq!(broker.ready("work"), 3);
    assert_eq!(payloads("queues get work --ack-mode ack"), "1");
    assert_eq!(payloads("queues get work --ack-mode reject"), "2");
    assert_eq!((broker.ready("work"), broker.ready("failed")), (1, 1));
    assert_eq!(payloads("queues get failed --count 5"), "2");
    let table = broker.ctl("queues get work").ok();
    assert!(table.starts_with("exchange  routing_key  redelivered  message_count"), "{table}");
    broker.ctl("queues get nothing").fails(65, "nothing");
}

#[test]
fn peek_filters_and_disturbs_nothing() {
    let broker = with_work(6);
    let peek = |flags: &str| {
        let list = "queues peek work --columns payload --format tsv --no-headers";
        broker.ctl(&format!("{list} {flags}")).ok().replace('\n', " ")
    };
    assert_eq!(peek(""), "1 2 3 4 5 6 ");
    assert_eq!(peek("--count 2"), "1 2 ");
    assert_eq!(peek("--header kind:even"), "2 4 6 ");
    assert_eq!(peek("--header kind"), "1 2 3 4 5 6 ");
    assert_eq!(peek("--header kind:even --body 4"), "4 ");
    assert_eq!(peek("--key wor --count 1"), "1 ");
    assert_eq!(peek("--reason rejected"), "");
    assert_eq!((peek("--truncate 0 --count 1"), broker.ready("work")), (" ".to_owned(), 6));
    let first = &broker.ctl("queues get work --format json").json()[0];
    assert_eq!(first["redelivered"], false);
    broker.ctl("queues peek nothing").fails(65, "there is no queue 'nothing' in vhost '/'");
}

#[test]
fn peek_goes_on_behind_one_answer_of_the_api() {
    let broker = with_work(0);
    broker.runtime.block_on(async {
        let uri = broker.server.url();
        let connection = lapin::Connection::connect(&uri, Default::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        for _ in 0..700 {
            let (exchange, key) = ("".into(), "work".into());
            let options = Default::default();
            let sent = channel.basic_publish(exchange, key, options, b"x", Default::default());
            sent.await.unwrap();
        }
        broker.server.until("700 messages", || broker.ready("work") == 700).await;
    });
    let peek = "queues peek work --no-headers --columns payload --count";
    assert_eq!(broker.ctl(&format!("{peek} 650")).ok().lines().count(), 650);
    assert_eq!(broker.ctl(&format!("{peek} 9000")).ok().lines().count(), 700);
}

#[test]
fn dead_letters_are_counted_and_replayed() {
    let broker = with_work(4);
    broker.ctl("queues get work --count 4 --ack-mode reject").ok();
    broker.ctl("exchanges publish amq.default -k failed --body stray").ok();
    let groups = broker.ctl("queues dead-letters failed --format csv").ok();
    assert_eq!(groups, "reason,queue,count\n,,1\nrejected,work,4\n");

    let replay = "queues replay failed --from work --reason rejected --header kind:even";
    assert_eq!(broker.ctl(replay).ok(), "2 moved\n");
    assert_eq!((broker.ready("work"), broker.ready("failed")), (2, 3));
    let moved = broker.ctl("queues move failed --to-origin --all --format json").json();
    assert_eq!(moved, json!({ "moved": 2, "kept": 1 }));
    assert_eq!((broker.ready("work"), broker.ready("failed")), (4, 1));
}

#[test]
fn messages_are_moved_and_deleted_by_position_and_filter() {
    let broker = with_work(6);
    broker.ctl("queues declare other").ok();
    let positions =
        broker.ctl("queues peek work --columns position --format tsv --no-headers").ok();
    let at: Vec<&str> = positions.lines().collect();
    let words =
        format!("queues move work --to-queue other --positions {},{}-{}", at[0], at[2], at[3]);
    assert_eq!(broker.ctl(&words).ok(), "3 moved\n");
    let words = "queues move work --to-exchange amq.default --routing-key other --header kind:even";
    assert_eq!(broker.ctl(words).ok(), "2 moved\n");
    assert_eq!((broker.ready("work"), broker.ready("other")), (1, 5));
    assert_eq!(broker.ctl("queues drop other --body 3").ok(), "1 deleted\n");
    assert_eq!(broker.ctl("queues drop other --all").ok(), "4 deleted\n");
    let kept = broker.ctl("queues move work --to-exchange amq.direct --all").ok();
    assert_eq!(kept, "0 moved, 1 kept: nothing took them\n");

    for (words, said) in [
        ("queues drop work", "say which messages"),
        ("queues drop work --all --body x", "say which messages"),
        ("queues move work --all", "required"),
        ("queues move work --all --to-origin --to-queue x", "cannot be used with"),
        ("queues drop work --positions 1-x", "are no positions"),
    ] {
        broker.ctl(words).fails(64, said);
    }
    broker.ctl("queues move work --all --to-queue work").fails(65, "in that queue already");
    broker.ctl("queues move work --all --to-queue nothing").fails(65, "no queue 'nothing'");
}
