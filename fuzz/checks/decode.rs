//! What must hold for any bytes: nothing panics, and what was understood once means the same
//! after it has been written and read again.
//!
//! Used by the fuzz target and, over the committed seeds, by `tests/fuzz_seeds.rs`.

use leveret::protocol::frame::{self, parse_frame, whole_frames};
use leveret::protocol::table::{decode_table, encode_table, validate_table};
use leveret::protocol::{
    ContentHeader, FieldTable, FrameKind, Headers, Method, Properties, TableReader,
};

const FRAME_MAX: u32 = 8192;

/// Reads `input` as a connection would, and as each of the things found inside frames.
pub(crate) fn check(input: &[u8]) {
    let _ = frame::greeting(input);
    stream(input);
    method(input);
    properties(input);
    table(input);
}

/// The part said to be ready is consumed to its end, or up to a refusal.
fn stream(input: &[u8]) {
    let ready = whole_frames(input, FRAME_MAX);
    let mut rest = input.get(..ready.whole).expect("ready bytes are among the input");
    loop {
        match parse_frame(rest, FRAME_MAX) {
            Ok(Some((frame, behind))) => {
                payload(frame.kind, frame.payload);
                rest = behind;
            }
            Ok(None) => {
                assert!(rest.is_empty(), "bytes were called ready that are not");
                break;
            }
            Err(error) => {
                assert!(error.reply_text().len() <= 255);
                break;
            }
        }
    }
}

fn payload(kind: FrameKind, payload: &[u8]) {
    match kind {
        FrameKind::Method => method(payload),
        FrameKind::Header => {
            let header = ContentHeader::parse(payload).expect("frames know a header's least size");
            properties(header.properties);
        }
        FrameKind::Body => {}
        FrameKind::Heartbeat => assert!(payload.is_empty()),
    }
}

/// Compares bytes, not values: a NaN in a table is not equal to itself.
fn method(input: &[u8]) {
    let first = match Method::decode(input) {
        Ok(method) => encoded(&method),
        Err(error) => {
            assert!(error.reply_text().len() <= 255);
            return;
        }
    };
    let again = Method::decode(&first).expect("what was written can be read");
    assert_eq!(encoded(&again), first);
}

fn encoded(method: &Method<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    method.encode(&mut out);
    out
}

/// Properties come out as they went in, but for the two flags that mean nothing.
fn properties(input: &[u8]) {
    let Ok(properties) = Properties::parse(input) else {
        return;
    };
    let written = properties.to_owned().to_bytes();
    let (flags, values) = input.split_first_chunk().expect("flags were read");
    let meaningful = u16::from_be_bytes(*flags) & !0b11;
    assert_eq!(written, [&meaningful.to_be_bytes(), values].concat());
}

fn table(content: &[u8]) {
    let decoded = FieldTable::try_from(TableReader::new(content));
    assert_eq!(decoded.is_ok(), validate_table(content));
    let Ok(decoded) = decoded else { return };

    let mut first = Vec::new();
    encode_table(&mut first, &decoded);
    let (rest, again) = decode_table(&first).expect("what was written can be read");
    assert!(rest.is_empty());
    let mut second = Vec::new();
    encode_table(&mut second, &again);
    assert_eq!(first, second);

    // Setting a header and removing it again leaves the others as they were.
    let mut headers = Headers::from_raw(content);
    headers.remove("x-death");
    let before = headers.clone();
    headers.set("x-death", &1.into());
    assert_eq!(headers.find("x-death").and_then(|value| value.as_int()), Some(1));
    assert!(headers.remove("x-death"));
    assert_eq!(headers, before);
}
