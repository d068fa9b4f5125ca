//! Entities over HTTP: what the events of a space fold into, whatever wrote it to the tables.

mod conditional;
mod conditions;
mod folded;
mod index;
mod paging;
mod reading;
mod waiting;

use reqwest::Method;
use serde_json::{Value, json};
use tidelog_tests::{Answer, World, WorldOptions};

use folded::Folded;

/// A schema with every type and rule; the space's entities are made with it.
const SCHEMA: &str = include_str!("entities/schema.yaml");

fn options() -> WorldOptions<'static> {
    WorldOptions::default().ingests(0).schema(SCHEMA)
}

/// A text as it stands in a URL.
fn encoded(text: &str) -> String {
    let byte = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' => char::from(*byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.as_bytes().iter().map(byte).collect()
}

/// What a list of the user's own things is answered with.
async fn list(world: &World, user: &str, query: &str) -> Answer {
    let path = format!("/v1/spaces/me/entities/thing?{query}");
    Answer::of(world.request(Method::GET, &path, user)).await
}

/// The ids on a page.
fn ids(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item["entityId"].as_str().unwrap()).collect()
}

/// A space with so many things: `t-0000`, `t-0001` … at those positions, from 1 on.
async fn with_things<'w>(world: &'w World, user: &str, things: u64) -> Folded<'w> {
    let mut folded = Folded::new(world, user);
    for number in 0..things {
        folded.create(
            &format!("t-{number:04}"),
            json!({"name": format!("thing {number}"), "duration": number}),
        );
    }
    folded.write().await;
    folded
}
