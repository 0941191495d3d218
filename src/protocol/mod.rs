//! Bytes to frames to methods, and back (behaviour B1).
//!
//! In come the bytes of one connection, out go borrowed [`Frame`]s, [`Method`]s, content headers
//! and [`Properties`]; the other way round everything is appended to a `Vec<u8>`. What is read
//! borrows from the input, except for tables in method arguments, which are owned because they
//! outlive the read. A fault of the peer is an [`AmqpError`] that already knows its scope.
//!
//! Reading order: `frame` (what a frame is), `method` (what a method frame says), `content` and
//! `properties` (what a header frame says), `table` (field tables in both), `wire` (the primitive
//! types all of them are made of), `reply` (codes, scopes and texts of errors).
//!
//! Invariant: no I/O, no clock, no lock, no broker; no input can make this room panic, recurse
//! without bound, or allocate more than a constant factor of the input's own size.

pub mod content;
pub mod frame;
pub mod method;
pub mod properties;
pub mod reply;
pub mod table;
pub mod wire;

pub use content::ContentHeader;
pub use frame::{ChannelNumber, Frame, FrameKind};
pub use method::Method;
pub use properties::{OwnedProperties, Properties, put_long_header};
pub use reply::{AmqpError, MethodId, ReplyCode, Scope};
pub use table::{FieldTable, FieldValue, Headers, RawValue, TableReader};

#[cfg(test)]
mod tests;
