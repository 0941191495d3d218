//! What ends a command before its time. Each displays as one line, and has RabbitMQ's exit code.

/// Exit codes are those of `sysexits.h`, as rabbitmqctl has them.
#[derive(Debug, thiserror::Error)]
pub enum CtlError {
    /// 1: a check came out badly.
    #[error("{0}")]
    Failed(String),
    /// 64: the command makes no sense as it was written.
    #[error("{0}")]
    Usage(String),
    /// 65: what it is about is not there, or the broker does not take what it was given.
    #[error("{0}")]
    Data(String),
    /// 67
    #[error("there is no {0}")]
    NoUser(String),
    /// 69
    #[error("{0}")]
    Unreachable(String),
    /// 70: the broker answered what it should not have.
    #[error("{0}")]
    Software(String),
    /// 74: a file, or the terminal.
    #[error("{0}")]
    Io(String),
    /// 75
    #[error("no answer from {address} within {seconds} s")]
    TimedOut { address: String, seconds: f64 },
    /// 77: these credentials are wrong, or may not do that.
    #[error("{0}")]
    NoPermission(String),
    /// 78: how to reach the broker is configured wrongly.
    #[error("{0}")]
    Config(String),
}

impl CtlError {
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 64,
            Self::Data(_) => 65,
            Self::NoUser(_) => 67,
            Self::Unreachable(_) => 69,
            Self::Software(_) => 70,
            Self::Io(_) => 74,
            Self::TimedOut { .. } => 75,
            Self::NoPermission(_) => 77,
            Self::Config(_) => 78,
        }
    }
}
