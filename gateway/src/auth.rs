//! Who calls, and which spaces their token names. A handler that takes a [`SpaceReader`] or a [`SpaceWriter`]
//! cannot be entered without the right to it (invariant 7).

use std::collections::BTreeMap;

use axum::extract::{FromRef, FromRequestParts, RawPathParams};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use axum::http::request::Parts;
use serde::Deserialize;
use tidelog_events::code::Refusal;
use tidelog_events::id::{DeviceId, SpaceId, UserId};
use tidelog_events::protocol::UtcTime;

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
    /// When the token ends; `None` for one that never does.
    pub(crate) expires_at: Option<UtcTime>,
    /// The device that the token is bound to, where its claim `device` names one.
    pub(crate) device: Option<DeviceId>,
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

    /// Whether the token opens the admin interface to act.
    fn may_act(&self) -> bool {
        self.scope.split(' ').any(|word| word == "admin")
    }

    /// The device that a request acts as: the one that the token is bound to, which a request may only repeat, or the one
    /// that it names.
    pub(crate) fn acting_device<'a>(
        &'a self,
        named: Option<&'a DeviceId>,
    ) -> Result<Option<&'a DeviceId>, Problem> {
        match (&self.device, named) {
            (Some(bound), Some(named)) if bound != named => Err(Problem::new(
                Refusal::Forbidden,
                format!("the token is bound to the device {bound} and does not speak for {named}"),
            )),
            (bound, named) => Ok(bound.as_ref().or(named)),
        }
    }

    pub(crate) fn access(&self, space: &SpaceId) -> Option<Access> {
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

    /// Verifies the token once a request: who asks again gets the same caller.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if let Some(caller) = parts.extensions.get::<Self>() {
            return Ok(caller.clone());
        }
        if let Some(NoCaller(refusal)) = parts.extensions.get() {
            return Err(refusal.clone());
        }
        let missing = || Problem::new(Refusal::Unauthorized, "send a token: `Authorization: Bearer <JWT>`");
        let verified = match bearer(&parts.headers) {
            Some(token) => Verifier::from_ref(state).verify(token).await,
            None => Err(missing()),
        };
        match verified {
            Ok(caller) => {
                parts.extensions.insert(caller.clone());
                Ok(caller)
            }
            Err(refusal) => {
                parts.extensions.insert(NoCaller(refusal.clone()));
                Err(refusal)
            }
        }
    }
}

/// Why a request has no caller, in its extensions.
#[derive(Clone)]
struct NoCaller(Problem);

/// The token of a request: of its `Authorization`, or of a subprotocol `bearer.<JWT>`, since browsers can send a WebSocket
/// no headers of their own.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    if let Some(header) = headers.get(AUTHORIZATION) {
        let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then_some(token.trim());
    }
    let protocols =
        headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter().filter_map(|value| value.to_str().ok());
    protocols.flat_map(|value| value.split(',')).find_map(|protocol| protocol.trim().strip_prefix("bearer."))
}

/// A caller who may look at the admin interface.
#[derive(Debug)]
pub struct AdminReader;

/// A caller who may act in the admin interface.
#[derive(Debug)]
pub struct AdminActor(pub Caller);

impl<S: Send + Sync> FromRequestParts<S> for AdminReader
where
    Verifier: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        if caller.may_look() {
            Ok(Self)
        } else {
            Err(Problem::new(Refusal::Forbidden, "the token's `scope` has neither `admin:read` nor `admin`"))
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AdminActor
where
    Verifier: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        if caller.may_act() {
            Ok(Self(caller))
        } else {
            Err(Problem::new(Refusal::Forbidden, "the token's `scope` has no `admin`"))
        }
    }
}

/// A caller who may read the space of the path.
#[derive(Debug)]
pub struct SpaceReader {
    /// The space.
    pub space: SpaceId,
    /// The caller.
    pub caller: Caller,
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
        let (space, caller) = authorize(parts, state, Access::Read).await?;
        Ok(Self { space, caller })
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
            expires_at: None,
            device: None,
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
    fn a_token_that_is_bound_to_a_device_speaks_for_no_other() {
        let [phone, watch] = ["phone-1", "watch-1"].map(|device| DeviceId::new(device).unwrap());
        let free = caller(&[]);
        assert_eq!(free.acting_device(None).unwrap(), None);
        assert_eq!(free.acting_device(Some(&watch)).unwrap(), Some(&watch));
        let bound = Caller { device: Some(phone.clone()), ..free };
        assert_eq!(bound.acting_device(None).unwrap(), Some(&phone));
        assert_eq!(bound.acting_device(Some(&phone)).unwrap(), Some(&phone));
        assert_eq!(bound.acting_device(Some(&watch)).unwrap_err().code, Refusal::Forbidden);
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
        let acts = |scope: &str| Caller { scope: scope.to_owned(), ..caller(&[]) }.may_act();
        assert!(acts("admin admin:read") && !acts("admin:read") && !acts("administrator"));
    }

    #[test]
    fn a_token_stands_in_the_header_or_among_the_subprotocols() {
        let check = |headers: &[(&'static str, &'static str)], expect: Option<&str>| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, value.parse().unwrap());
            }
            assert_eq!(bearer(&map), expect, "{headers:?}");
        };
        check(&[], None);
        check(&[("authorization", "bearer a.b.c")], Some("a.b.c"));
        check(&[("authorization", "Basic a.b.c")], None);
        check(&[("sec-websocket-protocol", "tidelog.v1, bearer.a.b.c")], Some("a.b.c"));
        check(
            &[("sec-websocket-protocol", "tidelog.v1"), ("sec-websocket-protocol", "bearer.a.b.c")],
            Some("a.b.c"),
        );
        check(&[("sec-websocket-protocol", "tidelog.v1")], None);
        check(&[("authorization", "Basic x"), ("sec-websocket-protocol", "bearer.a.b.c")], None);
    }
}
