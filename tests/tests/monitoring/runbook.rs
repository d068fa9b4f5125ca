//! Every alert has a page that says what to do at night, and every page an alert.

use std::collections::BTreeSet;

use tidelog_tests::World;

use super::alerts::{Rule, alerts};
use super::repository::{RUNBOOK, assert_none, at, text};

/// What every page has, in this order.
const SECTIONS: [&str; 5] = ["## Means", "## Look", "## Causes", "## Do", "## Do not"];

fn pages() -> BTreeSet<String> {
    let files = std::fs::read_dir(at(RUNBOOK)).unwrap().map(|file| file.unwrap().file_name());
    let pages = files.filter_map(|name| Some(name.to_str()?.strip_suffix(".md")?.to_owned()));
    pages.filter(|name| name != "README").collect()
}

/// The code blocks of that language on all pages, each with its page.
pub fn blocks(language: &str) -> Vec<(String, String)> {
    let pages = pages().into_iter().chain(["README".to_owned()]);
    pages.flat_map(|page| blocks_of(&format!("{RUNBOOK}/{page}.md"), language)).collect()
}

/// Those of one document.
pub fn blocks_of(document: &str, language: &str) -> Vec<(String, String)> {
    let text = text(document);
    let begin = format!("\n```{language}\n");
    let behind = text.split(&begin).skip(1);
    let blocks = behind.map(|rest| rest.split("\n```").next().unwrap_or_default());
    blocks.map(|block| (document.to_owned(), block.to_owned())).collect()
}

#[test]
fn every_alert_has_a_page_and_every_page_an_alert() {
    assert_eq!(pages(), alerts().iter().map(Rule::page).collect());
}

#[test]
fn every_page_says_what_it_means_how_to_look_and_what_to_do() {
    let faults = alerts().into_iter().filter_map(|alert| {
        let page = text(&format!("{RUNBOOK}/{}.md", alert.page()));
        let titled = page.starts_with(&format!("# {}\n\n**{}** ", alert.page(), alert.severity()));
        let mut behind = page.as_str();
        let complete = SECTIONS.iter().all(|section| {
            let found = behind.split_once(&format!("\n{section}\n"));
            behind = found.map_or("", |(_, behind)| behind);
            found.is_some()
        });
        (!titled || !complete).then(|| alert.page())
    });
    assert_none("pages without their title, their severity or one of their sections", faults);
}

#[test]
fn the_index_lists_every_alert_with_its_severity() {
    let index = text(&format!("{RUNBOOK}/README.md"));
    let row = |alert: &Rule| format!("| [{0}]({0}.md) | {1} |", alert.page(), alert.severity());
    let missing = alerts().iter().map(row).filter(|row| !index.contains(row)).collect::<Vec<_>>();
    assert_none("rows that docs/operations/alerts/README.md lacks", missing);
    let rows = index.lines().filter(|line| line.starts_with("| [")).count();
    assert_eq!(rows, alerts().len(), "and nothing else");
}

#[tokio::test]
async fn postgresql_takes_every_statement_of_the_runbook() {
    let world = World::new().await;
    let blocks = blocks("sql");
    assert!(blocks.len() > 5, "{blocks:?}");
    for (page, block) in blocks {
        for statement in block.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            let run = sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).fetch_all(&world.pool).await;
            assert!(run.is_ok(), "{page}: {statement}: {run:?}");
        }
    }
}
