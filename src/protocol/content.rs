//! The payload of a content header frame: what the bodies behind it will add up to, and the
//! properties, which stay encoded (behaviour B1.11).

use super::reply::{AmqpError, ReplyCode};
use super::wire::{Taken, take};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ContentHeader<'a> {
    pub class: u16,
    /// Always 0 in 0-9-1; anything else is the session's to refuse (B1.7).
    pub weight: u16,
    pub body_size: u64,
    /// Flags and values, to be read with [`super::Properties::parse`].
    pub properties: &'a [u8],
}

impl<'a> ContentHeader<'a> {
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Result<Self, AmqpError> {
        match Self::take(payload) {
            Ok((_, header)) => Ok(header),
            Err(_) => Err(AmqpError::new(ReplyCode::FrameError, "content header too short")),
        }
    }

    #[inline]
    fn take(input: &'a [u8]) -> Taken<'a, Self> {
        let (input, class) = take::short(input)?;
        let (input, weight) = take::short(input)?;
        let (properties, body_size) = take::longlong(input)?;
        Ok((&[], Self { class, weight, body_size, properties }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_is_read_and_its_front_refused() {
        let payload = [0, 60, 0, 1, 0, 0, 0, 0, 0, 0, 2, 1, 0x10, 0, 2];
        let expected =
            ContentHeader { class: 60, weight: 1, body_size: 513, properties: &[0x10, 0, 2] };
        assert_eq!(ContentHeader::parse(&payload), Ok(expected));
        // B1.3: 12 octets are the least; that flags are missing is for the properties to say.
        assert_eq!(ContentHeader::parse(&payload[..12]).unwrap().properties, b"");
        for end in 0..12 {
            let error = ContentHeader::parse(&payload[..end]).expect_err("a refusal");
            assert_eq!(error.code, ReplyCode::FrameError);
        }
    }
}
