//! Connections, channels and consumers, as they are while an AMQP client is there.

use rabbitmq_http_client::commons::PaginationParams;
use rabbitmq_http_client::requests::StreamParams;

use crate::amqp::Amqp;
use crate::scene::{Scene, not_found, until};

fn connection_of(scene: &Scene, user: &str) -> String {
    let shown = || scene.api.list_user_connections(user).unwrap().pop();
    let connection = until("the connection is shown", shown);
    assert_eq!((connection.username.as_str(), &connection.vhost), (user, &scene.vhost));
    assert_eq!(connection.node, scene.node());
    connection.name
}

pub fn connections_and_channels(scene: &Scene) {
    let (user, _) = scene.new_user("");
    let _amqp = Amqp::connect(scene, &user, "secret");
    let name = connection_of(scene, &user);

    let shown = || scene.api.get_connection_info(&name).ok().filter(|it| it.channel_count == 1);
    let connection = until("the channel is counted", shown);
    assert_eq!(
        (connection.username.as_str(), connection.protocol.as_str()),
        (user.as_str(), "AMQP 0-9-1")
    );
    assert_eq!(connection.state.as_deref(), Some("running"));
    assert!(connection.connected_at > 0 && connection.client_port.is_some_and(|port| port > 0));
    assert_eq!(connection.client_properties.connection_name, "interop http client");
    assert!(connection.client_properties.capabilities.unwrap().consumer_cancel_notify);
    let page = PaginationParams::first_page(500);
    for connections in [
        scene.api.list_connections(),
        scene.api.list_connections_paged(&page),
        scene.api.list_connections_in(&scene.vhost),
    ] {
        assert!(connections.unwrap().iter().any(|it| it.name == name));
    }

    let channels = scene.api.list_channels_on(&name).unwrap();
    let channel = scene.api.get_channel_info(&channels[0].name).unwrap();
    assert_eq!((channel.id, &channel.vhost), (1, &scene.vhost));
    assert!(channel.has_publisher_confirms_enabled);
    assert_eq!(channel.connection_details.name, name);
    for channels in [
        scene.api.list_channels(),
        scene.api.list_channels_paged(&page),
        scene.api.list_channels_in(&scene.vhost),
    ] {
        assert!(channels.unwrap().iter().any(|it| it.name == channel.name));
    }
    not_found(scene.api.get_connection_info("nobody"));
    not_found(scene.api.get_channel_info("nobody (1)"));
}

pub fn channel_pages_of_a_vhost(scene: &Scene) {
    scene.not_on_rabbitmq_3("has no pages of a virtual host's channels");
    let (user, _) = scene.new_user("");
    let _amqp = Amqp::connect(scene, &user, "secret");
    connection_of(scene, &user);
    let page =
        |number| scene.api.list_channels_in_paged(&scene.vhost, &PaginationParams::new(number, 1));
    assert_eq!(until("the channel is shown", || page(1).unwrap().pop()).id, 1);
    assert!(page(2).is_err());
}

pub fn consumers(scene: &Scene) {
    scene.not_on_rabbitmq_3("does not tell a consumer's timeout");
    let (user, _) = scene.new_user("");
    let amqp = Amqp::connect(scene, &user, "secret");
    scene.api.declare_classic_queue(&scene.vhost, "tasks").unwrap();
    amqp.consume("tasks", "worker");
    let consumer =
        until("the consumer is shown", || scene.api.list_consumers_in(&scene.vhost).unwrap().pop());
    assert_eq!((consumer.consumer_tag.as_str(), consumer.queue.name.as_str()), ("worker", "tasks"));
    assert!(consumer.active && consumer.manual_ack && !consumer.exclusive);
    let channel = consumer.channel_details.unwrap();
    assert_eq!(
        (channel.username.as_str(), channel.connection_name),
        (user.as_str(), connection_of(scene, &user))
    );
    assert!(scene.api.list_consumers().unwrap().iter().any(|it| it.queue.vhost == scene.vhost));
}

pub fn closed_connections(scene: &Scene) {
    let (user, _) = scene.new_user("");
    let amqp = Amqp::connect(scene, &user, "secret");
    let name = connection_of(scene, &user);
    // RabbitMQ shows a connection before it knows it well enough to close it.
    until("it is let go", || scene.api.close_connection(&name, Some("maintenance"), false).ok());
    let reason = until("the connection is closed", || amqp.closed());
    assert_eq!(reason, "CONNECTION_FORCED - maintenance");

    let amqp = Amqp::connect(scene, &user, "secret");
    assert_ne!(connection_of(scene, &user), name);
    scene.api.close_user_connections(&user, Some("you, too"), false).unwrap();
    let reason = until("the connection is closed", || amqp.closed());
    assert_eq!(reason, "CONNECTION_FORCED - you, too");
    not_found(scene.api.close_connection("nobody", None, false));
    scene.api.close_connection("nobody", None, true).unwrap();
}

/// Those of the stream protocol. leveret does not speak it, so there are none.
pub fn stream_clients(scene: &Scene) {
    scene.needs_plugin("rabbitmq_stream_management", scene.api.list_stream_connections());
    scene.api.declare_stream(&scene.vhost, &StreamParams::new("events", "1h")).unwrap();
    assert!(scene.api.list_stream_publishers_of(&scene.vhost, "events").unwrap().is_empty());
    not_found(scene.api.get_stream_connection_info(&scene.vhost, "nobody"));
    not_found(scene.api.list_stream_publishers_on_connection(&scene.vhost, "nobody"));
    not_found(scene.api.list_stream_consumers_on_connection(&scene.vhost, "nobody"));
    assert!(scene.api.list_stream_connections().unwrap().is_empty());
    assert!(scene.api.list_stream_connections_in(&scene.vhost).unwrap().is_empty());
    assert!(scene.api.list_stream_publishers().unwrap().is_empty());
    assert!(scene.api.list_stream_publishers_in(&scene.vhost).unwrap().is_empty());
    assert!(scene.api.list_stream_consumers().unwrap().is_empty());
    assert!(scene.api.list_stream_consumers_in(&scene.vhost).unwrap().is_empty());
}
