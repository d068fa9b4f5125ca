//! Every code that a user can meet has a page, and every page is about a code.

use std::collections::BTreeSet;

use tidelog_events::code::{Fault, Refusal};

use super::workspace::{File, paths};

fn codes() -> BTreeSet<String> {
    let refusals = Refusal::ALL.iter().map(|code| code.as_str());
    let faults = Fault::ALL.iter().map(|code| code.as_str());
    refusals.chain(faults).map(str::to_owned).collect()
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let pages: BTreeSet<String> = paths("docs/errors")
        .iter()
        .filter_map(|path| path.strip_prefix("docs/errors/")?.strip_suffix(".md"))
        .filter(|name| *name != "README")
        .map(str::to_owned)
        .collect();
    assert_eq!(pages, codes());
}

#[test]
fn every_page_says_what_the_code_is_and_what_to_do() {
    for code in codes() {
        let page = File::at(&format!("docs/errors/{code}.md")).text;
        assert!(page.starts_with(&format!("# {code}\n")), "{code}: its page is called after it");
        assert!(page.contains("\n## What to do\n"), "{code}: its page says what to do");
    }
}

#[test]
fn the_list_of_codes_is_complete_and_names_the_status() {
    let list = File::at("docs/errors/README.md").text;
    let row = |code: &str| {
        let begin = format!("| [{code}]({code}.md) |");
        let mut rows = list.lines().filter(move |line| line.starts_with(&begin));
        rows.next().unwrap_or_else(|| panic!("docs/errors/README.md lists {code}")).to_owned()
    };
    for code in codes() {
        row(&code);
    }
    for refusal in Refusal::ALL {
        let row = row(refusal.as_str());
        assert!(row.contains(&format!(".md) | {} |", refusal.status())), "{row}");
    }
    let rows = list.lines().filter(|line| line.starts_with("| [")).count();
    assert_eq!(rows, codes().len(), "and names nothing else");
}
