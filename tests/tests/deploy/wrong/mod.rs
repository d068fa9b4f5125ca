//! Each check finds what it is there for: one thing at a time is put wrong in the production overlay.

mod agreement;
mod cluster;

use serde_json::{Value, json};

use super::manifests::id;
use super::overlays::findings;
use super::programs::PRODUCTION;

/// One thing put wrong in the manifest whose `Kind/name` begins so.
enum Wrong {
    /// The value at a place.
    Set(&'static str, Value),
    /// What is at a place taken away.
    Gone(&'static str),
    /// A part of a text.
    Text(&'static str, &'static str, &'static str),
}

use Wrong::{Gone, Set, Text};

fn put_wrong(manifest: &mut Value, wrong: &Wrong) {
    let (Set(place, _) | Gone(place) | Text(place, ..)) = wrong;
    let (parent, key) = place.rsplit_once('/').unwrap();
    let key = &key.replace("~1", "/");
    let parent = manifest.pointer_mut(parent).unwrap_or_else(|| panic!("{place}"));
    if let Some(items) = parent.as_array_mut() {
        let index: usize = key.parse().unwrap();
        match wrong {
            Gone(_) => drop(items.remove(index)),
            Set(_, value) => items[index] = value.clone(),
            Text(..) => panic!("{place}: no text"),
        }
        return;
    }
    let members = parent.as_object_mut().unwrap();
    match wrong {
        Gone(_) => assert!(members.remove(key).is_some(), "{place}"),
        Set(_, value) => drop(members.insert(key.to_owned(), value.clone())),
        Text(_, from, to) => {
            let text = members[key].as_str().unwrap();
            assert!(text.contains(from), "{place}: {from}");
            members[key] = json!(text.replace(from, to));
        }
    }
}

/// The production overlay with one thing wrong.
fn with(manifest: &str, wrong: &Wrong) -> Vec<Value> {
    let mut manifests = PRODUCTION.clone();
    let found = manifests.iter_mut().find(|found| id(found).starts_with(manifest));
    put_wrong(found.unwrap_or_else(|| panic!("{manifest}")), wrong);
    manifests
}

/// Where something is put wrong, and all that is to be found then: each finding begins so, and has in it what stands
/// behind `…`.
type Case = (&'static str, Wrong, Vec<&'static str>);

fn says(found: &str, expected: &str) -> bool {
    let mut parts = expected.split(" … ");
    parts.next().is_some_and(|start| found.starts_with(start)) && parts.all(|part| found.contains(part))
}

fn check(table: Vec<Case>) {
    let mut differences = Vec::new();
    for (manifest, wrong, expected) in table {
        let found = findings(&with(manifest, &wrong));
        let (Set(place, _) | Gone(place) | Text(place, ..)) = &wrong;
        let all = found.len() == expected.len()
            && found.iter().zip(&expected).all(|(found, expected)| says(found, expected));
        if !all {
            differences.push(format!("{manifest} {place}:\nfound    {found:#?}\nexpected {expected:#?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
