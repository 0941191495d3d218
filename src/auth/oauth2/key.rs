//! A key that tokens are signed with, and whether it signed something.
//!
//! Invariant: what a key is decides which algorithms it verifies. A token only chooses among those, so
//! nobody can have a public key taken for a shared secret, or no key for a good one.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use serde::Deserialize;

use super::algorithm::Algorithm;
use super::der;

/// Bytes of a shared secret: fewer could be guessed (RFC 7518 §3.2).
const SECRET_BYTES_MIN: usize = 32;

/// Bytes of an RSA modulus: 2048 to 8192 bits.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

#[derive(Clone)]
pub struct Key {
    material: Material,
    /// The only one it may be used with, if its owner said so.
    algorithm: Option<Algorithm>,
}

#[derive(Clone)]
enum Material {
    Secret(Vec<u8>),
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    /// Points, uncompressed.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// Why something is not a key that tokens can be verified with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub(super) &'static str);

/// A key of a key set (RFC 7517). Members that do not matter here are not looked at.
#[derive(Deserialize)]
pub(super) struct Jwk {
    kty: String,
    pub(super) kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

impl Key {
    /// A key of a key set. `secrets`: whether it may be a shared secret; from a place that everybody
    /// can read it would be none.
    pub(super) fn from_jwk(jwk: &Jwk, secrets: bool) -> Result<Self, Unusable> {
        if jwk.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return Err(Unusable("it is not for signatures"));
        }
        let algorithm = match &jwk.alg {
            Some(name) => {
                Some(Algorithm::parse(name).ok_or(Unusable("its algorithm is not known here"))?)
            }
            None => None,
        };
        let curve = jwk.crv.as_deref();
        let material = match (jwk.kty.as_str(), curve) {
            ("RSA", _) => Material::rsa(bytes(&jwk.n)?, bytes(&jwk.e)?)?,
            ("EC", Some("P-256")) => Material::P256(point(32, bytes(&jwk.x)?, bytes(&jwk.y)?)?),
            ("EC", Some("P-384")) => Material::P384(point(48, bytes(&jwk.x)?, bytes(&jwk.y)?)?),
            ("OKP", Some("Ed25519")) => Material::ed25519(bytes(&jwk.x)?)?,
            ("oct", _) if secrets => Material::secret(bytes(&jwk.k)?)?,
            ("oct", _) => return Err(Unusable("a shared secret does not belong here")),
            ("EC" | "OKP", _) => return Err(Unusable("its curve is not known here")),
            _ => return Err(Unusable("its type is not known here")),
        };
        Self { material, algorithm: None }.only_for(algorithm)
    }

    /// A public key in DER, as it stands between the lines of a PEM file: its type and its bits.
    pub fn from_spki(der: &[u8]) -> Result<Self, Unusable> {
        let (kind, bits) = der::public_key(der).ok_or(Unusable("it is not a public key"))?;
        let material = match kind {
            der::Kind::Rsa => {
                let (n, e) = der::rsa(bits).ok_or(Unusable("it is not an RSA key"))?;
                Material::rsa(n.to_vec(), e.to_vec())?
            }
            der::Kind::P256 => Material::P256(uncompressed(32, bits)?),
            der::Kind::P384 => Material::P384(uncompressed(48, bits)?),
            der::Kind::Ed25519 => Material::ed25519(bits.to_vec())?,
            der::Kind::Other => return Err(Unusable("its type is not known here")),
        };
        Ok(Self { material, algorithm: None })
    }

    fn only_for(self, algorithm: Option<Algorithm>) -> Result<Self, Unusable> {
        let key = Self { algorithm, ..self };
        match algorithm {
            Some(algorithm) if !key.fits(algorithm) => Err(Unusable("its algorithm does not fit")),
            _ => Ok(key),
        }
    }

