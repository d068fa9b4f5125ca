//! Trouble: many at once, out of order, too much, poison, and servers that go away. The log holds all the same.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "what a test cannot do fails it")]

mod trouble {
    mod broker_restarts;
    mod broker_wiped;
    mod concurrency;
    mod cut_off_begins;
    mod database_over_tcp;
    mod database_restarts;
    mod epochs;
    mod full_broker;
    mod hints;
    mod hot_space;
    mod ingest_crashes;
    mod large_rounds;
    mod load;
    mod log_stream;
    mod network;
    mod order;
    mod orphans;
    mod poison_batches;
    mod poison_messages;
    mod proxy;
    mod trace_context;
}
