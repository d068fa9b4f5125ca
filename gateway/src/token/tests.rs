//! Which keys are taken, and that each verifies tokens of its own algorithm alone.

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::jwk::Jwk as Published;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData, SigningKey};
use serde_json::{Value, json};

use super::document::{self, DocumentError, KEYS_MAX};
use super::key::{Key, LeftOut, Origin};
use super::keys::{self, Verdict};
use super::unverified::Unverified;

const SECRET: &[u8] = b"a secret of at least 32 bytes, here";

/// An issuer's key pair.
struct Pair {
    algorithm: Algorithm,
    pair: KeyPair,
}

impl Pair {
    fn new(algorithm: Algorithm) -> Self {
        let kind = match algorithm {
            Algorithm::RS256 => &PKCS_RSA_SHA256,
            Algorithm::ES256 => &PKCS_ECDSA_P256_SHA256,
            _ => &PKCS_ED25519,
        };
        Self { algorithm, pair: KeyPair::generate_for(kind).unwrap() }
    }

    fn jwk(&self) -> Value {
        let raw = self.pair.der_bytes();
        let key = match self.algorithm {
            Algorithm::RS256 => DecodingKey::from_rsa_der(raw),
            Algorithm::ES256 => DecodingKey::from_ec_der(raw),
            _ => DecodingKey::from_ed_der(raw),
        };
        let mut jwk = Published::from_decoding_key(&key, None).unwrap();
        jwk.common.key_algorithm = None;
        serde_json::to_value(jwk).unwrap()
    }

    fn sign(&self, header: &Value) -> String {
        let message = message(header);
        let by = |key, algorithm| jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
        let der = self.pair.serialized_der();
        let signature = match self.algorithm {
            Algorithm::RS256 => BASE64URL_NOPAD.encode(&self.pair.sign(message.as_bytes()).unwrap()),
            Algorithm::ES256 => by(EncodingKey::from_ec_der(der), Algorithm::ES256),
            _ => by(EncodingKey::from_ed_der(der), Algorithm::EdDSA),
        };
        format!("{message}.{signature}")
    }
}

fn message(header: &Value) -> String {
    format!("{}.{}", BASE64URL_NOPAD.encode(header.to_string().as_bytes()), BASE64URL_NOPAD.encode(b"{}"))
}

