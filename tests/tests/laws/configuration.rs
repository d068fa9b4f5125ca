//! The default configuration is the documentation of the configuration.

use super::workspace::{File, assert_none};

#[test]
fn every_key_and_section_of_the_default_configuration_is_explained() {
    let file = File::at("config/default.toml");
    let mut before = "";
    let mut keys = 0;
    let mut unexplained = Vec::new();
    for line in file.text.lines() {
        if !line.is_empty() && !line.starts_with(['#', '[']) {
            keys += 1;
            if !before.starts_with("# ") {
                unexplained.push(line.to_owned());
            }
        }
        before = line;
    }
    assert!(keys > 30, "{keys} keys");
    assert_none("keys without a comment of their own", unexplained);
}

#[test]
fn every_section_is_in_the_operators_guide() {
    let guide = File::at("docs/operations/configuration.md").text;
    let file = File::at("config/default.toml");
    let sections = file.text.lines().filter_map(|line| line.strip_prefix('[')?.strip_suffix(']'));
    let missing = sections.filter(|section| !guide.contains(&format!("| `{section}` |")));
    assert_none(
        "sections that docs/operations/configuration.md does not explain",
        missing.map(str::to_owned),
    );
}