    /// Whether it could have made such a signature at all.
    pub(super) fn fits(&self, wanted: Algorithm) -> bool {
        use Algorithm::{
            EdDsa, Es256, Es384, Hs256, Hs384, Hs512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512,
        };
        if self.algorithm.is_some_and(|only| only != wanted) {
            return false;
        }
        match self.material {
            Material::Secret(_) => matches!(wanted, Hs256 | Hs384 | Hs512),
            Material::Rsa(_) => {
                matches!(wanted, Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512)
            }
            Material::P256(_) => wanted == Es256,
            Material::P384(_) => wanted == Es384,
            Material::Ed25519(_) => wanted == EdDsa,
        }
    }

    /// Whether it signed `text`, with that algorithm.
    pub(super) fn signed(&self, algorithm: Algorithm, text: &[u8], signature: &[u8]) -> bool {
        if !self.fits(algorithm) {
            return false;
        }
        match &self.material {
            Material::Secret(secret) => {
                let algorithm = match algorithm {
                    Algorithm::Hs384 => hmac::HMAC_SHA384,
                    Algorithm::Hs512 => hmac::HMAC_SHA512,
                    _ => hmac::HMAC_SHA256,
                };
                hmac::verify(&hmac::Key::new(algorithm, secret), text, signature).is_ok()
            }
            Material::Rsa(components) => {
                let parameters = match algorithm {
                    Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                    Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
                    Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
                    Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
                    Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
                    _ => &signature::RSA_PKCS1_2048_8192_SHA256,
                };
                components.verify(parameters, text, signature).is_ok()
            }
            Material::P256(point) => {
                verify(&signature::ECDSA_P256_SHA256_FIXED, point, text, signature)
            }
            Material::P384(point) => {
                verify(&signature::ECDSA_P384_SHA384_FIXED, point, text, signature)
            }
            Material::Ed25519(key) => verify(&signature::ED25519, key, text, signature),
        }
    }
}

fn verify(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
    text: &[u8],
    signature: &[u8],
) -> bool {
    UnparsedPublicKey::new(algorithm, key).verify(text, signature).is_ok()
}

impl Material {
    fn rsa(n: Vec<u8>, e: Vec<u8>) -> Result<Self, Unusable> {
        // Some write the sign's zero in front, which the numbers are not to have here.
        let number = |bytes: Vec<u8>| {
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            bytes.get(zeros..).unwrap_or_default().to_vec()
        };
        let (n, e) = (number(n), number(e));
        if !MODULUS_BYTES.contains(&n.len()) {
            return Err(Unusable("an RSA key must have 2048 to 8192 bits"));
        }
        if e.is_empty() || e.len() > 8 {
            return Err(Unusable("its exponent is not one"));
        }
        Ok(Self::Rsa(RsaPublicKeyComponents { n, e }))
    }

    fn ed25519(x: Vec<u8>) -> Result<Self, Unusable> {
        match x.len() {
            32 => Ok(Self::Ed25519(x)),
            _ => Err(Unusable("its point has the wrong length")),
        }
    }

    fn secret(secret: Vec<u8>) -> Result<Self, Unusable> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(Unusable("a shared secret must have 32 bytes at least"));
        }
        Ok(Self::Secret(secret))
    }
}

/// A member that has to be there, decoded.
fn bytes(text: &Option<String>) -> Result<Vec<u8>, Unusable> {
    let text = text.as_deref().ok_or(Unusable("a part of it is missing"))?;
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| Unusable("it is not base64url"))
}

fn point(size: usize, x: Vec<u8>, y: Vec<u8>) -> Result<Vec<u8>, Unusable> {
    if x.len() != size || y.len() != size {
        return Err(Unusable("its point has the wrong length"));
    }
    Ok([vec![4], x, y].concat())
}

fn uncompressed(size: usize, bits: &[u8]) -> Result<Vec<u8>, Unusable> {
    match bits {
        [4, point @ ..] if point.len() == 2 * size => Ok(bits.to_vec()),
        _ => Err(Unusable("its point is not an uncompressed one")),
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.material {
            Material::Secret(_) => "secret",
            Material::Rsa(_) => "RSA",
            Material::P256(_) => "P-256",
            Material::P384(_) => "P-384",
            Material::Ed25519(_) => "Ed25519",
        };
        f.debug_struct("Key").field("kind", &kind).finish_non_exhaustive()
    }
}
