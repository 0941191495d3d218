//! The properties of a message: `flags:u16 values…`, values in flag order (behaviour B1.11).
//!
//! They travel through the broker encoded. [`Properties::parse`] makes sure once that they can be
//! read by whoever receives them and shows what the broker itself looks at; where it has to change
//! one, [`OwnedProperties`] writes them anew.

mod header;

pub use header::put_long_header;

use super::reply::{AmqpError, ReplyCode};
use super::table::{Headers, TableReader, validate_table};
use super::wire::{Fault, Taken, put, take};

mod flag {
    pub(super) const CONTENT_TYPE: u16 = 1 << 15;
    pub(super) const CONTENT_ENCODING: u16 = 1 << 14;
    pub(super) const HEADERS: u16 = 1 << 13;
    pub(super) const DELIVERY_MODE: u16 = 1 << 12;
    pub(super) const PRIORITY: u16 = 1 << 11;
    pub(super) const CORRELATION_ID: u16 = 1 << 10;
    pub(super) const REPLY_TO: u16 = 1 << 9;
    pub(super) const EXPIRATION: u16 = 1 << 8;
    pub(super) const MESSAGE_ID: u16 = 1 << 7;
    pub(super) const TIMESTAMP: u16 = 1 << 6;
    pub(super) const TYPE: u16 = 1 << 5;
    pub(super) const USER_ID: u16 = 1 << 4;
    pub(super) const APP_ID: u16 = 1 << 3;
    pub(super) const CLUSTER_ID: u16 = 1 << 2;

    /// What stands before delivery-mode, and what stands behind priority.
    pub(super) const FRONT: u16 = CONTENT_TYPE | CONTENT_ENCODING | HEADERS;
    pub(super) const BACK: u16 = (PRIORITY - 1) & !0b11;
}

/// Borrowed from the header frame. Strings may be any bytes (B1.10).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Properties<'a> {
    /// Flags and all values: what is stored and delivered.
    pub raw: &'a [u8],
    pub content_type: Option<&'a [u8]>,
    pub content_encoding: Option<&'a [u8]>,
    /// The content of the table, without the length in front of it.
    pub headers: Option<&'a [u8]>,
    pub delivery_mode: Option<u8>,
    pub priority: Option<u8>,
    pub correlation_id: Option<&'a [u8]>,
    pub reply_to: Option<&'a [u8]>,
    pub expiration: Option<&'a [u8]>,
    pub message_id: Option<&'a [u8]>,
    pub timestamp: Option<u64>,
    /// The property `type`.
    pub kind: Option<&'a [u8]>,
    pub user_id: Option<&'a [u8]>,
    pub app_id: Option<&'a [u8]>,
    pub cluster_id: Option<&'a [u8]>,
}

impl<'a> Properties<'a> {
    /// Flags and values of no properties at all.
    pub const NONE_ENCODED: &'static [u8] = &[0, 0];

    const NONE: Self = Self {
        raw: &[],
        content_type: None,
        content_encoding: None,
        headers: None,
        delivery_mode: None,
        priority: None,
        correlation_id: None,
        reply_to: None,
        expiration: None,
        message_id: None,
        timestamp: None,
        kind: None,
        user_id: None,
        app_id: None,
        cluster_id: None,
    };

    #[inline]
    pub fn parse(raw: &'a [u8]) -> Result<Self, AmqpError> {
        // Most messages set nothing or only delivery-mode.
        match raw {
            [0, 0] => Ok(Self { raw, ..Self::NONE }),
            [0x10, 0, mode] => Ok(Self { raw, delivery_mode: Some(*mode), ..Self::NONE }),
            _ => Self::parse_any(raw),
        }
    }

    #[inline(never)]
    fn parse_any(raw: &'a [u8]) -> Result<Self, AmqpError> {
        let mut found = Self { raw, ..Self::NONE };
        match found.take(raw) {
            Ok([]) => Ok(found),
            Ok(_) => Err(refused(Fault::Trailing)),
            Err(error) => Err(refused(Fault::of(error))),
        }
    }

