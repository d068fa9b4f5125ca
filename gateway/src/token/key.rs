//! One key, which verifies tokens of exactly one algorithm.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

use super::unverified::{self, Unverified};

/// The least bytes of an HS256 secret (RFC 7518, section 3.2).
pub(super) const SECRET_BYTES_MIN: usize = 32;
/// Bits of an RSA key (RFC 7518, section 3.3, and what the cryptography takes).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// Bytes of a coordinate of P-256, and of an Ed25519 key.
const COORDINATE_BYTES: usize = 32;
/// Bytes of an RSA exponent; common is 65537, which has three.
const EXPONENT_BYTES_MAX: usize = 4;

/// A key and what it is for.
pub(super) struct Key {
    pub(super) kid: Option<String>,
    pub(super) algorithm: Algorithm,
    verifying: DecodingKey,
}

/// Never with the key itself.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} key {:?}", self.algorithm, self.kid)
    }
}

/// Where a document of keys comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The operator's own: it may hold secrets.
    File,
    /// Anyone who asks gets it, so that nothing in it is secret.
    Url,
}

/// A key as JSON (RFC 7517), as far as it is looked at.
#[derive(Deserialize)]
pub(super) struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    pub(super) kid: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    k: Option<String>,
    /// The private part, where somebody gave it away.
    d: Option<serde::de::IgnoredAny>,
}

/// Why a key is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum LeftOut {
    #[error("it is no JWK")]
    NoKey,
    #[error("its `kty` or `crv` is not taken: RSA, EC with P-256, OKP with Ed25519, and oct in a file")]
    Kind,
    #[error("its `use` or `key_ops` is not for signatures")]
    Purpose,
    #[error("its `alg` is not the one that keys of its type are taken for: RS256, ES256, EdDSA, HS256")]
    Algorithm,
    #[error("it has less than 2048 or more than 8192 bits")]
    RsaSize,
    #[error("its secret has less than {SECRET_BYTES_MIN} bytes")]
    Weak,
    #[error("it is a secret, and was found where everyone can read it")]
    Public,
    #[error("it holds a private key; only its public part belongs here")]
    Private,
    #[error("a part of it is missing, or is no base64url of the right length")]
    Part,
}

impl Key {
    pub(super) fn hs256(secret: &[u8]) -> Result<Self, LeftOut> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(LeftOut::Weak);
        }
        Ok(Self { kid: None, algorithm: Algorithm::HS256, verifying: DecodingKey::from_secret(secret) })
    }

    pub(super) fn from_jwk(jwk: &Jwk, origin: Origin) -> Result<Self, LeftOut> {
        let key = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => Self::rsa(jwk),
            ("EC", Some("P-256")) => Self::ec(jwk),
            ("OKP", Some("Ed25519")) => Self::ed25519(jwk),
            ("oct", _) if origin == Origin::Url => Err(LeftOut::Public),
            ("oct", _) => Self::hs256(&part(jwk.k.as_ref())?),
            _ => Err(LeftOut::Kind),
        }?;
        if jwk.d.is_some() {
            return Err(LeftOut::Private);
        }
        let verifies = |operations: &Vec<String>| operations.iter().any(|operation| operation == "verify");
        if jwk.purpose.as_ref().is_some_and(|purpose| purpose != "sig")
            || jwk.key_ops.as_ref().is_some_and(|operations| !verifies(operations))
        {
            return Err(LeftOut::Purpose);
        }
        if jwk.alg.as_ref().is_some_and(|name| unverified::algorithm(name) != Some(key.algorithm)) {
            return Err(LeftOut::Algorithm);
        }
        Ok(Self { kid: jwk.kid.clone(), ..key })
    }

    fn rsa(jwk: &Jwk) -> Result<Self, LeftOut> {
        let (modulus, exponent) = (part(jwk.n.as_ref())?, part(jwk.e.as_ref())?);
        let modulus = trim(&modulus);
        let bits = modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
        if !RSA_BITS.contains(&bits) {
            return Err(LeftOut::RsaSize);
        }
        // With the exponent 1 everyone could sign.
        let exponent = trim(&exponent);
        let odd = exponent.last().is_some_and(|last| last % 2 == 1);
        if !odd || exponent == [1] || exponent.len() > EXPONENT_BYTES_MAX {
            return Err(LeftOut::Part);
        }
        let verifying = DecodingKey::from_rsa_raw_components(modulus, exponent);
        Ok(Self { kid: None, algorithm: Algorithm::RS256, verifying })
    }

    fn ec(jwk: &Jwk) -> Result<Self, LeftOut> {
        let (x, y) = (part(jwk.x.as_ref())?, part(jwk.y.as_ref())?);
        if x.len() != COORDINATE_BYTES || y.len() != COORDINATE_BYTES {
            return Err(LeftOut::Part);
        }
        // An uncompressed point (SEC 1, section 2.3.3).
        let point = [&[4], x.as_slice(), y.as_slice()].concat();
        Ok(Self { kid: None, algorithm: Algorithm::ES256, verifying: DecodingKey::from_ec_der(&point) })
    }

    fn ed25519(jwk: &Jwk) -> Result<Self, LeftOut> {
        let x = part(jwk.x.as_ref())?;
        if x.len() != COORDINATE_BYTES {
            return Err(LeftOut::Part);
        }
        Ok(Self { kid: None, algorithm: Algorithm::EdDSA, verifying: DecodingKey::from_ed_der(&x) })
    }

    /// Whether this key signed the token. It has the token's algorithm.
    pub(super) fn signed(&self, token: &Unverified<'_>) -> bool {
        token.algorithm == self.algorithm
            && jsonwebtoken::crypto::verify(
                token.signature,
                token.message.as_bytes(),
                &self.verifying,
                self.algorithm,
            )
            .unwrap_or(false)
    }
}

fn part(text: Option<&String>) -> Result<Vec<u8>, LeftOut> {
    text.and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok()).ok_or(LeftOut::Part)
}

/// A number without the zeros that some issuers put before it.
fn trim(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}
