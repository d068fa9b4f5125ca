//! Read models: what the projector makes of the log, whatever happens to it meanwhile.
#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

mod read_models {
    mod damage;
    mod horizons;
    mod limits;
    mod moments;
    mod news;
    mod outages;
    mod projecting;
    mod rebuilding;
    mod replicas;
    mod schema_versions;
    mod snapshots;
    mod stored_log;
    mod workouts;
}
