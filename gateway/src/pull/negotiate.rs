//! Which form an answer takes, by what the caller accepts (RFC 9110, sections 12.5.1 and 12.5.3).

use std::cmp::Reverse;

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, HeaderName};
use tidelog_events::code::Refusal;

use crate::problem::Problem;

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// The frames as they are stored, concatenated.
    Frames,
    /// The frames' lines.
    Lines,
    /// One JSON object.
    Json,
}

impl Format {
    /// The word for it in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Frames => "frames",
            Self::Lines => "lines",
            Self::Json => "json",
        }
    }

    /// The form that the request's headers ask for.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        negotiate(&joined(headers, &ACCEPT), &joined(headers, &ACCEPT_ENCODING)).ok_or_else(|| {
            let detail = "the log is served as `application/json` and as `application/x-ndjson`";
            Problem::new(Refusal::NotAcceptable, detail)
        })
    }
}

/// The values of a header that may come in several lines, as one list.
fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let lines: Vec<&str> = headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect();
    lines.join(",")
}

fn negotiate(accept: &str, accept_encoding: &str) -> Option<Format> {
    if accept.trim().is_empty() {
        return Some(Format::Json);
    }
    let ranges: Vec<Preference<'_>> = preferences(accept).collect();
    let wanted = |media: &str| wanted(&ranges, media);
    match (wanted("application/json"), wanted("application/x-ndjson")) {
        (json, lines) if lines > json => Some(lines_or_frames(accept_encoding)),
        (Some(_), _) => Some(Format::Json),
        (None, _) => None,
    }
}

fn lines_or_frames(accept_encoding: &str) -> Format {
    // Only who names zstd gets it: `*` is sent by clients that cannot decode it.
    let zstd = preferences(accept_encoding).find(|coding| coding.name.eq_ignore_ascii_case("zstd"));
    if zstd.is_some_and(|coding| coding.quality > 0) { Format::Frames } else { Format::Lines }
}

/// One element of such a header.
struct Preference<'a> {
    name: &'a str,
    /// In thousandths; 0 means "not this".
    quality: u16,
}

/// The elements of a header. One whose quality cannot be read is left out.
fn preferences(header: &str) -> impl Iterator<Item = Preference<'_>> {
    header.split(',').filter_map(|element| {
        let mut parts = element.split(';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let quality = parts.find_map(|parameter| {
            let (key, value) = parameter.split_once('=')?;
            key.trim_end().eq_ignore_ascii_case("q").then_some(value.trim_start())
        });
        Some(Preference { name, quality: quality.map_or(Some(1000), thousandths)? })
    })
}

fn thousandths(quality: &str) -> Option<u16> {
    let quality: f32 = quality.parse().ok()?;
    (0.0..=1.0).contains(&quality).then(|| (quality * 1000.0).round() as u16)
}

/// How much a media type is wanted: by quality, then by how exactly it was named, then by who was named first.
/// `None` where it is not accepted.
fn wanted(ranges: &[Preference<'_>], media: &str) -> Option<(u16, u8, Reverse<usize>)> {
    let matching = ranges.iter().enumerate().filter_map(|(index, range)| {
        let exactness = exactness(range.name, media)?;
        Some((exactness, Reverse(index), range.quality))
    });
    // The most exact range decides, so that `application/json;q=0, */*` refuses JSON.
    let (exactness, index, quality) = matching.max()?;
    (quality > 0).then_some((quality, exactness, index))
}

fn exactness(range: &str, media: &str) -> Option<u8> {
    let group = range.strip_suffix("/*");
    if range.eq_ignore_ascii_case(media) {
        Some(2)
    } else if range == "*/*" {
        Some(0)
    } else if group
        .is_some_and(|group| media.split('/').next().is_some_and(|g| g.eq_ignore_ascii_case(group)))
    {
        Some(1)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_form_is_the_one_that_the_caller_wants_most() {
        let (frames, lines, json) = (Some(Format::Frames), Some(Format::Lines), Some(Format::Json));
        let cases = [
            ("", "", json),
            ("", "zstd", json),
            ("*/*", "zstd", json),
            ("application/*", "zstd", json),
            ("application/json", "zstd", json),
            ("application/json; charset=utf-8", "", json),
            ("application/x-ndjson", "", lines),
            ("application/x-ndjson", "gzip, deflate, br", lines),
            ("application/x-ndjson", "gzip, zstd", frames),
            ("application/x-ndjson", "gzip;q=1.0, ZSTD;q=0.1", frames),
            ("application/x-ndjson", "zstd;q=0", lines),
            ("application/x-ndjson", "zstd;q=0.000, gzip", lines),
            ("application/x-ndjson", "*", lines),
            ("Application/X-NDJSON", "zstd", frames),
            ("application/x-ndjson, */*", "", lines),
            ("application/x-ndjson, application/json", "", lines),
            ("application/json, application/x-ndjson", "", json),
            ("application/json, text/plain, */*", "zstd", json),
            ("application/x-ndjson;q=0.5, application/json", "", json),
            ("application/x-ndjson, application/json;q=0.5", "", lines),
            ("application/x-ndjson;q=0.5, */*;q=0.8", "", json),
            ("application/json;q=0, */*", "", lines),
            ("application/json;q=0, application/x-ndjson;q=0", "", None),
            ("text/html, application/xhtml+xml", "", None),
            ("text/*", "", None),
            ("text/html, */*;q=0.1", "", json),
            ("application/x-ndjson;q=2", "", None),
            ("application/x-ndjson;q=2, application/json;q=0.1", "", json),
        ];
        for (accept, accept_encoding, expect) in cases {
            assert_eq!(negotiate(accept, accept_encoding), expect, "{accept} | {accept_encoding}");
        }
    }

    #[test]
    fn a_header_in_several_lines_is_one_list() {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT, HeaderValue::from_static("text/html"));
        headers.append(ACCEPT, HeaderValue::from_static("application/x-ndjson"));
        assert_eq!(Format::of(&headers).unwrap(), Format::Lines);
    }
}
