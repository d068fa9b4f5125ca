//! What an operation may be refused with: the codes that its handler names, and those that any request may meet, as
//! RFC 9457 problem details with an example for each code.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use tidelog_events::code::Refusal;
use tidelog_events::id::Sequence;
use tidelog_events::protocol::UtcTime;

use super::Api;
use crate::problem::Problem;

const PROBLEM: &str = "application/problem+json";
/// The time of the examples.
const EXAMPLE_TIME: UtcTime = UtcTime(1_795_374_920_123);

/// An example of each code.
pub(super) fn examples() -> Value {
    let example = |code: &Refusal| {
        let mut problem = Problem::new(*code, detail(*code));
        match code {
            Refusal::SequenceGap => problem = problem.expecting(Some(Sequence(51))),
            Refusal::ClockAhead => problem = problem.at(EXAMPLE_TIME),
            _ => {}
        }
        (code.to_string(), json!({"summary": code.title(), "value": problem}))
    };
    Refusal::ALL.iter().map(example).collect::<Map<_, _>>().into()
}

/// Completes the operation's refusals: media type, schema, examples and headers.
pub(super) fn complete(operation: &mut Value, api: Api) {
    let mut codes = BTreeMap::<u16, BTreeSet<Refusal>>::new();
    for code in always(operation, api) {
        codes.entry(code.status()).or_default().insert(code);
    }
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let Ok(status @ 400..) = status.parse::<u16>() else { continue };
        codes.entry(status).or_default().extend(named(response));
    }
    for (status, codes) in codes {
        let response = &mut operation["responses"][status.to_string()];
        let said = response["description"].as_str().unwrap_or_default().to_owned();
        let unsaid = codes.iter().map(|code| format!("`{code}`")).filter(|code| !said.contains(code));
        let words = unsaid.collect::<Vec<_>>().join(", ");
        // What the handler says of its code stays at the end of the sentence.
        let description =
            if said.is_empty() || words.is_empty() { said + &words } else { format!("{words}, {said}") };
        *response = response_of(status, &description, &codes);
    }
}

/// The codes that the handler's description of a response names.
fn named(response: &Value) -> impl Iterator<Item = Refusal> {
    let description = response["description"].as_str().unwrap_or_default();
    description.split('`').skip(1).step_by(2).filter_map(Refusal::from_text)
}

/// The codes that any such request may be refused with.
fn always(operation: &Value, api: Api) -> Vec<Refusal> {
    let mut codes =
        vec![Refusal::RequestInvalid, Refusal::RateLimited, Refusal::Internal, Refusal::Overloaded];
    if operation["security"].as_array().is_some_and(|needed| !needed.is_empty()) {
        codes.push(Refusal::Unauthorized);
        match api {
            Api::Public => codes.push(Refusal::ClientTooOld),
            Api::Admin => codes.push(Refusal::Forbidden),
        }
        let mut parameters = operation["parameters"].as_array().into_iter().flatten();
        if api == Api::Public && parameters.any(|parameter| parameter["name"] == "space") {
            codes.extend([Refusal::Forbidden, Refusal::DeviceRevoked]);
        }
    }
    codes
}

fn response_of(status: u16, description: &str, codes: &BTreeSet<Refusal>) -> Value {
    let examples = codes.iter().map(|code| {
        let code = code.to_string();
        let reference = json!({"$ref": format!("#/components/examples/{code}")});
        (code, reference)
    });
    let mut response = json!({
        "description": description,
        "content": {PROBLEM: {
            "schema": {"$ref": "#/components/schemas/Problem"},
            "examples": examples.collect::<Map<_, _>>(),
        }},
    });
    match status {
        401 => {
            response["headers"]["WWW-Authenticate"] = json!({"description": "How to authenticate", "schema": {"type": "string"}, "example": "Bearer"});
        }
        429 | 503 => {
            response["headers"]["Retry-After"] = json!({
                "description": "Seconds after which to try again",
                "schema": {"type": "integer", "minimum": 1},
                "example": 1,
            });
        }
        _ => {}
    }
    response
}

/// What a problem of that code may say.
fn detail(code: Refusal) -> &'static str {
    match code {
        Refusal::BatchMalformed => "line 3 has no `eventId` and `deviceSequence`",
        Refusal::RequestInvalid => "`after` must be a whole number",
        Refusal::Unauthorized => "send a token: `Authorization: Bearer <JWT>`",
        Refusal::Forbidden => "the token does not name the space team-9",
        Refusal::DeviceRevoked => "the device phone-1 was revoked",
        Refusal::NotFound => "there is no workout `w-123`",
        Refusal::MethodNotAllowed => "the path takes other methods; see /openapi.json",
        Refusal::NotAcceptable => "the log is served as `application/json` and as `application/x-ndjson`",
        Refusal::RequestTimeout => "the body must arrive within 30000 ms",
        Refusal::SequenceGap => "the device's next sequence is 51",
        Refusal::DeviceForked => "sequence 50 is taken by another event",
        Refusal::EventNotReleasable => "schema version 3 does not accept the event: event-unknown-type",
        Refusal::SpaceErased => "the space was erased",
        Refusal::BodyTooLarge => "a batch has at most 1000 events, 4194304 bytes, and 65536 bytes in a line",
        Refusal::UnsupportedMediaType => {
            "send application/x-ndjson or application/json, uncompressed or with Content-Encoding zstd or gzip"
        }
        Refusal::ClockAhead => "the event with sequence 51 is stamped 3600 s in the future",
        Refusal::ResultTooLarge => "the answer would have more than 10000 entities",
        Refusal::ClientTooOld => "version 1.2.0 of the app is no longer served: at least 2.0.0 is",
        Refusal::RateLimited => "too many requests of this user",
        Refusal::Internal => "the service failed; its log has the cause",
        Refusal::Overloaded => "the log cannot be read just now",
        Refusal::ProjectionBehind => "the space is folded through position 140, not yet through 150",
    }
}
