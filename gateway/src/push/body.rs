//! A push's body: received within bounds and in time, then decoded within bounds.

use std::borrow::Cow;
use std::io::Read;

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use bytes::BytesMut;
use futures_util::StreamExt;
use tidelog_events::code::Refusal;
use tidelog_events::frame::{Decoder, FrameError, inspect};
use tidelog_runtime::config::LimitsConfig;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::room::{Room, no_bytes};
use crate::budget::Place;
use crate::config::GatewayConfig;
use crate::gate::discard;
use crate::problem::Problem;

/// log₂ of the greatest zstd window that is decoded (8 MiB).
const WINDOW_LOG_MAX: u32 = 23;

/// What the headers say of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) media: Media,
    pub(crate) encoding: Encoding,
}

/// How the batch is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    /// A frame's lines.
    Lines,
    /// One JSON object.
    Json,
}

/// How the body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Zstd,
    Gzip,
    Identity,
}

impl Format {
    /// Reads `Content-Type` and `Content-Encoding`.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let text = |name| headers.get(name).map_or(Ok(""), |value| value.to_str().map_err(|_| unsupported()));
        let essence = text(CONTENT_TYPE)?.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let media = match essence.as_str() {
            "application/x-ndjson" => Media::Lines,
            "application/json" => Media::Json,
            _ => return Err(unsupported()),
        };
        let encoding = match text(CONTENT_ENCODING)?.trim().to_ascii_lowercase().as_str() {
            "zstd" => Encoding::Zstd,
            "gzip" => Encoding::Gzip,
            "" | "identity" => Encoding::Identity,
            _ => return Err(unsupported()),
        };
        Ok(Self { media, encoding })
    }
}

fn unsupported() -> Problem {
    let detail =
        "send application/x-ndjson or application/json, uncompressed or with Content-Encoding zstd or gzip";
    Problem::new(Refusal::UnsupportedMediaType, detail)
}

/// A body that has arrived whole, and its place in the room.
pub(crate) struct Received {
    pub(crate) body: Bytes,
    pub(super) place: Place,
    /// Held until the push is answered.
    pub(super) entered: OwnedSemaphorePermit,
}

/// Receives the whole body in time. Compressed or not, it is never larger than a decoded one may be.
pub(super) async fn receive(
    body: Body,
    entered: OwnedSemaphorePermit,
    limits: &LimitsConfig,
    config: &GatewayConfig,
    room: &Room,
) -> Result<Received, Problem> {
    let received = timeout(config.body_timeout(), collect(body, limits, room.place())).await;
    let (body, place) = received.map_err(|_| {
        let detail = format!("the body must arrive within {} ms", config.body_timeout_ms);
        Problem::new(Refusal::RequestTimeout, detail)
    })??;
    Ok(Received { body, place, entered })
}

async fn collect(body: Body, limits: &LimitsConfig, mut place: Place) -> Result<(Bytes, Place), Problem> {
    let mut chunks = body.into_data_stream();
    let mut content = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::new(Refusal::BatchMalformed, "the body ended early"))?;
        let bytes = content.len() + chunk.len();
        let fits = if bytes as u64 > limits.body_bytes {
            Err(too_large(limits))
        } else {
            place.grow_to(bytes).map_err(no_bytes)
        };
        if let Err(refusal) = fits {
            drop((place, content));
            // A caller that is still sending when the connection closes would see a broken pipe instead of the refusal.
            discard(chunks, limits.body_bytes).await;
            return Err(refusal);
        }
        content.extend_from_slice(&chunk);
    }
    Ok((content.freeze(), place))
}

/// How many bytes the body decodes to at most. Only a frame that is the whole body is believed what it says: more
/// frames may stand behind the first.
pub(super) fn decoded_bytes(body: &Bytes, encoding: Encoding, limits: &LimitsConfig) -> u64 {
    let said = match encoding {
        Encoding::Identity => body.len() as u64,
        Encoding::Zstd => match inspect(body) {
            Ok(frame) if frame.frame_bytes == body.len() => frame.content_bytes,
            _ => limits.body_bytes,
        },
        Encoding::Gzip => limits.body_bytes,
    };
    said.min(limits.body_bytes)
}

