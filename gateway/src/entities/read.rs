//! What an answer is made of, all of one moment (`REPEATABLE READ`): how far the space is folded, and entities of the
//! generation that is read then.

use sqlx::{PgPool, Postgres, Transaction};
use tidelog_events::fold::EntityKey;
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::schema::SchemaId;
use tidelog_runtime::database::within;
use tidelog_store::entities::conditions::ConditionColumns;
use tidelog_store::entities::visible::{self, KeyRange, Page, PageQuery, VisibleEntity};
use tidelog_store::projections::Projection;
use tidelog_store::{erasures, projections};

use super::request::ListRequest;
use super::wait::{WaitingReads, behind};
use crate::problem::Problem;
use crate::pull::{READ_TIMEOUT, erased, one_moment};

/// A space's entities at one moment.
pub(super) struct Moment {
    transaction: Transaction<'static, Postgres>,
    space: SpaceId,
    /// None before anything was folded.
    projection: Option<Projection>,
}

impl Moment {
    /// A moment at which the space is folded through `at_least`; waits for it if need be.
    pub(super) async fn reach(
        pool: &PgPool,
        waiting: &WaitingReads,
        space: SpaceId,
        at_least: Position,
    ) -> Result<Self, Problem> {
        let moment = Self::open(pool, space).await?;
        if moment.as_of() >= at_least {
            return Ok(moment);
        }
        let Self { space, transaction, .. } = moment;
        // Who waits holds no connection.
        drop(transaction);
        waiting.reach(&space, at_least).await?;
        let moment = Self::open(pool, space).await?;
        if moment.as_of() >= at_least { Ok(moment) } else { Err(behind(at_least)) }
    }

    async fn open(pool: &PgPool, space: SpaceId) -> Result<Self, Problem> {
        let opened = within(READ_TIMEOUT, async {
            let mut transaction = one_moment(pool).await?;
            if erasures::contains(&mut transaction, &space).await? {
                return Ok(None);
            }
            let projection = projections::find(&mut transaction, &space).await?;
            Ok(Some((transaction, projection)))
        });
        let (transaction, projection) = opened.await?.ok_or_else(|| erased(&space))?;
        Ok(Self { transaction, space, projection })
    }

    /// The position through which the space is folded.
    pub(super) fn as_of(&self) -> Position {
        self.projection.as_ref().map_or(Position::ZERO, |projection| projection.applied)
    }

    /// Whether every entity has keys of all fields that this schema says are indexed.
    pub(super) fn has_all_keys_of(&self, schema: &SchemaId) -> bool {
        self.projection.as_ref().is_some_and(|projection| projection.schema == *schema && !projection.mixed)
    }

    /// The entity, if it is visible.
    pub(super) async fn find(&mut self, key: &EntityKey) -> Result<Option<VisibleEntity>, Problem> {
        let Some(projection) = &self.projection else { return Ok(None) };
        let found = visible::find(&mut self.transaction, &self.space, projection.generation, key);
        Ok(within(READ_TIMEOUT, found).await?)
    }

    /// A page of entities, found by `keys` if there are any.
    pub(super) async fn list(
        &mut self,
        request: &ListRequest,
        keys: Option<&KeyRange>,
        bytes: u64,
    ) -> Result<Page, Problem> {
        let Some(projection) = &self.projection else { return Ok(Page::default()) };
        let mut conditions = ConditionColumns::default();
        for condition in &request.conditions {
            condition.push_to(&mut conditions);
        }
        let query = PageQuery {
            space: &self.space,
            generation: projection.generation,
            entity_type: &request.entity_type,
            after: request.cursor.as_ref().map_or("", |id| id.as_str()),
            updated_after: request.updated_after,
            conditions,
            limit: request.limit,
            bytes,
        };
        let page = within(READ_TIMEOUT, async {
            match keys {
                Some(keys) => visible::list_by_key(&mut self.transaction, &query, keys).await,
                None => visible::list(&mut self.transaction, &query).await,
            }
        });
        Ok(page.await?)
    }
}
