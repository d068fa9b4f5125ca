//! Frames: a good one passes from device to device byte for byte; any other form never reaches a reader as it is.

use std::io::Write;

use serde_json::{Value, json};
use tidelog_events::frame::inspect;
use tidelog_tests::{Answer, Batch, EventLine, World, frame};
use xxhash_rust::xxh64::xxh64;
use zstd::zstd_safe::CParameter;

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Descriptor bits of RFC 8878, section 3.1.1.1.1: content size in 4 bytes, no window, a checksum.
const SINGLE_SEGMENT_4_CHECKSUM: u8 = 0b1010_0100;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn compressed(content: &[u8], parameters: &[CParameter]) -> Vec<u8> {
    let mut compressor = zstd::bulk::Compressor::new(1).unwrap();
    for parameter in parameters {
        compressor.set_parameter(*parameter).unwrap();
    }
    compressor.compress(content).unwrap()
}

fn streamed(content: &[u8], window_log: u32) -> Vec<u8> {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.window_log(window_log).unwrap();
    encoder.write_all(content).unwrap();
    encoder.flush().unwrap();
    encoder.finish().unwrap()
}

/// A frame of one raw block, which says that it needs the dictionary 7 where `needs_dictionary`.
fn raw_frame(content: &[u8], needs_dictionary: bool) -> Vec<u8> {
    let mut frame = MAGIC.to_vec();
    frame.push(SINGLE_SEGMENT_4_CHECKSUM | u8::from(needs_dictionary));
    frame.extend(needs_dictionary.then_some(7));
    frame.extend((content.len() as u32).to_le_bytes());
    let last_raw_block = (content.len() as u32) << 3 | 1;
    frame.extend(&last_raw_block.to_le_bytes()[..3]);
    frame.extend(content);
    frame.extend(&xxh64(content, 0).to_le_bytes()[..4]);
    frame
}

fn skippable_frame(content: &[u8]) -> Vec<u8> {
    [&0x184D_2A50_u32.to_le_bytes(), (content.len() as u32).to_le_bytes().as_slice(), content].concat()
}

