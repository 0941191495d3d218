//! What is written in a certificate: names, and how long it is good.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;

use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_parser::asn1_rs::Tag;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{AttributeTypeAndValue, RelativeDistinguishedName, X509Name};

use super::{Login, TlsError};
use crate::config::{LoginFrom, SanType};

/// The last second at which a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry(ASN1Time);

impl Expiry {
    /// In seconds since 1970; before that it is negative.
    pub fn unix_seconds(self) -> i64 {
        self.0.timestamp()
    }
}

/// As RabbitMQ writes it: `2026-12-13 21:35:44`, UTC.
impl std::fmt::Display for Expiry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = self.0.to_datetime();
        let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
        let (hour, minute, second) = (at.hour(), at.minute(), at.second());
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
    }
}

/// When the certificates that were read from `file` are no longer good, in the file's order.
pub(super) fn expiries(
    certificates: &[CertificateDer<'_>],
    file: &Path,
) -> Result<Vec<Expiry>, TlsError> {
    let expiry = |certificate: &CertificateDer<'_>| match X509Certificate::from_der(certificate) {
        Ok((_, certificate)) => Ok(Expiry(certificate.validity().not_after)),
        Err(error) => Err(TlsError::new(file, format!("a certificate cannot be read: {error}"))),
    };
    certificates.iter().map(expiry).collect()
}

/// Subject, issuer and validity, as RabbitMQ writes them; empty where it could not be read.
pub(super) fn shown(certificate: &[u8]) -> [String; 3] {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return Default::default();
    };
    let name = |name| distinguished_name(name).unwrap_or_default();
    let moment = |time| Expiry(time).to_string().replace(' ', "T") + "Z";
    let validity = certificate.validity();
    let validity = format!("{} - {}", moment(validity.not_before), moment(validity.not_after));
    [name(certificate.subject()), name(certificate.issuer()), validity]
}

/// The user's name in a client's certificate. `None` when it is not there, or is written in a way that
/// leaves room for doubt.
pub(super) fn login_name(certificate: &[u8], login: Login) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let name = match login.from {
        LoginFrom::DistinguishedName => distinguished_name(certificate.subject()),
        LoginFrom::CommonName => common_name(certificate.subject()),
        LoginFrom::SubjectAlternativeName => {
            let names = certificate.subject_alternative_name().ok()??;
            let names = &names.value.general_names;
            let of_type = |name: &GeneralName<'_>| alternative_name(name, login.san_type);
            names.iter().filter_map(of_type).nth(login.san_index)
        }
    };
    name.filter(|name| !name.is_empty())
}

/// As RabbitMQ writes it: RFC 4514, the last part first, with everything that is not printable ASCII
/// escaped byte by byte.
fn distinguished_name(name: &X509Name<'_>) -> Option<String> {
    let parts: Vec<&RelativeDistinguishedName<'_>> = name.iter().collect();
    let mut text = String::new();
    for (index, part) in parts.into_iter().rev().enumerate() {
        if index > 0 {
            text.push(',');
        }
        for (index, attribute) in part.iter().enumerate() {
            if index > 0 {
                text.push('+');
            }
            write_attribute(attribute, &mut text)?;
        }
    }
    Some(text)
}

/// Several are joined with commas, as RabbitMQ does.
fn common_name(name: &X509Name<'_>) -> Option<String> {
    let names: Option<Vec<String>> = name.iter_common_name().map(text_of).collect();
    names.map(|names| names.join(","))
}

