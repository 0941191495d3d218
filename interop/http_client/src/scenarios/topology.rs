//! Exchanges and bindings.

use rabbitmq_http_client::commons::{BindingDestinationType, ExchangeType, PaginationParams};
use rabbitmq_http_client::requests::{BindingDeletionParams, ExchangeParams};
use serde_json::json;

use crate::scene::{Scene, not_found, refused};

pub fn exchanges(scene: &Scene) {
    let (api, vhost) = (&scene.api, scene.vhost.as_str());
    let alternate = json!({"alternate-exchange": "amq.fanout"}).as_object().cloned();
    for params in [
        ExchangeParams::durable_direct("direct", alternate),
        ExchangeParams::durable_fanout("fanout", None),
        ExchangeParams::durable_topic("topic", None),
        ExchangeParams::durable_headers("headers", None),
        ExchangeParams::new("transient", ExchangeType::Topic, false, true, None),
    ] {
        api.declare_exchange(vhost, &params).unwrap();
        let found = api.get_exchange_info(vhost, params.name).unwrap();
        assert_eq!((found.durable, found.auto_delete), (params.durable, params.auto_delete));
        assert_eq!(ExchangeType::from(found.exchange_type.as_str()), params.exchange_type);
    }
    let found = api.get_exchange_info(vhost, "direct").unwrap();
    assert_eq!(found.arguments.get("alternate-exchange"), Some(&json!("amq.fanout")));
    let page = PaginationParams::first_page(500);
    for exchanges in [
        api.list_exchanges(),
        api.list_exchanges_paged(&page),
        api.list_exchanges_in(vhost),
        api.list_exchanges_in_paged(vhost, &page),
    ] {
        assert_eq!(
            exchanges
                .unwrap()
                .iter()
                .filter(|it| it.vhost == vhost && !it.name.starts_with("amq."))
                .count(),
            6
        );
    }
    let other = ExchangeParams::durable_fanout("direct", None);
    refused(api.declare_exchange(vhost, &other), 400, "inequivalent arg 'type'");
    api.delete_exchange(vhost, "direct", false).unwrap();
    api.delete_exchanges(vhost, &["direct", "fanout", "topic"], true).unwrap();
    not_found(api.delete_exchange(vhost, "direct", false));
    not_found(api.get_exchange_info(vhost, "direct"));
}

pub fn bindings(scene: &Scene) {
    let (api, vhost) = (&scene.api, scene.vhost.as_str());
    api.declare_exchange(vhost, &ExchangeParams::durable_topic("events", None)).unwrap();
    api.declare_classic_queue(vhost, "tasks").unwrap();
    let arguments = json!({"n": 1}).as_object().cloned();
    api.bind_queue(vhost, "tasks", "events", Some("a b/c%"), None).unwrap();
    api.bind_queue(vhost, "tasks", "events", Some("a b/c%"), arguments.clone()).unwrap();
    api.bind_exchange(vhost, "events", "amq.headers", None, arguments.clone()).unwrap();

    for bindings in [api.list_bindings(), api.list_bindings_in(vhost)] {
        assert_eq!(
            bindings
                .unwrap()
                .iter()
                .filter(|it| it.vhost == vhost && !it.source.is_empty())
                .count(),
            3
        );
    }
    let to_queue = api.list_exchange_bindings_with_source(vhost, "events").unwrap();
    assert_eq!(to_queue.len(), 2);
    let to_exchange = api.list_exchange_bindings_with_destination(vhost, "events").unwrap();
    assert_eq!(
        (to_exchange.len(), &to_exchange[0].destination_type),
        (1, &BindingDestinationType::Exchange)
    );
    // The one from the default exchange is among them.
    assert_eq!(api.list_queue_bindings(vhost, "tasks").unwrap().len(), 3);

    let mut deletion = BindingDeletionParams {
        virtual_host: vhost,
        source: "events",
        destination: "tasks",
        destination_type: BindingDestinationType::Queue,
        routing_key: "a b/c%",
        arguments,
    };
    api.delete_binding(&deletion, false).unwrap();
    not_found(api.delete_binding(&deletion, false));
    api.delete_binding(&deletion, true).unwrap();
    deletion.arguments = None;
    api.delete_binding(&deletion, false).unwrap();
    api.delete_binding(&BindingDeletionParams::from_binding_info(&to_exchange[0]), false).unwrap();
    assert!(api.list_exchange_bindings_with_source(vhost, "events").unwrap().is_empty());
    for binding in to_queue.iter().chain(&to_exchange) {
        api.recreate_binding(binding).unwrap();
    }
    assert_eq!(api.list_exchange_bindings_with_source(vhost, "events").unwrap(), to_queue);
    not_found(api.bind_queue(vhost, "nowhere", "events", None, None));
}
