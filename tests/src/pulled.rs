//! A pull's lines, read as a device reads them: by the counts in the headers alone.

use reqwest::Method;
use tidelog_events::frame::{Decoder, PullItem, PullReader, SegmentHeader, SnapshotHeader};
use tidelog_events::id::Position;
use tidelog_events::protocol::Hello;

use crate::answer::Answer;
use crate::world::World;

/// More than any answer decodes to.
const DECODED_BYTES_MAX: usize = 64 << 20;

/// An answer in lines or frames, read to its end.
#[derive(Debug)]
pub struct Pulled {
    /// The answer as it came.
    pub answer: Answer,
    /// Its first line.
    pub hello: Hello,
    /// The snapshot, where there is one: its header and its entity lines.
    pub snapshot: Option<(SnapshotHeader, Vec<String>)>,
    /// The segment headers.
    pub headers: Vec<SegmentHeader>,
    /// The event lines behind the cursor, with their positions.
    pub events: Vec<(u64, String)>,
    /// The reader's new cursor.
    pub cursor: u64,
}

impl Pulled {
    /// Reads an answer; frames are decoded one by one, each within bounds.
    ///
    /// # Panics
    /// When a device would refuse it.
    pub fn read(answer: Answer) -> Self {
        answer.expect(200);
        let lines = if answer.headers.get("content-encoding").is_some_and(|encoding| encoding == "zstd") {
            let mut decoder = Decoder::new().expect("a decoder");
            decoder.decode_all(&answer.body, DECODED_BYTES_MAX).expect("safe frames")
        } else {
            answer.body.clone()
        };
        let lines = String::from_utf8(lines).expect("UTF-8");
        let mut reader = PullReader::new(&lines, Position::ZERO);
        let (mut hello, mut snapshot, mut headers, mut events) = (None, None, Vec::new(), Vec::new());
        while let Some(item) = reader.next_item().expect("a whole answer") {
            match item {
                PullItem::Hello(first) => hello = Some(*first),
                PullItem::Snapshot(header, lines) => {
                    snapshot = Some((header, lines.into_iter().map(str::to_owned).collect()));
                }
                PullItem::Segment(header, lines) => {
                    headers.push(header);
                    events.extend(lines.into_iter().map(|(position, line)| (position.0, line.to_owned())));
                }
            }
        }
        let cursor = reader.cursor().0;
        Self { answer, hello: hello.expect("a hello"), snapshot, headers, events, cursor }
    }

    /// The event lines alone.
    pub fn lines(&self) -> Vec<&str> {
        self.events.iter().map(|(_, line)| line.as_str()).collect()
    }

    /// The positions alone.
    pub fn positions(&self) -> Vec<u64> {
        self.events.iter().map(|(position, _)| *position).collect()
    }
}

impl World {
    /// A pull of the user's own space as stored frames.
    pub async fn pull_frames(&self, user: &str, query: &str) -> Pulled {
        Pulled::read(self.pull_as(user, query, "application/x-ndjson", "zstd").await)
    }

    /// A pull of the user's own space as decoded lines.
    pub async fn pull_lines(&self, user: &str, query: &str) -> Pulled {
        Pulled::read(self.pull_as(user, query, "application/x-ndjson", "identity").await)
    }

    /// A pull of the user's own space in the form that these headers ask for.
    pub async fn pull_as(&self, user: &str, query: &str, accept: &str, accept_encoding: &str) -> Answer {
        let request = self.request(Method::GET, &format!("/v1/spaces/me/log?{query}"), user);
        Answer::of(request.header("Accept", accept).header("Accept-Encoding", accept_encoding)).await
    }
}
