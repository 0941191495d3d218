//! The second reading: the messages that are still wanted.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;

use super::{LogReader, Next, Record, Start, failed, file};
use crate::message::{INLINE_BODY_MAX, Message, Traits};
use crate::protocol::Properties;
use crate::storage::StoreError;
use crate::storage::disk::Disk;
use crate::storage::journal::live::Live;
use crate::storage::journal::record::MessageRecord;
use crate::time::Time;

/// Bytes of a content header before the property flags.
const HEADER_FIXED: usize = 12;

/// A message, and when it was stored, if that is known.
#[derive(Clone)]
pub struct Kept {
    pub message: Message,
    pub stored: Option<Time>,
}

pub fn collect(
    disk: &dyn Disk,
    directory: &Path,
    live: &Live,
) -> Result<HashMap<u64, Kept>, StoreError> {
    let mut messages = HashMap::new();
    let mut scratch = Vec::new();
    for (number, _) in live.files().filter(|(_, figures)| figures.messages > 0) {
        let path = file::path(directory, number);
        let start = LogReader::open(disk, directory, number).map_err(failed("read", &path))?;
        let Start::Records { mut reader, .. } = start else { continue };
        loop {
            match reader.next().map_err(failed("read", &path))? {
                Next::End => break,
                Next::Record { record, .. } => {
                    let Record::Message(record) = record else { continue };
                    if live.lives_in(record.number, number) {
                        let MessageRecord { stored, address, header, extra_keys, body, .. } =
                            record;
                        let message = message_of(address, header, extra_keys, body, &mut scratch);
                        messages.insert(record.number, Kept { message, stored });
                    }
                }
                // The first reading has reported it.
                Next::Bad { offset } => {
                    if !reader.resync(offset).map_err(failed("read", &path))? {
                        break;
                    }
                }
            }
        }
    }
    Ok(messages)
}

/// Puts a message together that was stored in its parts.
pub fn message_of(
    address: &[u8],
    header: &[u8],
    extra_keys: Option<&[u8]>,
    body: &[u8],
    scratch: &mut Vec<u8>,
) -> Message {
    let properties = header.get(HEADER_FIXED..).unwrap_or_default();
    // They were valid when the message was published; a change of rules must not lose it.
    let unread = Traits { persistent: true, ..Traits::default() };
    let traits = Properties::parse(properties).map_or(unread, |properties| Traits::of(&properties));
    let message = if body.len() <= INLINE_BODY_MAX {
        Message::with_inline_body(address, header, body, traits, scratch)
    } else {
        Message::with_chunks(address, header, vec![Bytes::copy_from_slice(body)], traits)
    };
    match extra_keys {
        None => message,
        keys => message.readdressed(address, properties, keys, traits),
    }
}
