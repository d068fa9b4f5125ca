//! What is in the log at the end: of each phone every sequence through the last acknowledged one, once and in order.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tidelog_events::frame::Decoder;
use tidelog_events::id::SpaceId;
use tokio::task::JoinSet;

use super::super::connection::{Connection, Form};
use super::super::pull::DECODED_MAX;
use super::super::target::Target;

/// Events of one answer.
const LIMIT: u64 = 10_000;
/// Readers at once.
const READERS: usize = 4;
/// An event's line begins with this, and no other does.
const EVENT: &[u8] = b"\n{\"eventId\"";
const SEQUENCE: &[u8] = b"\"deviceSequence\":";

/// Reads the log of each space, of one phone each, and compares it with what was acknowledged to that; returns how many
/// acknowledged events there are.
///
/// # Errors
/// One is missing, or there twice.
pub(in super::super) async fn verify(target: &Target, acknowledged: Vec<(SpaceId, u64)>) -> Result<u64> {
    let all = Arc::new(acknowledged);
    let mut readers = JoinSet::new();
    for reader in 0..READERS {
        let (connection, all) = (target.reader().await?, Arc::clone(&all));
        readers.spawn(async move { read(connection, all.iter().skip(reader).step_by(READERS)).await });
    }
    while let Some(ended) = readers.join_next().await {
        ended.context("a reader ended")??;
    }
    Ok(all.iter().map(|(_, acknowledged)| acknowledged).sum())
}

async fn read(
    mut connection: Connection,
    spaces: impl Iterator<Item = &(SpaceId, u64)> + Send,
) -> Result<()> {
    let mut decoder = Decoder::new()?;
    for (space, acknowledged) in spaces {
        let mut sequence = 0;
        loop {
            let path = format!("/v1/spaces/{space}/log?after={sequence}&limit={LIMIT}");
            let answer = connection.pull(&path, Form::Frames).await?;
            let lines = decoder.decode_all(&answer, DECODED_MAX)?;
            let through = follow(&lines, sequence)
                .with_context(|| format!("the log of {space} is not what its phone has pushed"))?;
            if through == sequence {
                break;
            }
            sequence = through;
        }
        ensure!(
            sequence >= *acknowledged,
            "{space}: {acknowledged} events were acknowledged, and {sequence} are in the log"
        );
    }
    Ok(())
}

/// The last sequence of the lines, which must go on behind `sequence` one by one: in a space of one phone that is the position,
/// too.
fn follow(lines: &[u8], mut sequence: u64) -> Result<u64> {
    for at in memchr::memmem::find_iter(lines, EVENT) {
        let line = &lines[at..];
        let digits = memchr::memmem::find(line, SEQUENCE).context("an event without a sequence")?;
        let digits = line[digits + SEQUENCE.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        let found = digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
        ensure!(found == sequence + 1, "behind the sequence {sequence} comes {found}");
        sequence = found;
    }
    Ok(sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_goes_on_one_by_one_or_not_at_all() {
        let lines = |sequences: &[u64]| {
            let line = |sequence: &u64| {
                format!("\n{{\"eventId\":\"x\",\"deviceSequence\":{sequence},\"type\":\"A\"}}")
            };
            sequences.iter().map(line).collect::<String>().into_bytes()
        };
        assert_eq!(follow(&lines(&[3, 4, 5]), 2).unwrap(), 5);
        assert_eq!(follow(b"{\"hello\":{}}\n", 7).unwrap(), 7);
        assert!(follow(&lines(&[3, 5]), 2).is_err(), "lost");
        assert!(follow(&lines(&[3, 3]), 2).is_err(), "twice");
    }
}
