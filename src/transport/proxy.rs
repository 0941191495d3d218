//! The PROXY protocol, versions 1 and 2: in front of everything else a proxy says whom it speaks for.
//!
//! Only what belongs to the header is read. Everything in it is bounded, before it is read.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// What version 2 begins with. No line of version 1 is shorter.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

const LINE_START: &[u8] = b"PROXY ";

/// A line of version 1, with its end.
const LINE_MAX: usize = 107;

/// Of version 2, what follows the length. Addresses take 36 bytes; the rest is what proxies like to add.
const BLOCK_MAX: usize = 16 * 1024;

/// Where a connection comes from, by its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Client {
        source: SocketAddr,
        destination: SocketAddr,
    },
    /// The proxy speaks for itself, to see whether anybody is there.
    Proxy,
    /// The proxy cannot say for whom it speaks.
    Unknown,
}

/// Why there was no header. What was read is lost: the connection is to be closed.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error("it does not begin with a PROXY header")]
    Missing,
    #[error("the PROXY header is malformed: {0}")]
    Malformed(&'static str),
    #[error("the PROXY header is longer than {0} bytes")]
    TooLong(usize),
    #[error("it ended in the PROXY header: {0}")]
    Ended(#[from] io::Error),
}

/// Reads the header, and nothing behind it. Bytes that cannot begin one are refused as they come; how
/// long to wait for them is the caller's to say.
pub async fn read_header(stream: &mut (impl AsyncRead + Unpin)) -> Result<Origin, ProxyError> {
    let mut start = [0; SIGNATURE.len()];
    let mut filled = 0;
    while filled < start.len() {
        let count = stream.read(start.get_mut(filled..).unwrap_or_default()).await?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        filled += count;
        let found = start.get(..filled).unwrap_or_default();
        let is_line = found.iter().zip(LINE_START).all(|(octet, expected)| octet == expected);
        if !is_line && !SIGNATURE.starts_with(found) {
            return Err(ProxyError::Missing);
        }
    }
    match start == SIGNATURE {
        true => read_block(stream).await,
        false => read_line(stream, start).await,
    }
}

/// The rest of a version 1 header, byte by byte: what follows is not ours.
async fn read_line(
    stream: &mut (impl AsyncRead + Unpin),
    start: [u8; SIGNATURE.len()],
) -> Result<Origin, ProxyError> {
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= LINE_MAX {
            return Err(ProxyError::TooLong(LINE_MAX));
        }
        line.push(stream.read_u8().await?);
    }
    parse_line(&line).map_err(ProxyError::Malformed)
}

fn parse_line(line: &[u8]) -> Result<Origin, &'static str> {
    let line = std::str::from_utf8(line).map_err(|_| "it is not ASCII")?;
    let line = line.strip_suffix("\r\n").ok_or("it has no end")?;
    let mut words = line.split(' ').skip(1);
    let mut next = || words.next().ok_or("something is missing");
    let is_v4 = match next()? {
        "UNKNOWN" => return Ok(Origin::Unknown),
        "TCP4" => true,
        "TCP6" => false,
        _ => return Err("it is neither TCP4, TCP6 nor UNKNOWN"),
    };
    let address = |word: &str| match is_v4 {
        true => word.parse::<Ipv4Addr>().map(IpAddr::from).map_err(|_| "not an IPv4 address"),
        false => word.parse::<Ipv6Addr>().map(IpAddr::from).map_err(|_| "not an IPv6 address"),
    };
    let (source, destination) = (address(next()?)?, address(next()?)?);
    let (source_port, destination_port) = (port(next()?)?, port(next()?)?);
    if words.next().is_some() {
        return Err("something follows the ports");
    }
    Ok(Origin::Client {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    })
}

fn port(word: &str) -> Result<u16, &'static str> {
    let is_plain = word.bytes().all(|octet| octet.is_ascii_digit());
    let is_padded = word.len() > 1 && word.starts_with('0');
    word.parse().ok().filter(|_| is_plain && !is_padded).ok_or("not a port")
}

/// The rest of a version 2 header.
async fn read_block(stream: &mut (impl AsyncRead + Unpin)) -> Result<Origin, ProxyError> {
    let (command, family) = (stream.read_u8().await?, stream.read_u8().await?);
    let mut rest = usize::from(stream.read_u16().await?);
    if rest > BLOCK_MAX {
        return Err(ProxyError::TooLong(BLOCK_MAX));
    }
    let mut block = [0; 36];
    let addresses = block.get_mut(..rest.min(36)).unwrap_or_default();
    stream.read_exact(addresses).await?;
    let origin = parse_block(command, family, addresses).map_err(ProxyError::Malformed)?;
    rest -= addresses.len();
    // Whatever else the proxy wants to tell.
    let mut skipped = [0; 512];
    while rest > 0 {
        let part = skipped.get_mut(..rest.min(512)).unwrap_or_default();
        rest -= stream.read_exact(part).await?;
    }
    Ok(origin)
}

fn parse_block(command: u8, family: u8, block: &[u8]) -> Result<Origin, &'static str> {
    match command {
        0x20 => return Ok(Origin::Proxy),
        0x21 => {}
        _ => return Err("it is neither LOCAL nor PROXY of version 2"),
    }
    let (source, destination, ports) = match family {
        0x11 => addresses::<4>(block).ok_or("the addresses are cut off")?,
        0x21 => addresses::<16>(block).ok_or("the addresses are cut off")?,
        // Nothing, and UNIX sockets.
        0x00 | 0x31 => return Ok(Origin::Unknown),
        _ => return Err("it is not for TCP"),
    };
    let [a, b, c, d] = ports;
    Ok(Origin::Client {
        source: SocketAddr::new(source, u16::from_be_bytes([a, b])),
        destination: SocketAddr::new(destination, u16::from_be_bytes([c, d])),
    })
}

/// Source, destination, and the ports of both.
fn addresses<const SIZE: usize>(block: &[u8]) -> Option<(IpAddr, IpAddr, [u8; 4])>
where
    IpAddr: From<[u8; SIZE]>,
{
    let (source, rest) = block.split_first_chunk::<SIZE>()?;
    let (destination, rest) = rest.split_first_chunk::<SIZE>()?;
    Some((IpAddr::from(*source), IpAddr::from(*destination), *rest.first_chunk()?))
}

#[cfg(test)]
mod tests;