fn signed_with_secret(secret: &[u8], header: &Value) -> String {
    let message = message(header);
    let key = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

/// The JSON with those members put in; null takes one out.
fn with(jwk: &Value, members: Value) -> Value {
    let (Value::Object(mut jwk), Value::Object(members)) = (jwk.clone(), members) else {
        panic!("these are objects");
    };
    jwk.extend(members);
    jwk.retain(|_, value| !value.is_null());
    Value::Object(jwk)
}

fn parse(jwks: &[Value], origin: Origin) -> Result<Vec<Key>, DocumentError> {
    let document = json!({"keys": jwks}).to_string();
    document::parse(document.as_bytes(), origin).map(|document| document.keys)
}

fn judge(token: &str, keys: &[Key]) -> Verdict {
    keys::judge(&Unverified::parse(token, 8192).unwrap(), keys.iter())
}

#[test]
fn keys_are_taken_that_are_strong_public_and_for_signatures() {
    let [rsa, ec, ed] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA].map(Pair::new);
    let (rsa, ec, ed) = (rsa.jwk(), ec.jwk(), ed.jwk());
    let oct = json!({"kty": "oct", "k": BASE64URL_NOPAD.encode(SECRET)});
    let check_from = |origin: Origin, jwk: &Value, members: Value, expect: Result<Algorithm, LeftOut>| {
        let jwk = with(jwk, members);
        let seen = parse(std::slice::from_ref(&jwk), origin).map(|keys| keys[0].algorithm);
        assert_eq!(seen, expect.map_err(DocumentError::NoneUsable), "{jwk} {origin:?}");
    };
    let check = |jwk: &Value, members: Value, expect| check_from(Origin::Url, jwk, members, expect);
    for (jwk, algorithm) in [(&rsa, Algorithm::RS256), (&ec, Algorithm::ES256), (&ed, Algorithm::EdDSA)] {
        check(jwk, json!({}), Ok(algorithm));
        check(
            jwk,
            json!({"alg": format!("{algorithm:?}"), "use": "sig", "kid": "k", "x5c": ["A"]}),
            Ok(algorithm),
        );
        check(jwk, json!({"key_ops": ["verify"]}), Ok(algorithm));
        check(jwk, json!({"use": "enc"}), Err(LeftOut::Purpose));
        check(jwk, json!({"key_ops": ["encrypt"]}), Err(LeftOut::Purpose));
        check(jwk, json!({"d": "AAAA"}), Err(LeftOut::Private));
        for alg in ["HS256", "none", "RS512", "PS256", "ES384", "RSA-OAEP", ""] {
            check(jwk, json!({"alg": alg}), Err(LeftOut::Algorithm));
        }
        check(jwk, json!({"kty": "AKP"}), Err(LeftOut::Kind));
        check(jwk, json!({"kty": null}), Err(LeftOut::NoKey));
        check(jwk, json!({"kid": 7}), Err(LeftOut::NoKey));
    }
    check(&ec, json!({"alg": "RS256"}), Err(LeftOut::Algorithm));
    check(&ec, json!({"crv": "P-384"}), Err(LeftOut::Kind));
    check(&ec, json!({"y": null}), Err(LeftOut::Part));
    check(&ec, json!({"y": "AAAA"}), Err(LeftOut::Part));
    check(&ed, json!({"crv": "X25519"}), Err(LeftOut::Kind));
    check(&ed, json!({"x": "AAAA"}), Err(LeftOut::Part));
    check(&ed, json!({"x": "not base64url!"}), Err(LeftOut::Part));
    let number = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    for (bytes, expect) in
        [(128, Err(LeftOut::RsaSize)), (256, Ok(Algorithm::RS256)), (1025, Err(LeftOut::RsaSize))]
    {
        check(&rsa, json!({"n": number(&vec![0xff; bytes])}), expect);
    }
    // Zeros before a number do not make it longer.
    check(&rsa, json!({"n": number(&[vec![0; 128], vec![0xff; 128]].concat())}), Err(LeftOut::RsaSize));
    for (exponent, expect) in [
        (&[1][..], Err(LeftOut::Part)),
        (&[0, 1], Err(LeftOut::Part)),
        (&[], Err(LeftOut::Part)),
        (&[2], Err(LeftOut::Part)),
        (&[3], Ok(Algorithm::RS256)),
        (&[1, 0, 0, 0, 1], Err(LeftOut::Part)),
    ] {
        check(&rsa, json!({"e": number(exponent)}), expect);
    }
    check_from(Origin::File, &oct, json!({"kid": "k"}), Ok(Algorithm::HS256));
    check_from(Origin::File, &oct, json!({"alg": "HS512"}), Err(LeftOut::Algorithm));
    check_from(Origin::File, &oct, json!({"k": number(&SECRET[..31])}), Err(LeftOut::Weak));
    check(&oct, json!({}), Err(LeftOut::Public));
}

#[test]
fn a_document_is_a_bounded_list_of_which_what_can_be_used_is_taken() {
    let ed = Pair::new(Algorithm::EdDSA).jwk();
    let wrong = json!({"kty": "AKP"});
    let count = |jwks: &[Value]| parse(jwks, Origin::Url).map(|keys| keys.len());
    assert_eq!(count(&[wrong.clone(), ed.clone(), json!(7)]), Ok(1));
    assert_eq!(count(&[]), Ok(0));
    assert_eq!(count(&vec![ed.clone(); KEYS_MAX]), Ok(KEYS_MAX));
    assert_eq!(count(&vec![ed.clone(); KEYS_MAX + 1]), Err(DocumentError::TooMany(KEYS_MAX + 1)));
    assert_eq!(count(&[wrong]), Err(DocumentError::NoneUsable(LeftOut::Kind)));
    for no_set in ["", "{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[]"#, &ed.to_string()] {
        let parsed = document::parse(no_set.as_bytes(), Origin::File);
        assert_eq!(parsed.map(|_| ()), Err(DocumentError::NoSet), "{no_set}");
    }
}

