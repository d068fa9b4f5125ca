//! One command, one transaction. Each may be carried out again at any time: what is done stays done, and what a later
//! command said stands.

use sqlx::{PgConnection, PgPool};
use tidelog_events::code::Refusal;
use tidelog_events::command::{Command, ReleaseQuarantined, SetDeviceProfile};
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::protocol::{Done, Outcome, ProfileHint};
use tidelog_events::schema::Schema;
use tidelog_store::{device_profiles, erasures, quarantine, quarantined_messages, segments, spaces};

use crate::release::{ReleaseError, judge_and_append};

/// What became of a command, and who is to hear of it.
pub(super) struct Executed {
    pub(super) outcome: Outcome,
    pub(super) news: Option<News>,
}

/// What readers are told.
pub(super) enum News {
    /// A space's head has moved.
    Head(SpaceId, Position),
    /// A device was named, revoked or restored.
    Profile(ProfileHint),
}

impl From<Outcome> for Executed {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, news: None }
    }
}

/// Carries it out.
pub(super) async fn execute(
    pool: &PgPool,
    command: &Command,
    schema: &Schema,
) -> Result<Executed, ReleaseError> {
    let mut transaction = pool.begin().await?;
    let executed = match command {
        Command::ReleaseQuarantined(wanted) => release(&mut transaction, wanted, schema).await?,
        Command::DismissQuarantined(dismissal) => {
            found(quarantine::dismiss(&mut transaction, dismissal).await?)
        }
        Command::DismissMessage(dismissal) => {
            found(quarantined_messages::dismiss(&mut transaction, dismissal).await?)
        }
        Command::SetDeviceProfile(profile) => set_profile(&mut transaction, profile).await?,
    };
    transaction.commit().await?;
    Ok(executed)
}

fn done(position: Option<Position>) -> Outcome {
    Outcome::Done(Done { position })
}

fn refused(code: Refusal, detail: impl Into<String>) -> Executed {
    Outcome::Refused { code, detail: detail.into(), expected: None }.into()
}

fn found(is_there: bool) -> Executed {
    if is_there { done(None).into() } else { refused(Refusal::NotFound, "quarantine has no such entry") }
}

/// Appends the event behind the head and takes it out of quarantine; the space's lock makes two that do so at once follow
/// each other.
async fn release(
    transaction: &mut PgConnection,
    wanted: &ReleaseQuarantined,
    schema: &Schema,
) -> Result<Executed, ReleaseError> {
    let ReleaseQuarantined { space: id, device_id, device_sequence, .. } = wanted;
    let Some(space) = spaces::lock(transaction, id).await? else { return Ok(found(false)) };
    let Some(event) = quarantine::find(transaction, wanted).await? else {
        let released = segments::released(transaction, id, device_id, *device_sequence).await?;
        return Ok(released.map_or_else(|| found(false), |position| done(Some(position)).into()));
    };
    let events = [event];
    let judged = judge_and_append(transaction, &space, &events, schema).await?;
    Ok(match judged.refused.into_iter().next() {
        None => {
            Executed { outcome: done(Some(judged.head)), news: Some(News::Head(id.clone(), judged.head)) }
        }
        Some((_, fault, detail)) => {
            let version = schema.version();
            refused(Refusal::EventNotReleasable, format!("schema version {version}: {fault}: {detail}"))
        }
    })
}

async fn set_profile(
    transaction: &mut PgConnection,
    profile: &SetDeviceProfile,
) -> Result<Executed, ReleaseError> {
    let SetDeviceProfile { space, device_id, .. } = profile;
    if erasures::contains(transaction, space).await? {
        return Ok(refused(Refusal::SpaceErased, format!("the space {space} was erased")));
    }
    device_profiles::set(transaction, profile).await?;
    let hint = ProfileHint { space: space.clone(), device_id: device_id.clone() };
    Ok(Executed { outcome: done(None), news: Some(News::Profile(hint)) })
}
