//! Limits in bytes and events: over one of them a batch is refused whole, and nobody's memory fills.

use std::io::Write;

use serde_json::json;
use tidelog_tests::{Answer, Batch, EventLine, World, frame};

const LINE_BYTES: usize = 64 * 1024;
const BODY_BYTES: usize = 4 * 1024 * 1024;
const BOMB_BYTES: usize = 64 * 1024 * 1024;

/// The device's event with a name that makes its line so long.
fn event_of(bytes: usize, sequence: u64) -> String {
    let event = |name: String| {
        let event = EventLine::new("phone-1", sequence).with("type", "WORKOUT_CREATED");
        event.with("payload", json!({"name": name})).0.to_string()
    };
    event("n".repeat(bytes - event(String::new()).len()))
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

async fn expect_too_large(world: &World, case: &str, body: Vec<u8>, encoding: Option<&str>) {
    let before = world.holdings().await;
    let answer = world.push_body("ann", body, encoding).await;
    assert_eq!(answer.json["code"], "body-too-large", "{case}: {}", answer.json);
    answer.expect_refusal(413, "body-too-large");
    assert_eq!(world.holdings().await, before, "{case}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_may_have_64_kib_and_not_a_byte_more() {
    let world = World::new().await;
    let batch = Batch::new("phone-1", 1, 2);
    let over = batch.clone().with_line(1, event_of(LINE_BYTES + 1, 2));
    expect_too_large(&world, "frame", over.frame(), Some("zstd")).await;
    expect_too_large(&world, "plain", over.body(), None).await;
    let fits = batch.with_line(1, event_of(LINE_BYTES, 2));
    world.push("ann", &fits).await.expect_committed(Some((1, 2)));
    assert_eq!(world.segments("ann").await[0].frame, fits.frame());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_may_have_1000_events_and_not_one_more() {
    let world = World::new().await;
    let over = Batch::new("phone-1", 1, 1001);
    expect_too_large(&world, "frame", over.frame(), Some("zstd")).await;
    let answer = world.push_json("ann", over.json().to_string()).await;
    answer.expect_refusal(413, "body-too-large");
    world.push("ann", &Batch::new("phone-1", 1, 1000)).await.expect_committed(Some((1, 1000)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_have_4_mib_decoded_and_not_a_byte_more() {
    let world = World::new().await;
    let lines = (1..=80).map(|sequence| event_of(52_000, sequence)).collect();
    let mut batch = Batch { lines, ..Batch::new("phone-1", 1, 80) };
    let missing = BODY_BYTES - batch.body().len();
    batch.lines[0] = event_of(52_000 + missing / 80, 1);
    for index in 1..80 {
        let rest = if index == 79 { missing - missing / 80 * 79 } else { missing / 80 };
        batch.lines[index] = event_of(52_000 + rest, index as u64 + 1);
    }
    assert_eq!(batch.body().len(), BODY_BYTES);
    let mut over = batch.clone();
    over.lines[5] = event_of(over.lines[5].len() + 1, 6);
    expect_too_large(&world, "frame", over.frame(), Some("zstd")).await;
    expect_too_large(&world, "gzip", gzip(&over.body()), Some("gzip")).await;
    expect_too_large(&world, "plain", over.body(), None).await;
    world.push_body("ann", batch.body(), None).await.expect_committed(Some((1, 80)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_unpacks_beyond_the_limit_is_refused() {
    let world = World::new().await;
    let zeros = vec![0; BOMB_BYTES];
    expect_too_large(&world, "frame", frame(&zeros), Some("zstd")).await;
    // A stream does not announce its content size.
    let stream = zstd::stream::encode_all(zeros.as_slice(), 1).unwrap();
    expect_too_large(&world, "stream", stream, Some("zstd")).await;
    expect_too_large(&world, "gzip", gzip(&zeros), Some("gzip")).await;
    let many = frame(&zeros[..BODY_BYTES]).repeat(100);
    expect_too_large(&world, "many frames", many, Some("zstd")).await;
    world.push("ann", &Batch::new("phone-1", 1, 1)).await.expect_committed(Some((1, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_lies_about_its_content_is_refused() {
    let world = World::new().await;
    let before = world.holdings().await;
    let batch = Batch::new("phone-1", 1, 1);
    let honest = batch.frame();
    // Single segment, content size in two bytes (RFC 8878, section 3.1.1.1): they follow magic and descriptor.
    assert_eq!(honest[4] >> 5, 0b011, "the header is as this test expects it");
    for content_size in [0_u16, 1, 200, u16::MAX] {
        let mut lying = honest.clone();
        lying[5..7].copy_from_slice(&content_size.to_le_bytes());
        world.push_body("ann", lying, Some("zstd")).await.expect_refusal(400, "batch-malformed");
    }
    assert_eq!(world.holdings().await, before);
    let answer: Answer = world.push_body("ann", honest, Some("zstd")).await;
    answer.expect_committed(Some((1, 1)));
}
