//! The phones of `tidelog up --phones`: simulated users who record workouts, with the device SDK as an app has it, and
//! whose network comes and goes. They are there to be looked at.

mod phone;
mod user;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tidelog_events::schema::Schema;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::phone::Phone;
use crate::stack_file::StackFile;
use crate::terminal::say;

const USERS: [&str; 8] = ["ann", "bob", "cleo", "dan", "eva", "finn", "gina", "hugo"];
/// Phones of one user, who takes now the one and now the other.
const PHONES_EACH: u16 = 2;
/// How many phones there can be.
pub(super) const MOST: i64 = USERS.len() as i64 * PHONES_EACH as i64;
/// Where their files are, in `.tidelog/`.
pub(super) const FOLDER: &str = "phones";

/// Phones that are in use.
#[derive(Default)]
pub(super) struct Phones {
    tasks: JoinSet<()>,
}

impl Phones {
    /// Starts so many of them; they are in use until `stop`.
    pub(super) async fn start(
        count: u16,
        folder: &Path,
        stack: &StackFile,
        stop: &CancellationToken,
    ) -> Result<Self> {
        let mut phones = Self::default();
        let folder = folder.join(FOLDER);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let schema = schema_of(stack)?;
        for number in 0..count {
            let user = USERS[usize::from(number / PHONES_EACH)];
            let name = format!("{user}-{}", number % PHONES_EACH + 1);
            let phone = Phone::start(name, user, &folder, stack, schema.clone()).await?;
            phones.tasks.spawn(phone.live(stop.clone()));
        }
        say("phones", &format!("{count} are in use"));
        Ok(phones)
    }

    /// Waits until none is in use any more.
    pub(super) async fn stopped(self) {
        self.tasks.join_all().await;
    }
}

/// The schema of the stack, if phones can record workouts with it.
fn schema_of(stack: &StackFile) -> Result<Arc<Schema>> {
    let text = fs::read_to_string(&stack.schema_file)
        .with_context(|| format!("cannot read {}", stack.schema_file))?;
    let schema =
        Schema::parse(&text).with_context(|| format!("{} is not a valid schema", stack.schema_file))?;
    let missing = user::EVENT_TYPES.iter().find(|event_type| schema.event(event_type).is_none());
    ensure!(
        missing.is_none(),
        "the phones record workouts, and {} has no event type {}: leave --phones out",
        stack.schema_file,
        missing.copied().unwrap_or_default()
    );
    Ok(Arc::new(schema))
}
