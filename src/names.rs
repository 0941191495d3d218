//! The names that travel through every room, as distinct types over shared strings.
//!
//! Cloning one bumps a reference count; none of them is cloned per message on the data path.
//! Names are UTF-8 and at most 255 bytes because the wire carries them as short strings
//! (behaviour B1.10); the codec has checked both before a name is made.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Log target of what is said about who did what: logins, refusals and changed definitions.
///
/// Who it was, from where and over which interface stands in the span around what is done, so that what
/// changes something need not know who asked. Texts are handed over as `&str`: both formats of the log
/// escape those, so that a name cannot look like a line of its own.
pub const AUDIT: &str = "leveret::audit";

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }

            pub fn as_bytes(&self) -> &[u8] {
                self.0.as_bytes()
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(Arc::from(text))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(Arc::from(text))
            }
        }

        /// Lets maps keyed by this name be searched with a plain `&str`.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

name!(
    /// A virtual host: an isolated namespace of exchanges, queues and bindings.
    VhostName
);
name!(
    /// An exchange; the empty name is the default exchange.
    ExchangeName
);
name!(QueueName);
name!(
    /// The key of a binding. (The key of a publish stays bytes: it need not be UTF-8.)
    RoutingKey
);
name!(
    /// A subscription's tag, unique within its channel only.
    ConsumerTag
);
name!(UserName);
