//! Records of the journal, to bytes and back.
//!
//! ```text
//! length u32 | checksum u32 | type u8 | payload          little endian; length is of type and payload
//! ```
//!
//! Whoever encodes leaves the checksum empty: it depends on where in a file the record comes to lie, so
//! the journal thread fills it in (see [`file`](super::file)).
//!
//! There are three kinds of message, of which only the last two are written any more:
//!
//! ```text
//! Message            number u64 |            lengths u16, u32      | address | header | body
//! MessageAt          number u64 | time u64 | lengths u16, u32      | address | header | body
//! MessageWithKeys    number u64 | time u64 | lengths u16, u32, u32 | address | header | keys | body
//! ```
//!
//! Invariant: decoding takes nothing on trust; what does not add up is no record.

use crate::message::Message;
use crate::time::Time;

/// Length and checksum.
pub const FRAME: usize = 8;

/// Entries in one record. More are spread over several, so that no length comes near its limit.
const ENTRIES_MAX: usize = 1 << 16;

/// The largest message there can be a record of, with room for its fixed fields.
pub const MESSAGE_MAX: usize = (u32::MAX - 64) as usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Message = 1,
    Enqueue,
    Settle,
    Moved,
    Settled,
    QueueGone,
    GroupEnd,
    Redelivered,
    Clean,
    MessageAt,
    MessageWithKeys,
    Returned = 12,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Message,
            2 => Self::Enqueue,
            3 => Self::Settle,
            4 => Self::Moved,
            5 => Self::Settled,
            6 => Self::QueueGone,
            7 => Self::GroupEnd,
            8 => Self::Redelivered,
            9 => Self::Clean,
            10 => Self::MessageAt,
            11 => Self::MessageWithKeys,
            12 => Self::Returned,
            _ => return None,
        })
    }
}

/// A record as it lies in a buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Record<'a> {
    Message(MessageRecord<'a>),
    Enqueue {
        group: u64,
        queue: u64,
        runs: Runs<'a>,
    },
    Settle {
        group: u64,
        queue: u64,
        ranges: Ranges<'a>,
    },
    Moved {
        queue: u64,
        first: u64,
        last: u64,
    },
    Settled {
        queue: u64,
        ranges: Ranges<'a>,
    },
    QueueGone {
        queue: u64,
    },
    GroupEnd {
        group: u64,
        records: u32,
    },
    Redelivered {
        queue: u64,
        ranges: Ranges<'a>,
    },
    /// How often the messages of a quorum queue have come back.
    Returned {
        queue: u64,
        counts: Counts<'a>,
    },
    Clean,
}

/// A message as it lies in a buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MessageRecord<'a> {
    pub number: u64,
    /// When it was stored; version 1 of the journal did not say.
    pub stored: Option<Time>,
    pub address: &'a [u8],
    pub header: &'a [u8],
    /// What [`Message::extra_keys`] says.
    pub extra_keys: Option<&'a [u8]>,
    pub body: &'a [u8],
}

/// What a message record begins with.
struct Lengths {
    number: u64,
    stored: Option<Time>,
    address: usize,
    header: usize,
    extra_keys: Option<usize>,
}

impl Lengths {
    /// `None` also for a kind that is no message.
    fn read(kind: Kind, bytes: &mut &[u8]) -> Option<Self> {
        let number = u64_of(bytes)?;
        let stored = match kind {
            Kind::Message => None,
            Kind::MessageAt | Kind::MessageWithKeys => Some(Time(u64_of(bytes)?)),
            _ => return None,
        };
        let (address, header) = (usize::from(u16_of(bytes)?), u32_of(bytes)? as usize);
        let extra_keys = match kind {
            Kind::MessageWithKeys => Some(u32_of(bytes)? as usize),
            _ => None,
        };
        Some(Self { number, stored, address, header, extra_keys })
    }

    /// Bytes that these fields take.
    fn fixed(stored: bool, extra_keys: bool) -> usize {
        14 + if stored { 8 } else { 0 } + if extra_keys { 4 } else { 0 }
    }
}

