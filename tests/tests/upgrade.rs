//! From one release to the next: tables change under running services, and services are replaced one by one.
#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

mod upgrade {
    mod installation;
    mod phones;
    mod replacing;
    mod tables;
}