#[test]
fn what_is_said_of_a_key_never_shows_it() {
    let oct = json!({"kty": "oct", "kid": "mine", "k": BASE64URL_NOPAD.encode(SECRET)});
    let keys = parse(&[oct], Origin::File).unwrap();
    assert_eq!(format!("{keys:?}"), r#"[HS256 key Some("mine")]"#);
}

#[test]
fn invariant_7_each_key_verifies_tokens_of_its_own_algorithm_alone() {
    let pairs = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA].map(Pair::new);
    for pair in &pairs {
        let name = format!("{:?}", pair.algorithm);
        let jwk = pair.jwk();
        let keys = parse(std::slice::from_ref(&jwk), Origin::File).unwrap();
        assert_eq!(judge(&pair.sign(&json!({"alg": name})), &keys), Verdict::Signed);
        // The signature is right, and the header says that it is another algorithm's.
        for other in ["HS256", "RS256", "ES256", "EdDSA"].into_iter().filter(|other| *other != name) {
            assert_eq!(judge(&pair.sign(&json!({"alg": other})), &keys), Verdict::NoKey, "{name} {other}");
        }
        // What is public is never a secret, in whatever form somebody may have signed with it.
        let texts = ["n", "x"].into_iter().filter_map(|part| Some(jwk.get(part)?.as_str()?.to_owned()));
        let mut public: Vec<Vec<u8>> = vec![
            pair.pair.public_key_pem().into_bytes(),
            pair.pair.der_bytes().to_vec(),
            jwk.to_string().into_bytes(),
        ];
        public.extend(texts.clone().map(|text| BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()));
        public.extend(texts.map(String::into_bytes));
        for secret in public {
            let forged = signed_with_secret(&secret, &json!({"alg": "HS256"}));
            assert_eq!(judge(&forged, &keys), Verdict::NoKey);
            let renamed = signed_with_secret(&secret, &json!({"alg": name}));
            assert_eq!(judge(&renamed, &keys), Verdict::Forged);
        }
    }
}

#[test]
fn a_token_is_tried_with_the_keys_that_it_names_or_with_all() {
    let [one, two, ec] = [Algorithm::EdDSA, Algorithm::EdDSA, Algorithm::ES256].map(Pair::new);
    let named = |pair: &Pair, kid: &str| with(&pair.jwk(), json!({"kid": kid}));
    let keys = |jwks: &[Value]| parse(jwks, Origin::Url).unwrap();
    let both = keys(&[named(&one, "one"), named(&two, "two"), named(&ec, "ec")]);
    let check = |token: String, keys: &[Key], expect| assert_eq!(judge(&token, keys), expect, "{token}");
    let header = |kid: &str| json!({"alg": "EdDSA", "kid": kid});
    check(one.sign(&header("one")), &both, Verdict::Signed);
    check(two.sign(&header("one")), &both, Verdict::Forged);
    check(two.sign(&header("ec")), &both, Verdict::OtherAlgorithm);
    check(two.sign(&header("three")), &both, Verdict::UnknownKey);
    check(two.sign(&json!({"alg": "EdDSA"})), &both, Verdict::Signed);
    check(Pair::new(Algorithm::EdDSA).sign(&json!({"alg": "EdDSA"})), &both, Verdict::Forged);
    check(one.sign(&json!({"alg": "EdDSA"})), &keys(&[named(&ec, "ec")]), Verdict::NoKey);
    check(one.sign(&header("one")), &keys(&[one.jwk()]), Verdict::Signed);
    check(two.sign(&header("one")), &keys(&[one.jwk()]), Verdict::UnknownKey);
    check(two.sign(&header("same")), &keys(&[named(&one, "same"), named(&two, "same")]), Verdict::Signed);
    let secret = [Key::hs256(SECRET).unwrap()];
    check(signed_with_secret(SECRET, &json!({"alg": "HS256", "kid": "any"})), &secret, Verdict::Signed);
    check(one.sign(&header("one")), &[], Verdict::UnknownKey);
}

#[test]
fn a_changed_token_is_forged() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let pair = Pair::new(algorithm);
        let keys = parse(&[pair.jwk()], Origin::Url).unwrap();
        let token = pair.sign(&json!({"alg": format!("{algorithm:?}")}));
        let (message, signature) = token.rsplit_once('.').unwrap();
        assert_eq!(judge(&token, &keys), Verdict::Signed);
        let header = message.split('.').next().unwrap();
        for changed in [
            format!("{header}.e30K.{signature}"),
            format!("{message}."),
            format!("{message}.AAAA"),
            format!("{message}.{}", &signature[4..]),
            format!("{message}.!"),
        ] {
            assert_eq!(judge(&changed, &keys), Verdict::Forged, "{changed}");
        }
    }
}
