//! Which versions of the app are served: a request may name its own, and one that is too old is refused before anything else.

use std::cmp::Ordering;
use std::str::FromStr;

use axum::extract::Query;
use axum::http::{HeaderMap, Uri};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use tidelog_events::code::Refusal;
use tidelog_events::report::CLIENT_VERSION_HEADER;

use crate::problem::Problem;

/// Numbers of a version, at most.
const NUMBERS_MAX: usize = 8;
/// Where it is asked for.
const VERSIONED: &str = "/v1/";

/// Numbers with dots between, compared number by number; what is missing counts as 0.
#[derive(Debug, Clone)]
pub struct ClientVersion {
    text: String,
    numbers: [u64; NUMBERS_MAX],
}

impl PartialEq for ClientVersion {
    fn eq(&self, other: &Self) -> bool {
        self.numbers == other.numbers
    }
}

impl PartialOrd for ClientVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.numbers.cmp(&other.numbers))
    }
}

impl FromStr for ClientVersion {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let wrong = "a version is up to 8 numbers with dots between, such as 2.14.0";
        let mut numbers = [0; NUMBERS_MAX];
        for (place, number) in text.split('.').enumerate() {
            let number = number_of(number).ok_or(wrong)?;
            *numbers.get_mut(place).ok_or(wrong)? = number;
        }
        Ok(Self { text: text.to_owned(), numbers })
    }
}

fn number_of(text: &str) -> Option<u64> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_digits)
}

impl ClientVersion {
    /// What an app calls itself, which need not follow our rules: the numbers that it begins with, without what stands behind
    /// `-` or `+`. `None` where it begins with none.
    fn named(text: &str) -> Option<Self> {
        let mut numbers = [0; NUMBERS_MAX];
        let core = text.split(['-', '+']).next().unwrap_or_default();
        let leading = core.split('.').map_while(number_of).take(NUMBERS_MAX);
        let mut places = 0;
        for (place, number) in numbers.iter_mut().zip(leading) {
            *place = number;
            places += 1;
        }
        (places > 0).then(|| Self { text: text.to_owned(), numbers })
    }
}

/// For `#[serde(deserialize_with)]`: a version, or an empty text for none.
pub(crate) fn optional<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ClientVersion>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(D::Error::custom) }
}

/// As browsers name it, which cannot give a WebSocket headers of its own.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VersionParam {
    client_version: Option<String>,
}

/// Refuses a request of an app that is older than `least`. Where there is no least version nobody is asked for theirs.
pub(crate) fn check(least: Option<&ClientVersion>, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(least) = least.filter(|_| uri.path().starts_with(VERSIONED)) else { return Ok(()) };
    let invalid =
        |why: &str| Problem::new(Refusal::RequestInvalid, format!("`{CLIENT_VERSION_HEADER}`: {why}"));
    let named = match headers.get(CLIENT_VERSION_HEADER) {
        Some(value) => Some(value.to_str().map_err(|_| invalid("it is no text"))?.trim().to_owned()),
        None => param(uri)?,
    };
    let Some(named) = named else { return Ok(()) };
    let Some(version) = ClientVersion::named(&named) else {
        return Err(invalid("a version begins with a number, such as 2.14.0"));
    };
    if version < *least {
        let detail =
            format!("this app is version {}; the least that is served is {}", version.text, least.text);
        return Err(Problem::new(Refusal::ClientTooOld, detail));
    }
    Ok(())
}

fn param(uri: &Uri) -> Result<Option<String>, Problem> {
    if !uri.query().is_some_and(|query| query.contains("clientVersion")) {
        return Ok(None);
    }
    let Query(VersionParam { client_version }) = Query::try_from_uri(uri)?;
    Ok(client_version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_number_by_number() {
        let version = |text: &str| text.parse::<ClientVersion>().unwrap();
        assert!(version("2.9.10") < version("2.14.0"));
        assert!(version("2") == version("2.0.0") && version("2.0.1") > version("2"));
        for wrong in
            ["", "2.", ".1", "v2", "2.0-beta", "+1", "2..1", "1.1.1.1.1.1.1.1.1", "99999999999999999999"]
        {
            assert!(wrong.parse::<ClientVersion>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_request_may_name_its_version_in_a_header_or_a_parameter_or_not_at_all() {
        let least = "2.0.0".parse().ok();
        let check = |uri: &str, header: Option<&str>, expect: Option<Refusal>| {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert(CLIENT_VERSION_HEADER, header.parse().unwrap());
            }
            let refused =
                check(least.as_ref(), &uri.parse().unwrap(), &headers).err().map(|problem| problem.code);
            assert_eq!(refused, expect, "{uri} {header:?}");
        };
        check("/v1/schema", None, None);
        check("/v1/schema", Some("2.0"), None);
        check("/v1/schema", Some("1.9.9"), Some(Refusal::ClientTooOld));
        check("/v1/schema", Some("new"), Some(Refusal::RequestInvalid));
        check("/v1/schema", Some("-2"), Some(Refusal::RequestInvalid));
        check("/v1/schema", Some("2.14.0-beta"), None);
        check("/v1/schema", Some("2.0.0+build.7"), None);
        check("/v1/schema", Some("2.1.x"), None);
        check("/v1/schema", Some("1.9-beta.3"), Some(Refusal::ClientTooOld));
        check("/v1/schema", Some("2.1.1.1.1.1.1.1.1.1"), None);
        check("/v1/schema?clientVersion=1.9", None, Some(Refusal::ClientTooOld));
        check("/v1/schema?clientVersion=1.9", Some("2.1"), None);
        check("/v1/schema?clientVersion=", None, Some(Refusal::RequestInvalid));
        check("/v1/schema?a=clientVersion", None, None);
        check("/openapi.json", Some("1.9.9"), None);
    }

    #[test]
    fn nothing_is_refused_where_there_is_no_least_version() {
        for named in ["new", "0.1", "2.14.0-beta", ""] {
            let headers =
                HeaderMap::from_iter([(CLIENT_VERSION_HEADER.parse().unwrap(), named.parse().unwrap())]);
            super::check(None, &"/v1/schema".parse().unwrap(), &headers).unwrap();
        }
    }
}
