//! The words of TLS's settings: RabbitMQ's.

use serde::Serialize;

/// A version of TLS that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum TlsVersion {
    #[serde(rename = "tlsv1.2")]
    Tls12,
    #[serde(rename = "tlsv1.3")]
    Tls13,
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verify {
    None,
    Peer,
}

/// Which name of a certificate is the user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginFrom {
    DistinguishedName,
    CommonName,
    SubjectAlternativeName,
}

/// Which kind of alternative name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SanType {
    Dns,
    Email,
    Uri,
    Ip,
}

impl TlsVersion {
    pub(super) const WORDS: [(&'static str, Self); 2] =
        [("tlsv1.2", Self::Tls12), ("tlsv1.3", Self::Tls13)];
}

impl Verify {
    pub(super) const WORDS: [(&'static str, Self); 4] = [
        ("none", Self::None),
        ("peer", Self::Peer),
        ("verify_none", Self::None),
        ("verify_peer", Self::Peer),
    ];
}

impl LoginFrom {
    pub(super) const WORDS: [(&'static str, Self); 4] = [
        ("distinguished_name", Self::DistinguishedName),
        ("common_name", Self::CommonName),
        ("subject_alternative_name", Self::SubjectAlternativeName),
        ("subject_alt_name", Self::SubjectAlternativeName),
    ];
}

impl SanType {
    pub(super) const WORDS: [(&'static str, Self); 4] =
        [("dns", Self::Dns), ("email", Self::Email), ("uri", Self::Uri), ("ip", Self::Ip)];
}
