//! Tokens: nobody reads or writes a space that theirs does not name.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use serde_json::{Value, json};
use tidelog_cli::token::{Access, Claims};
use tidelog_tests::{Answer, Batch, SECRET, World, token};

const FAR: u64 = 4_000_000_000;

fn signed(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
}

/// A valid token's claims behind another header, signed with the secret as if it were an HS256 token.
fn with_header(header_base64: &str) -> String {
    let valid = token("ann");
    let claims = valid.split('.').nth(1).unwrap();
    let message = format!("{header_base64}.{claims}");
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

/// One request of each kind to a space.
async fn answers(
    world: &World,
    space: &str,
    token: Option<&str>,
    batch: &Batch,
) -> [(&'static str, Answer); 3] {
    let request =
        |method, rest: &str| world.request_with(method, &format!("/v1/spaces/{space}/{rest}"), token);
    let push =
        request(Method::POST, "events").header("Content-Type", "application/x-ndjson").body(batch.body());
    [
        ("push", Answer::of(push).await),
        ("pull", Answer::of(request(Method::GET, "log")).await),
        ("device", Answer::of(request(Method::GET, "devices/phone-1/events")).await),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_7_a_request_without_a_valid_token_is_unauthorized() {
    let world = World::new().await;
    let before = world.holdings().await;
    let claims = |exp: u64| json!({"sub": "ann", "exp": exp});
    let valid = token("ann");
    let (message, signature) = valid.rsplit_once('.').unwrap();
    let claims_of_bob = token("bob").split('.').nth(1).unwrap().to_owned();
    let cases = [
        ("none", None),
        ("empty", Some(String::new())),
        ("garbage", Some("garbage".to_owned())),
        ("three dots", Some("a.b.c".to_owned())),
        (
            "another secret",
            Some(signed(Algorithm::HS256, "another secret of 32 bytes or more", &claims(FAR))),
        ),
        ("expired", Some(signed(Algorithm::HS256, SECRET, &claims(1)))),
        (
            "not yet valid",
            Some(signed(Algorithm::HS256, SECRET, &json!({"sub": "ann", "exp": FAR, "nbf": FAR}))),
        ),
        ("without sub", Some(signed(Algorithm::HS256, SECRET, &json!({"exp": FAR})))),
        ("an empty sub", Some(signed(Algorithm::HS256, SECRET, &json!({"sub": "", "exp": FAR})))),
        ("an unknown access", {
            Some(signed(
                Algorithm::HS256,
                SECRET,
                &json!({"sub": "ann", "exp": FAR, "spaces": {"x": "admin"}}),
            ))
        }),
        ("HS512", Some(signed(Algorithm::HS512, SECRET, &claims(FAR)))),
        // {"alg":"none","typ":"JWT"}
        ("alg none", Some(with_header("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"))),
        ("alg none, unsigned", {
            Some(format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", message.split('.').nth(1).unwrap()))
        }),
        // {"alg":"RS256","typ":"JWT"}
        ("RS256", Some(with_header("eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9"))),
        ("no signature", Some(format!("{message}."))),
        ("someone else's signature", {
            Some(format!("{}.{claims_of_bob}.{signature}", message.split('.').next().unwrap()))
        }),
    ];
    for (case, token) in cases {
        for (call, answer) in answers(&world, "me", token.as_deref(), &Batch::new("phone-1", 1, 1)).await {
            assert_eq!(answer.status, 401, "{case} {call}");
            answer.expect_refusal(401, "unauthorized");
            assert_eq!(answer.headers["www-authenticate"], "Bearer", "{case} {call}");
        }
        let schema = Answer::of(world.request_with(Method::GET, "/v1/schema", token.as_deref())).await;
        schema.expect_refusal(401, "unauthorized");
    }
    let basic = world.request_with(Method::GET, "/v1/schema", None).header("Authorization", "Basic YTpi");
    Answer::of(basic).await.expect_refusal(401, "unauthorized");
    assert_eq!(world.holdings().await, before);
    // The header that the forged ones imitate is right otherwise: {"alg":"HS256","typ":"JWT"}
    let imitated = with_header("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9");
    for (call, answer) in answers(&world, "me", Some(&imitated), &Batch::new("phone-1", 1, 1)).await {
        assert_eq!(answer.status, 200, "{call}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_7_a_space_that_the_token_does_not_name_is_forbidden() {
    let world = World::new().await;
    let named = Claims::new("ann", 1).with_space("team-9", Access::Rw).sign(SECRET).unwrap();
    world.push("bob", &Batch::new("phone-1", 1, 2)).await.expect_committed(Some((1, 2)));
    let before = world.holdings().await;
    for space in ["bob", "team-8", "team-9%2F", "*", "ME", "nobody"] {
        for (call, answer) in answers(&world, space, Some(&named), &Batch::new("phone-1", 3, 3)).await {
            assert_eq!(answer.status, 403, "{space} {call}");
            answer.expect_refusal(403, "forbidden");
            assert!(answer.json.get("head").is_none() && answer.json.get("items").is_none());
        }
    }
    assert_eq!(world.holdings().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_name_spaces_to_read_and_to_write() {
    let world = World::new().await;
    let claims = |user| Claims::new(user, 1);
    let writer = claims("ann").with_space("team-9", Access::Rw).sign(SECRET).unwrap();
    let reader = claims("coach").with_space("team-9", Access::R).sign(SECRET).unwrap();
    for (call, answer) in answers(&world, "team-9", Some(&writer), &Batch::new("phone-1", 1, 2)).await {
        assert_eq!(answer.status, 200, "{call}");
    }
    let before = world.holdings().await;
    let [(_, push), (_, pull), (_, device)] =
        answers(&world, "team-9", Some(&reader), &Batch::new("phone-2", 1, 1)).await;
    push.expect_refusal(403, "forbidden");
    assert_eq!(world.holdings().await, before);
    pull.expect(200);
    let authors: Vec<_> =
        pull.json["events"].as_array().unwrap().iter().map(|event| &event["userId"]).collect();
    assert_eq!(authors, ["ann", "ann"]);
    device.expect(200);
    assert_eq!(device.json["items"].as_array().unwrap().len(), 2);
    // Whoever reads in a team writes at home.
    for (call, answer) in answers(&world, "me", Some(&reader), &Batch::new("phone-2", 1, 1)).await {
        assert_eq!(answer.status, 200, "{call}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn me_is_the_space_of_the_tokens_user() {
    let world = World::new().await;
    for user in ["ann", "ann/b %?#ü"] {
        world.push(user, &Batch::new("phone-1", 1, 2)).await.expect_committed(Some((1, 2)));
        assert_eq!(world.head(user).await, 2);
    }
    let by_name = world.request(Method::GET, "/v1/spaces/ann%2Fb%20%25%3F%23%C3%BC/log", "ann/b %?#ü");
    let answer = Answer::of(by_name).await;
    answer.expect(200);
    assert_eq!(answer.json["head"], 2);
    assert_eq!(answer.json["events"][0]["userId"], "ann/b %?#ü");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_trusted_backend_speaks_for_other_users() {
    let world = World::new().await;
    let before = world.holdings().await;
    let foreign = Batch::new("phone-1", 1, 1).with("userId", "bob");
    world.push("ann", &foreign).await.expect_refusal(403, "forbidden");
    let reader = Claims::new("ann", 1).with_space("*", Access::R).sign(SECRET).unwrap();
    let [(_, push), (_, pull), _] = answers(&world, "bob", Some(&reader), &foreign).await;
    push.expect_refusal(403, "forbidden");
    pull.expect(200);
    let [(_, own), ..] = answers(&world, "ann", Some(&reader), &foreign).await;
    own.expect_refusal(403, "forbidden");
    assert_eq!(world.holdings().await, before);
    world
        .push("ann", &Batch::new("phone-1", 1, 1).with("userId", "ann"))
        .await
        .expect_committed(Some((1, 1)));
}
