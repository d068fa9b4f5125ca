//! Private keys: to sign tokens as an issuer does, and to show the public part that the gateway verifies them by.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData, SigningKey};
use serde::Serialize;
use serde_json::{Value, json};

/// Readable by its owner alone.
const KEY_FILE_MODE: u32 = 0o600;

/// An algorithm that signs with a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum KeyAlgorithm {
    /// RSA with 2048 bits
    #[value(name = "RS256")]
    Rs256,
    /// The curve P-256
    #[value(name = "ES256")]
    Es256,
    /// Ed25519
    #[value(name = "EdDSA")]
    EdDsa,
}

impl KeyAlgorithm {
    /// Its name in tokens.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// A private key, and the name by which tokens call it.
pub struct PrivateKey {
    pair: KeyPair,
    algorithm: KeyAlgorithm,
    kid: Option<String>,
}

impl PrivateKey {
    /// A new one.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self> {
        let kind = match algorithm {
            KeyAlgorithm::Rs256 => &PKCS_RSA_SHA256,
            KeyAlgorithm::Es256 => &PKCS_ECDSA_P256_SHA256,
            KeyAlgorithm::EdDsa => &PKCS_ED25519,
        };
        let pair = KeyPair::generate_for(kind).context("cannot make a key")?;
        Ok(Self { pair, algorithm, kid: None })
    }

