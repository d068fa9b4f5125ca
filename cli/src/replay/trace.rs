//! Trace files: one `{"space","deviceId","event":{…}}` a line, plain or gzip, each device's events in their order.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;
use tidelog_events::id::{DeviceId, EventId, Sequence, SpaceId};

/// One device's events in one space.
#[derive(Debug)]
pub(super) struct DeviceTrace {
    pub(super) space: SpaceId,
    pub(super) device: DeviceId,
    /// Sequence of the first event.
    pub(super) first: Sequence,
    pub(super) events: Vec<TracedEvent>,
}

/// An event as the trace has it.
#[derive(Debug)]
pub(super) struct TracedEvent {
    pub(super) id: EventId,
    /// The event's own bytes, unaltered.
    pub(super) line: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TraceLine {
    space: SpaceId,
    device_id: DeviceId,
    event: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Numbered {
    event_id: EventId,
    device_sequence: Sequence,
}

impl DeviceTrace {
    /// Sequence of the last event.
    pub(super) fn last(&self) -> Sequence {
        self.sequence(self.events.len().saturating_sub(1))
    }

    /// Sequence of the event with this index.
    pub(super) fn sequence(&self, index: usize) -> Sequence {
        Sequence(self.first.0 + index as u64)
    }

    /// Index of the event with this sequence; of the nearest one, where the trace does not have it.
    pub(super) fn index(&self, sequence: Sequence) -> usize {
        (sequence.0.saturating_sub(self.first.0) as usize).min(self.events.len())
    }
}

/// Reads the files one after the other; a device's events may go on from one file to the next.
pub(super) fn read(files: &[PathBuf]) -> Result<Vec<DeviceTrace>> {
    let mut devices = BTreeMap::new();
    for file in files {
        let opened = File::open(file).with_context(|| format!("cannot open the trace {}", file.display()))?;
        read_lines(BufReader::new(opened), file, &mut devices)?;
    }
    ensure!(!devices.is_empty(), "the trace has no events");
    Ok(devices.into_values().collect())
}

type Devices = BTreeMap<(SpaceId, DeviceId), DeviceTrace>;

fn read_lines(mut file: impl BufRead, name: &Path, devices: &mut Devices) -> Result<()> {
    let zipped =
        file.fill_buf().with_context(|| format!("cannot read {}", name.display()))?.starts_with(b"\x1f\x8b");
    let lines: Box<dyn BufRead> =
        if zipped { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) };
    for (number, line) in lines.lines().enumerate() {
        let place = || format!("{}, line {}", name.display(), number + 1);
        let line = line.with_context(place)?;
        if !line.trim().is_empty() {
            add(&line, devices).with_context(place)?;
        }
    }
    Ok(())
}

fn add(line: &str, devices: &mut Devices) -> Result<()> {
    let line: TraceLine =
        serde_json::from_str(line).context("a trace line is {\"space\",\"deviceId\",\"event\":{…}}")?;
    let numbers: Numbered =
        serde_json::from_str(line.event.get()).context("an event needs eventId and deviceSequence")?;
    let event = TracedEvent { id: numbers.event_id, line: line.event };
    match devices.entry((line.space.clone(), line.device_id.clone())) {
        Entry::Vacant(entry) => {
            ensure!(numbers.device_sequence > Sequence::ZERO, "a deviceSequence is 1 or more");
            entry.insert(DeviceTrace {
                space: line.space,
                device: line.device_id,
                first: numbers.device_sequence,
                events: vec![event],
            });
        }
        Entry::Occupied(mut entry) => {
            let device = entry.get_mut();
            let (expected, found) = (device.last().next(), numbers.device_sequence);
            ensure!(
                found == expected,
                "device {} of space {} goes on with sequence {found}, but {expected} comes next: a trace has each \
                 device's events in order and without gaps",
                device.device,
                device.space
            );
            device.events.push(event);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn line(device: &str, sequence: u64, payload: &str) -> String {
        format!(
            "{{\"space\":\"s\",\"deviceId\":\"{device}\",\"event\":{{\"eventId\":\"{}\",\"deviceSequence\":{sequence},\
             \"payload\":{payload}}}}}\n",
            uuid::Uuid::from_u128(u128::from(sequence))
        )
    }

    fn parse(bytes: &[u8]) -> Result<Devices> {
        let mut devices = Devices::new();
        read_lines(bytes, Path::new("t.ndjson"), &mut devices)?;
        Ok(devices)
    }

    #[test]
    fn devices_are_told_apart_and_event_bytes_stay_as_they_are() {
        let odd = "{ \"b\":1.50,  \"a\":1e2 }";
        let text = line("a", 1, odd) + &line("b", 1, "{}") + &line("a", 2, "{}");
        for bytes in [text.clone().into_bytes(), gzip(&text)] {
            let devices: Vec<_> = parse(&bytes).unwrap().into_values().collect();
            assert_eq!(devices.len(), 2);
            assert_eq!(devices[0].events.len(), 2);
            assert_eq!(devices[0].last(), Sequence(2));
            assert!(devices[0].events[0].line.get().ends_with(&format!("\"payload\":{odd}}}")));
        }
    }

    #[test]
    fn a_gap_is_refused_and_its_line_named() {
        let error = parse((line("a", 1, "{}") + &line("a", 3, "{}")).as_bytes()).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("t.ndjson, line 2") && text.contains("but 2 comes next"), "{text}");
    }

    #[test]
    fn sequences_and_indices_name_each_other() {
        let devices = parse((line("a", 5, "{}") + &line("a", 6, "{}")).as_bytes()).unwrap();
        let device = devices.into_values().next().unwrap();
        assert_eq!((device.sequence(0), device.last()), (Sequence(5), Sequence(6)));
        assert_eq!(
            (device.index(Sequence(6)), device.index(Sequence(1)), device.index(Sequence(9))),
            (1, 0, 2)
        );
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }
}