    /// The entries of `headers`; none when there is no table.
    pub fn header_entries(&self) -> TableReader<'a> {
        TableReader::new(self.headers.unwrap_or_default())
    }

    pub fn to_owned(&self) -> OwnedProperties {
        let own = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        OwnedProperties {
            content_type: own(self.content_type),
            content_encoding: own(self.content_encoding),
            headers: self.headers.map(Headers::from_raw),
            delivery_mode: self.delivery_mode,
            priority: self.priority,
            correlation_id: own(self.correlation_id),
            reply_to: own(self.reply_to),
            expiration: own(self.expiration),
            message_id: own(self.message_id),
            timestamp: self.timestamp,
            kind: own(self.kind),
            user_id: own(self.user_id),
            app_id: own(self.app_id),
            cluster_id: own(self.cluster_id),
        }
    }

    /// Fills in what `input` says and returns what is left of it. Fills in place because a copy
    /// of all fields would cost more than reading the few that are usually set; for the same
    /// reason the many rare ones are asked about in two groups first.
    #[inline]
    fn take(&mut self, input: &'a [u8]) -> Rest<'a> {
        let (mut input, flags) = take::short(input)?;
        if flags & flag::FRONT != 0 {
            input = self.take_front(flags, input)?;
        }
        if flags & flag::DELIVERY_MODE != 0 {
            self.delivery_mode = Some(next(&mut input, take::octet)?);
        }
        if flags & flag::PRIORITY != 0 {
            self.priority = Some(next(&mut input, take::octet)?);
        }
        if flags & flag::BACK != 0 {
            input = self.take_back(flags, input)?;
        }
        Ok(input)
    }

    fn take_front(&mut self, flags: u16, mut input: &'a [u8]) -> Rest<'a> {
        let shortstr = |flag, input: &mut &'a [u8]| shortstr_if(flags & flag != 0, input);
        self.content_type = shortstr(flag::CONTENT_TYPE, &mut input)?;
        self.content_encoding = shortstr(flag::CONTENT_ENCODING, &mut input)?;
        if flags & flag::HEADERS != 0 {
            let content = next(&mut input, take::longstr)?;
            if !validate_table(content) {
                return Fault::Table.err();
            }
            self.headers = Some(content);
        }
        Ok(input)
    }

    fn take_back(&mut self, flags: u16, mut input: &'a [u8]) -> Rest<'a> {
        let shortstr = |flag, input: &mut &'a [u8]| shortstr_if(flags & flag != 0, input);
        self.correlation_id = shortstr(flag::CORRELATION_ID, &mut input)?;
        self.reply_to = shortstr(flag::REPLY_TO, &mut input)?;
        self.expiration = shortstr(flag::EXPIRATION, &mut input)?;
        self.message_id = shortstr(flag::MESSAGE_ID, &mut input)?;
        if flags & flag::TIMESTAMP != 0 {
            self.timestamp = Some(next(&mut input, take::longlong)?);
        }
        self.kind = shortstr(flag::TYPE, &mut input)?;
        self.user_id = shortstr(flag::USER_ID, &mut input)?;
        self.app_id = shortstr(flag::APP_ID, &mut input)?;
        self.cluster_id = shortstr(flag::CLUSTER_ID, &mut input)?;
        Ok(input)
    }
}

type Rest<'a> = Result<&'a [u8], nom::Err<Fault>>;

#[inline]
fn next<'a, T>(
    input: &mut &'a [u8],
    parser: impl Fn(&'a [u8]) -> Taken<'a, T>,
) -> Result<T, nom::Err<Fault>> {
    let (rest, value) = parser(input)?;
    *input = rest;
    Ok(value)
}

#[inline]
fn shortstr_if<'a>(
    is_set: bool,
    input: &mut &'a [u8],
) -> Result<Option<&'a [u8]>, nom::Err<Fault>> {
    if is_set { next(input, take::short_bytes).map(Some) } else { Ok(None) }
}

#[cold]
fn refused(fault: Fault) -> AmqpError {
    AmqpError::new(ReplyCode::SyntaxError, format!("content properties: {fault}"))
}

/// Properties to be changed or made: for a rewritten reply-to, removed BCC, added x-death.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct OwnedProperties {
    pub content_type: Option<Vec<u8>>,
    pub content_encoding: Option<Vec<u8>>,
    pub headers: Option<Headers>,
    pub delivery_mode: Option<u8>,
    pub priority: Option<u8>,
    pub correlation_id: Option<Vec<u8>>,
    pub reply_to: Option<Vec<u8>>,
    pub expiration: Option<Vec<u8>>,
    pub message_id: Option<Vec<u8>>,
    pub timestamp: Option<u64>,
    /// The property `type`.
    pub kind: Option<Vec<u8>>,
    pub user_id: Option<Vec<u8>>,
    pub app_id: Option<Vec<u8>>,
    pub cluster_id: Option<Vec<u8>>,
}

impl OwnedProperties {
    /// Appends flags and values.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put::short(out, self.flags());
        let shortstr = |out: &mut Vec<u8>, value: &Option<Vec<u8>>| {
            if let Some(bytes) = value {
                put::short_bytes(out, bytes);
            }
        };
        shortstr(out, &self.content_type);
        shortstr(out, &self.content_encoding);
        if let Some(headers) = &self.headers {
            put::longstr(out, headers.as_bytes());
        }
        out.extend(self.delivery_mode);
        out.extend(self.priority);
        shortstr(out, &self.correlation_id);
        shortstr(out, &self.reply_to);
        shortstr(out, &self.expiration);
        shortstr(out, &self.message_id);
        if let Some(seconds) = self.timestamp {
            put::longlong(out, seconds);
        }
        shortstr(out, &self.kind);
        shortstr(out, &self.user_id);
        shortstr(out, &self.app_id);
        shortstr(out, &self.cluster_id);
    }

    /// The flags and values by themselves, as a message keeps them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        self.encode(&mut out);
        out
    }

    fn flags(&self) -> u16 {
        [
            (flag::CONTENT_TYPE, self.content_type.is_some()),
            (flag::CONTENT_ENCODING, self.content_encoding.is_some()),
            (flag::HEADERS, self.headers.is_some()),
            (flag::DELIVERY_MODE, self.delivery_mode.is_some()),
            (flag::PRIORITY, self.priority.is_some()),
            (flag::CORRELATION_ID, self.correlation_id.is_some()),
            (flag::REPLY_TO, self.reply_to.is_some()),
            (flag::EXPIRATION, self.expiration.is_some()),
            (flag::MESSAGE_ID, self.message_id.is_some()),
            (flag::TIMESTAMP, self.timestamp.is_some()),
            (flag::TYPE, self.kind.is_some()),
            (flag::USER_ID, self.user_id.is_some()),
            (flag::APP_ID, self.app_id.is_some()),
            (flag::CLUSTER_ID, self.cluster_id.is_some()),
        ]
        .into_iter()
        .filter(|(_, is_set)| *is_set)
        .fold(0, |flags, (flag, _)| flags | flag)
    }
}

#[cfg(test)]
mod tests;
