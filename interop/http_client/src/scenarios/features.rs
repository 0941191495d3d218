//! What a broker says about its features, and what a cluster would do.

use rabbitmq_http_client::responses::FeatureFlagState;

use crate::scene::Scene;

pub fn feature_flags(scene: &Scene) {
    scene.api.enable_all_stable_feature_flags().unwrap();
    let flags = scene.api.list_feature_flags().unwrap();
    assert!(!flags.is_empty());
    assert!(flags.iter().all(|flag| flag.state == FeatureFlagState::Enabled));
    scene.api.enable_feature_flag(&flags[0].name).unwrap();
}

pub fn deprecated_features(scene: &Scene) {
    scene.not_on_rabbitmq_3("does not list deprecated features");
    let known = scene.api.list_all_deprecated_features().unwrap();
    let used = scene.api.list_deprecated_features_in_use().unwrap();
    assert!(used.iter().all(|feature| known.iter().any(|it| it.name == feature.name)));
}

pub fn rebalancing(scene: &Scene) {
    scene.api.rebalance_queue_leaders().unwrap();
}