    /// The one in a PEM text: RSA, P-256 or Ed25519.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let pair = KeyPair::from_pem(pem)
            .context("the text is no private key in PEM, as `openssl genpkey` writes it")?;
        let kind = pair.algorithm();
        let algorithm = if kind == &PKCS_RSA_SHA256 {
            KeyAlgorithm::Rs256
        } else if kind == &PKCS_ECDSA_P256_SHA256 {
            KeyAlgorithm::Es256
        } else if kind == &PKCS_ED25519 {
            KeyAlgorithm::EdDsa
        } else {
            bail!("the key is for {kind:?}; take RSA, P-256 or Ed25519");
        };
        Ok(Self { pair, algorithm, kid: None })
    }

    /// The one in a PEM file.
    pub fn from_file(path: &Path) -> Result<Self> {
        let pem = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::from_pem(&pem).with_context(|| format!("{} cannot be used", path.display()))
    }

    /// What it signs with.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// Its public part in PEM.
    pub fn public_pem(&self) -> String {
        self.pair.public_key_pem()
    }

    /// Called that name, not by its thumbprint (RFC 7638).
    #[must_use]
    pub fn with_kid(mut self, kid: Option<String>) -> Self {
        self.kid = kid;
        self
    }

    /// The same key by another name.
    ///
    /// # Errors
    /// Never for a key that was read or made here.
    pub fn named(&self, kid: &str) -> Result<Self> {
        Ok(Self::from_pem(&self.pair.serialize_pem())?.with_kid(Some(kid.to_owned())))
    }

    /// Writes it to a new file that its owner alone can read.
    pub fn save(&self, path: &Path) -> Result<()> {
        let opened = OpenOptions::new().write(true).create_new(true).mode(KEY_FILE_MODE).open(path);
        let mut file = opened.with_context(|| format!("cannot make the new file {}", path.display()))?;
        file.write_all(self.pair.serialize_pem().as_bytes())?;
        Ok(())
    }

    /// Its name.
    pub fn kid(&self) -> Result<String> {
        match &self.kid {
            Some(kid) => Ok(kid.clone()),
            None => self.public()?.thumbprint(ThumbprintHash::SHA256).context("the key has no thumbprint"),
        }
    }

    fn public(&self) -> Result<Jwk> {
        let raw = self.pair.der_bytes();
        let (key, algorithm) = match self.algorithm {
            KeyAlgorithm::Rs256 => (DecodingKey::from_rsa_der(raw), Algorithm::RS256),
            KeyAlgorithm::Es256 => (DecodingKey::from_ec_der(raw), Algorithm::ES256),
            KeyAlgorithm::EdDsa => (DecodingKey::from_ed_der(raw), Algorithm::EdDSA),
        };
        Jwk::from_decoding_key(&key, Some(algorithm)).context("the key has no public part")
    }

    /// Its public part, with its name.
    pub fn jwk(&self) -> Result<Value> {
        let mut jwk = self.public()?;
        jwk.common.key_id = Some(self.kid()?);
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(serde_json::to_value(jwk)?)
    }

    /// A JWK Set with its public part, for `auth.jwks_file` or to serve at `auth.jwks_url`.
    pub fn jwks(&self) -> Result<Value> {
        Ok(json!({"keys": [self.jwk()?]}))
    }

    /// The token with these claims. Its header names the key.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String> {
        let header = json!({"alg": self.algorithm.name(), "typ": "JWT", "kid": self.kid()?});
        self.sign_with_header(&header, claims)
    }

    /// The token with that header, whatever it says.
    pub fn sign_with_header(&self, header: &Value, claims: &impl Serialize) -> Result<String> {
        let part = |value: Vec<u8>| BASE64URL_NOPAD.encode(&value);
        let message = format!("{}.{}", part(serde_json::to_vec(header)?), part(serde_json::to_vec(claims)?));
        let der = self.pair.serialized_der();
        let by =
            |key: EncodingKey, algorithm| jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm);
        let signature = match self.algorithm {
            KeyAlgorithm::Rs256 => part(self.pair.sign(message.as_bytes())?),
            KeyAlgorithm::Es256 => by(EncodingKey::from_ec_der(der), Algorithm::ES256)
                .context("write the key as PKCS #8 (`openssl pkcs8 -topk8 -nocrypt -in KEY -out NEW`)")?,
            KeyAlgorithm::EdDsa => by(EncodingKey::from_ed_der(der), Algorithm::EdDSA)?,
        };
        Ok(format!("{message}.{signature}"))
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Validation, decode};

    use super::*;
    use crate::token::Claims;

    #[test]
    fn a_key_signs_what_its_public_part_verifies() {
        for algorithm in [KeyAlgorithm::Rs256, KeyAlgorithm::Es256, KeyAlgorithm::EdDsa] {
            let key = PrivateKey::generate(algorithm).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("key.pem");
            key.save(&path).unwrap();
            let key = PrivateKey::from_file(&path).unwrap().with_kid(Some("mine".to_owned()));
            assert_eq!(key.algorithm, algorithm);
            let claims = Claims::new("ana", 1);
            let token = key.sign(&claims).unwrap();
            let jwk: Jwk = serde_json::from_value(key.jwk().unwrap()).unwrap();
            let name: Algorithm = algorithm.name().parse().unwrap();
            let read =
                decode::<Claims>(&token, &DecodingKey::from_jwk(&jwk).unwrap(), &Validation::new(name));
            let read = read.unwrap();
            assert_eq!((read.claims, read.header.kid.as_deref()), (claims, Some("mine")));
            let json = key.jwks().unwrap();
            assert_eq!(json["keys"][0]["kid"], "mine");
            assert_eq!(json["keys"][0]["use"], "sig");
            assert_eq!(json["keys"][0]["alg"], algorithm.name());
            assert!(json["keys"][0].get("d").is_none(), "{json}");
        }
    }

    #[test]
    fn a_key_file_is_its_owners_alone_and_never_overwritten() {
        use std::os::unix::fs::PermissionsExt;

        let key = PrivateKey::generate(KeyAlgorithm::EdDsa).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        key.save(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let written = std::fs::read(&path).unwrap();
        assert!(PrivateKey::generate(KeyAlgorithm::EdDsa).unwrap().save(&path).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), written);
    }

    #[test]
    fn without_a_name_a_key_is_called_by_its_thumbprint() {
        // RFC 8037, appendix A.3; the key of appendix A.1 as PKCS #8 (RFC 8410).
        let pem = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
                   -----END PRIVATE KEY-----\n";
        let key = PrivateKey::from_pem(pem).unwrap();
        assert_eq!(key.kid().unwrap(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn what_is_no_private_key_is_refused_with_a_way_out() {
        for wrong in ["", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
            assert!(PrivateKey::from_pem(wrong).err().unwrap().to_string().contains("openssl genpkey"));
        }
    }
}
