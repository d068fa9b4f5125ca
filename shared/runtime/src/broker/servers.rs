//! `broker.url`: the servers, and the user and password, or the token, that stand in it. The client would overlook those, and
//! would show them where it logs addresses, so they are taken out of the addresses.

use async_nats::{ConnectOptions, ServerAddr};

use super::BrokerError;

/// Why the URL cannot be used. None of it is repeated: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum UrlFault {
    /// It is none.
    #[error(
        "server {number} is no address such as nats://host:4222 or tls://user:password@host:4222: {reason}"
    )]
    Address {
        /// Which, from 1.
        number: usize,
        /// What the client says of it.
        reason: std::io::Error,
    },
    /// Two servers, two users.
    #[error("server {number} has another user or password than those before it; one connection has one")]
    OtherUser {
        /// Which, from 1.
        number: usize,
    },
    /// Nobody to connect to.
    #[error("server {number} has no host")]
    NoHost {
        /// Which, from 1.
        number: usize,
    },
    /// The user or password cannot be read.
    #[error("the user or password of server {number} is not percent-encoded UTF-8")]
    Encoding {
        /// Which, from 1.
        number: usize,
    },
}

/// Who we are.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Login {
    Password { user: String, password: String },
    Token(String),
}

/// The addresses, and the options with what proves who we are.
pub(super) fn servers(
    options: ConnectOptions,
    urls: &str,
) -> Result<(Vec<ServerAddr>, ConnectOptions), BrokerError> {
    let (addresses, login) =
        parsed(urls).map_err(|fault| BrokerError::Unusable { key: "broker.url", cause: fault.into() })?;
    let options = match login {
        None => options,
        Some(Login::Password { user, password }) => options.user_and_password(user, password),
        Some(Login::Token(token)) => options.token(token),
    };
    Ok((addresses, options))
}

pub(super) fn parsed(urls: &str) -> Result<(Vec<ServerAddr>, Option<Login>), UrlFault> {
    let (mut addresses, mut found) = (Vec::new(), None);
    for (number, url) in (1..).zip(urls.split(',')) {
        let (address, login) = taken_apart(url.trim());
        let login =
            login.map(|login| decoded_login(login).ok_or(UrlFault::Encoding { number })).transpose()?;
        if login.is_some() && found.is_some() && login != found {
            return Err(UrlFault::OtherUser { number });
        }
        found = found.or(login);
        // The client would take it, and look for a host without a name for ever.
        if address.is_empty() || address.ends_with("://") {
            return Err(UrlFault::NoHost { number });
        }
        addresses.push(address.parse().map_err(|reason| UrlFault::Address { number, reason })?);
    }
    Ok((addresses, found))
}

/// The URL without what stands before the `@`, and that.
fn taken_apart(url: &str) -> (String, Option<&str>) {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let Some((login, host)) = rest.rsplit_once('@') else { return (url.to_owned(), None) };
    let colon = if scheme.is_empty() { "" } else { "://" };
    (format!("{scheme}{colon}{host}"), Some(login))
}

fn decoded_login(login: &str) -> Option<Login> {
    match login.split_once(':') {
        Some((user, password)) => {
            Some(Login::Password { user: decoded(user)?, password: decoded(password)? })
        }
        None => decoded(login).map(Login::Token),
    }
}

/// What is percent-encoded (RFC 3986, 2.1).
fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(user: &str, password: &str) -> Login {
        Login::Password { user: user.to_owned(), password: password.to_owned() }
    }

    #[test]
    fn who_we_are_is_read_from_the_url_and_no_address_shows_it() {
        let cases = [
            ("nats://a:4222", None),
            ("a:4222, b:4222", None),
            ("nats://me:hunter2@a:4222,tls://me:hunter2@b", Some(password("me", "hunter2"))),
            ("nats://me:hunter2@a:4222,b:4222", Some(password("me", "hunter2"))),
            ("tls://me:hunter2%40%C3%A9%2F@a", Some(password("me", "hunter2@é/"))),
            ("tls://me:hunter2@home@a", Some(password("me", "hunter2@home"))),
            ("nats://hunter2@a", Some(Login::Token("hunter2".to_owned()))),
        ];
        for (urls, expect) in cases {
            let (addresses, login) = parsed(urls).unwrap();
            assert!(login == expect, "{urls}");
            assert!(addresses.len() == urls.split(',').count(), "{urls}");
            assert!(!format!("{addresses:?}").contains("hunter2"), "{addresses:?}");
        }
    }

    #[test]
    fn a_url_that_is_none_is_an_error_that_does_not_repeat_its_password() {
        for urls in [
            "nats://me:hunter2@",
            "nats://me:hunter2@a b",
            "nats://me:hunter2%@a",
            "nats://me:hunter2%ff@a",
            "nats://me:hunter2@a,nats://you:hunter2@b",
            "http://me:hunter2@a",
        ] {
            let fault = parsed(urls).err().unwrap_or_else(|| panic!("{urls}"));
            assert!(!format!("{fault} {fault:?}").contains("hunter2"), "{fault:?}");
        }
    }
}
