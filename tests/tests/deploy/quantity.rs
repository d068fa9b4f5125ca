//! Sizes as Kubernetes, Go and NATS write them.

/// Bytes of `4Gi`, `3200MiB`, `8MB` or a number. NATS and Go mean powers of 1024 by all of them.
pub fn bytes(text: &str) -> u64 {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "" => 0,
        "Mi" | "MiB" | "MB" => 20,
        "Gi" | "GiB" | "GB" => 30,
        other => panic!("{text}: {other} is no unit"),
    };
    number.parse::<u64>().unwrap() << shift
}

#[test]
fn sizes_are_read() {
    assert_eq!((bytes("4096"), bytes("8MB"), bytes("2Gi")), (4096, 8 << 20, 2 << 30));
}
