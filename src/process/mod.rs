//! What the process and the system tell each other: how far it is, for systemd; what the operator wants,
//! by signal; how many files it may have open.

pub mod files;
pub mod signals;
pub mod systemd;
