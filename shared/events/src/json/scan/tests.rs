//! What is refused, what is found, and what passes.

use proptest::prelude::*;

use super::*;

fn fault(text: &str) -> Option<Fault> {
    scan_object(text).unwrap().finding.map(|finding| finding.fault)
}

#[test]
fn members_stand_as_in_the_text() {
    let scanned = scan_object(" { \"a\" : [1, {\"x\":{}}] ,\"b\\u0063\":\"\\n\"\t} \r").unwrap();
    let members: Vec<_> = scanned.members.iter().map(|m| (m.key.as_ref(), m.value)).collect();
    assert_eq!(members, [("a", "[1, {\"x\":{}}]"), ("bc", "\"\\n\"")]);
    assert_eq!(scanned.finding, None);
}

#[test]
fn what_readers_could_understand_differently_is_found() {
    let check = |text: &str, expect: Fault| assert_eq!(fault(text), Some(expect), "{text}");
    check(r#"{"a":1,"a":1}"#, Fault::DuplicateKey);
    check(r#"{"a":1,"\u0061":2}"#, Fault::DuplicateKey);
    check(r#"{"x":[{"y":{"a":1,"b":2,"a":3}}]}"#, Fault::DuplicateKey);
    check(r#"{"a":"\u0000"}"#, Fault::TextInvalid);
    check(r#"{"a\u0000":1}"#, Fault::TextInvalid);
    check(r#"{"a":"\ud800"}"#, Fault::TextInvalid);
    check(r#"{"a":"\udc00\ud800"}"#, Fault::TextInvalid);
    check(r#"{"a":"\ud800\u0041"}"#, Fault::TextInvalid);
    check(r#"{"a":9007199254740992}"#, Fault::NumberOutOfRange);
    check(r#"{"a":-9007199254740992}"#, Fault::NumberOutOfRange);
    check(r#"{"a":123456789012345678901234567890}"#, Fault::NumberOutOfRange);
    check(r#"{"a":1e400}"#, Fault::NumberOutOfRange);
    check(&format!("{{\"a\":{}{}}}", "[".repeat(32), "]".repeat(32)), Fault::TooDeep);
    check(&format!("{{\"a\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000)), Fault::TooDeep);
    let many: Vec<_> = (0..1000).map(|n| format!("\"k{n}\":0")).collect();
    check(&format!("{{{},\"k77\":1}}", many.join(",")), Fault::DuplicateKey);
}

#[test]
fn what_everyone_reads_alike_is_not() {
    for text in [
        "{}",
        r#"{"a":9007199254740991,"b":-9007199254740991,"c":1e300,"d":-0.5e-7,"e":0,"f":1E+2}"#,
        r#"{"a":"\ud83d\ude00\"\\\/\b\f\n\r\t😀","b":[true,false,null,[],{}]}"#,
        r#"{"a":{"k":1},"b":{"k":1},"c":[{"k":1},{"k":1}]}"#,
    ] {
        assert_eq!(fault(text), None, "{text}");
    }
    assert_eq!(fault(&format!("{{\"a\":{}{}}}", "[".repeat(31), "]".repeat(31))), None);
}

#[test]
fn what_is_not_one_json_object_is_refused() {
    for text in [
        "",
        " ",
        "[]",
        "1",
        "\"a\"",
        "{",
        "}",
        "{}{}",
        "{} x",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":01}",
        "{\"a\":.5}",
        "{\"a\":1.}",
        "{\"a\":+1}",
        "{\"a\":1e}",
        "{\"a\":NaN}",
        "{\"a\":-}",
        "{\"a\":tru}",
        "{\"a\":[1,]}",
        "{\"a\":[1 2]}",
        "{\"a\":[}]",
        "{\"a\":\"\u{1}\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"",
        "{\"a\":[1}",
        "\u{feff}{}",
        "{\"a\":{\"b\":1]}",
    ] {
        assert!(scan_object(text).is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn the_scan_agrees_with_serde_json_on_any_text(text in r#"[ \[\]{}:,"\\a-cu0-9.eE+tfn-]{0,40}"#) {
        let text = format!("{{\"k\":{text}}}");
        let accepted = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
        prop_assert_eq!(scan_object(&text).is_ok(), accepted);
    }

    #[test]
    fn the_scan_never_panics(text in any::<String>()) {
        let _ = scan_object(&text);
    }
}
