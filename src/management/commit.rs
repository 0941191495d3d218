//! Changes are answered when they are durable.

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::refusal::Refusal;
use crate::storage::{Commit, StoreError};

type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// What a change calls when it is durable, and what hears of it.
pub(super) fn completion() -> (impl Fn() -> Done, oneshot::Receiver<Result<(), StoreError>>) {
    let (done, committed) = oneshot::channel();
    let done = Mutex::new(Some(done));
    let notify = move || -> Done {
        let done = done.lock().take();
        Box::new(move |result| {
            if let Some(done) = done {
                // Nobody waits any more when the client has hung up.
                let _ = done.send(result);
            }
        })
    };
    (notify, committed)
}

/// Until a change is durable.
pub(super) async fn wait(
    commit: Commit,
    committed: oneshot::Receiver<Result<(), StoreError>>,
) -> Result<(), Refusal> {
    match commit {
        Commit::Now => Ok(()),
        Commit::Later => match committed.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Refusal::NotStored),
        },
    }
}
