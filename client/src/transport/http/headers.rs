//! What a device says of itself in headers: the app's version, and how the device stands.

use std::fmt::Write;

use reqwest::header::HeaderValue;
use tidelog_events::report::{DeviceReport, MAX_ERROR_CHARS, MAX_REPORT_BYTES};

use super::InvalidAddress;

/// Characters of a version: more is none.
const MAX_VERSION_CHARS: usize = 64;

/// The version of an app, if it is numbers with dots between.
pub(super) fn version_header(version: &str) -> Result<HeaderValue, InvalidAddress> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let valid = version.len() <= MAX_VERSION_CHARS && version.split('.').all(is_number);
    let header = HeaderValue::from_str(version).ok().filter(|_| valid);
    header.ok_or_else(|| InvalidAddress::AppVersion(version.to_owned()))
}

/// The report as one line of ASCII. The state's hash is left out where the line would be too long with it.
pub(super) fn report_header(report: &DeviceReport) -> Option<HeaderValue> {
    let shortened = |error: &String| error.chars().take(MAX_ERROR_CHARS).collect();
    let last_error = report.last_error.as_ref().map(shortened);
    let report = DeviceReport { last_error, ..report.clone() };
    let written = |report: &DeviceReport| {
        let line = ascii(&serde_json::to_string(report).ok()?);
        HeaderValue::from_str(&line).ok().filter(|line| line.len() <= MAX_REPORT_BYTES)
    };
    written(&report).or_else(|| written(&DeviceReport { state: None, ..report.clone() }))
}

/// The same JSON, with everything escaped that is not ASCII.
fn ascii(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    let mut units = [0; 2];
    for letter in json.chars() {
        if letter.is_ascii() && letter != '\u{7f}' {
            line.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut units) {
                // Writing into a text does not fail.
                let _ = write!(line, "\\u{unit:04x}");
            }
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use tidelog_events::id::{Epoch, Position};
    use tidelog_events::report::{ReportedState, SyncCounts};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_version_is_numbers_with_dots_between() {
        for version in ["2", "2.14.0", "10.0.0.1"] {
            assert_eq!(version_header(version).unwrap(), version);
        }
        for wrong in ["", "2.", ".1", "v2", "2.1-beta", "2 1", "2\n1"] {
            assert!(version_header(wrong).is_err(), "{wrong}");
        }
        assert!(version_header(&"1.".repeat(40)).is_err());
    }

    #[test]
    fn a_report_is_one_line_of_ascii_that_says_the_same() {
        let report = DeviceReport {
            pending: Some(3),
            last_error: Some("unreachable: größer als \n 🏃 \u{7f}".to_owned()),
            clock_offset_ms: Some(-20),
            state: None,
            syncs: Some(SyncCounts { succeeded: 3, failed: [("offline".to_owned(), 2)].into() }),
        };
        let header = report_header(&report).unwrap();
        assert!(header.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte)), "{header:?}");
        assert_eq!(serde_json::from_slice::<DeviceReport>(header.as_bytes()).unwrap(), report);
    }

    #[test]
    fn what_is_too_long_for_a_header_is_left_out() {
        let hash = (0..200).map(|number| (format!("type_{number}"), "0".repeat(32))).collect();
        let state =
            ReportedState { position: Position(1), epoch: Epoch(Uuid::nil()), schema_version: 1, hash };
        let last_error = Some("ä".repeat(5000));
        let report = DeviceReport { state: Some(state), last_error, ..DeviceReport::default() };
        let header = report_header(&report).unwrap();
        let read: DeviceReport = serde_json::from_slice(header.as_bytes()).unwrap();
        assert_eq!(read.state, None);
        assert_eq!(read.last_error.unwrap().chars().count(), MAX_ERROR_CHARS);
    }
}
