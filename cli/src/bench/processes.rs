//! What the stack's processes cost, as the kernel counts it (`/proc`, see proc(5)): processor time and memory, by role.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rustix::param::clock_ticks_per_second;

/// Processor seconds by role.
pub(super) type Seconds = BTreeMap<String, f64>;

/// The processes of a stack: each role's first process, whose descendants count with it.
#[derive(Debug, Clone)]
pub(super) struct Processes {
    roots: BTreeMap<String, u32>,
}

/// One process, as `/proc/<pid>/stat` says.
struct Stat {
    parent: u32,
    /// Its own ticks, without those of children that have ended.
    own: u64,
    /// Of children that have ended and were waited for.
    ended_children: u64,
}

impl Processes {
    /// The first process of each role.
    pub(super) fn new(roots: BTreeMap<String, u32>) -> Self {
        Self { roots }
    }

    /// Processor seconds so far, by role. Roles whose processes cannot be seen are missing.
    pub(super) fn cpu_seconds(&self) -> Seconds {
        let all = all_stats();
        let ticks = |root: &u32| -> Option<u64> {
            all.get(root)?;
            Some(
                with_descendants(*root, &all)
                    .iter()
                    .filter_map(|pid| all.get(pid))
                    .map(|stat| stat.own + stat.ended_children)
                    .sum(),
            )
        };
        let seconds = |ticks: u64| ticks as f64 / clock_ticks_per_second() as f64;
        self.roots.iter().filter_map(|(role, root)| Some((role.clone(), seconds(ticks(root)?)))).collect()
    }

    /// Bytes of memory at present, by role: what each process has for itself, and once what they share.
    pub(super) fn memory_bytes(&self) -> BTreeMap<String, u64> {
        let all = all_stats();
        let mut memory = BTreeMap::new();
        for (role, root) in &self.roots {
            let processes = with_descendants(*root, &all);
            let each = |name: &'static str| processes.iter().map(move |pid| status_bytes(*pid, name));
            // Shared memory, and the program that several processes run, count once.
            let shared = each("RssShmem:").max().unwrap_or(0) + each("RssFile:").max().unwrap_or(0);
            memory.insert(role.clone(), each("RssAnon:").sum::<u64>() + shared);
        }
        memory
    }
}

/// Processor seconds of this process so far.
pub(super) fn own_cpu_seconds() -> f64 {
    stat(std::process::id()).map_or(0.0, |stat| stat.own as f64 / clock_ticks_per_second() as f64)
}

fn all_stats() -> BTreeMap<u32, Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, stat(pid)?))).collect()
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may hold anything.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(4)?).ok()?,
        own: number(14)? + number(15)?,
        ended_children: number(16)? + number(17)?,
    })
}

fn with_descendants(root: u32, all: &BTreeMap<u32, Stat>) -> BTreeSet<u32> {
    let mut found = BTreeSet::from([root]);
    loop {
        let before = found.len();
        found.extend(
            all.iter()
                .filter(|(_, stat)| found.contains(&stat.parent))
                .map(|(pid, _)| *pid)
                .collect::<Vec<_>>(),
        );
        if found.len() == before {
            return found;
        }
    }
}

/// Bytes that a line of `/proc/<pid>/status` names; 0 where there is none.
pub(super) fn status_bytes(pid: u32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|kibibytes| kibibytes.parse::<u64>().ok()).unwrap_or(0) * 1024
}
