//! Documents name only what is there.

use std::collections::BTreeSet;

use super::workspace::{File, assert_none, files, packages, paths, root, services};

/// The targets of a document's links and pictures.
fn links(text: &str) -> Vec<String> {
    let mut targets = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if !fenced {
            let behind = line.split("](").skip(1);
            targets
                .extend(behind.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned()));
        }
    }
    targets
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings =
        text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    headings
        .map(|heading| {
            let kept = heading
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                .collect::<String>();
            kept.replace(' ', "-")
        })
        .collect()
}

#[test]
fn every_relative_link_of_a_document_leads_somewhere() {
    let mut broken = Vec::new();
    let mut checked = 0;
    for document in files(".", ".md") {
        let folder = root().join(&document.path);
        let folder = folder.parent().expect("a folder");
        for link in links(&document.text)
            .into_iter()
            .filter(|link| !link.contains("://") && !link.starts_with("mailto:"))
        {
            checked += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { root().join(&document.path) } else { folder.join(path) };
            let found = target.exists()
                && (anchor.is_empty()
                    || anchors(&std::fs::read_to_string(&target).unwrap_or_default()).contains(anchor));
            if !found {
                broken.push(format!("{}: {link}", document.path));
            }
        }
    }
    assert!(checked > 50, "{checked} links");
    assert_none("links that lead nowhere", broken);
}

/// What stands between backquotes and looks like a path.
fn named_paths(text: &str) -> Vec<&str> {
    let quoted = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let is_path = |word: &&str| {
        let ends = [".rs", ".toml", ".md", ".yaml", ".json", ".sql", "/"];
        let odd = |c: char| c.is_whitespace() || "<>*{}()".contains(c);
        ends.iter().any(|end| word.ends_with(end)) && !word.contains(odd) && !word.starts_with(['/', '.'])
    };
    quoted.filter(is_path).collect()
}

#[test]
fn the_map_of_the_code_names_only_what_exists() {
    let map = File::at("ARCHITECTURE.md").text;
    let (before, rest) =
        map.split_once("### Places for what is to come").expect("a section about the future");
    let (_, behind) = rest.split_once("\n## ").expect("a section behind it");
    let named: Vec<&str> = [before, behind].into_iter().flat_map(named_paths).collect();
    assert!(named.len() > 60, "{named:?}");
    let existing: Vec<String> = paths(".").into_iter().map(|path| format!("/{path}")).collect();
    let exists = |name: &str| {
        let (file, folder) = (format!("/{name}"), format!("/{}/", name.trim_end_matches('/')));
        existing.iter().any(|path| path.ends_with(&file) || (name.ends_with('/') && path.contains(&folder)))
    };
    let missing = named.into_iter().filter(|name| !exists(name)).map(str::to_owned);
    assert_none("ARCHITECTURE.md names what does not exist", missing);
}

#[test]
fn the_map_of_the_code_names_every_package_and_every_file_of_a_service() {
    let map = File::at("ARCHITECTURE.md").text;
    let sources = services().into_iter().flat_map(|service| files(&format!("{service}/src"), ".rs"));
    let paths = sources.map(|file| file.path).filter(|path| !path.ends_with("tests.rs"));
    // `main` and `config` are the same in each service, and a folder stands for what is in it.
    let missing = paths.filter(|path| {
        let inside = path.split_once("/src/").map_or("", |(_, inside)| inside);
        let named = match inside.split_once('/') {
            Some((folder, _)) => map.contains(&format!("`{folder}/`")),
            None => map.contains(&format!("`{inside}`")),
        };
        !named && !["main.rs", "config.rs", "lib.rs", "codecs.rs", "state.rs"].contains(&inside)
    });
    assert_none("files that ARCHITECTURE.md does not name", missing);
    let packages = packages().iter().map(|package| package.folder.clone());
    assert_none(
        "packages that ARCHITECTURE.md does not name",
        packages.filter(|folder| !map.contains(folder.as_str())),
    );
}
