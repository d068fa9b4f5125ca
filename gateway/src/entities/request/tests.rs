//! What is understood of a query, and what is refused by its name.

use axum::http::Request;
use tidelog_runtime::config::{Config, Sources};

use super::*;

fn schema() -> Schema {
    Schema::parse("{name: test, version: 3, entities: {workout: {fields: {n: {type: integer}}}}, events: {}}")
        .unwrap()
}

async fn parse(query: &str) -> Result<ListRequest, Problem> {
    let request = Request::builder().uri(format!("/?{query}")).body(()).unwrap();
    let (mut parts, ()) = request.into_parts();
    let Query(pairs) = Query::from_request_parts(&mut parts, &()).await?;
    let limits: LimitsConfig = Config::load(&Sources::default()).unwrap().section("limits").unwrap();
    ListRequest::check("workout", ListParams::read(pairs)?, &limits, &schema())
}

fn condition(text: &str) -> Condition {
    Condition::parse(text, "workout", schema().entity("workout").unwrap()).unwrap()
}

#[tokio::test]
async fn what_is_left_out_has_its_default() {
    let expect = ListRequest {
        entity_type: "workout".into(),
        conditions: Vec::new(),
        schema: schema().id(),
        updated_after: Position::ZERO,
        limit: 100,
        cursor: None,
        at_least: Position::ZERO,
    };
    assert_eq!(parse("").await.unwrap(), expect);
}

#[tokio::test]
async fn everything_can_be_asked_for_and_numbers_are_clamped_to_the_limits() {
    let query = "where=n:ge:1&updatedAfter=7&limit=99999&cursor=a%2Fb+c%C3%A9&atLeast=9&where=n%3Alt%3A5";
    let request = parse(query).await.unwrap();
    assert_eq!(request.conditions, [condition("n:ge:1"), condition("n:lt:5")]);
    assert_eq!((request.updated_after, request.at_least), (Position(7), Position(9)));
    assert_eq!((request.limit, request.cursor), (1000, Some(EntityId::new("a/b cé").unwrap())));
    assert_eq!(parse("limit=0").await.unwrap().limit, 1);
    assert_eq!(parse(&["where=n:ne:1"; 16].join("&")).await.unwrap().conditions.len(), 16);
}

#[tokio::test]
async fn what_is_not_understood_is_refused_by_its_name() {
    let many = ["where=n:ne:1"; 17].join("&");
    let cases = [
        ("limit=-5", "`limit`"),
        ("limit=ten", "`limit`"),
        ("limit=", "`limit`"),
        ("limit=1&limit=1", "`limit`"),
        ("updatedAfter=1.5", "`updatedAfter`"),
        ("updatedAfter=9007199254740992", "`updatedAfter`"),
        ("updatedAfter=18446744073709551616", "`updatedAfter`"),
        ("atLeast=x", "`atLeast`"),
        ("atLeast=9007199254740992", "`atLeast`"),
        ("cursor=", "`cursor`"),
        ("cursor=a%00b", "`cursor`"),
        ("cursor=a&cursor=b", "`cursor`"),
        ("where=", "`where`"),
        ("where=m:eq:1", "`where`"),
        ("where=n:eq:x", "`where`"),
        (many.as_str(), "`where` is given 16 times at most"),
        ("wheree=n:eq:1", "`wheree`"),
        ("n=1", "`n`"),
    ];
    for (query, named) in cases {
        let problem = parse(query).await.unwrap_err();
        assert_eq!(problem.code, Refusal::RequestInvalid, "{query}");
        let text = serde_json::to_string(&problem).unwrap();
        assert!(text.contains(named), "{query}: {text}");
    }
}

#[test]
fn a_type_that_the_schema_does_not_declare_is_not_found() {
    for name in ["ghost", "", "Workout", "a/b"] {
        assert_eq!(known_type(name, &schema()).unwrap_err().code, Refusal::NotFound, "{name}");
    }
}
