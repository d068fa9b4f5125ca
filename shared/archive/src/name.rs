//! What objects are called: `<epoch>/<space>/<first>-<last>-<hash>.zst`. Names sort by position, hold what any S3 and any
//! file system take, and carry the beginning of the SHA-256, so that other bytes are another object.

use std::fmt::Write;

use data_encoding::HEXLOWER;
use tidelog_events::frame::ArchiveHeader;
use tidelog_events::id::SpaceId;

/// Bytes of the hash that the name shows.
const HASH_BYTES: usize = 8;
/// File systems take names of 255 bytes; a space id is encoded with up to 384.
const FOLDER_BYTES_MAX: usize = 200;
/// What is kept of a longer one, before its hash.
const FOLDER_BYTES_KEPT: usize = 150;

/// The name of an object with those bytes.
pub(crate) fn object_name(header: &ArchiveHeader, sha256: &[u8; 32]) -> String {
    let (epoch, space) = (header.epoch.0, folder(&header.space));
    let (first, last) = (header.first, header.last);
    let hash = HEXLOWER.encode(&sha256[..HASH_BYTES]);
    format!("{epoch}/{space}/{first:020}-{last:020}-{hash}.zst", first = first.0, last = last.0)
}

/// A space's id, percent-encoded but for letters, digits, `-` and `_`. Of one that would get too long its beginning, `~`,
/// and the beginning of its SHA-256.
fn folder(space: &SpaceId) -> String {
    let mut name = String::with_capacity(space.as_str().len());
    for byte in space.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02X}");
        }
    }
    if name.len() > FOLDER_BYTES_MAX {
        name.truncate(FOLDER_BYTES_KEPT);
        let hash = hmac_sha256::Hash::hash(space.as_str().as_bytes());
        let _ = write!(name, "~{}", HEXLOWER.encode(&hash[..HASH_BYTES]));
    }
    name
}

#[cfg(test)]
mod tests {
    use tidelog_events::id::{Epoch, Position};
    use uuid::Uuid;

    use super::*;

    fn space(text: &str) -> SpaceId {
        SpaceId::new(text).unwrap()
    }

    #[test]
    fn a_name_shows_epoch_space_positions_and_hash() {
        let header = ArchiveHeader {
            space: space("ann"),
            epoch: Epoch(Uuid::nil()),
            first: Position(1),
            last: Position(500),
            segments: 12,
        };
        assert_eq!(
            object_name(&header, &[0xab; 32]),
            "00000000-0000-0000-0000-000000000000/ann/\
             00000000000000000001-00000000000000000500-abababababababab.zst"
        );
    }

    #[test]
    fn a_space_is_one_part_of_a_path_whatever_its_id() {
        let check = |id: &str, expect: &str| assert_eq!(folder(&space(id)), expect);
        check("team_9-b", "team_9-b");
        check("équipe 9/blå", "%C3%A9quipe%209%2Fbl%C3%A5");
        check(".", "%2E");
        check("..", "%2E%2E");
        check("../../etc", "%2E%2E%2F%2E%2E%2Fetc");
        check("50%2F", "50%252F");
        check("a~b", "a%7Eb");
    }

    #[test]
    fn the_longest_ids_fit_a_file_system_and_stay_apart() {
        let long = |last: &str| folder(&space(&format!("{}{last}", "é".repeat(63))));
        let names = [long("a"), long("b"), long("é")];
        assert!(names.iter().all(|name| name.len() <= FOLDER_BYTES_MAX && name.starts_with("%C3%A9")));
        assert!(names[0] != names[1] && names[1] != names[2]);
        assert_eq!(folder(&space(&"x".repeat(128))), "x".repeat(128));
    }
}
