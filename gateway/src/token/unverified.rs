//! A token taken apart, before anybody knows whether it is genuine (RFC 7515, compact serialization).

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::fault::TokenFault;

/// The parts of a token.
#[derive(Debug)]
pub(super) struct Unverified<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    /// What is signed: header and payload as they came.
    pub(super) message: &'a str,
    /// As it came.
    pub(super) signature: &'a str,
    payload: &'a str,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

impl<'a> Unverified<'a> {
    pub(super) fn parse(token: &'a str, bytes_max: usize) -> Result<Self, TokenFault> {
        if token.len() > bytes_max {
            return Err(TokenFault::TooLong(bytes_max));
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenFault::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(TokenFault::Malformed)?;
        let header = decode(header)?;
        let header: Header = serde_json::from_slice(&header).map_err(|_| TokenFault::Malformed)?;
        let algorithm = algorithm(&header.alg).ok_or(TokenFault::Algorithm)?;
        if header.crit.is_some() {
            return Err(TokenFault::Critical);
        }
        Ok(Self { algorithm, kid: header.kid, message, signature, payload })
    }

    /// The claims' JSON. Not to be believed before the signature is checked.
    pub(super) fn payload(&self) -> Result<Vec<u8>, TokenFault> {
        decode(self.payload)
    }
}

/// The algorithms that are taken, by their names (RFC 7518, section 3.1; RFC 8037).
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "HS256" => Some(Algorithm::HS256),
        "RS256" => Some(Algorithm::RS256),
        "ES256" => Some(Algorithm::ES256),
        "EdDSA" => Some(Algorithm::EdDSA),
        _ => None,
    }
}

fn decode(part: &str) -> Result<Vec<u8>, TokenFault> {
    BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| TokenFault::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_three_parts_with_a_header_that_names_an_algorithm_that_is_taken() {
        let check = |token: &str, expect: Result<(Algorithm, Option<&str>), TokenFault>| {
            let parsed = Unverified::parse(token, 120);
            let seen = parsed.as_ref().map(|token| (token.algorithm, token.kid.as_deref()));
            assert_eq!(seen.map_err(Clone::clone), expect, "{token}");
        };
        let with = |header: &str| format!("{}.e30.AA", BASE64URL_NOPAD.encode(header.as_bytes()));
        check(&with(r#"{"alg":"HS256"}"#), Ok((Algorithm::HS256, None)));
        check(
            &with(r#"{"alg":"EdDSA","kid":"k","typ":"at+jwt","x":[1]}"#),
            Ok((Algorithm::EdDSA, Some("k"))),
        );
        for other in ["none", "None", "", "HS512", "RS512", "PS256", "ES384", "hs256", "Ed25519"] {
            check(&with(&format!(r#"{{"alg":"{other}"}}"#)), Err(TokenFault::Algorithm));
        }
        for crit in ["[]", r#"["exp"]"#, "1", r#""b64""#] {
            check(&with(&format!(r#"{{"alg":"HS256","crit":{crit}}}"#)), Err(TokenFault::Critical));
        }
        for header in ["", "{}", "[]", "null", r#"{"alg":1}"#, r#"{"alg":"HS256","kid":1}"#] {
            check(&with(header), Err(TokenFault::Malformed));
        }
        check(&with(r#"{"alg":"HS256","alg":"none"}"#), Err(TokenFault::Malformed));
        for shape in ["", ".", "..", "a", "a.b", "a.b.c", "e30", "eyJhbGciOiJIUzI1NiJ9=.e30.AA"] {
            check(shape, Err(TokenFault::Malformed));
        }
        check(
            &with(&format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(80))),
            Err(TokenFault::TooLong(120)),
        );
    }

    #[test]
    fn what_is_behind_the_second_dot_is_never_taken_for_claims() {
        let five = "eyJhbGciOiJIUzI1NiJ9.e30.e30.e30.AA";
        let token = Unverified::parse(five, 120).unwrap();
        assert_eq!(token.payload(), Err(TokenFault::Malformed));
        assert_eq!(token.message, "eyJhbGciOiJIUzI1NiJ9.e30.e30.e30");
    }
}