/// Asserts that the one segment of the space holds the batch's lines in one safe frame, and that readers get them.
async fn expect_stored(world: &World, user: &str, batch: &Batch, case: &str) -> Vec<u8> {
    let mut segments = world.segments(user).await;
    assert_eq!(segments.len(), 1, "{case}");
    assert_eq!(segments[0].lines()[1..], batch.lines, "{case}");
    let frames = world.pull_frames(user, "").await;
    assert_eq!(frames.lines(), batch.lines, "{case}");
    assert!(frames.answer.body.ends_with(&segments[0].frame), "{case}: the stored bytes are passed on");
    assert_eq!(world.pull_lines(user, "").await.lines(), batch.lines, "{case}");
    segments.remove(0).frame
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_frame_is_stored_and_passed_on_byte_for_byte() {
    let world = World::new().await;
    let odd = r#"{ "payload" :{"duration":90.0e0}, "deviceSequence":2,"#.to_owned()
        + &EventLine::new("phone-1", 2).without("payload").without("deviceSequence").0.to_string()[1..];
    let batch = Batch::new("phone-1", 1, 20).with_line(1, odd);
    let frames = [
        ("as an SDK writes it", batch.frame()),
        (
            "another level",
            compressed(&batch.body(), &[CParameter::CompressionLevel(9), CParameter::ChecksumFlag(true)]),
        ),
        ("a raw block", raw_frame(&batch.body(), false)),
    ];
    for (index, (case, frame)) in frames.into_iter().enumerate() {
        let user = format!("user-{index}");
        world.push_body(&user, frame.clone(), Some("zstd")).await.expect_committed(Some((1, 20)));
        assert_eq!(expect_stored(&world, &user, &batch, case).await, frame, "{case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_is_not_safe_to_pass_on_never_reaches_a_reader_as_it_is() {
    let world = World::new().await;
    let batch = Batch::new("phone-1", 1, 20);
    let body = batch.body();
    let half = body.len() / 2;
    let no_content_size = [CParameter::ContentSizeFlag(false), CParameter::ChecksumFlag(true)];
    let cases = [
        ("without checksum", compressed(&body, &[CParameter::ChecksumFlag(false)])),
        ("without content size", compressed(&body, &no_content_size)),
        ("two frames", [frame(&body[..half]), frame(&body[half..])].concat()),
        ("an empty frame behind it", [frame(&body), frame(b"")].concat()),
        ("a skippable frame before it", [skippable_frame(b"hello"), frame(&body)].concat()),
        ("a skippable frame behind it", [frame(&body), skippable_frame(b"hello")].concat()),
        ("stream-encoded", streamed(&body, 20)),
    ];
    for (index, (case, pushed)) in cases.into_iter().enumerate() {
        let exact = inspect(&pushed).is_ok_and(|frame| frame.frame_bytes == pushed.len());
        assert!(!exact, "{case}: the test pushes no safe frame");
        let user = format!("user-{index}");
        let answer = world.push_body(&user, pushed.clone(), Some("zstd")).await;
        assert_eq!(answer.status, 200, "{case}: {}", answer.json);
        assert_ne!(expect_stored(&world, &user, &batch, case).await, pushed, "{case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_cannot_be_decoded_is_refused_whole() {
    let world = World::new().await;
    let before = world.holdings().await;
    let batch = Batch::new("phone-1", 1, 20);
    let good = batch.frame();
    let mut with_dictionary = zstd::bulk::Compressor::with_dictionary(1, &batch.body()).unwrap();
    with_dictionary.set_parameter(CParameter::ChecksumFlag(true)).unwrap();
    let damaged = |at: usize| {
        let mut frame = good.clone();
        frame[at] ^= 0x10;
        frame
    };
    let cases = [
        ("needs a dictionary", raw_frame(&batch.body(), true)),
        ("compressed with a dictionary", with_dictionary.compress(&batch.body()).unwrap()),
        ("a window of 16 MiB", streamed(&batch.body(), 24)),
        ("truncated by a byte", good[..good.len() - 1].to_vec()),
        ("truncated in its blocks", good[..good.len() / 2].to_vec()),
        ("truncated in its header", good[..5].to_vec()),
        ("empty", Vec::new()),
        ("a wrong checksum", damaged(good.len() - 1)),
        ("a flipped bit", damaged(good.len() / 2)),
        ("garbage behind it", [good.clone(), b"garbage".to_vec()].concat()),
        ("a torn second frame", [good.clone(), good[..9].to_vec()].concat()),
        ("a second batch", good.repeat(2)),
        ("only a skippable frame", skippable_frame(b"hello")),
        ("not zstd at all", batch.body()),
        ("gzip", gzip(&batch.body())),
    ];
    for (case, body) in cases {
        let answer = world.push_body("ann", body, Some("zstd")).await;
        assert_eq!(answer.json["code"], "batch-malformed", "{case}: {}", answer.json);
        answer.expect_refusal(400, "batch-malformed");
        assert_eq!(world.holdings().await, before, "{case}");
    }
    let zipped = gzip(&batch.body());
    let torn = world.push_body("ann", zipped[..zipped.len() - 9].to_vec(), Some("gzip")).await;
    torn.expect_refusal(400, "batch-malformed");
    world.push_body("ann", batch.body(), Some("gzip")).await.expect_refusal(400, "batch-malformed");
    world.push_body("ann", good, Some("zstd")).await.expect_committed(Some((1, 20)));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_encoding_of_a_batch_is_stored_as_the_same_lines() {
    let world = World::new().await;
    let batch = Batch::new("phone-1", 1, 20);
    let halves = batch.body();
    let (first, second) = halves.split_at(halves.len() / 2);
    let cases = [
        ("plain", batch.body(), None),
        ("identity", batch.body(), Some("identity")),
        ("gzip", gzip(&batch.body()), Some("gzip")),
        ("gzip in two members", [gzip(first), gzip(second)].concat(), Some("GZIP")),
        ("zstd", batch.frame(), Some("zstd")),
    ];
    for (index, (case, body, encoding)) in cases.into_iter().enumerate() {
        let user = format!("user-{index}");
        world.push_body(&user, body, encoding).await.expect_committed(Some((1, 20)));
        expect_stored(&world, &user, &batch, case).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_batch_keeps_the_bytes_of_its_events_but_for_line_breaks() {
    let world = World::new().await;
    let batch = Batch::new("phone-1", 1, 3);
    let lines = [
        EventLine::new("phone-1", 1).0.to_string(),
        EventLine::new("phone-1", 2)
            .0
            .to_string()
            .replace(':', " :\t")
            .replace("30 :\t00.000", "30:00.000")
            .replace("10 :\t30", "10:30"),
        EventLine::new("phone-1", 3)
            .with("type", "WORKOUT_CREATED")
            .with("payload", json!({"name": "a\n b\\u0041"}))
            .0
            .to_string(),
    ];
    let header = batch.header.to_string();
    let body = format!("{},\"events\":[{}]}}", header.strip_suffix('}').unwrap(), lines.join(",\n  "));
    world.push_json("ann", body).await.expect_committed(Some((1, 3)));
    expect_stored(&world, "ann", &Batch { lines: lines.to_vec(), ..batch.clone() }, "compact").await;

    let pretty = serde_json::to_string_pretty(&batch.json()).unwrap();
    world.push_json("bob", pretty).await.expect_committed(Some((1, 3)));
    let stored = world.segments("bob").await[0].lines();
    assert_eq!(stored.len(), 4, "an event is one line");
    for (stored, pushed) in stored[1..].iter().zip(&batch.lines) {
        let value = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        assert_eq!(value(stored), value(pushed));
    }
    for (encoding, body) in [
        ("gzip", gzip(batch.json().to_string().as_bytes())),
        ("zstd", frame(batch.json().to_string().as_bytes())),
    ] {
        let request = world.request(reqwest::Method::POST, "/v1/spaces/me/events", encoding);
        let request = request.header("Content-Type", "application/json").header("Content-Encoding", encoding);
        Answer::of(request.body(body)).await.expect_committed(Some((1, 3)));
        assert_eq!(world.segments(encoding).await[0].lines().len(), 4);
    }
}
