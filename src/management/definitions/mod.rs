//! All that is configured, as one document: to be kept, compared, and brought to another broker.
//!
//! `export` writes it as RabbitMQ does. `read` takes those of RabbitMQ 3.x and 4.x and of LavinMQ, and
//! checks the whole of it before anything changes: what is left for `apply` is to do it. What is there
//! already is kept where it cannot change (queues, exchanges) and replaced where it can. Documents come
//! over HTTP, or from `files` that a broker starts with.

mod apply;
pub(super) mod export;
mod files;
mod read;

use std::sync::Arc;

use crate::auth::Authenticator;
use crate::broker::Broker;
use crate::time::Time;

pub(super) use apply::apply;
pub use files::{DefinitionFiles, DefinitionsError};
pub(super) use read::{Document, check_component, set_limits};

/// What a document is checked against, and what it changes.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) broker: &'a Arc<Broker>,
    pub(super) authenticator: &'a Authenticator,
    pub(super) now: Time,
}

impl super::Api {
    pub(super) fn target(&self) -> Target<'_> {
        let super::Services { broker, authenticator, .. } = &self.services;
        Target { broker, authenticator, now: self.now() }
    }
}

/// What the files were that a broker has started with. It says nothing to another broker.
pub(super) const FILES_HASH: &str = "imported_definition_hash_value";

/// Global parameters that are each broker's own.
pub(super) fn is_own(global_parameter: &str) -> bool {
    [FILES_HASH, "internal_cluster_id"].contains(&global_parameter)
}
