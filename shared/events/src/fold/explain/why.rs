//! The sentences of an explanation: what a merge rule does, and why an event lost.

use super::super::scalar::Scalar;
use super::Written;
use crate::schema::MergeRule;

/// What a merge rule does, in a sentence.
pub fn meaning(rule: MergeRule) -> String {
    match rule {
        MergeRule::Latest => {
            "The last write wins, by event order: stamp, then device id, then sequence.".into()
        }
        MergeRule::First => {
            "The first write wins, by event order: stamp, then device id, then sequence.".into()
        }
        MergeRule::Max => "The greatest value wins; of equal ones the first event is named.".into(),
        MergeRule::Min => "The least value wins; of equal ones the first event is named.".into(),
        MergeRule::Sum => "Every write counts: the value is their sum.".into(),
        MergeRule::Flag => "Once true it stays true; the first event that says so is named.".into(),
        MergeRule::Set { keep } => format!(
            "For each element the last write wins, by event order; in one event adding wins over removing. The {keep} \
             latest elements are kept, removed ones included."
        ),
        MergeRule::List { keep } => {
            format!("Every write is an entry, in event order; the {keep} latest are kept.")
        }
    }
}

/// Why the field does not show a write. `won` is what stands in its place, if anything does.
pub(super) fn why(rule: MergeRule, lost: &Written, won: Option<&Written>) -> String {
    match (rule, won) {
        (MergeRule::Sum, _) => "It did not lose: every write counts.".into(),
        (MergeRule::List { keep }, _) => {
            format!("It is not among the {keep} latest entries, which are all that the list keeps.")
        }
        (MergeRule::Set { keep }, None) if lost.value.is_some() => {
            format!("Its element is not among the {keep} latest, which are all that the set keeps.")
        }
        (_, None) => "It neither adds nor removes anything.".into(),
        (MergeRule::Set { .. }, Some(won)) if won.at == lost.at => {
            "The same event adds the element, and adding wins over removing.".into()
        }
        (MergeRule::Latest | MergeRule::Set { .. }, Some(won)) => earlier(lost, won),
        (MergeRule::First, Some(won)) => later(lost, won),
        (_, Some(won)) if won.value == lost.value => {
            "It wrote the value that the field had already, by event order.".into()
        }
        (MergeRule::Max, Some(_)) => "Its value is less than the winner's.".into(),
        (MergeRule::Min, Some(_)) => "Its value is greater than the winner's.".into(),
        (MergeRule::Flag, Some(_)) => {
            debug_assert_eq!(lost.value, Some(Scalar::Boolean(false)), "only a true one wins over another");
            "It wrote false, and one true is enough.".into()
        }
    }
}

fn earlier(lost: &Written, won: &Written) -> String {
    if lost.at.stamp != won.at.stamp {
        format!("Its stamp {} is earlier than the winner's, {}.", lost.at.stamp, won.at.stamp)
    } else if lost.at.device != won.at.device {
        "It has the winner's stamp, and its device id orders before the winner's.".into()
    } else {
        "It has the winner's stamp and device, and a lower sequence.".into()
    }
}

fn later(lost: &Written, won: &Written) -> String {
    if lost.at.stamp != won.at.stamp {
        format!("Its stamp {} is later than the winner's, {}.", lost.at.stamp, won.at.stamp)
    } else if lost.at.device != won.at.device {
        "It has the winner's stamp, and its device id orders behind the winner's.".into()
    } else {
        "It has the winner's stamp and device, and a higher sequence.".into()
    }
}
