//! `tidelog history` prints archive and log alike.

use serde_json::Value;
use tidelog_cli::history::{HistoryOptions, write};

use super::pruning::{HEAD, LONE, Log};

impl Log {
    fn options(&self) -> HistoryOptions {
        HistoryOptions {
            space: self.space.clone(),
            from: 1,
            to: None,
            device: None,
            event_type: None,
            json: true,
        }
    }

    async fn printed(&self, options: &HistoryOptions) -> String {
        let mut text = Vec::new();
        write(&self.history, options, false, &mut text).await.unwrap();
        String::from_utf8(text).unwrap()
    }

    async fn printed_json(&self, options: &HistoryOptions) -> Vec<Value> {
        self.printed(options).await.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_printed_with_its_origin_and_what_was_pruned_says_so() {
    let log = Log::new().await;
    let before = log.world.whole_log("ann").await;
    let horizon = log.ends().await[19];
    log.prune(horizon, 4).await;
    let printed = log.printed_json(&log.options()).await;
    assert_eq!(printed.len(), before.len());
    for (position, (mut printed, pulled)) in (1..).zip(printed.into_iter().zip(before)) {
        let source = printed.as_object_mut().unwrap().remove("source").unwrap();
        assert_eq!(source, if position <= horizon { "archive" } else { "log" }, "at {position}");
        assert_eq!(printed, pulled, "as a pull showed it before anything was pruned");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_can_be_asked_for_by_position_device_and_type() {
    let log = Log::new().await;
    log.prune(log.ends().await[19], 4).await;
    let positions = async |options: HistoryOptions| -> Vec<u64> {
        let printed = log.printed_json(&options).await;
        printed.iter().map(|event| event["position"].as_u64().unwrap()).collect()
    };
    let all: Vec<u64> = (1..=HEAD).collect();
    assert_eq!(positions(log.options()).await, all);
    for (from, to) in [(1, 1), (0, 3), (17, 18), (40, 90), (HEAD, HEAD + 9), (HEAD + 1, HEAD + 9), (9, 8)] {
        let options = HistoryOptions { from, to: Some(to), ..log.options() };
        let expect =
            all.iter().copied().filter(|position| (from..=to).contains(position)).collect::<Vec<_>>();
        assert_eq!(positions(options).await, expect, "{from} to {to}");
    }
    let before = log.printed_json(&log.options()).await;
    let with = |key: &str, value: &str| -> Vec<u64> {
        let found = before.iter().filter(|event| event[key] == value);
        found.map(|event| event["position"].as_u64().unwrap()).collect()
    };
    let of_phone = HistoryOptions { device: Some("phone-2".parse().unwrap()), ..log.options() };
    assert_eq!(positions(of_phone).await, with("deviceId", "phone-2"));
    let event_type = before[0]["type"].as_str().unwrap();
    let of_type = HistoryOptions { event_type: Some(event_type.to_owned()), ..log.options() };
    assert_eq!(positions(of_type).await, with("type", event_type));
    let of_none = HistoryOptions { event_type: Some("NEVER".to_owned()), ..log.options() };
    assert_eq!(positions(of_none).await, [0; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_a_line_an_event() {
    let log = Log::new().await;
    log.prune(LONE, 4).await;
    let text = log.printed(&HistoryOptions { json: false, ..log.options() }).await;
    assert_eq!(text.lines().count() as u64, HEAD);
    let line = |position: u64| text.lines().nth(position as usize - 1).unwrap();
    assert!(line(1).starts_with("      #1  archive  received "), "{}", line(1));
    assert!(line(LONE).contains("  event:") && line(LONE).contains("  ann  "), "{}", line(LONE));
    assert!(line(HEAD).starts_with("    #121  log      received ") && line(HEAD).contains("w-phone-2"));
}
