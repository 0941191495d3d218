//! Asks open connections what they are like.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::broker::{Connected, Report};

/// How long connections have to answer, all together. Their tasks come by within milliseconds.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// In the order of the connections; nothing from those that have ended or do not answer.
pub(super) async fn ask<'a>(
    connections: impl Iterator<Item = &'a Arc<Connected>>,
) -> Vec<Option<Report>> {
    let asked: Vec<_> = connections
        .map(|connected| {
            let (answer, answered) = oneshot::channel();
            // Nobody waits any more when the client has hung up.
            connected.inquiries.ask(Box::new(move |report| drop(answer.send(report))));
            connected.outbox.ring();
            answered
        })
        .collect();
    let deadline = Instant::now() + ANSWER_TIME_MAX;
    let mut reports = Vec::with_capacity(asked.len());
    for answered in asked {
        reports.push(timeout_at(deadline, answered).await.ok().and_then(Result::ok));
    }
    reports
}
