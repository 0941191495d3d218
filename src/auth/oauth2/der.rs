//! As much of DER as it takes to read a public key (RFC 5280 §4.1, RFC 8017 A.1.1, RFC 5480, RFC 8410).

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
    Other,
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_ID: u8 = 0x06;

const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const PRIME_256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const SECP_384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const ED_25519: &[u8] = &[0x2b, 0x65, 0x70];

/// What a subject's public key info says: the key's kind and its bits.
pub(super) fn public_key(der: &[u8]) -> Option<(Kind, &[u8])> {
    let (info, rest) = read(SEQUENCE, der)?;
    let (algorithm, info) = read(SEQUENCE, info)?;
    let (bits, info) = read(BIT_STRING, info)?;
    let (id, parameters) = read(OBJECT_ID, algorithm)?;
    if !rest.is_empty() || !info.is_empty() {
        return None;
    }
    let kind = match id {
        RSA_ENCRYPTION => Kind::Rsa,
        ED_25519 => Kind::Ed25519,
        EC_PUBLIC_KEY => match read(OBJECT_ID, parameters)?.0 {
            PRIME_256 => Kind::P256,
            SECP_384 => Kind::P384,
            _ => Kind::Other,
        },
        _ => Kind::Other,
    };
    // The first octet says how many bits of the last one do not count.
    Some((kind, bits.strip_prefix(&[0])?))
}

/// Modulus and exponent.
pub(super) fn rsa(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (numbers, rest) = read(SEQUENCE, der)?;
    let (n, numbers) = read(INTEGER, numbers)?;
    let (e, numbers) = read(INTEGER, numbers)?;
    (rest.is_empty() && numbers.is_empty()).then_some((n, e))
}

/// The content of the value in front, which must have that tag, and what follows it.
fn read(tag: u8, input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&found, input) = input.split_first()?;
    let (&first, input) = input.split_first()?;
    if found != tag {
        return None;
    }
    if first < 0x80 {
        return input.split_at_checked(usize::from(first));
    }
    // No key is longer than two octets of length can say.
    let octets = usize::from(first & 0x7f);
    let (length, input) = input.split_at_checked(octets).filter(|_| (1..=2).contains(&octets))?;
    let length = length.iter().fold(0, |length, octet| length << 8 | usize::from(*octet));
    input.split_at_checked(length)
}