/// A decoded body, and whether its bytes are a frame that can be passed on as they are.
pub(super) struct Decoded<'a> {
    pub(super) content: Cow<'a, [u8]>,
    pub(super) is_safe_frame: bool,
}

/// Decodes within the limit. What is no safe frame of ours but decodes all the same, such as a stream of a
/// general zstd encoder, is accepted; we then write the frame anew.
pub(super) fn decode<'a>(
    body: &'a Bytes,
    encoding: Encoding,
    limits: &LimitsConfig,
    decoder: &mut Decoder,
) -> Result<Decoded<'a>, Problem> {
    let limit = limits.body_bytes as usize;
    let stream = match encoding {
        Encoding::Identity => {
            return Ok(Decoded { content: Cow::Borrowed(body), is_safe_frame: false });
        }
        Encoding::Zstd => match decoder.decode_one(body, limit) {
            Ok(content) => return Ok(Decoded { content: Cow::Owned(content), is_safe_frame: true }),
            Err(FrameError::TooLarge { .. }) => return Err(too_large(limits)),
            Err(_) => zstd_stream(body)?,
        },
        Encoding::Gzip => Box::new(flate2::read::MultiGzDecoder::new(body.as_ref())),
    };
    let mut content = Vec::new();
    stream
        .take(limit as u64 + 1)
        .read_to_end(&mut content)
        .map_err(|_| Problem::new(Refusal::BatchMalformed, "the body cannot be decompressed"))?;
    if content.len() > limit {
        return Err(too_large(limits));
    }
    Ok(Decoded { content: Cow::Owned(content), is_safe_frame: false })
}

fn zstd_stream(body: &Bytes) -> Result<Box<dyn Read + '_>, Problem> {
    let internal = |error: std::io::Error| Problem::internal(&error);
    let mut stream = zstd::stream::read::Decoder::with_buffer(body.as_ref()).map_err(internal)?;
    stream.window_log_max(WINDOW_LOG_MAX).map_err(internal)?;
    Ok(Box::new(stream))
}

/// The body, a line, or the frame is over its limit.
pub(super) fn too_large(limits: &LimitsConfig) -> Problem {
    Problem::new(
        Refusal::BodyTooLarge,
        format!(
            "a batch has at most {} events, {} bytes in all and {} bytes a line",
            limits.batch_events, limits.body_bytes, limits.line_bytes
        ),
    )
}

#[cfg(test)]
mod tests {
    use tidelog_events::frame::Encoder;

    use super::*;

    #[test]
    fn only_a_frame_that_is_the_whole_body_is_believed_what_it_decodes_to() {
        let limits = LimitsConfig {
            batch_events: 1000,
            body_bytes: 4_000_000,
            line_bytes: 65_536,
            pull_events: 10_000,
            read_entities: 1000,
            wait_seconds: 60,
            max_clock_ahead_ms: 60_000,
        };
        let mut encoder = Encoder::new().unwrap();
        let (small, large) =
            (encoder.encode(b"{}").unwrap(), encoder.encode(&vec![b' '; 3_000_000]).unwrap());
        let check = |body: Vec<u8>, encoding, expect: u64| {
            assert_eq!(decoded_bytes(&body.into(), encoding, &limits), expect);
        };
        check(small.clone(), Encoding::Zstd, 2);
        check(large.clone(), Encoding::Zstd, 3_000_000);
        check([small, large].concat(), Encoding::Zstd, 4_000_000);
        check(b"no frame".to_vec(), Encoding::Zstd, 4_000_000);
        check(b"{}".to_vec(), Encoding::Identity, 2);
        check(b"{}".to_vec(), Encoding::Gzip, 4_000_000);
    }
}