impl MessageRecord<'_> {
    /// What the record takes in a file.
    pub fn record_bytes(&self) -> u64 {
        let fixed = Lengths::fixed(self.stored.is_some(), self.extra_keys.is_some());
        let keys = self.extra_keys.map_or(0, <[u8]>::len);
        let parts = self.address.len() + self.header.len() + keys + self.body.len();
        (FRAME + 1 + fixed + parts) as u64
    }
}

/// `(first, last)`, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranges<'a>(&'a [[u8; 16]]);

impl<'a> Ranges<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let (entries, rest) = bytes.as_chunks();
        let ranges = Self(entries);
        let sound = rest.is_empty() && ranges.iter().all(|(first, last)| first <= last);
        sound.then_some(ranges)
    }

    pub fn iter(self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().filter_map(|entry| {
            let mut entry = entry.as_slice();
            Some((u64_of(&mut entry)?, u64_of(&mut entry)?))
        })
    }
}

/// `(first, last, count)`: positions, both included, of messages that came back so often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counts<'a>(&'a [[u8; 20]]);

impl<'a> Counts<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let (entries, rest) = bytes.as_chunks();
        let counts = Self(entries);
        (rest.is_empty() && counts.iter().all(|(first, last, _)| first <= last)).then_some(counts)
    }

    pub fn iter(self) -> impl Iterator<Item = (u64, u64, u32)> {
        self.0.iter().filter_map(|entry| {
            let mut entry = entry.as_slice();
            Some((u64_of(&mut entry)?, u64_of(&mut entry)?, u32_of(&mut entry)?))
        })
    }
}

/// `(position, number, count)`: so many consecutive messages at as many consecutive positions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Runs<'a>(&'a [[u8; 20]]);

impl<'a> Runs<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let (entries, rest) = bytes.as_chunks();
        let runs = Self(entries);
        let fits = |first: u64, count: u32| first.checked_add(u64::from(count)).is_some();
        let sound =
            |(position, number, count)| count > 0 && fits(position, count) && fits(number, count);
        (rest.is_empty() && runs.iter().all(sound)).then_some(runs)
    }

    pub fn iter(self) -> impl Iterator<Item = (u64, u64, u32)> {
        self.0.iter().filter_map(|entry| {
            let mut entry = entry.as_slice();
            Some((u64_of(&mut entry)?, u64_of(&mut entry)?, u32_of(&mut entry)?))
        })
    }
}

impl<'a> Record<'a> {
    /// Reads what a frame holds: type and payload.
    pub fn decode(content: &'a [u8]) -> Option<Self> {
        let (kind, mut rest) = content.split_first()?;
        let bytes = &mut rest;
        let record = match Kind::of(*kind)? {
            kind @ (Kind::Message | Kind::MessageAt | Kind::MessageWithKeys) => {
                return Self::message(kind, bytes);
            }
            Kind::Enqueue => {
                let (group, queue) = (u64_of(bytes)?, u64_of(bytes)?);
                return Some(Self::Enqueue { group, queue, runs: Runs::of(bytes)? });
            }
            Kind::Settle => {
                let (group, queue) = (u64_of(bytes)?, u64_of(bytes)?);
                return Some(Self::Settle { group, queue, ranges: Ranges::of(bytes)? });
            }
            Kind::Settled => {
                return Some(Self::Settled { queue: u64_of(bytes)?, ranges: Ranges::of(bytes)? });
            }
            Kind::Redelivered => {
                let queue = u64_of(bytes)?;
                return Some(Self::Redelivered { queue, ranges: Ranges::of(bytes)? });
            }
            Kind::Returned => {
                return Some(Self::Returned { queue: u64_of(bytes)?, counts: Counts::of(bytes)? });
            }
            Kind::Moved => {
                let (queue, first, last) = (u64_of(bytes)?, u64_of(bytes)?, u64_of(bytes)?);
                (first <= last).then_some(Self::Moved { queue, first, last })?
            }
            Kind::QueueGone => Self::QueueGone { queue: u64_of(bytes)? },
            Kind::GroupEnd => Self::GroupEnd { group: u64_of(bytes)?, records: u32_of(bytes)? },
            Kind::Clean => Self::Clean,
        };
        bytes.is_empty().then_some(record)
    }

