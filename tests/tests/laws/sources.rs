//! How every source file looks.

use super::workspace::{File, assert_none, files, services};

const LINES_MAX: usize = 500;
const LINES_AIM: usize = 250;
/// Lines of the comment that opens a file.
const OPENING_LINES_MAX: usize = 20;

#[test]
fn every_rust_file_opens_with_what_it_owns() {
    let findings = files(".", ".rs").into_iter().filter(|file| {
        let opening = file.text.lines().take_while(|line| line.starts_with("//!")).count();
        opening == 0 || opening > OPENING_LINES_MAX
    });
    assert_none("a file opens with a `//!`", findings.map(|file| file.path));
}

#[test]
fn no_file_is_longer_than_500_lines() {
    let long = files(".", ".rs").into_iter().map(|file| (file.text.lines().count(), file.path));
    let (too_long, long): (Vec<_>, Vec<_>) =
        long.filter(|(lines, _)| *lines > LINES_AIM).partition(|(lines, _)| *lines > LINES_MAX);
    for (lines, path) in long {
        println!("longer than the aim of {LINES_AIM} lines: {path} ({lines})");
    }
    assert_none("files too long", too_long.into_iter().map(|(lines, path)| format!("{path}: {lines}")));
}

#[test]
fn clippy_keeps_functions_below_70_lines_and_nobody_opts_out() {
    assert!(File::at("clippy.toml").text.contains("too-many-lines-threshold = 70\n"));
    assert!(File::at("Cargo.toml").text.contains("pedantic = { level = \"warn\""));
    let opted_out = files(".", ".rs")
        .into_iter()
        .filter(|file| file.text.contains(concat!("clippy::", "too_many_lines")));
    assert_none("functions too long", opted_out.map(|file| file.path));
}

#[test]
fn there_is_no_unsafe_code() {
    let word = concat!("un", "safe");
    assert!(File::at("Cargo.toml").text.contains(&format!("{word}_code = \"deny\"")));
    let findings = files(".", ".rs").into_iter().flat_map(|file| {
        let uses = file.code_lines().filter(|(_, line)| {
            ["{", "fn", "impl", "extern", "trait"].iter().any(|next| line.contains(&format!("{word} {next}")))
                || line.contains(&format!("allow({word}_code"))
        });
        uses.map(|(number, _)| format!("{}:{number}", file.path)).collect::<Vec<_>>()
    });
    assert_none("code that the compiler cannot vouch for", findings);
}

#[test]
fn tests_poll_instead_of_sleeping() {
    let sleep = concat!("sle", "ep(");
    let findings = files("tests", ".rs").into_iter().flat_map(|file| {
        let sleeping = file.code_lines().filter(|(_, line)| line.contains(sleep));
        sleeping.map(|(number, _)| format!("{}:{number}", file.path)).collect::<Vec<_>>()
    });
    assert_none("tests that sleep", findings);
}

#[test]
fn services_get_their_configuration_as_arguments() {
    let findings = services().into_iter().flat_map(|service| {
        let reading = files(&service, ".rs").into_iter().filter(|file| {
            file.product_lines().any(|(_, line)| line.contains("env::var") || line.contains("static mut"))
        });
        reading.map(|file| file.path).collect::<Vec<_>>()
    });
    assert_none("services that read the environment", findings);
}

#[test]
fn names_say_what_a_thing_is() {
    let vague = ["manager", "helper", "util", "utils", "misc", "common", "data", "info"];
    let findings = files(".", ".rs").into_iter().filter(|file| {
        let name =
            file.path.trim_end_matches(".rs").rsplit('/').find(|name| *name != "mod").unwrap_or_default();
        name.split('_').any(|word| vague.contains(&word))
    });
    assert_none("files with names that say nothing", findings.map(|file| file.path));
}
