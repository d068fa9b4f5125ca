//! The core is pure: time and chance come in as arguments.

use super::workspace::{File, assert_none, files};

/// What asks the machine for the time, for chance, or for anything else that is not an argument.
const IMPURE: [&str; 14] = [
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "new_v1",
    "new_v4",
    "new_v6",
    "new_v7()",
    "now_v7",
    "fastrand",
    "rand::",
    "std::env",
    "std::fs",
    "std::net",
];

#[test]
fn invariant_4_the_core_calls_no_clock_no_randomness_and_no_system() {
    let findings = files("shared/events/src", ".rs").into_iter().flat_map(|file| {
        let lines = file.product_lines().filter(|(_, line)| IMPURE.iter().any(|word| line.contains(word)));
        lines.map(|(number, line)| format!("{}:{number}: {}", file.path, line.trim())).collect::<Vec<_>>()
    });
    assert_none("shared/events takes time and chance as arguments", findings);
}

#[test]
fn clippy_forbids_the_same() {
    let core = File::at("shared/events/clippy.toml").text;
    for method in [
        "std::time::SystemTime::now",
        "std::time::Instant::now",
        "jiff::Timestamp::now",
        "jiff::Zoned::now",
        "uuid::Uuid::new_v4",
        "uuid::Uuid::now_v7",
    ] {
        assert!(core.contains(&format!("path = \"{method}\"")), "{method}");
    }
    // Clippy reads the nearest file alone, so the core's repeats the workspace's.
    for line in File::at("clippy.toml").text.lines().filter(|line| !line.starts_with('#')) {
        assert!(core.contains(line), "shared/events/clippy.toml lacks {line}");
    }
    assert!(File::at("Cargo.toml").text.contains("disallowed_methods = \"warn\""));
}

#[test]
fn one_file_of_the_servers_and_one_of_devices_asks_for_the_time_of_day() {
    let clocks = ["client/src/moment.rs", "shared/runtime/src/clock.rs"];
    let asks = [concat!("SystemTime", "::now("), concat!("Timestamp", "::now("), concat!("Zoned", "::now(")];
    let asking = files(".", ".rs")
        .into_iter()
        .filter(|file| file.code_lines().any(|(_, line)| asks.iter().any(|ask| line.contains(ask))));
    let asking: Vec<String> = asking.map(|file| file.path).collect();
    assert_eq!(asking, clocks, "the time of day is asked for in one place each");
}
