//! The log guide explains lines that are written, at the level and by the service that it says, and every line at ERROR.

use std::collections::{BTreeMap, BTreeSet};

use super::workspace::{File, assert_none, files};

const SERVICES: [&str; 4] = ["gateway", "ingest", "projector", "compactor"];

/// A line: its level, and its message.
type Line = (String, String);

/// A source's product without the breaks in its texts.
fn unbroken(text: &str) -> String {
    let product = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let mut parts = product.split("\\\n");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.trim_start())
}

/// The last text among a macro's arguments, which is the message; those of calls within them do not count.
fn message(arguments: &str) -> Option<&str> {
    let (mut depth, mut begin, mut escaped, mut found) = (0, None, false, None);
    for (at, c) in arguments.char_indices() {
        match (begin, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(from), '"') => {
                found = if depth == 0 { arguments.get(from..at) } else { found };
                begin = None;
            }
            (None, '"') => begin = Some(at + 1),
            (None, '(') => depth += 1,
            (None, ')') if depth == 0 => return found,
            (None, ')') => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The lines that a source's product writes.
fn lines_of(source: &str) -> Vec<Line> {
    let source = unbroken(source);
    let calls = source.split("tracing::").skip(1).filter_map(|behind| behind.split_once("!("));
    let calls = calls.filter(|(level, _)| ["error", "warn", "info", "debug"].contains(level));
    calls
        .filter_map(|(level, arguments)| Some((level.to_uppercase(), message(arguments)?.to_owned())))
        .collect()
}

/// The lines that the sources of each folder write. Failpoints are for tests.
fn written() -> BTreeMap<&'static str, BTreeSet<Line>> {
    let of_folder = |folder| {
        let sources = files(folder, ".rs").into_iter().filter(|file| !file.path.ends_with("/failpoint.rs"));
        (folder, sources.flat_map(|file| lines_of(&file.text)).collect())
    };
    ["shared"].into_iter().chain(SERVICES).map(of_folder).collect()
}

/// The lines that the guide explains, each with the folder that its table is about: a service's, or `shared`.
fn explained() -> Vec<(String, Line)> {
    let guide = File::at("docs/operations/logs.md").text;
    let (_, guide) = guide.split_once("## What lines mean").expect("the chapter on lines");
    let (mut folder, mut explained) = (String::new(), Vec::new());
    for line in guide.lines() {
        if let Some(heading) = line.strip_suffix(':') {
            folder = if heading == "Every service" { "shared".to_owned() } else { heading.to_lowercase() };
        } else if let Some((message, rest)) = line.strip_prefix("| `").and_then(|row| row.split_once("` | "))
        {
            let level = rest.split(" |").next().unwrap_or_default();
            explained.push((folder.clone(), (level.to_owned(), message.to_owned())));
        }
    }
    explained
}

#[test]
fn every_line_that_the_log_guide_explains_is_written_by_that_service_at_that_level() {
    let explained = explained();
    assert!(explained.len() > 50, "{explained:?}");
    let written = written();
    let writes = |folder: &str, line| written.get(folder).is_some_and(|lines| lines.contains(line));
    // What every service says stands in the shared code, or in each service's own.
    let is_written = |folder: &str, line| {
        writes(folder, line) || (folder == "shared" && SERVICES.iter().all(|service| writes(service, line)))
    };
    let unknown = explained.iter().filter(|(folder, line)| !is_written(folder, line));
    assert_none("lines that nobody writes so", unknown.map(|(folder, line)| format!("{folder}: {line:?}")));
}

#[test]
fn the_log_guide_explains_every_error() {
    let explained: BTreeSet<Line> = explained().into_iter().map(|(_, line)| line).collect();
    let written = written().into_values().flatten();
    let errors: Vec<Line> = written.filter(|(level, _)| level == "ERROR").collect();
    assert!(errors.len() > 20, "{errors:?}");
    let left_out = errors.into_iter().filter(|line| !explained.contains(line));
    assert_none("errors that the guide leaves out", left_out.map(|(_, message)| message));
}

#[test]
fn a_line_is_found_by_its_message_and_not_by_another_text() {
    let source = r#"
        readiness.fail("stopping");
        tracing::warn!(error = format!("{error:#} (\"so\")"), left = (1), "work in hand \
            is cut off");
        #[cfg(test)]
        mod tests { fn f() { tracing::error!("a test's own"); } }
    "#
    .replace("\n        ", "\n");
    assert_eq!(lines_of(&source), [("WARN".to_owned(), "work in hand is cut off".to_owned())]);
}
