//! An answer on its way: what the body is, and what caches must know of it.

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::response::Response;

use super::negotiate::Format;

/// The answer with its headers.
pub(super) fn response(format: Format, body: Body) -> Response {
    let media_type = match format {
        Format::Frames | Format::Lines => "application/x-ndjson",
        Format::Json => "application/json",
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    if format == Format::Frames {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("zstd"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_tell_caches_what_they_depend_on() {
        for (format, media_type, encoding) in [
            (Format::Json, "application/json", None),
            (Format::Lines, "application/x-ndjson", None),
            (Format::Frames, "application/x-ndjson", Some("zstd")),
        ] {
            let response = response(format, Body::empty());
            let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap());
            assert_eq!(header(CONTENT_TYPE), Some(media_type));
            assert_eq!(header(CONTENT_ENCODING), encoding);
            assert_eq!(header(VARY), Some("Accept, Accept-Encoding"));
            assert_eq!(header(CACHE_CONTROL), Some("no-store, no-transform"));
        }
    }
}
