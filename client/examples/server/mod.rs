//! Where the examples sync: the stack that runs in this folder, or what the command line names.

use std::error::Error;

use serde_json::Value;

pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// The gateway, and the token of a user.
pub struct Server {
    pub gateway: String,
    pub token: String,
    pub user: String,
}

impl Server {
    /// What the command line names, or the stack that runs in this folder.
    pub fn find() -> Outcome<Self> {
        let arguments: Vec<String> = std::env::args().collect();
        let named = |name: &str| {
            let at = arguments.iter().position(|argument| argument == name)?;
            arguments.get(at + 1).cloned()
        };
        let (gateway, token) = match (named("--gateway"), named("--token")) {
            (Some(gateway), Some(token)) => (gateway, token),
            _ => running_stack().ok_or(
                "no stack is running here: start one with `make up`, or name one with --gateway URL --token TOKEN",
            )?,
        };
        let user = user_of(&token).ok_or("the token is no JWT with a `sub`")?;
        Ok(Self { gateway, token, user })
    }
}

fn running_stack() -> Option<(String, String)> {
    let file = std::fs::read(".tidelog/up.json").ok()?;
    let stack: Value = serde_json::from_slice(&file).ok()?;
    Some((stack["gatewayUrl"].as_str()?.to_owned(), stack["token"].as_str()?.to_owned()))
}

fn user_of(token: &str) -> Option<String> {
    let claims = data_encoding::BASE64URL_NOPAD.decode(token.split('.').nth(1)?.as_bytes()).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    Some(claims["sub"].as_str()?.to_owned())
}
