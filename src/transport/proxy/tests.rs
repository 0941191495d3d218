use super::*;

/// What is read from `bytes`, in pieces of that size, and what is left of them.
async fn read(bytes: &[u8], piece: usize) -> (Result<Origin, String>, Vec<u8>) {
    let (mut near, mut far) = tokio::io::duplex(piece);
    let bytes = bytes.to_vec();
    let writing = tokio::spawn(async move {
        let _ = tokio::io::AsyncWriteExt::write_all(&mut far, &bytes).await;
    });
    let origin = read_header(&mut near).await.map_err(|error| error.to_string());
    let mut rest = Vec::new();
    near.read_to_end(&mut rest).await.unwrap();
    writing.await.unwrap();
    (origin, rest)
}

fn client(source: &str, destination: &str) -> Result<Origin, String> {
    let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
    Ok(Origin::Client { source, destination })
}

fn malformed(why: &str) -> Result<Origin, String> {
    Err(format!("the PROXY header is malformed: {why}"))
}

/// A header of version 2.
fn block(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, rest].concat()
}

const V4: [u8; 12] = [10, 0, 0, 1, 10, 0, 0, 2, 0x1f, 0x90, 0x16, 0x28];

#[tokio::test]
async fn header_is_read_and_nothing_behind_it() {
    let v6 = [&[0; 15][..], &[1], &[0; 15], &[2], &[0, 1, 0xff, 0xff]].concat();
    let extras = [&V4[..], &[0xff; 3000]].concat();
    for (header, expected) in [
        (
            b"PROXY TCP4 10.0.0.1 10.0.0.2 8080 5672\r\n".to_vec(),
            client("10.0.0.1:8080", "10.0.0.2:5672"),
        ),
        (
            b"PROXY TCP6 ::1 2001:db8::2 0 65535\r\n".to_vec(),
            client("[::1]:0", "[2001:db8::2]:65535"),
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), Ok(Origin::Unknown)),
        (b"PROXY UNKNOWN ::1 ::1 1 1 and more\r\n".to_vec(), Ok(Origin::Unknown)),
        (block(0x21, 0x11, &V4), client("10.0.0.1:8080", "10.0.0.2:5672")),
        (block(0x21, 0x11, &extras), client("10.0.0.1:8080", "10.0.0.2:5672")),
        (block(0x21, 0x21, &v6), client("[::1]:1", "[::2]:65535")),
        (block(0x21, 0x21, &[&v6[..], &[1; 700]].concat()), client("[::1]:1", "[::2]:65535")),
        (block(0x20, 0x00, &[]), Ok(Origin::Proxy)),
        (block(0x20, 0x11, &V4), Ok(Origin::Proxy)),
        (block(0x20, 0xff, &[7; BLOCK_MAX]), Ok(Origin::Proxy)),
        (block(0x21, 0x00, &[]), Ok(Origin::Unknown)),
        (block(0x21, 0x00, &[3; 50]), Ok(Origin::Unknown)),
        (block(0x21, 0x31, &[b'/'; 216]), Ok(Origin::Unknown)),
    ] {
        for piece in [1, 7, 64 * 1024] {
            let (origin, rest) = read(&[&header[..], b"AMQP\0\0\x09\x01"].concat(), piece).await;
            assert_eq!(origin, expected, "{header:?}");
            assert_eq!(rest, b"AMQP\0\0\x09\x01", "{header:?}");
        }
    }
}

#[tokio::test]
async fn junk_is_refused() {
    let missing = Err("it does not begin with a PROXY header".to_owned());
    let long_line = [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat();
    let long_block = block(0x21, 0x11, &[0; BLOCK_MAX + 1]);
    for (bytes, expected) in [
        (&b"AMQP\0\0\x09\x01"[..], missing.clone()),
        (b"GET / HTTP/1.1\r\n\r\n", missing.clone()),
        (b"PROXY\tTCP4 ", missing.clone()),
        (b"proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n", missing.clone()),
        (b"\r\n\r\n\0\r\nQUIT\r", missing),
        (&long_line, Err("the PROXY header is longer than 107 bytes".to_owned())),
        (&long_block, Err("the PROXY header is longer than 16384 bytes".to_owned())),
        (b"PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n", malformed("it is neither TCP4, TCP6 nor UNKNOWN")),
        (b"PROXY  TCP4 1.1.1.1 1.1.1.1 1 1\r\n", malformed("it is neither TCP4, TCP6 nor UNKNOWN")),
        (b"PROXY TCP4 ::1 1.1.1.1 1 1\r\n", malformed("not an IPv4 address")),
        (b"PROXY TCP4 1.1.1.1 1.1.1 1 1\r\n", malformed("not an IPv4 address")),
        (b"PROXY TCP6 1.1.1.1 ::1 1 1\r\n", malformed("not an IPv6 address")),
        (b"PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n", malformed("something is missing")),
        (b"PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n", malformed("not a port")),
        (b"PROXY TCP4 1.1.1.1 1.1.1.1 1 +1\r\n", malformed("not a port")),
        (b"PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n", malformed("not a port")),
        (b"PROXY TCP4 1.1.1.1 1.1.1.1 1 \r\n", malformed("not a port")),
        (b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n", malformed("something follows the ports")),
        (b"PROXY UNKNOWN\xff\r\n", malformed("it is not ASCII")),
        (&block(0x11, 0x11, &V4), malformed("it is neither LOCAL nor PROXY of version 2")),
        (&block(0x22, 0x11, &V4), malformed("it is neither LOCAL nor PROXY of version 2")),
        (&block(0x21, 0x12, &V4), malformed("it is not for TCP")),
        (&block(0x21, 0x11, &V4[..11]), malformed("the addresses are cut off")),
        (&block(0x21, 0x21, &[0; 35]), malformed("the addresses are cut off")),
    ] {
        for piece in [1, 64 * 1024] {
            assert_eq!(
                read(bytes, piece).await.0,
                expected,
                "{:?}",
                String::from_utf8_lossy(bytes)
            );
        }
    }
}

#[tokio::test]
async fn header_cut_anywhere_is_no_header() {
    let line = b"PROXY TCP4 10.0.0.1 10.0.0.2 8080 5672\r\n".to_vec();
    for whole in [line, block(0x21, 0x11, &[&V4[..], &[0; 600]].concat())] {
        for length in 0..whole.len() {
            let (origin, rest) = read(&whole[..length], 64 * 1024).await;
            assert!(origin.unwrap_err().starts_with("it ended in the PROXY header"), "{length}");
            assert!(rest.is_empty());
        }
    }
}
