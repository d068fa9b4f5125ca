//! Which migrations are to be applied when, and whether a release can work with tables as they are. Pure.

use std::collections::BTreeMap;

/// A migration that takes something away begins its name so, as in `0009_contract_old_columns.sql`. All others only add.
const CONTRACT: &str = "contract ";

/// A migration by its number and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named<'a> {
    pub(super) number: i64,
    pub(super) name: &'a str,
}

impl Named<'_> {
    /// Whether it takes something away.
    pub(super) fn contracts(self) -> bool {
        self.name.starts_with(CONTRACT)
    }
}

/// Why a release cannot work with the tables that it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// There are none.
    #[error("its tables are missing: run `tidelog migrate`")]
    Empty,
    /// They are of an older release.
    #[error("the tables lack migration {lacks}: run this release's `tidelog migrate`")]
    Behind {
        /// The first migration that is missing.
        lacks: i64,
    },
    /// A later release has taken away what this one may need.
    #[error(
        "migration {by} of a later release has taken away what this release may need: run the later release"
    )]
    Contracted {
        /// The migration that did so.
        by: i64,
    },
}

/// Whether a release that knows those migrations can work with tables that have these.
pub(super) fn fits(known: &[Named<'_>], applied: &BTreeMap<i64, String>) -> Result<(), Misfit> {
    let is_known = |number: i64| known.iter().any(|migration| migration.number == number);
    let later = applied.iter().map(|(&number, name)| Named { number, name });
    if let Some(by) = later.into_iter().find(|migration| !is_known(migration.number) && migration.contracts())
    {
        return Err(Misfit::Contracted { by: by.number });
    }
    let lacking = |migration: &&Named<'_>| !migration.contracts() && !applied.contains_key(&migration.number);
    match known.iter().find(lacking) {
        Some(_) if applied.is_empty() => Err(Misfit::Empty),
        Some(migration) => Err(Misfit::Behind { lacks: migration.number }),
        None => Ok(()),
    }
}

/// The migrations that are to be applied before a release starts, in order; and those that wait until no older one runs.
/// One that contracts, with an expanding one behind it, belongs to a release before: it cannot wait any longer.
pub(super) fn split<'a>(
    known: &[Named<'a>],
    applied: &BTreeMap<i64, String>,
) -> (Vec<Named<'a>>, Vec<Named<'a>>) {
    let pending: Vec<_> =
        known.iter().copied().filter(|migration| !applied.contains_key(&migration.number)).collect();
    let now = pending.iter().rposition(|migration| !migration.contracts()).map_or(0, |last| last + 1);
    let (now, later) = pending.split_at(now);
    (now.to_vec(), later.to_vec())
}

/// The number behind the name by which a service of a release is known to the database: 6 of `tidelog-gateway/6`. Services
/// before 0.2.0 had none.
pub(super) fn number_of(application_name: &str) -> i64 {
    application_name.rsplit_once('/').and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Named<'static>; 5] = [
        Named { number: 1, name: "log" },
        Named { number: 2, name: "read models" },
        Named { number: 3, name: "contract old columns" },
        Named { number: 4, name: "devices" },
        Named { number: 5, name: "contract old names" },
    ];

    fn applied(migrations: &[(i64, &str)]) -> BTreeMap<i64, String> {
        migrations.iter().map(|(number, name)| (*number, (*name).to_owned())).collect()
    }

    fn known(numbers: impl IntoIterator<Item = usize>) -> BTreeMap<i64, String> {
        numbers
            .into_iter()
            .map(|number| (KNOWN[number - 1].number, KNOWN[number - 1].name.to_owned()))
            .collect()
    }

    #[test]
    fn a_release_works_with_what_it_needs_and_with_whatever_was_added() {
        let more = |extra: &[(i64, &str)]| known(1..=5).into_iter().chain(applied(extra)).collect();
        let cases: [(BTreeMap<i64, String>, Result<(), Misfit>); 7] = [
            (known([]), Err(Misfit::Empty)),
            (known([1]), Err(Misfit::Behind { lacks: 2 })),
            (known([1, 2]), Err(Misfit::Behind { lacks: 4 })),
            // What it takes away itself, it can do without as well as with.
            (known([1, 2, 3, 4]), Ok(())),
            (known([1, 2, 4]), Ok(())),
            (more(&[(6, "more devices")]), Ok(())),
            (more(&[(6, "more devices"), (7, "contract devices")]), Err(Misfit::Contracted { by: 7 })),
        ];
        for (tables, expected) in cases {
            assert_eq!(fits(&KNOWN, &tables), expected, "{tables:?}");
        }
    }

    #[test]
    fn what_takes_away_waits_until_a_later_release_adds() {
        let numbers = |tables: &BTreeMap<i64, String>| {
            let (now, later) = split(&KNOWN, tables);
            let numbers = |migrations: Vec<Named<'_>>| -> Vec<i64> {
                migrations.into_iter().map(|migration| migration.number).collect()
            };
            (numbers(now), numbers(later))
        };
        assert_eq!(numbers(&known([])), (vec![1, 2, 3, 4], vec![5]));
        assert_eq!(numbers(&known([1, 2])), (vec![3, 4], vec![5]));
        assert_eq!(numbers(&known([1, 2, 3, 4])), (vec![], vec![5]));
        assert_eq!(numbers(&known([1, 2, 3, 4, 5])), (vec![], vec![]));
    }

    #[test]
    fn a_service_tells_by_its_name_what_it_knows() {
        assert_eq!(number_of("tidelog-gateway/6"), 6);
        for older in ["tidelog-gateway", "tidelog-gateway/", "tidelog-gateway/six"] {
            assert_eq!(number_of(older), 0);
        }
    }
}
