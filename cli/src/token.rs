//! `tidelog token`: tokens for the running stack, or by a private key, and keys to try that with.

mod claims;
mod private_key;

use std::path::PathBuf;

use anyhow::{Context, Result};

pub use claims::{Access, Claims, SpaceGrant};
pub use private_key::{KeyAlgorithm, PrivateKey};

use crate::stack_file::StackFile;

/// Options of `tidelog token`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct TokenOptions {
    #[command(subcommand)]
    command: Option<TokenCommand>,
    /// The user that the token is for. The user's own space is always included
    #[arg(long, value_name = "USER", required = true)]
    sub: Option<String>,
    /// Another space, with rw (push and pull) or r (pull only). May be repeated
    #[arg(long = "space", value_name = "ID=rw")]
    spaces: Vec<SpaceGrant>,
    /// Every space: a trusted backend's token, which must name each batch's author
    #[arg(long)]
    all_spaces: bool,
    /// The scope `admin`
    #[arg(long, conflicts_with = "scope")]
    admin: bool,
    /// The scope: words with spaces between, as `admin:read`
    #[arg(long, value_name = "WORDS")]
    scope: Option<String>,
    /// The only device that may use it
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// The service that it is for (`aud`)
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
    /// Who issues it (`iss`)
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// How long it is valid
    #[arg(long, value_name = "N", default_value_t = 24)]
    hours: u64,
    /// Sign with the private key in this PEM file (RSA, P-256 or Ed25519), not with the secret of the stack that runs here
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The key's name in the token; without it, its thumbprint
    #[arg(long, value_name = "NAME", requires = "key")]
    kid: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum TokenCommand {
    /// Make a private key, and print its public part as a JWK Set for `auth.jwks_file` or to serve at `auth.jwks_url`
    NewKey(NewKeyOptions),
    /// Print the public part of a private key as a JWK Set
    Jwks(JwksOptions),
}

#[derive(Debug, clap::Args)]
struct NewKeyOptions {
    /// What it signs with
    #[arg(long, default_value = "EdDSA")]
    algorithm: KeyAlgorithm,
    /// A new file for it, which its owner alone can read
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Its name; without it, its thumbprint
    #[arg(long, value_name = "NAME")]
    kid: Option<String>,
}

#[derive(Debug, clap::Args)]
struct JwksOptions {
    /// The private key, a PEM file
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Its name; without it, its thumbprint
    #[arg(long, value_name = "NAME")]
    kid: Option<String>,
}

/// Prints a token, or a JWK Set, and nothing else.
pub fn run(mut options: TokenOptions) -> Result<()> {
    let text = match options.command.take() {
        Some(TokenCommand::NewKey(NewKeyOptions { algorithm, out, kid })) => {
            let key = PrivateKey::generate(algorithm)?.with_kid(kid);
            key.save(&out)?;
            serde_json::to_string_pretty(&key.jwks()?)?
        }
        Some(TokenCommand::Jwks(JwksOptions { key, kid })) => {
            serde_json::to_string_pretty(&PrivateKey::from_file(&key)?.with_kid(kid).jwks()?)?
        }
        None => token(options)?,
    };
    println!("{text}");
    Ok(())
}

fn token(mut options: TokenOptions) -> Result<String> {
    let (key, kid) = (options.key.take(), options.kid.take());
    let claims = claims(options)?;
    match key {
        Some(key) => PrivateKey::from_file(&key)?.with_kid(kid).sign(&claims),
        None => claims.sign(&StackFile::find()?.jwt_secret),
    }
}

fn claims(options: TokenOptions) -> Result<Claims> {
    let sub = options.sub.context("name the user with --sub")?;
    let mut claims = Claims::new(sub, options.hours);
    for grant in options.spaces {
        claims = claims.with_space(grant.space, grant.access);
    }
    if options.all_spaces {
        claims = claims.with_space("*", Access::Rw);
    }
    if options.admin {
        claims = claims.with_admin();
    }
    if let Some(scope) = options.scope {
        claims = claims.with_scope(&scope);
    }
    (claims.device, claims.aud, claims.iss) = (options.device, options.audience, options.issuer);
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        token: TokenOptions,
    }

    fn parse(line: &str) -> Result<TokenOptions, clap::Error> {
        let words = ["token"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.token)
    }

    #[test]
    fn a_token_carries_its_claims_and_ends() {
        let options = parse("--sub ana --space team-9=r --all-spaces --admin --hours 2").unwrap();
        let token = claims(options).unwrap().sign("a secret of at least 32 bytes, here").unwrap();
        let key = DecodingKey::from_secret(b"a secret of at least 32 bytes, here");
        let read = decode::<Claims>(&token, &key, &Validation::new(Algorithm::HS256)).unwrap().claims;
        assert_eq!(read.sub, "ana");
        assert_eq!(read.spaces, [("*".to_owned(), Access::Rw), ("team-9".to_owned(), Access::R)].into());
        assert_eq!(read.scope.as_deref(), Some("admin"));
        assert_eq!(read.exp - read.iat, 7200);
    }

    #[test]
    fn a_token_may_be_bound_to_a_device_a_service_and_an_issuer() {
        let options =
            parse("--sub ana --scope admin:read --device phone-1 --audience api --issuer me").unwrap();
        let claims = claims(options).unwrap();
        assert_eq!(claims.scope.as_deref(), Some("admin:read"));
        assert_eq!(claims.device.as_deref(), Some("phone-1"));
        assert_eq!((claims.aud.as_deref(), claims.iss.as_deref()), (Some("api"), Some("me")));
    }

    #[test]
    fn the_user_is_asked_for_except_where_keys_are_made() {
        let command = |line: &str| parse(line).map(|options| options.command.is_some()).ok();
        assert_eq!(command("--sub ana"), Some(false));
        assert_eq!(command("--sub ana --key k.pem --kid mine"), Some(false));
        assert_eq!(command("new-key --out k.pem"), Some(true));
        assert_eq!(command("new-key --out k.pem --algorithm RS256 --kid mine"), Some(true));
        assert_eq!(command("jwks --key k.pem"), Some(true));
        for wrong in [
            "",
            "--hours 2",
            "--sub ana --kid mine",
            "--sub ana new-key --out k",
            "new-key",
            "new-key --out k --algorithm HS256",
            "--sub ana --admin --scope admin:read",
        ] {
            assert_eq!(command(wrong), None, "{wrong}");
        }
    }
}
