//! What is listed and found, and what is not.

use reqwest::Method;
use serde_json::json;
use tidelog_cli::token::{Access, Claims};
use tidelog_tests::{Answer, World};

use super::{Folded, encoded, ids, list, options, with_things};

async fn one(world: &World, user: &str, id: &str) -> Answer {
    let path = format!("/v1/spaces/me/entities/thing/{}", encoded(id));
    Answer::of(world.request(Method::GET, &path, user)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_and_a_single_entity_show_the_same_fields_as_of_one_position() {
    let world = options().start().await;
    let mut folded = Folded::new(&world, "ann");
    folded.create("b", json!({"name": "é", "tags": {"add": ["z", "a"]}, "laps": 2}));
    folded.create("a", json!({}));
    folded.change("b", json!({"laps": 3, "pace": 5.25, "at": "2025-08-06T10:30:00Z"}));
    folded.create("c", json!({}));
    folded.delete("c");
    folded.write().await;
    let fields = json!({
        "name": "é", "tags": ["a", "z"], "laps": 5, "pace": 5.25, "at": "2025-08-06T10:30:00.000Z-0000",
    });
    let a = json!({"entityId": "a", "type": "thing", "fields": {}, "updatedPosition": 2});
    let b = json!({"entityId": "b", "type": "thing", "fields": fields, "updatedPosition": 3});
    let page = list(&world, "ann", "").await;
    assert_eq!(page.expect(200).json, json!({"asOf": 5, "items": [a, b], "next": null}));
    let found = one(&world, "ann", "b").await;
    assert_eq!(found.expect(200).json, json!({"asOf": 5, "item": b}));
    for answer in [page, found] {
        assert_eq!(answer.headers["content-type"], "application/json");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_may_hold_anything_that_ids_may_hold() {
    let world = options().start().await;
    let mut folded = Folded::new(&world, "ann");
    let names = ["a b", "a/b", "a%2Fb", "équipe 🏃", "?x=1#y", "+", "a..b", "x".repeat(128).leak()];
    for name in names {
        folded.create(name, json!({"name": name}));
    }
    folded.write().await;
    for name in names {
        let found = one(&world, "ann", name).await;
        assert_eq!(found.expect(200).json["item"]["entityId"], name);
        assert_eq!(found.json["item"]["fields"]["name"], name);
    }
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    assert_eq!(ids(&list(&world, "ann", "").await.json), sorted);
    for id in ["x".repeat(129), "a\u{0}b".to_owned(), " a".to_owned()] {
        one(&world, "ann", &id).await.expect_refusal(400, "request-invalid");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_invisible_or_unknown_is_not_found() {
    let world = options().start().await;
    let nothing = list(&world, "ann", "").await;
    assert_eq!(nothing.expect(200).json, json!({"asOf": 0, "items": [], "next": null}));
    one(&world, "ann", "a").await.expect_refusal(404, "not-found");

    let mut folded = Folded::new(&world, "ann");
    folded.change("never created", json!({"name": "x", "sport": "run"}));
    folded.create("deleted", json!({"sport": "run"}));
    folded.delete("deleted");
    folded.write().await;
    for id in ["never created", "deleted", "unknown"] {
        one(&world, "ann", id).await.expect_refusal(404, "not-found");
    }
    for query in ["", "where=sport:eq:run", "where=name:ne:y"] {
        assert_eq!(list(&world, "ann", query).await.json, json!({"asOf": 3, "items": [], "next": null}));
    }
    for path in ["ghost", "ghost/a", "Thing", "thing%2F"] {
        let request = world.request(Method::GET, &format!("/v1/spaces/me/entities/{path}"), "ann");
        let answer = Answer::of(request).await;
        answer.expect_refusal(404, "not-found");
        assert!(answer.json["detail"].as_str().unwrap().contains("no entity type"), "{}", answer.json);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_7_entities_are_read_by_those_whose_token_names_the_space() {
    let world = options().start().await;
    with_things(&world, "ann", 1).await;
    let coach = Claims::new("coach", 1).with_space("ann", Access::R).sign(tidelog_tests::SECRET).unwrap();
    for path in ["thing", "thing/t-0000"] {
        let path = format!("/v1/spaces/ann/entities/{path}");
        let ask = async |token: Option<&str>| Answer::of(world.request_with(Method::GET, &path, token)).await;
        ask(Some(&coach)).await.expect(200);
        ask(Some(&tidelog_tests::token("bob"))).await.expect_refusal(403, "forbidden");
        ask(None).await.expect_refusal(401, "unauthorized");
    }
    assert_eq!(list(&world, "bob", "").await.json["items"], json!([]), "another space");
    // Whether a type exists is nobody's business who may not look.
    let ghost = world.request(Method::GET, "/v1/spaces/ann/entities/ghost", "bob");
    Answer::of(ghost).await.expect_refusal(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_space_is_gone() {
    let world = options().start().await;
    with_things(&world, "ann", 1).await;
    let erase = sqlx::query("INSERT INTO erasures (space_id) VALUES ('ann')");
    erase.execute(&world.pool).await.unwrap();
    list(&world, "ann", "").await.expect_refusal(410, "space-erased");
    list(&world, "ann", "atLeast=99").await.expect_refusal(410, "space-erased");
    one(&world, "ann", "t-0000").await.expect_refusal(410, "space-erased");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_generation_that_is_read_is_shown() {
    let world = options().start().await;
    let old = with_things(&world, "ann", 5).await;
    let mut new = Folded::new(&world, "ann");
    new.generation = old.generation + 1;
    new.create("new", json!({"sport": "run", "duration": 1}));
    new.write().await;
    for query in ["", "where=duration:ge:0", "where=name:ne:x"] {
        assert_eq!(ids(&list(&world, "ann", query).await.json), ["new"], "{query}");
    }
    one(&world, "ann", "t-0000").await.expect_refusal(404, "not-found");
    one(&world, "ann", "new").await.expect(200);
    old.write().await;
    assert_eq!(list(&world, "ann", "").await.json["items"].as_array().unwrap().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_not_understood_is_refused() {
    let world = options().start().await;
    for query in ["where=name", "where=name:eq:a%00b", "where=ghost:eq:1", "limit=x", "cursor=", "colour=red"]
    {
        list(&world, "ann", query).await.expect_refusal(400, "request-invalid");
    }
    let ghost = world.request(Method::GET, "/v1/spaces/me/entities/thing/a?limit=1", "ann");
    Answer::of(ghost).await.expect_refusal(400, "request-invalid");
}