fn alternative_name(name: &GeneralName<'_>, wanted: SanType) -> Option<String> {
    match (name, wanted) {
        (GeneralName::DNSName(name), SanType::Dns)
        | (GeneralName::RFC822Name(name), SanType::Email)
        | (GeneralName::URI(name), SanType::Uri) => Some((*name).to_owned()),
        // RabbitMQ takes the octets themselves, which no user can be called.
        (GeneralName::IPAddress(octets), SanType::Ip) => {
            let v4 = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(*octets).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// RabbitMQ's names for the types of attributes; others are called by their numbers.
const ATTRIBUTES: [(&str, &str); 16] = [
    ("2.5.4.4", "SN"),
    ("2.5.4.42", "GIVENNAME"),
    ("2.5.4.43", "INITIALS"),
    ("2.5.4.44", "GENERATIONQUALIFIER"),
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "TITLE"),
    ("2.5.4.6", "C"),
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.65", "PSEUDONYM"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "EMAILADDRESS"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

fn write_attribute(attribute: &AttributeTypeAndValue<'_>, text: &mut String) -> Option<()> {
    let id = attribute.attr_type().to_id_string();
    let known = ATTRIBUTES.iter().find(|(number, _)| *number == id);
    text.push_str(known.map_or(&*id, |(_, name)| name));
    text.push('=');
    let value = text_of(attribute)?;
    let last = value.len().saturating_sub(1);
    for (index, octet) in value.bytes().enumerate() {
        match octet {
            b'#' if index == 0 => text.push_str("\\#"),
            b' ' if index == 0 || index == last => text.push_str("\\ "),
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' => {
                text.push('\\');
                text.push(char::from(octet));
            }
            0..32 | 126.. => write!(text, "\\{octet:02X}").ok()?,
            _ => text.push(char::from(octet)),
        }
    }
    Some(())
}

/// Strings of kinds that nobody writes any more, whose meaning differs from reader to reader, are not
/// read.
fn text_of(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    let value = attribute.attr_value();
    if value.tag() != Tag::BmpString {
        return attribute.as_str().ok().map(str::to_owned);
    }
    let (pairs, rest) = value.data.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
    rest.is_empty().then(|| String::from_utf16(&units).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};
    use tokio_rustls::rustls::pki_types::pem::PemObject;

    use super::*;

    /// Made with openssl and shown to RabbitMQ 3.10, whose log said what name it read.
    const EVERY_PART: &str = include_str!("certificate/every_part.pem");
    const TWO_NAMES: &str = include_str!("certificate/two_names.pem");
    const JOINED_PARTS: &str = include_str!("certificate/joined_parts.pem");
    const SPACES: &str = include_str!("certificate/spaces.pem");

    fn name(pem: &str, from: LoginFrom, san_type: SanType, san_index: usize) -> Option<String> {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        login_name(&certificate, Login { from, san_type, san_index })
    }

    #[test]
    fn subjects_are_written_as_rabbitmq_writes_them() {
        use LoginFrom::{CommonName, DistinguishedName};

        for (pem, from, expected) in [
            (
                EVERY_PART,
                DistinguishedName,
                r#"2.5.4.46=dq,DC=dc,2.5.4.9=st,GENERATIONQUALIFIER=gq,PSEUDONYM=p,INITIALS=i,SN=s,GIVENNAME=g,TITLE=t,CN=\#h\C3\A4sin \7E\"\<till\>\ ,OU=a\+b\;c\\d,O=Hare\, Fox & Co,L=Ort,ST=Sax,C=DE"#,
            ),
            (EVERY_PART, CommonName, r#"#häsin ~"<till> "#),
            (TWO_NAMES, DistinguishedName, "SERIALNUMBER=12,UID=u7,EMAILADDRESS=x@y,CN=two,CN=one"),
            (TWO_NAMES, CommonName, "one,two"),
            (JOINED_PARTS, DistinguishedName, "O=x+OU=y+CN=multi"),
            (JOINED_PARTS, CommonName, "multi"),
            (SPACES, DistinguishedName, r"CN=\ lead mid end\ "),
            (SPACES, CommonName, " lead mid end "),
        ] {
            let found = name(pem, from, SanType::Dns, 0);
            assert_eq!(found.as_deref(), Some(expected), "{from:?}");
        }
    }

    #[test]
    fn alternative_names_are_counted_by_type() {
        for (san_type, index, expected) in [
            (SanType::Dns, 0, Some("till.example")),
            (SanType::Dns, 1, Some("second.example")),
            (SanType::Dns, 2, None),
            (SanType::Email, 0, Some("till@example.org")),
            (SanType::Email, 1, None),
            (SanType::Uri, 0, Some("urn:till")),
            (SanType::Uri, 1, None),
            (SanType::Ip, 0, Some("10.1.2.3")),
            (SanType::Ip, 1, None),
        ] {
            let found = name(EVERY_PART, LoginFrom::SubjectAlternativeName, san_type, index);
            assert_eq!(found.as_deref(), expected, "{san_type:?} {index}");
        }
        assert_eq!(name(TWO_NAMES, LoginFrom::SubjectAlternativeName, SanType::Dns, 0), None);
    }

    fn certificate(subject: &[(DnType, DnValue)]) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[test]
    fn what_leaves_room_for_doubt_is_no_name() {
        let bmp = DnValue::BmpString("häsin".try_into().unwrap());
        let teletex = DnValue::TeletexString("till".try_into().unwrap());
        let organization = |name: &str| (DnType::OrganizationName, DnValue::from(name));
        for (subject, common, whole) in [
            (vec![], None, None),
            (vec![organization("x")], None, Some("O=x")),
            (vec![(DnType::CommonName, bmp)], Some("häsin"), Some(r"CN=h\C3\A4sin")),
            (vec![(DnType::CommonName, teletex)], None, None),
            (vec![(DnType::CommonName, "a\0b".into())], Some("a\0b"), Some(r"CN=a\00b")),
            (vec![(DnType::CommonName, "".into())], None, Some("CN=")),
        ] {
            let pem = certificate(&subject);
            let found = [LoginFrom::CommonName, LoginFrom::DistinguishedName]
                .map(|from| name(&pem, from, SanType::Dns, 0));
            assert_eq!(found.each_ref().map(Option::as_deref), [common, whole], "{subject:?}");
        }
    }

    #[test]
    fn certificate_cut_anywhere_has_no_name() {
        let whole = CertificateDer::from_pem_slice(EVERY_PART.as_bytes()).unwrap();
        let from = LoginFrom::DistinguishedName;
        let login = Login { from, san_type: SanType::Dns, san_index: 0 };
        for length in 0..whole.len() {
            assert_eq!(login_name(&whole[..length], login), None);
        }
        assert!(login_name(&whole, login).is_some());
    }

    #[test]
    fn expiry_is_written_as_rabbitmq_writes_it() {
        for (seconds, expected) in
            [(1_797_197_744, "2026-12-13 21:35:44"), (0, "1970-01-01 00:00:00")]
        {
            let expiry = Expiry(ASN1Time::from_timestamp(seconds).unwrap());
            assert_eq!((expiry.to_string().as_str(), expiry.unix_seconds()), (expected, seconds));
        }
    }
}
