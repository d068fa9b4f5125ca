//! The time of an event: UTC milliseconds and a counter, written so that text order is time order.
//! Reading is hand-written because it runs once an event; `jiff` is the judge in the tests.

use std::fmt;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// Why a text or number is not a stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStamp {
    /// Not one of the forms that are read.
    #[error(
        "a stamp is UTC text such as `2025-08-06T10:30:00.000Z-0003` or `2025-08-06T10:30:00Z`, \
         or whole milliseconds since 1970"
    )]
    Form,
    /// The right form, but the calendar or the clock has no such date or time.
    #[error("a stamp must be a date and time that exist; leap seconds are not written")]
    Date,
    /// Before the year 0001 or after the year 9999.
    #[error("a stamp must lie in the years 0001 to 9999")]
    OutOfRange,
}

/// A hybrid logical clock value: the time of an event.
///
/// Its text is `2025-08-06T10:30:00.000Z-0003`: UTC milliseconds, then a counter of four upper-case
/// hexadecimal digits. Every stamp has the same length (29 bytes) and the years 0001 to 9999 have four
/// digits, so stamps sort as text as they do as values: by milliseconds, then by counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    // The derived order compares the fields as they stand here.
    millis: i64,
    counter: u16,
}

impl Stamp {
    /// The earliest stamp: the first millisecond of the year 0001.
    pub const MIN: Self = Self { millis: -62_135_596_800_000, counter: 0 };
    /// The latest stamp: the last millisecond of the year 9999, counter exhausted.
    pub const MAX: Self = Self { millis: 253_402_300_799_999, counter: u16::MAX };

    /// The stamp of so many UTC milliseconds since 1970 and a counter; refused outside the years 0001
    /// to 9999.
    pub fn new(millis: i64, counter: u16) -> Result<Self, InvalidStamp> {
        if (Self::MIN.millis..=Self::MAX.millis).contains(&millis) {
            Ok(Self { millis, counter })
        } else {
            Err(InvalidStamp::OutOfRange)
        }
    }

    /// The first stamp of a millisecond (UTC, since 1970).
    pub fn from_millis(millis: i64) -> Result<Self, InvalidStamp> {
        Self::new(millis, 0)
    }

    /// Reads a stamp's own text, or plain ISO `YYYY-MM-DDTHH:MM:SS[.f…]Z`, which is cut to milliseconds
    /// and has the counter 0. Nothing else is read: no other offset, no lower case, no leap second.
    pub fn parse(text: &str) -> Result<Self, InvalidStamp> {
        let (date_and_time, rest) = text.as_bytes().split_first_chunk().ok_or(InvalidStamp::Form)?;
        let (fraction_millis, counter) = parse_rest(rest).ok_or(InvalidStamp::Form)?;
        Self::new(parse_seconds(date_and_time)? * 1000 + fraction_millis, counter)
    }

