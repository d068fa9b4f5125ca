//! What the doctor says of a space, in plain words or as JSON. Pure.

use std::fmt;

use serde_json::{Value, json};
use tidelog_compactor::{Difference, Verdict};
use tidelog_events::fold::{Clock, FieldState};
use tidelog_events::id::Position;
use tidelog_events::protocol::UtcTime;
use tidelog_projector::Rebuilt;
use tidelog_store::projections::Projection;
use tidelog_store::spaces::Space;

/// A space as it was found.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) log: Space,
    pub(super) projection: Option<Projection>,
    /// When the compactor last found a difference, if that still stands.
    pub(super) refused_at: Option<UtcTime>,
    pub(super) verdict: Verdict,
}

/// What came of a rebuild.
#[derive(Debug)]
pub(super) struct Treated {
    pub(super) rebuilt: Rebuilt,
    pub(super) verdict: Verdict,
}

impl Findings {
    /// Whether there is nothing to do.
    pub(super) fn is_well(&self) -> bool {
        matches!(self.verdict, Verdict::Equal { .. })
    }

    /// All of it as one object.
    pub(super) fn json(&self, treated: Option<&Treated>) -> Value {
        let Self { log, projection, refused_at, verdict } = self;
        json!({
            "space": log.space,
            "head": log.head,
            "horizon": log.horizon,
            "applied": projection.as_ref().map(|projection| projection.applied),
            "schemaVersion": projection.as_ref().map(|projection| projection.schema.version),
            "refusedAt": refused_at,
            "found": verdict,
            "rebuilt": treated.map(|treated| json!({
                "applied": treated.rebuilt.applied,
                "snapshot": treated.rebuilt.snapshot,
                "found": treated.verdict,
            })),
        })
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Space { space, head, horizon, .. } = &self.log;
        write!(f, "{space}: {head} events")?;
        match &self.projection {
            None => f.write_str(", nothing of them folded")?,
            Some(Projection { applied, schema, .. }) => {
                write!(f, ", folded through position {applied} with schema version {}", schema.version)?;
            }
        }
        let base = if *horizon == Position::ZERO {
            f.write_str(", none of them pruned\n")?;
            "the log".to_owned()
        } else {
            writeln!(f, ", pruned through position {horizon}")?;
            format!("the snapshot through position {horizon} and the log behind it")
        };
        if let Some(refused_at) = self.refused_at {
            writeln!(f, "The compactor has refused to prune it further, at last on {refused_at}.")?;
        }
        write_verdict(f, &self.verdict, &base)?;
        match self.verdict {
            Verdict::Equal { .. } => Ok(()),
            Verdict::NotComparable { .. } => {
                f.write_str("If that does not pass by itself, rebuild the read model: --rebuild\n")
            }
            Verdict::Different { .. } => f.write_str(
                "The log is what was recorded; the read model can be made again from it: --rebuild\n\
                 The space is not pruned before that. What has written the wrong values is not known here: keep this.\n",
            ),
        }
    }
}

impl fmt::Display for Treated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rebuilt { applied, snapshot } = self.rebuilt;
        match applied {
            None => f.write_str("\nRebuilt by the projector, which was at it.\n")?,
            Some(applied) if snapshot == Position::ZERO => {
                writeln!(f, "\nRebuilt from the log, through position {applied}.")?;
            }
            Some(applied) => writeln!(
                f,
                "\nRebuilt from the snapshot through position {snapshot} and the log behind it, through position {applied}."
            )?,
        }
        write_verdict(f, &self.verdict, "that")?;
        match self.verdict {
            Verdict::Equal { .. } | Verdict::NotComparable { .. } => Ok(()),
            Verdict::Different { .. } => {
                f.write_str("What is rebuilt differs, too. That is a defect of Tidelog: please report it.\n")
            }
        }
    }
}

fn write_verdict(f: &mut fmt::Formatter<'_>, verdict: &Verdict, base: &str) -> fmt::Result {
    match verdict {
        Verdict::Equal { applied, entities } => writeln!(
            f,
            "Compared with {base}, through position {applied}: all {entities} entities and the state hash are equal."
        ),
        Verdict::NotComparable { reason } => writeln!(f, "It cannot be compared with {base}: {reason}."),
        Verdict::Different { applied, entities, differences } => {
            write!(f, "Compared with {base}, through position {applied}: ")?;
            match entities {
                0 => f.write_str("the entities are equal, and the state hash is not theirs.\n")?,
                1 => f.write_str("one entity differs.\n")?,
                many => writeln!(f, "{many} entities differ.")?,
            }
            for difference in differences {
                write_difference(f, difference)?;
            }
            f.write_str("\n")
        }
    }
}

fn write_difference(f: &mut fmt::Formatter<'_>, difference: &Difference) -> fmt::Result {
    let Difference { entity_type, entity_id, field, folded, stored, event, .. } = difference;
    write!(f, "\n  {entity_type} {entity_id}")?;
    match field {
        Some(field) => writeln!(f, ", {field}")?,
        None => f.write_str("\n")?,
    }
    let (says, has) = shown(folded, stored);
    writeln!(f, "    the log says        {says}")?;
    writeln!(f, "    the read model has  {has}")?;
    match event {
        None => f.write_str("    the event           is none that the log still has\n"),
        Some(event) => {
            let (device, sequence, stamp) = (&event.device_id, event.device_sequence, event.timestamp);
            write!(f, "    the event           ")?;
            match event.position {
                Some(position) => write!(f, "at position {position}")?,
                None => f.write_str("is pruned, see `tidelog history`")?,
            }
            writeln!(f, ": device {device}, sequence {sequence}, {stamp}")
        }
    }
}

/// Both values as readers see them; with their clocks where only these differ.
fn shown(folded: &Value, stored: &Value) -> (String, String) {
    let (says, has) = (plain(folded), plain(stored));
    if says == has { (folded.to_string(), stored.to_string()) } else { (says, has) }
}

fn plain(value: &Value) -> String {
    if value.is_null() {
        return "nothing".to_owned();
    }
    if let Ok(field) = serde_json::from_value::<FieldState>(value.clone()) {
        return field.view().to_string();
    }
    match serde_json::from_value::<Clock>(value.clone()) {
        Ok(Clock { stamp, device, sequence }) => format!("{stamp}, device {device}, sequence {sequence}"),
        Err(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests;
