//! systemd's journal takes a line's level from a number before it, `<3>` for an error (sd-daemon(3)), so
//! that `journalctl --priority warning` finds what it should.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use tracing::Level;

/// Whether this is the journal. systemd says in `JOURNAL_STREAM` which file that is, and who starts the
/// broker with another one leaves the variable as it was.
pub(super) fn is_at(stream: &impl AsFd) -> bool {
    let named = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    !named.is_empty() && name(stream).is_ok_and(|name| name == named)
}

/// What `JOURNAL_STREAM` would be.
fn name(stream: &impl AsFd) -> io::Result<String> {
    let file = File::from(stream.as_fd().try_clone_to_owned()?).metadata()?;
    Ok(format!("{}:{}", file.dev(), file.ino()))
}

/// What stands before a line of that level.
pub(super) fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}