    fn message(kind: Kind, bytes: &mut &'a [u8]) -> Option<Self> {
        let lengths = Lengths::read(kind, bytes)?;
        let (address, rest) = bytes.split_at_checked(lengths.address)?;
        let (header, mut body) = rest.split_at_checked(lengths.header)?;
        let mut extra_keys = None;
        if let Some(length) = lengths.extra_keys {
            let (keys, rest) = body.split_at_checked(length)?;
            (extra_keys, body) = (Some(keys), rest);
        }
        // What a message needs of these is said in `Message::with_inline_body`.
        let sound = address.len() <= 512 && header.len() >= 14;
        let Lengths { number, stored, .. } = lengths;
        let record = MessageRecord { number, stored, address, header, extra_keys, body };
        sound.then_some(Self::Message(record))
    }
}

/// Whether `prefix`, with which a content of `length` bytes would begin, looks like a record at all.
/// Looking for the next record behind a damaged place asks this at every byte, before it takes the
/// trouble of a checksum.
pub fn plausible(length: usize, prefix: &[u8]) -> bool {
    let Some((kind, mut rest)) = prefix.split_first() else { return false };
    let (payload, bytes) = (length - 1, &mut rest);
    match Kind::of(*kind) {
        None => false,
        Some(kind @ (Kind::Message | Kind::MessageAt | Kind::MessageWithKeys)) => {
            message_is_plausible(kind, payload, bytes).is_some()
        }
        Some(Kind::Enqueue) => payload > 16 && (payload - 16) % 20 == 0,
        Some(Kind::Settle) => payload > 16 && (payload - 16) % 16 == 0,
        Some(Kind::Settled | Kind::Redelivered) => payload > 8 && (payload - 8) % 16 == 0,
        Some(Kind::Returned) => payload > 8 && (payload - 8) % 20 == 0,
        Some(Kind::Moved) => payload == 24,
        Some(Kind::QueueGone) => payload == 8,
        Some(Kind::GroupEnd) => payload == 12,
        Some(Kind::Clean) => payload == 0,
    }
}

/// Bytes that [`plausible`] wants to see.
pub const PLAUSIBLE: usize = 1 + 26 + 512 + 12;

/// The content header tells how long the body is, which only a true record gets right.
fn message_is_plausible(kind: Kind, payload: usize, bytes: &mut &[u8]) -> Option<()> {
    let lengths = Lengths::read(kind, bytes)?;
    let Lengths { address, header, extra_keys, .. } = lengths;
    let fixed = Lengths::fixed(lengths.stored.is_some(), extra_keys.is_some());
    let parts = [fixed, address, header, extra_keys.unwrap_or(0)];
    let body = parts.iter().try_fold(payload, |left, part| left.checked_sub(*part))?;
    let size = bytes.get(address..)?.get(4..)?.first_chunk()?;
    (header >= 14 && u64::from_be_bytes(*size) == body as u64).then_some(())
}

/// Appends a message, which must not be longer than [`MESSAGE_MAX`]. `stored` is `None` only for what
/// an older version stored, which did not write extra keys either.
pub fn put_message(out: &mut Vec<u8>, number: u64, stored: Option<Time>, message: &Message) {
    let (address, header) = (message.address(), message.header());
    let extra_keys = message.extra_keys().filter(|_| stored.is_some());
    let kind = match (stored, extra_keys) {
        (None, _) => Kind::Message,
        (Some(_), None) => Kind::MessageAt,
        (Some(_), Some(_)) => Kind::MessageWithKeys,
    };
    let start = out.len();
    out.reserve(FRAME + 1 + Lengths::fixed(true, true) + message.weight());
    out.extend_from_slice(&[0; FRAME]);
    out.push(kind as u8);
    out.extend_from_slice(&number.to_le_bytes());
    if let Some(Time(millis)) = stored {
        out.extend_from_slice(&millis.to_le_bytes());
    }
    out.extend_from_slice(&(address.len() as u16).to_le_bytes());
    out.extend_from_slice(&(header.len() as u32).to_le_bytes());
    if let Some(keys) = extra_keys {
        out.extend_from_slice(&(keys.len() as u32).to_le_bytes());
    }
    out.extend_from_slice(address);
    out.extend_from_slice(header);
    out.extend_from_slice(extra_keys.unwrap_or_default());
    out.extend_from_slice(message.inline_body());
    for chunk in message.chunks().unwrap_or_default() {
        out.extend_from_slice(chunk);
    }
    end(out, start);
}

