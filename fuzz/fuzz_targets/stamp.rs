//! Stamps: what is read is printed in one form and read back from it, as text and in JSON; `jiff` reads the same
//! dates; and of any two stamps the texts order as the values do.
#![no_main]

#[path = "planted.rs"]
mod planted;

use libfuzzer_sys::fuzz_target;
use tidelog_events::stamp::Stamp;

fuzz_target!(|bytes: &[u8]| {
    let made = bytes.first_chunk::<8>().map(|millis| made(i64::from_le_bytes(*millis), bytes));
    let read = bytes.split(|byte| *byte == b'\n').filter_map(|text| std::str::from_utf8(text).ok()).map(read);
    let stamps: Vec<Stamp> = read.flatten().chain(made.flatten()).collect();
    for stamp in &stamps {
        comes_back(*stamp);
    }
    for pair in stamps.windows(2) {
        let texts = pair[0].to_string().cmp(&pair[1].to_string());
        assert_eq!(texts, pair[0].cmp(&pair[1]), "text order is value order");
    }
});

/// A stamp from numbers, which must lie within the years that have four digits.
fn made(millis: i64, bytes: &[u8]) -> Option<Stamp> {
    // Of all 64-bit numbers hardly any lies within the range, so every second one is brought near it.
    let millis = if bytes.len() % 2 == 0 { millis } else { millis >> 17 };
    let made = Stamp::new(millis, bytes.len() as u16).ok();
    assert_eq!(made.is_some(), (Stamp::MIN.millis()..=Stamp::MAX.millis()).contains(&millis));
    assert_eq!(serde_json::from_str(&millis.to_string()).ok(), Stamp::from_millis(millis).ok());
    made
}

fn read(text: &str) -> Option<Stamp> {
    let stamp = Stamp::parse(text).ok();
    assert_eq!(text.parse().ok(), stamp);
    let json = serde_json::to_string(text).expect("a text is JSON");
    assert_eq!(serde_json::from_str(&json).ok(), stamp, "JSON reads what parse reads");
    let plain = without_counter(text);
    let plain = plain.as_deref().unwrap_or(text);
    assert_eq!(is_plain(plain) && exists(plain), stamp.is_some(), "jiff knows the date");
    if let Some(stamp) = stamp {
        if let Some(theirs) = theirs(plain) {
            assert_eq!(stamp.millis(), theirs, "jiff reads the same millisecond");
        }
        assert_eq!(without_counter(text).is_some(), stamp.to_string() == text, "one form is printed");
        planted::behind(stamp.to_string().matches('7').count());
    }
    stamp
}

fn comes_back(stamp: Stamp) {
    let text = stamp.to_string();
    assert_eq!(text.len(), 29);
    assert_eq!(Stamp::parse(&text), Ok(stamp));
    let json = serde_json::to_string(&stamp).expect("a stamp is JSON");
    assert_eq!(serde_json::from_str::<Stamp>(&json).expect("a stamp"), stamp);
}

/// `YYYY-MM-DDTHH:MM:SS[.f…]Z`, whatever the digits say.
fn is_plain(text: &str) -> bool {
    let Some((seconds, rest)) = text.as_bytes().split_first_chunk::<19>() else { return false };
    let form = seconds.iter().zip(b"0000-00-00T00:00:00").all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        mark => byte == mark,
    });
    let fraction = match rest {
        b"Z" => true,
        [b'.', digits @ .., b'Z'] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    form && fraction
}

/// What is left of the printed form, three digits of a second and a counter, when the counter is taken off.
fn without_counter(text: &str) -> Option<String> {
    let (plain, counter) = text.split_once("Z-")?;
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
    let printed = plain.len() == 23 && counter.len() == 4 && counter.bytes().all(hexadecimal);
    printed.then(|| format!("{plain}Z"))
}

/// Whether there is such a date and time: not in the year 0000, and not in a leap second.
fn exists(plain: &str) -> bool {
    // A year like 9999 of which jiff does not leave out the last hours.
    let known = plain.strip_prefix("9999").map(|rest| format!("9997{rest}"));
    let written = !plain.starts_with("0000") && &plain[17..19] != "60";
    written && theirs(known.as_deref().unwrap_or(plain)).is_some()
}

/// UTC milliseconds as jiff reads them, which leaves out the last hours of the year 9999. It rounds what is finer
/// towards 1970, so it gets no more than three digits of a second.
fn theirs(plain: &str) -> Option<i64> {
    let (seconds, fraction) = plain.trim_end_matches('Z').split_at(19);
    let short: String = fraction.chars().take(4).collect();
    Some(format!("{seconds}{short}Z").parse::<jiff::Timestamp>().ok()?.as_millisecond())
}
