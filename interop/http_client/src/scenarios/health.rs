//! Health checks: those that are fine, and what is said by those that are not.

use rabbitmq_http_client::commons::SupportedProtocol;
use rabbitmq_http_client::error::Error;
use rabbitmq_http_client::responses::HealthCheckFailureDetails as Details;

use crate::scene::Scene;

pub fn health_checks(scene: &Scene) {
    let api = &scene.api;
    api.health_check_cluster_wide_alarms().unwrap();
    api.health_check_local_alarms().unwrap();
    api.health_check_if_node_is_quorum_critical().unwrap();

    api.health_check_port_listener(scene.uri.port().unwrap_or(5672)).unwrap();
    let Err(Error::HealthCheckFailed { details, status_code, .. }) =
        api.health_check_port_listener(1)
    else {
        panic!("somebody listens on port 1");
    };
    assert_eq!(status_code.as_u16(), 503);
    let Details::NoActivePortListener(details) = details else { panic!("{details:?}") };
    assert_eq!((details.inactive_port, details.status.as_str()), (1, "failed"));

    api.health_check_protocol_listener(SupportedProtocol::AMQP).unwrap();
    api.health_check_protocol_listener(SupportedProtocol::HTTP).unwrap();
    let Err(Error::HealthCheckFailed { details, .. }) =
        api.health_check_protocol_listener(SupportedProtocol::STOMPWithTLS)
    else {
        panic!("STOMP is spoken");
    };
    let (active, missing) = match details {
        Details::NoActiveProtocolListener(old) => {
            (old.active_protocols, vec![old.inactive_protocol])
        }
        Details::NoActiveProtocolListeners(new) => (new.active_protocols, new.inactive_protocols),
        other => panic!("{other:?}"),
    };
    assert!(
        active.contains(&"amqp".to_owned()) && missing == ["stomp/ssl"],
        "{active:?} {missing:?}"
    );
}
