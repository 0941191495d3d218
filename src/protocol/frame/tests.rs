use super::*;
use crate::protocol::reply::Scope;

const FRAME_MAX: u32 = 4096;

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend(channel.to_be_bytes());
    out.extend((payload.len() as u32).to_be_bytes());
    out.extend(payload);
    out.push(FRAME_END);
    out
}

#[track_caller]
fn check_refused(input: &[u8], code: ReplyCode, text: &str, stop_reading: bool) {
    let error = parse_frame(input, FRAME_MAX).expect_err("a refusal");
    assert_eq!((error.code, error.text.as_str()), (code, text));
    assert_eq!((error.scope, error.stop_reading), (Scope::Connection, stop_reading));
    assert_eq!((error.method.class, error.method.method), (0, 0));
    assert_eq!(whole_frames(input, FRAME_MAX), Ready { whole: input.len(), wanted: 0 });
}

#[test]
fn greeting_is_decided_by_eight_bytes() {
    // B1.1
    for (input, expected) in [
        (&b""[..], Greeting::Incomplete),
        (b"AMQP\x00\x00\x09", Greeting::Incomplete),
        (b"GET / H", Greeting::Incomplete),
        (b"AMQP\x00\x00\x09\x01", Greeting::Accepted),
        (b"AMQP\x00\x00\x09\x01more", Greeting::Accepted),
        (b"AMQP\x01\x01\x00\x09", Greeting::Accepted),
        (b"AMQP\x01\x01\x08\x00", Greeting::Unsupported),
        (b"AMQP\x00\x01\x00\x00", Greeting::Unsupported),
        (b"AMQP\x03\x01\x00\x00", Greeting::Unsupported),
        (b"GET / HTTP/1.1", Greeting::Unsupported),
    ] {
        assert_eq!(greeting(input), expected, "{input:?}");
    }
}

#[test]
fn each_kind_of_frame_is_read() {
    let header = [0; 12];
    for (kind, channel, payload, expected) in [
        (1, 7, &[0, 20, 0, 10][..], FrameKind::Method),
        (2, 7, &header, FrameKind::Header),
        (3, 65535, b"hello", FrameKind::Body),
        (3, 1, b"", FrameKind::Body),
        (8, 0, b"", FrameKind::Heartbeat),
    ] {
        let mut input = frame(kind, channel, payload);
        input.extend(b"behind");
        let (frame, rest) = parse_frame(&input, FRAME_MAX).unwrap().unwrap();
        assert_eq!(frame, Frame { kind: expected, channel: ChannelNumber(channel), payload });
        assert_eq!(rest, b"behind");
    }
}

#[test]
fn malformed_frames_are_refused() {
    // B1.3, row by row.
    use ReplyCode::{FrameError, UnexpectedFrame};
    let unknown = |kind, octets| format!("type {kind}, all octets = <<{octets}>>: unknown_frame");
    check_refused(&frame(4, 1, &[1, 2]), FrameError, &unknown(4, "1,2"), false);
    check_refused(&frame(8, 0, &[9]), FrameError, &unknown(8, "9"), false);
    check_refused(&frame(8, 3, &[9]), FrameError, &unknown(8, "9"), false);
    check_refused(&frame(1, 1, &[0, 20, 0]), FrameError, &unknown(1, "0,20,0"), false);
    check_refused(&frame(2, 1, &[0; 11]), FrameError, &unknown(2, "0,0,0,0,0,0,0,0,0,0,0"), false);
    check_refused(&frame(8, 1, &[]), UnexpectedFrame, "type 8, all octets = <<>>", false);

    let mut bad_end = frame(3, 1, &[5; 20]);
    *bad_end.last_mut().unwrap() = 0xCF;
    let fives = ["5"; 16].join(",");
    let text = format!("type 3, first 16 octets = <<{fives}>>: {{invalid_frame_end_marker,207}}");
    check_refused(&bad_end, FrameError, &text, true);
}

#[test]
fn payload_may_exceed_its_share_by_eight() {
    // B1.4: 4096 octets of payload pass a frame_max of 4096, one more does not.
    let largest = frame(3, 1, &[0; 4096]);
    assert!(parse_frame(&largest, FRAME_MAX).unwrap().is_some());
    let text = "type 3, all octets = <<>>: {frame_too_large,{4097,4088}}";
    check_refused(&frame(3, 1, &[0; 4097]), ReplyCode::FrameError, text, true);
    // The size alone decides; nobody waits for the payload.
    check_refused(&[3, 0, 1, 0, 0, 16, 1], ReplyCode::FrameError, text, true);
    assert!(parse_frame(&[3, 0, 1, 255, 255, 255, 255], u32::MAX).unwrap().is_none());
}

#[test]
fn every_front_of_a_frame_is_incomplete() {
    let whole = frame(1, 1, &[0, 20, 0, 40, 0]);
    for end in 0..whole.len() {
        let front = &whole[..end];
        assert_eq!(parse_frame(front, FRAME_MAX), Ok(None));
        let wanted = if end < 7 { 0 } else { whole.len() };
        assert_eq!(whole_frames(front, FRAME_MAX), Ready { whole: 0, wanted });
    }
}

#[test]
fn whole_frames_end_where_the_last_one_ends() {
    let mut input = frame(8, 0, b"");
    input.extend(frame(3, 1, b"body"));
    let whole = input.len();
    input.extend(&frame(3, 1, b"cut off")[..9]);
    assert_eq!(whole_frames(&input, FRAME_MAX), Ready { whole, wanted: 15 });

    // A malformed frame is handed over together with what stands before it.
    input.truncate(whole);
    input.extend([3, 0, 1, 255, 0, 0, 0]);
    assert_eq!(whole_frames(&input, FRAME_MAX), Ready { whole: input.len(), wanted: 0 });
    let mut rest = &input[..];
    let mut good = 0;
    let error = loop {
        match parse_frame(rest, FRAME_MAX) {
            Ok(Some((_, behind))) => (good, rest) = (good + 1, behind),
            Ok(None) => panic!("the malformed frame went unnoticed"),
            Err(error) => break error,
        }
    };
    assert_eq!((good, error.stop_reading), (2, true));
}

#[test]
fn written_frames_are_read_back() {
    let channel = ChannelNumber(258);
    let mut out = Vec::new();
    write_heartbeat(&mut out);
    assert_eq!(out, [8, 0, 0, 0, 0, 0, 0, 0xCE]);
    write_method(&mut out, channel, &crate::protocol::method::tx::Commit {}.into());
    write_header(&mut out, channel, 5, &[0x10, 0, 2]);
    write_body(&mut out, channel, b"hello");
    let start = begin_frame(&mut out, FrameKind::Body, channel);
    out.extend(b"patched");
    end_frame(&mut out, start);

    assert_eq!(whole_frames(&out, FRAME_MAX), Ready { whole: out.len(), wanted: 0 });
    let mut rest = &out[8..];
    let header = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0x10, 0, 2];
    for (kind, payload) in [
        (FrameKind::Method, &[0, 90, 0, 20][..]),
        (FrameKind::Header, &header),
        (FrameKind::Body, b"hello"),
        (FrameKind::Body, b"patched"),
    ] {
        let (frame, behind) = parse_frame(rest, FRAME_MAX).unwrap().unwrap();
        assert_eq!(frame, Frame { kind, channel, payload });
        rest = behind;
    }
    assert!(rest.is_empty());
}
