//! Carries out the plan of one user against a server, and looks at everybody after every step.

mod counts;
mod end;
mod journal;
mod kill;
mod live;
mod phone;
mod steps;
mod sync;
mod world;

use std::path::Path;

use tidelog_events::id::UserId;

pub use counts::Counts;

use crate::finding::{Finding, SimulationError, Stop};
use crate::plan::UserPlan;
use crate::schemas::Schemas;
use crate::server::Server;
use world::World;

/// Where and when plans are carried out.
#[derive(Debug, Clone)]
pub struct Scene<'a> {
    /// The schemas.
    pub schemas: &'a Schemas,
    /// Begins the ids of users and devices, so that one server can have many simulations.
    pub prefix: &'a str,
    /// The true time at the end, in UTC milliseconds since 1970.
    pub end_ms: i64,
    /// Where phones keep their files.
    pub folder: &'a Path,
    /// Whether phones are compared with the log after every step; it reads the log each time.
    pub looks_always: bool,
    /// Whether phones pull over live connections, and keep them while they are online.
    pub live: bool,
}

/// What became of a user's plan.
#[derive(Debug, Clone)]
pub struct UserOutcome {
    /// The user.
    pub user: UserId,
    /// What was done.
    pub counts: Counts,
    /// What is wrong, the first first.
    pub findings: Vec<Finding>,
    /// The last things that happened, where something is wrong.
    pub journal: Vec<String>,
}

/// Carries out one user's plan.
///
/// # Errors
/// When the simulation itself cannot go on; what is wrong with the phones or the server is in the outcome.
pub fn run_user<S: Server>(
    plan: &UserPlan,
    server: &S,
    scene: &Scene<'_>,
) -> Result<UserOutcome, SimulationError> {
    let mut world = World::new(plan, server, scene)?;
    let findings = match world.live() {
        Ok(findings) => findings,
        Err(Stop::Found(finding)) => vec![*finding],
        Err(Stop::Failed(error)) => return Err(error),
    };
    let journal = if findings.is_empty() { Vec::new() } else { world.journal.told() };
    Ok(UserOutcome { user: world.user.clone(), counts: world.counts, findings, journal })
}

impl<S: Server> World<'_, S> {
    fn live(&mut self) -> Result<Vec<Finding>, Stop> {
        for step in &self.plan.steps {
            self.advance_to(step.at_ms);
            self.take_step(step)?;
        }
        self.advance_to(self.plan.length_ms);
        self.sync_all()?;
        self.look_at_the_end()
    }
}
