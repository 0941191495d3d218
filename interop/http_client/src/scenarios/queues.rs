//! Queues of each type, and lists of them.

use rabbitmq_http_client::commons::{PaginationParams, QueueType};
use rabbitmq_http_client::requests::{
    MessageProperties, QueueParams, StreamParams, XArgumentsBuilder,
};
use rabbitmq_http_client::responses::QueueInfo;
use serde_json::json;

use crate::scene::{Scene, not_found, until};

pub fn queue_types(scene: &Scene) {
    let (api, vhost) = (&scene.api, scene.vhost.as_str());
    api.declare_classic_queue(vhost, "classic").unwrap();
    api.declare_quorum_queue(vhost, "quorum").unwrap();
    api.declare_stream(vhost, &StreamParams::new("stream", "1h").with_max_length_bytes(1_000_000))
        .unwrap();
    // Again, as a tool does that does not look first.
    api.declare_quorum_queue(vhost, "quorum").unwrap();

    let node = scene.node();
    for name in ["classic", "quorum", "stream"] {
        // RabbitMQ 3 says the one of quorum queues and the other of the rest.
        let running = |queue: &QueueInfo| match name {
            "quorum" => queue.leader.as_ref() == Some(&node),
            _ => queue.state == "running",
        };
        let queue =
            until("the queue runs", || api.get_queue_info(vhost, name).ok().filter(running));
        assert_eq!(queue.queue_type, name);
        assert!(queue.durable && !queue.auto_delete && !queue.exclusive);
        if name != "classic" {
            assert_eq!(queue.members.unwrap().len(), 1);
        }
    }
    assert_eq!(
        api.get_stream_info(vhost, "stream").unwrap().arguments.get("x-max-age"),
        Some(&json!("1h"))
    );
    for (queues, name) in [
        (api.list_classic_queues(), "classic"),
        (api.list_classic_queues_in(vhost), "classic"),
        (api.list_quorum_queues(), "quorum"),
        (api.list_quorum_queues_in(vhost), "quorum"),
        (api.list_streams(), "stream"),
        (api.list_streams_in(vhost), "stream"),
    ] {
        assert!(queues.unwrap().iter().any(|it| it.vhost == vhost && it.name == name));
    }

    for name in ["classic", "quorum"] {
        assert!(
            api.publish_message(vhost, "", name, "x", MessageProperties::new()).unwrap().routed
        );
        until("the message is counted", || {
            (api.get_queue_info(vhost, name).unwrap().message_count == 1).then_some(())
        });
        api.purge_queue(vhost, name).unwrap();
        until("it is gone", || {
            (api.get_queue_info(vhost, name).unwrap().message_count == 0).then_some(())
        });
    }
    api.delete_stream(vhost, "stream", false).unwrap();
    api.delete_queues(vhost, &["classic", "quorum"], false).unwrap();
    api.delete_queues(vhost, &["classic", "quorum"], true).unwrap();
    not_found(api.delete_queue(vhost, "classic", false));
    not_found(api.get_queue_info(vhost, "classic"));
    not_found(api.purge_queue(vhost, "classic"));
}

pub fn queue_arguments(scene: &Scene) {
    let (api, vhost) = (&scene.api, scene.vhost.as_str());
    let arguments = XArgumentsBuilder::new().message_ttl(60_000).queue_ttl(600_000).max_length(100);
    let arguments = arguments.max_length_bytes(1_000_000).overflow_reject_publish().max_priority(5);
    let arguments = arguments
        .dead_letter_exchange("dead")
        .dead_letter_routing_key("k")
        .single_active_consumer(true);
    let params = QueueParams::new_durable_classic_queue("tasks", arguments.build());
    api.declare_queue(vhost, &params).unwrap();
    let found = api.get_queue_info(vhost, "tasks").unwrap().arguments;
    for (key, value) in params.arguments.unwrap() {
        assert_eq!(found.get(&key), Some(&value), "{key}");
    }
    let odd = QueueParams::new("tasks", QueueType::Classic, false, false, None);
    crate::scene::refused(api.declare_queue(vhost, &odd), 400, "inequivalent arg 'durable'");
}

pub fn queue_pages(scene: &Scene) {
    let (api, vhost) = (&scene.api, scene.vhost.as_str());
    for number in 0..5 {
        api.declare_classic_queue(vhost, &format!("q{number}")).unwrap();
    }
    api.declare_stream(vhost, &StreamParams::new("stream", "1h")).unwrap();
    let (mut page, mut names) = (PaginationParams::first_page(2), vec![]);
    for _ in 0..3 {
        let queues = api.list_queues_in_paged(vhost, &page).unwrap();
        names.extend(queues.into_iter().map(|queue| queue.name));
        page = page.next_page().unwrap();
    }
    assert_eq!(names, ["q0", "q1", "q2", "q3", "q4", "stream"]);
    let page = PaginationParams::first_page(500);
    assert!(api.list_queues_paged(&page).unwrap().iter().any(|it| it.vhost == vhost));
    assert!(api.list_streams_paged(&page).unwrap().iter().any(|it| it.vhost == vhost));
    assert_eq!(api.list_streams_in_paged(vhost, &page).unwrap().len(), 1);
    assert_eq!(api.list_queues_in(vhost).unwrap().len(), 6);
    assert!(api.list_queues().unwrap().len() >= 6);
}

pub fn detailed_queues(scene: &Scene) {
    scene.not_on_rabbitmq_3("has no queues/detailed");
    scene.api.declare_classic_queue(&scene.vhost, "tasks").unwrap();
    let queues = scene.api.list_queues_with_details().unwrap();
    assert!(queues.iter().any(|it| it.vhost == scene.vhost && it.name == "tasks"));
}