/// Appends what was read as one record to make it another of the same content.
pub fn put_copy(out: &mut Vec<u8>, content: &[u8]) {
    out.extend_from_slice(&(content.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(content);
}

/// Appends runs; returns how many records that took.
pub fn put_enqueue(out: &mut Vec<u8>, group: u64, queue: u64, runs: &[(u64, u64, u32)]) -> u32 {
    put_entries(out, Kind::Enqueue, &[group, queue], runs, |out, (position, number, count)| {
        out.extend_from_slice(&position.to_le_bytes());
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
    })
}

pub fn put_settle(out: &mut Vec<u8>, group: u64, queue: u64, ranges: &[(u64, u64)]) -> u32 {
    put_entries(out, Kind::Settle, &[group, queue], ranges, put_range)
}

pub fn put_settled(out: &mut Vec<u8>, queue: u64, ranges: &[(u64, u64)]) -> u32 {
    put_entries(out, Kind::Settled, &[queue], ranges, put_range)
}

pub fn put_redelivered(out: &mut Vec<u8>, queue: u64, ranges: &[(u64, u64)]) -> u32 {
    put_entries(out, Kind::Redelivered, &[queue], ranges, put_range)
}

pub fn put_returned(out: &mut Vec<u8>, queue: u64, counts: &[(u64, u64, u32)]) -> u32 {
    put_entries(out, Kind::Returned, &[queue], counts, |out, (first, last, count)| {
        put_range(out, (first, last));
        out.extend_from_slice(&count.to_le_bytes());
    })
}

pub fn put_moved(out: &mut Vec<u8>, queue: u64, first: u64, last: u64) -> u32 {
    put_entries(out, Kind::Moved, &[queue], &[(first, last)], put_range)
}

pub fn put_queue_gone(out: &mut Vec<u8>, queue: u64) -> u32 {
    put_fixed(out, Kind::QueueGone, &queue.to_le_bytes())
}

/// `records` is how many the group consists of, so that a group with a hole is known for one.
pub fn put_group_end(out: &mut Vec<u8>, group: u64, records: u32) -> u32 {
    let [a, b, c, d, e, f, g, h] = group.to_le_bytes();
    let [i, j, k, l] = records.to_le_bytes();
    put_fixed(out, Kind::GroupEnd, &[a, b, c, d, e, f, g, h, i, j, k, l])
}

pub fn put_clean(out: &mut Vec<u8>) -> u32 {
    put_fixed(out, Kind::Clean, &[])
}

fn put_fixed(out: &mut Vec<u8>, kind: Kind, payload: &[u8]) -> u32 {
    let start = begin(out, kind);
    out.extend_from_slice(payload);
    end(out, start);
    1
}

fn put_range(out: &mut Vec<u8>, (first, last): (u64, u64)) {
    out.extend_from_slice(&first.to_le_bytes());
    out.extend_from_slice(&last.to_le_bytes());
}

fn put_entries<T: Copy>(
    out: &mut Vec<u8>,
    kind: Kind,
    fields: &[u64],
    entries: &[T],
    put: impl Fn(&mut Vec<u8>, T),
) -> u32 {
    let mut records = 0;
    for entries in entries.chunks(ENTRIES_MAX) {
        let start = begin(out, kind);
        fields.iter().for_each(|field| out.extend_from_slice(&field.to_le_bytes()));
        entries.iter().for_each(|entry| put(out, *entry));
        end(out, start);
        records += 1;
    }
    records
}

fn begin(out: &mut Vec<u8>, kind: Kind) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME]);
    out.push(kind as u8);
    start
}

