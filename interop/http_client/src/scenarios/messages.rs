//! Messages that the HTTP API publishes and gets.

use rabbitmq_http_client::requests::MessageProperties;
use serde_json::json;

use crate::scene::{Scene, not_found};

pub fn publish_and_get(scene: &Scene) {
    let (api, vhost) = (&scene.api, scene.vhost.as_str());
    api.declare_classic_queue(vhost, "tasks").unwrap();
    let properties = json!({"delivery_mode": 2, "priority": 3, "content_type": "text/plain", "headers": {"n": 1}});
    let properties: MessageProperties = properties.as_object().unwrap().clone();
    assert!(api.publish_message(vhost, "", "tasks", "hällo", properties.clone()).unwrap().routed);
    assert!(
        api.publish_message(vhost, "amq.direct", "none", "x", MessageProperties::new())
            .is_ok_and(|it| !it.routed)
    );
    assert!(
        api.publish_message(vhost, "", "tasks", "two", MessageProperties::new()).unwrap().routed
    );

    let seen = api.get_messages(vhost, "tasks", 10, "ack_requeue_true").unwrap();
    assert_eq!(seen.len(), 2);
    let first = &api.get_messages(vhost, "tasks", 1, "ack_requeue_false").unwrap()[0];
    assert_eq!(
        (first.payload.as_str(), first.payload_bytes, first.payload_encoding.as_str()),
        ("hällo", 6, "string")
    );
    assert_eq!(
        (first.routing_key.as_str(), first.exchange.as_str(), first.message_count),
        ("tasks", "", 1)
    );
    assert_eq!((first.properties.0.clone(), first.redelivered), (properties, true));
    let second = &api.get_messages(vhost, "tasks", 1, "reject_requeue_false").unwrap()[0];
    assert!(second.properties.0.is_empty() && second.message_count == 0);
    assert!(api.get_messages(vhost, "tasks", 1, "ack_requeue_false").unwrap().is_empty());
    not_found(api.get_messages(vhost, "nowhere", 1, "ack_requeue_false"));
}
