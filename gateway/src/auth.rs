//! Who calls, and which spaces their token names. A handler that takes a [`SpaceReader`] or a [`SpaceWriter`]
//! cannot be entered without the right to it (invariant 7).

use std::collections::BTreeMap;

use axum::extract::{FromRef, FromRequestParts, RawPathParams};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use serde::Deserialize;
use tidelog_events::code::Refusal;
use tidelog_events::id::{SpaceId, UserId};

use crate::problem::Problem;
use crate::token::Verifier;

/// In `spaces`: every space.
const EVERY_SPACE: &str = "*";
/// In a path: the caller's own space.
const OWN_SPACE: &str = "me";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) enum Access {
    #[serde(rename = "r")]
    Read,
    #[serde(rename = "rw")]
    Write,
}

/// Whoever holds the token.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The token's `sub`.
    pub user: UserId,
    pub(crate) own: SpaceId,
    pub(crate) spaces: BTreeMap<String, Access>,
    /// Words, separated by spaces (RFC 8693, section 4.2).
    pub(crate) scope: String,
}

impl Caller {
    /// Whether the token names every space: a trusted backend, which speaks for others.
    pub fn is_trusted(&self) -> bool {
        self.spaces.get(EVERY_SPACE) == Some(&Access::Write)
    }

    /// Whether the token opens the admin interface to look: with the scope `admin:read`, or `admin`, which also
    /// acts.
    fn may_look(&self) -> bool {
        self.scope.split(' ').any(|word| matches!(word, "admin:read" | "admin"))
    }

    fn access(&self, space: &SpaceId) -> Option<Access> {
        let own = (*space == self.own).then_some(Access::Write);
        let named = self.spaces.get(space.as_str()).copied();
        let every = self.spaces.get(EVERY_SPACE).copied();
        [own, named, every].into_iter().flatten().max()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller
where
    Verifier: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let missing = || Problem::new(Refusal::Unauthorized, "send a token: `Authorization: Bearer <JWT>`");
        let header = parts.headers.get(AUTHORIZATION).ok_or_else(missing)?;
        let text = header.to_str().map_err(|_| missing())?;
        let (scheme, token) = text.split_once(' ').ok_or_else(missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(missing());
        }
        Verifier::from_ref(state).verify(token.trim())
    }
}

/// A caller who may look at the admin interface.
#[derive(Debug)]
pub struct AdminReader;

impl<S: Send + Sync> FromRequestParts<S> for AdminReader
where
    Verifier: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if Caller::from_request_parts(parts, state).await?.may_look() {
            Ok(Self)
        } else {
            Err(Problem::new(Refusal::Forbidden, "the token's `scope` has neither `admin:read` nor `admin`"))
        }
    }
}

/// A caller who may read the space of the path.
#[derive(Debug)]
pub struct SpaceReader {
    /// The space.
    pub space: SpaceId,
}

/// A caller who may write to the space of the path.
#[derive(Debug)]
pub struct SpaceWriter {
    /// The space.
    pub space: SpaceId,
    /// The caller.
    pub caller: Caller,
}

impl<S: Send + Sync> FromRequestParts<S> for SpaceReader
where
    Verifier: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let (space, _) = authorize(parts, state, Access::Read).await?;
        Ok(Self { space })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SpaceWriter
where
    Verifier: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let (space, caller) = authorize(parts, state, Access::Write).await?;
        Ok(Self { space, caller })
    }
}

async fn authorize<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    needed: Access,
) -> Result<(SpaceId, Caller), Problem>
where
    Verifier: FromRef<S>,
{
    let caller = Caller::from_request_parts(parts, state).await?;
    let space = match path_param(parts, state, "space").await?.as_str() {
        OWN_SPACE => caller.own.clone(),
        name => SpaceId::new(name).map_err(|error| {
            Problem::new(Refusal::RequestInvalid, format!("the space in the path: {error}"))
        })?,
    };
    match caller.access(&space) {
        Some(access) if access >= needed => Ok((space, caller)),
        Some(_) => {
            Err(Problem::new(Refusal::Forbidden, format!("the token may only read the space {space}")))
        }
        None => Err(Problem::new(Refusal::Forbidden, format!("the token does not name the space {space}"))),
    }
}

/// A parameter of the path, percent-decoded.
pub(crate) async fn path_param<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    name: &str,
) -> Result<String, Problem> {
    let invalid = || Problem::new(Refusal::RequestInvalid, "the path is not UTF-8");
    let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| invalid())?;
    params.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(spaces: &[(&str, Access)]) -> Caller {
        let spaces = spaces.iter().map(|(space, access)| ((*space).to_owned(), *access)).collect();
        Caller {
            user: UserId::new("ann").unwrap(),
            own: SpaceId::new("ann").unwrap(),
            spaces,
            scope: String::new(),
        }
    }

    #[test]
    fn a_token_opens_the_spaces_that_it_names_and_no_others() {
        let check = |spaces: &[(&str, Access)], space: &str, expect: Option<Access>| {
            assert_eq!(caller(spaces).access(&SpaceId::new(space).unwrap()), expect, "{spaces:?} {space}");
        };
        check(&[], "ann", Some(Access::Write));
        check(&[], "bob", None);
        check(&[("ann", Access::Read)], "ann", Some(Access::Write));
        check(&[("team-9", Access::Read)], "team-9", Some(Access::Read));
        check(&[("team-9", Access::Write)], "team-9", Some(Access::Write));
        check(&[("*", Access::Read), ("team-9", Access::Write)], "bob", Some(Access::Read));
        check(&[("*", Access::Read), ("team-9", Access::Write)], "team-9", Some(Access::Write));
        assert!(caller(&[("*", Access::Write)]).is_trusted());
        assert!(!caller(&[("*", Access::Read)]).is_trusted());
    }

    #[test]
    fn the_admin_interface_needs_its_scope() {
        let check = |scope: &str, expect: bool| {
            let caller = Caller { scope: scope.to_owned(), ..caller(&[("*", Access::Write)]) };
            assert_eq!(caller.may_look(), expect, "{scope}");
        };
        check("", false);
        check("administrator admin:write", false);
        check("admin:read", true);
        check("profile admin", true);
    }
}
