//! Every operation × every kind of token.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidelog_tests::{Answer, Batch, World, WorldOptions};

use super::callers::{invalid, valid};
use super::calls::{CALLS, Call, Needs};

/// Bob's space, in which something is, and one of the same length of which nobody ever heard.
const FOREIGN: [&str; 2] = ["bob-1", "bob-2"];

/// Without a limit of rates: tokens that are not valid would soon meet it.
async fn start() -> World {
    WorldOptions::default().set("rates.address_per_second", 0).start().await
}

async fn world() -> World {
    let world = start().await;
    world.push("bob-1", &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((1, 3)));
    world
}

/// The operations that a document describes, as `get /path`.
async fn described(world: &World, address: std::net::SocketAddr) -> BTreeSet<String> {
    let document = Answer::of(world.request_to(address, reqwest::Method::GET, "/openapi.json", None)).await;
    let paths = document.expect(200).json["paths"].as_object().unwrap().clone();
    let of_path = |(path, item): (String, Value)| {
        let methods: Vec<String> = item.as_object().unwrap().keys().cloned().collect();
        methods.into_iter().map(move |method| format!("{method} {path}"))
    };
    paths.into_iter().flat_map(of_path).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_that_is_described_has_its_row_here() {
    let world = start().await;
    let of = |admin: bool| {
        let calls = CALLS.iter().filter(|call| call.is_of_the_admin_api() == admin);
        calls.map(|call| format!("{} {}", call.method, call.path)).collect::<BTreeSet<_>>()
    };
    assert_eq!(of(false), described(&world, world.address).await);
    assert_eq!(of(true), described(&world, world.admin_address).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_7_no_operation_answers_without_a_valid_token() {
    let world = world().await;
    let before = world.holdings().await;
    for call in CALLS {
        for (what, token) in invalid(&world) {
            let answers = about_both(call, &world, token.as_deref()).await;
            for answer in &answers {
                eprintln!("{} {} with {what}", call.method, call.path);
                answer.expect_refusal(401, "unauthorized");
                assert_eq!(answer.headers["www-authenticate"], "Bearer");
            }
            assert_alike(call, what, &answers);
        }
    }
    assert_eq!(world.holdings().await, before, "nothing was written");
}

/// Whether a token is enough for an operation.
type Suffices = fn(Needs) -> bool;

/// What a valid token of ann's may claim, and for what that is enough.
fn claims() -> Vec<(&'static str, Value, Suffices)> {
    let everybody = |needs| needs == Needs::Token;
    vec![
        ("ann's own token", json!({}), everybody),
        ("a token that reads another space", json!({"spaces": {"team-9": "rw"}}), everybody),
        ("a token that reads it", json!({"spaces": {"bob-1": "r", "bob-2": "r"}}), |needs| {
            matches!(needs, Needs::Token | Needs::Read)
        }),
        ("a token that reads every space", json!({"spaces": {"*": "r"}}), |needs| {
            matches!(needs, Needs::Token | Needs::Read)
        }),
        ("a token of support", json!({"scope": "admin:read"}), |needs| {
            matches!(needs, Needs::Token | Needs::AdminRead)
        }),
        ("an admin's token", json!({"scope": "admin"}), |needs| {
            matches!(needs, Needs::Token | Needs::AdminRead | Needs::AdminAct)
        }),
        ("a token with another scope", json!({"scope": "administrator admin:write admin:reader"}), everybody),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_7_a_token_opens_what_it_names_and_a_refusal_tells_nothing_of_the_rest() {
    let world = world().await;
    let before = world.holdings().await;
    for (what, claims, suffices) in claims() {
        let token = valid(&world, "ann", &claims);
        for call in CALLS.iter().filter(|call| !suffices(call.needs)) {
            let answers = about_both(call, &world, Some(&token)).await;
            for answer in &answers {
                eprintln!("{} {} with {what}", call.method, call.path);
                answer.expect_refusal(403, "forbidden");
            }
            assert_alike(call, what, &answers);
        }
    }
    assert_eq!(world.holdings().await, before, "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_names_what_an_operation_needs_is_let_in() {
    let world = world().await;
    for (what, claims, suffices) in claims() {
        let token = valid(&world, "ann", &claims);
        for call in CALLS.iter().filter(|call| suffices(call.needs)) {
            let answer = call.of(&world, "bob-1", Some(&token)).await;
            let status = answer.status.as_u16();
            assert!(![401, 403].contains(&status) && status < 500, "{} with {what}: {status}", call.path);
        }
    }
    let writer = valid(&world, "bob-1", &json!({}));
    let backend = valid(&world, "backend", &json!({"spaces": {"*": "rw"}}));
    for call in CALLS.iter().filter(|call| matches!(call.needs, Needs::Write | Needs::EverySpace)) {
        let token = if call.needs == Needs::Write { &writer } else { &backend };
        call.of(&world, "bob-1", Some(token)).await.expect(200);
    }
}

/// Ann's own space and phone.
async fn world_of_a_lost_phone() -> World {
    let world = start().await;
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((1, 3)));
    let change = world.request(reqwest::Method::PATCH, "/v1/devices/phone-1", "ann");
    Answer::of(change.json(&json!({"revoked": true}))).await.expect(200);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_is_let_in_nowhere_and_the_user_still_is() {
    let world = world_of_a_lost_phone().await;
    let before = world.holdings().await;
    let bound = valid(&world, "ann", &json!({"device": "phone-1"}));
    let unbound = valid(&world, "ann", &json!({}));
    let public =
        || CALLS.iter().filter(|call| !call.is_of_the_admin_api() && call.needs != Needs::EverySpace);
    for call in public().filter(|call| call.path != "/v1/schema") {
        eprintln!("{} {}", call.method, call.path);
        call.of(&world, "ann", Some(&bound)).await.expect_refusal(403, "device-revoked");
    }
    for call in public().filter(|call| call.names_its_device()) {
        eprintln!("{} {} that names its device", call.method, call.path);
        call.of(&world, "ann", Some(&unbound)).await.expect_refusal(403, "device-revoked");
    }
    assert_eq!(world.holdings().await, before, "nothing was written");
    for call in public().filter(|call| !call.names_its_device() && !call.path.contains("{deviceId}")) {
        let status = call.of(&world, "ann", Some(&unbound)).await.status.as_u16();
        assert!(![401, 403].contains(&status) && status < 500, "{}: {status}", call.path);
    }
}

/// Calls of the admin API that are on record.
async fn recorded(world: &World) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM admin_audit").fetch_one(&world.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_7_an_admin_call_is_recorded_if_it_is_known_who_calls_refused_or_not() {
    let world = world().await;
    let admin = || CALLS.iter().filter(|call| call.is_of_the_admin_api());
    for call in admin() {
        for (_, token) in invalid(&world) {
            call.of(&world, "bob-1", token.as_deref()).await.expect(401);
        }
    }
    assert_eq!(recorded(&world).await, 0, "nobody is known to have called");
    let mut calls = 0;
    for (_, claims, _) in claims() {
        for call in admin() {
            call.of(&world, "bob-1", Some(&valid(&world, "ann", &claims))).await;
            calls += 1;
            assert_eq!(recorded(&world).await, calls, "{} {}", call.method, call.path);
        }
    }
}

/// The answers about the space that is there and about the one that is not; of an operation about no space, one answer.
async fn about_both(call: &Call, world: &World, token: Option<&str>) -> Vec<Answer> {
    let mut answers = Vec::new();
    for space in FOREIGN.iter().take(if call.names_a_space() { 2 } else { 1 }) {
        answers.push(call.of(world, space, token).await);
    }
    answers
}

/// Nothing but the space's own name, as it was sent, and the request's own id tell the answers apart.
fn assert_alike(call: &Call, what: &str, answers: &[Answer]) {
    let shown = |answer: &Answer, space: &str| {
        let id = answer.headers["tidelog-request-id"].to_str().unwrap();
        let headers = answer
            .headers
            .iter()
            .filter(|(name, _)| !["date", "tidelog-request-id"].contains(&name.as_str()));
        let headers: BTreeSet<_> = headers.map(|(name, value)| format!("{name}: {value:?}")).collect();
        let body = String::from_utf8_lossy(&answer.body).replace(space, "{space}").replace(id, "{id}");
        (answer.status, headers, body)
    };
    if let [there, not_there] = answers {
        assert_eq!(
            shown(there, FOREIGN[0]),
            shown(not_there, FOREIGN[1]),
            "{} {} with {what}",
            call.method,
            call.path
        );
    }
}
