//! Reply codes, and the error value that becomes `channel.close` or `connection.close`.
//!
//! A handler anywhere returns an [`AmqpError`]; one place in the session turns it into the close
//! method its scope asks for (behaviour B0).

use std::fmt;

use super::wire::put;

/// The codes of behaviour B0.1.
#[repr(u16)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReplyCode {
    Success = 200,
    ContentTooLarge = 311,
    NoRoute = 312,
    NoConsumers = 313,
    ConnectionForced = 320,
    InvalidPath = 402,
    AccessRefused = 403,
    NotFound = 404,
    ResourceLocked = 405,
    PreconditionFailed = 406,
    FrameError = 501,
    SyntaxError = 502,
    CommandInvalid = 503,
    ChannelError = 504,
    UnexpectedFrame = 505,
    ResourceError = 506,
    NotAllowed = 530,
    NotImplemented = 540,
    InternalError = 541,
}

impl ReplyCode {
    /// The name as it begins every reply text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "REPLY_SUCCESS",
            Self::ContentTooLarge => "CONTENT_TOO_LARGE",
            Self::NoRoute => "NO_ROUTE",
            Self::NoConsumers => "NO_CONSUMERS",
            Self::ConnectionForced => "CONNECTION_FORCED",
            Self::InvalidPath => "INVALID_PATH",
            Self::AccessRefused => "ACCESS_REFUSED",
            Self::NotFound => "NOT_FOUND",
            Self::ResourceLocked => "RESOURCE_LOCKED",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::FrameError => "FRAME_ERROR",
            Self::SyntaxError => "SYNTAX_ERROR",
            Self::CommandInvalid => "COMMAND_INVALID",
            Self::ChannelError => "CHANNEL_ERROR",
            Self::UnexpectedFrame => "UNEXPECTED_FRAME",
            Self::ResourceError => "RESOURCE_ERROR",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::NotImplemented => "NOT_IMPLEMENTED",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }

    /// What an exception with this code ends. Clients have the list hard-coded (B0.2), so a code
    /// of the one level must not be sent in a close of the other.
    pub fn scope(self) -> Scope {
        match self {
            Self::ContentTooLarge
            | Self::NoRoute
            | Self::NoConsumers
            | Self::AccessRefused
            | Self::NotFound
            | Self::ResourceLocked
            | Self::PreconditionFailed => Scope::Channel,
            _ => Scope::Connection,
        }
    }

    /// The number on the wire.
    pub fn number(self) -> u16 {
        self as u16
    }
}

/// What an exception ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    Channel,
    Connection,
}

/// Class and method number; `0,0` when no method is to blame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct MethodId {
    pub class: u16,
    pub method: u16,
}

impl MethodId {
    pub const fn new(class: u16, method: u16) -> Self {
        Self { class, method }
    }
}

impl fmt::Display for MethodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.class, self.method)
    }
}

/// An exception in the specification's sense: the client is told, then the channel or the
/// connection is closed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", self.reply_text())]
pub struct AmqpError {
    pub scope: Scope,
    pub code: ReplyCode,
    /// The explanation, without the name of the code before it.
    pub text: String,
    /// The client's method that caused it.
    pub method: MethodId,
    /// Where the frames begin is no longer known: nothing read after this can be trusted.
    pub stop_reading: bool,
}

/// A shortstr's limit (B0.2).
const REPLY_TEXT_BYTES_MAX: usize = 255;

impl AmqpError {
    #[cold]
    pub fn new(code: ReplyCode, text: impl Into<String>) -> Self {
        Self {
            scope: code.scope(),
            code,
            text: text.into(),
            method: MethodId::default(),
            stop_reading: false,
        }
    }

    /// Makes it end the connection whatever its code says, as during login and on channel 0.
    #[must_use]
    pub fn connection(mut self) -> Self {
        self.scope = Scope::Connection;
        self
    }

    /// Names the method to blame, unless one is named already.
    #[must_use]
    pub fn at(mut self, method: MethodId) -> Self {
        if self.method == MethodId::default() {
            self.method = method;
        }
        self
    }

    /// Says that the rest of the input is lost.
    #[must_use]
    pub(crate) fn stop_reading(mut self) -> Self {
        self.stop_reading = true;
        self
    }

    /// `NAME - explanation`, cut to what a shortstr can carry (B0.2).
    pub fn reply_text(&self) -> String {
        let name = self.code.name();
        if self.text.is_empty() {
            return name.to_owned();
        }
        let whole = format!("{name} - {}", self.text);
        if whole.len() <= REPLY_TEXT_BYTES_MAX {
            return whole;
        }
        format!("{}...", put::cut(&whole, REPLY_TEXT_BYTES_MAX - 3))
    }
}

/// Octets as RabbitMQ prints them in its texts, at most the first sixteen: `<<0,10,255>>`.
pub(crate) struct Octets<'a>(pub(crate) &'a [u8]);

const OCTETS_SHOWN_MAX: usize = 16;

impl Octets<'_> {
    /// Whether the whole or only the front is shown, in RabbitMQ's words.
    pub(crate) fn extent(&self) -> &'static str {
        if self.0.len() > OCTETS_SHOWN_MAX { "first 16" } else { "all" }
    }
}

impl fmt::Display for Octets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<<")?;
        for (index, octet) in self.0.iter().take(OCTETS_SHOWN_MAX).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{octet}")?;
        }
        f.write_str(">>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_carries_the_name_of_the_code() {
        let error = AmqpError::new(ReplyCode::NotFound, "no queue 'q' in vhost '/'");
        assert_eq!(error.reply_text(), "NOT_FOUND - no queue 'q' in vhost '/'");
        assert_eq!(error.scope, Scope::Channel);
        assert_eq!(AmqpError::new(ReplyCode::InternalError, "").reply_text(), "INTERNAL_ERROR");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        // B0.2: at most 255 bytes, on a character boundary, ending in dots.
        for padding in 0..4 {
            let text = "x".repeat(padding) + &"é漢".repeat(100);
            let reply = AmqpError::new(ReplyCode::NotFound, text).reply_text();
            assert!(reply.len() <= 255 && reply.len() > 250, "{}", reply.len());
            assert!(reply.ends_with("..."));
        }
        let fits = "x".repeat(255 - "NOT_FOUND - ".len());
        assert!(AmqpError::new(ReplyCode::NotFound, fits).reply_text().ends_with("xx"));
    }

    #[test]
    fn first_blame_stays_and_scope_can_be_raised() {
        let error = AmqpError::new(ReplyCode::AccessRefused, "no")
            .at(MethodId::new(50, 10))
            .at(MethodId::new(60, 40))
            .connection();
        assert_eq!((error.method, error.scope), (MethodId::new(50, 10), Scope::Connection));
    }

    #[test]
    fn octets_are_shown_up_to_sixteen() {
        assert_eq!(Octets(&[]).to_string(), "<<>>");
        assert_eq!(Octets(&[0, 255]).to_string(), "<<0,255>>");
        assert_eq!(Octets(&[7; 17]).to_string().matches('7').count(), 16);
        assert_eq!((Octets(&[7; 16]).extent(), Octets(&[7; 17]).extent()), ("all", "first 16"));
    }
}
