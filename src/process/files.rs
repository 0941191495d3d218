//! How many files the process may have open. Every connection is one, every segment that is read another.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// With fewer there is trouble soon.
pub const FEW: u64 = 4096;

/// Raises the soft limit to the hard one. Returns what holds from now on; `None` is no limit.
pub fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}