    /// Its text, in ASCII. Written digit by digit because an entity line has a stamp for every field.
    fn text(self) -> [u8; 29] {
        let (seconds, millis) = (self.millis.div_euclid(1000), self.millis.rem_euclid(1000));
        let (days, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
        let mut text = *b"0000-00-00T00:00:00.000Z-0000";
        write_decimal(&mut text[0..4], year);
        write_decimal(&mut text[5..7], month);
        write_decimal(&mut text[8..10], day);
        write_decimal(&mut text[11..13], hour);
        write_decimal(&mut text[14..16], minute);
        write_decimal(&mut text[17..19], second);
        write_decimal(&mut text[20..23], millis);
        for (place, digit) in text[25..].iter_mut().enumerate() {
            *digit = b"0123456789ABCDEF"[usize::from(self.counter >> (12 - 4 * place) & 0xF)];
        }
        text
    }

    /// UTC milliseconds since 1970.
    pub fn millis(self) -> i64 {
        self.millis
    }

    /// Tells apart the stamps of one millisecond.
    pub fn counter(self) -> u16 {
        self.counter
    }
}

/// UTC seconds since 1970 of `YYYY-MM-DDTHH:MM:SS`.
fn parse_seconds(text: &[u8; 19]) -> Result<i64, InvalidStamp> {
    let [y1, y2, y3, y4, b'-', o1, o2, b'-', d1, d2, b'T', h1, h2, b':', m1, m2, b':', s1, s2] = *text else {
        return Err(InvalidStamp::Form);
    };
    let number = |digits: &[u8]| decimal(digits).ok_or(InvalidStamp::Form);
    let (year, month, day) = (number(&[y1, y2, y3, y4])?, number(&[o1, o2])?, number(&[d1, d2])?);
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[m1, m2])?, number(&[s1, s2])?);
    if year == 0 {
        return Err(InvalidStamp::OutOfRange);
    }
    let exists = (1..=12).contains(&month)
        && (1..=days_of_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !exists {
        return Err(InvalidStamp::Date);
    }
    Ok(((days_from_civil(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// What stands behind the seconds, as (milliseconds, counter): `Z`, `.f…Z`, or `.mmmZ-CCCC`.
fn parse_rest(rest: &[u8]) -> Option<(i64, u16)> {
    match rest {
        b"Z" => Some((0, 0)),
        [b'.', tenths, hundredths, thousandths, b'Z', b'-', counter @ ..] => {
            Some((decimal(&[*tenths, *hundredths, *thousandths])?, parse_counter(counter)?))
        }
        [b'.', fraction @ .., b'Z'] if !fraction.is_empty() && fraction.iter().all(u8::is_ascii_digit) => {
            let digit = |index| fraction.get(index).copied().unwrap_or(b'0');
            Some((decimal(&[digit(0), digit(1), digit(2)])?, 0))
        }
        _ => None,
    }
}

fn parse_counter(digits: &[u8]) -> Option<u16> {
    let digits: &[u8; 4] = digits.try_into().ok()?;
    digits.iter().try_fold(0, |value: u16, digit| match digit {
        b'0'..=b'9' => Some(value << 4 | u16::from(digit - b'0')),
        b'A'..=b'F' => Some(value << 4 | u16::from(digit - b'A' + 10)),
        _ => None,
    })
}

/// The value of at most four decimal digits.
fn decimal(digits: &[u8]) -> Option<i64> {
    digits
        .iter()
        .try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')))
}

/// Writes the last decimal digits of `number`, as many as there is room for.
fn write_decimal(digits: &mut [u8], mut number: i64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn days_of_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, after Howard Hinnant's `days_from_civil`
/// (<https://howardhinnant.github.io/date_algorithms.html>). Years begin in March, so that the leap day
/// is a year's last day.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`], from the same source: (year, month, day).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl FromStr for Stamp {
    type Err = InvalidStamp;
    fn from_str(text: &str) -> Result<Self, InvalidStamp> {
        Self::parse(text)
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    /// Reads what [`Stamp::parse`] reads, and whole numbers as milliseconds since 1970.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StampVisitor)
    }
}

struct StampVisitor;

impl Visitor<'_> for StampVisitor {
    type Value = Stamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a stamp")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Stamp, E> {
        Stamp::parse(text).map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, millis: i64) -> Result<Stamp, E> {
        Stamp::from_millis(millis).map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, millis: u64) -> Result<Stamp, E> {
        let millis = i64::try_from(millis).map_err(|_| E::custom(InvalidStamp::OutOfRange))?;
        self.visit_i64(millis)
    }
}

impl PartialSchema for Stamp {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "A hybrid logical clock value: UTC milliseconds and a counter of four hexadecimal digits.",
            ))
            .pattern(Some(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z-[0-9A-F]{4}$"))
            .examples(["2025-08-06T10:30:00.000Z-0003"])
            .into()
    }
}

impl ToSchema for Stamp {}

#[cfg(test)]
mod tests;
