//! What was agreed on with a client, in the words of RabbitMQ's connections.

use tokio_rustls::rustls::{ProtocolVersion, ServerConnection};

use super::certificate;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// `tlsv1.2` or `tlsv1.3`.
    pub protocol: String,
    /// `any` in TLS 1.3, where it is no part of the suite.
    pub key_exchange: String,
    pub cipher: String,
    pub hash: String,
    /// The client's own, if it showed one.
    pub certificate: Option<Certificate>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    pub subject: String,
    pub issuer: String,
    pub validity: String,
}

/// Once the handshake is over.
pub fn details(connection: &ServerConnection) -> Details {
    let protocol = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "tlsv1.2",
        Some(ProtocolVersion::TLSv1_3) => "tlsv1.3",
        _ => "",
    };
    let suite = connection.negotiated_cipher_suite();
    let suite = suite.map(|suite| format!("{:?}", suite.suite())).unwrap_or_default();
    let [key_exchange, cipher, hash] = parts(&suite);
    let own = connection.peer_certificates().and_then(<[_]>::first);
    let certificate = own.map(|own| {
        let [subject, issuer, validity] = certificate::shown(own);
        Certificate { subject, issuer, validity }
    });
    Details { protocol: protocol.to_owned(), key_exchange, cipher, hash, certificate }
}

/// Of a suite's name: `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`, or `TLS13_AES_256_GCM_SHA384`.
fn parts(suite: &str) -> [String; 3] {
    let suite = suite.to_ascii_lowercase();
    let (key_exchange, rest) = match suite.split_once("_with_") {
        Some((start, rest)) => (start.trim_start_matches("tls_"), rest),
        None => ("any", suite.trim_start_matches("tls13_")),
    };
    let (cipher, hash) = rest.rsplit_once('_').unwrap_or((rest, ""));
    [key_exchange, cipher, hash].map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_have_three_parts() {
        for (suite, expected) in [
            ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", ["ecdhe_rsa", "aes_128_gcm", "sha256"]),
            ("TLS13_AES_256_GCM_SHA384", ["any", "aes_256_gcm", "sha384"]),
            ("TLS13_CHACHA20_POLY1305_SHA256", ["any", "chacha20_poly1305", "sha256"]),
        ] {
            assert_eq!(parts(suite), expected);
        }
    }
}