/// Writes the length of the record that began at `start` and ends where the buffer does.
pub fn end(out: &mut [u8], start: usize) {
    let length = out.len().saturating_sub(start + FRAME) as u32;
    if let Some(field) = out.get_mut(start..).and_then(|frame| frame.first_chunk_mut()) {
        *field = length.to_le_bytes();
    }
}

/// The next record of a buffer that was encoded here: its checksum field and its content.
pub fn split_next(bytes: &mut [u8]) -> Option<(&mut [u8; 4], &mut [u8], &mut [u8])> {
    let (length, rest) = bytes.split_first_chunk_mut::<4>()?;
    let (checksum, rest) = rest.split_first_chunk_mut::<4>()?;
    let (content, rest) = rest.split_at_mut_checked(u32::from_le_bytes(*length) as usize)?;
    Some((checksum, content, rest))
}

fn u64_of(bytes: &mut &[u8]) -> Option<u64> {
    let (field, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*field))
}

fn u32_of(bytes: &mut &[u8]) -> Option<u32> {
    let (field, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*field))
}

fn u16_of(bytes: &mut &[u8]) -> Option<u16> {
    let (field, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u16::from_le_bytes(*field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Traits;
    use bytes::Bytes;

    /// Encodes, checks the frame, and hands over what is in it.
    fn contents(put: impl FnOnce(&mut Vec<u8>)) -> Vec<Vec<u8>> {
        let mut bytes = Vec::new();
        put(&mut bytes);
        let (mut left, mut contents) = (bytes.len(), Vec::new());
        let mut rest = bytes.as_mut_slice();
        while let Some((checksum, content, behind)) = split_next(rest) {
            assert_eq!(*checksum, [0; 4]);
            contents.push(content.to_vec());
            left -= FRAME + content.len();
            rest = behind;
        }
        assert_eq!(left, 0);
        contents
    }

    fn one(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut contents = contents(put);
        assert_eq!(contents.len(), 1);
        contents.pop().unwrap()
    }

    fn header(body_size: u64) -> Vec<u8> {
        let mut header = vec![0, 60, 0, 0];
        header.extend_from_slice(&body_size.to_be_bytes());
        header.extend_from_slice(&[0x10, 0, 2]);
        header
    }

    /// A record is what was put in, is plausible, and is none when it is cut or longer.
    fn check(content: &[u8], expected: &Record<'_>) {
        assert_eq!(Record::decode(content).as_ref(), Some(expected));
        let prefix = content.get(..PLAUSIBLE).unwrap_or(content);
        assert!(plausible(content.len(), prefix), "{expected:?}");
        let longer = [content, &[0]].concat();
        for other in [&content[..content.len() - 1], &longer] {
            // A body may have any length: only the header knows.
            if !matches!(expected, Record::Message(_)) {
                assert_eq!(Record::decode(other), None, "{expected:?}");
            }
            let prefix = other.get(..PLAUSIBLE).unwrap_or(other);
            assert!(other.is_empty() || !plausible(other.len(), prefix), "{expected:?}");
        }
    }

    #[test]
    fn messages_come_back_as_they_went_in() {
        let body = Bytes::from(vec![7; 20_000]);
        let chunks = vec![body.slice(..9_000), body.slice(9_000..)];
        let traits = Traits::default();
        let small =
            Message::with_inline_body(b"\x01x\x01k", &header(2), b"hi", traits, &mut Vec::new());
        let large = Message::with_chunks(b"\0\0", &header(20_000), chunks, traits);
        for (message, body) in [(small, &b"hi"[..]), (large, &body)] {
            let (address, header) = (message.address(), message.header());
            let properties = message.properties();
            let with = |keys| message.readdressed(address, properties, Some(keys), traits);
            let (with_none, with_one) = (with(b""), with(b"S\0\0\0\x01k"));
            for stored in [None, Some(Time(0)), Some(Time(u64::MAX))] {
                for message in [&message, &with_none, &with_one] {
                    let extra_keys = message.extra_keys().filter(|_| stored.is_some());
                    let content = one(|out| put_message(out, u64::MAX, stored, message));
                    let record = MessageRecord {
                        number: u64::MAX,
                        stored,
                        address,
                        header,
                        extra_keys,
                        body,
                    };
                    check(&content, &Record::Message(record));
                    assert_eq!(record.record_bytes(), (FRAME + content.len()) as u64);
                    let copy = one(|out| put_copy(out, &content));
                    assert_eq!(copy, content);
                }
            }
        }
    }

    #[test]
    fn what_queues_do_comes_back_as_it_went_in() {
        let runs = [(1, 2, 3), (u64::MAX - 9, 7, 9)];
        let content = one(|out| assert_eq!(put_enqueue(out, 5, 6, &runs), 1));
        let Some(Record::Enqueue { group: 5, queue: 6, runs: read }) = Record::decode(&content)
        else {
            panic!("{content:?}")
        };
        assert_eq!(read.iter().collect::<Vec<_>>(), runs);
        check(&content, &Record::Enqueue { group: 5, queue: 6, runs: read });

        let ranges = [(1, 1), (3, u64::MAX)];
        let bytes = [1u64, 1, 3, u64::MAX].map(u64::to_le_bytes).concat();
        let read = Ranges::of(&bytes).unwrap();
        assert_eq!(read.iter().collect::<Vec<_>>(), ranges);
        let settle = one(|out| assert_eq!(put_settle(out, 5, 6, &ranges), 1));
        check(&settle, &Record::Settle { group: 5, queue: 6, ranges: read });
        let settled = one(|out| assert_eq!(put_settled(out, 6, &ranges), 1));
        check(&settled, &Record::Settled { queue: 6, ranges: read });
        let returned = one(|out| assert_eq!(put_returned(out, 6, &[(1, 2, 3), (9, 9, 1)]), 1));
        match Record::decode(&returned) {
            Some(Record::Returned { queue: 6, counts }) => {
                assert_eq!(counts.iter().collect::<Vec<_>>(), [(1, 2, 3), (9, 9, 1)]);
                check(&returned, &Record::Returned { queue: 6, counts });
            }
            other => panic!("{other:?}"),
        }
        let redelivered = one(|out| assert_eq!(put_redelivered(out, 6, &ranges), 1));
        check(&redelivered, &Record::Redelivered { queue: 6, ranges: read });

        let moved = one(|out| assert_eq!(put_moved(out, 6, 1, 9), 1));
        check(&moved, &Record::Moved { queue: 6, first: 1, last: 9 });
        let gone = one(|out| assert_eq!(put_queue_gone(out, 6), 1));
        check(&gone, &Record::QueueGone { queue: 6 });
        let end = one(|out| assert_eq!(put_group_end(out, 5, 3), 1));
        check(&end, &Record::GroupEnd { group: 5, records: 3 });
        let clean = one(|out| assert_eq!(put_clean(out), 1));
        check(&clean, &Record::Clean);
    }

    #[test]
    fn what_does_not_add_up_is_no_record() {
        let backwards = one(|out| _ = put_settle(out, 0, 1, &[(2, 1)]));
        let nothing = one(|out| _ = put_enqueue(out, 0, 1, &[(1, 1, 0)]));
        let beyond = one(|out| _ = put_enqueue(out, 0, 1, &[(u64::MAX, 1, 1)]));
        let no_header = [&[1][..], &[0; 14]].concat();
        for content in [backwards, nothing, beyond, no_header, vec![], vec![0], vec![12]] {
            assert_eq!(Record::decode(&content), None, "{content:?}");
        }
        assert!(contents(|out| _ = put_settle(out, 0, 1, &[])).is_empty());
    }

    #[test]
    fn many_entries_are_spread_over_records() {
        let ranges: Vec<_> = (0..ENTRIES_MAX as u64 + 1).map(|at| (2 * at, 2 * at)).collect();
        let contents = contents(|out| assert_eq!(put_settle(out, 0, 1, &ranges), 2));
        let read: Vec<_> = contents
            .iter()
            .flat_map(|content| match Record::decode(content) {
                Some(Record::Settle { ranges, .. }) => ranges.iter().collect::<Vec<_>>(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(read, ranges);
    }
}
