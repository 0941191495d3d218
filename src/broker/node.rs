//! What this node is called.

/// What RabbitMQ would call it: its tools want a name, and some of its texts have one.
pub fn node_name() -> String {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    format!("rabbit@{}", host.split('.').next().unwrap_or("localhost"))
}
