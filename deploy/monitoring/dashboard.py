#!/usr/bin/env python3
"""The Grafana dashboard, and where it is changed: this file makes dashboard.json.

    deploy/monitoring/dashboard.py            writes dashboard.json beside itself
    deploy/monitoring/dashboard.py --check    fails if dashboard.json is another one

A row is a title and its panels, from left to right as they fit. A panel is a kind, a title, a unit of Grafana, what it
shows and what is normal, and its queries, each with its legend. In a query `{@}` and `{@,` stand for the chosen services and
instances, `[@]` for the range that a rate needs. Sources of metrics are in docs/operations/metrics.md."""

import json
import pathlib
import sys

FILE = pathlib.Path(__file__).with_name("dashboard.json")

WIDTH = 24
# Kind: width and height.
SIZES = {"stat": (4, 4), "graph": (8, 7)}


def stat(title, unit, shows, *queries, **options):
    return {"kind": "stat", "title": title, "unit": unit, "shows": shows, "queries": queries, **options}


def graph(title, unit, shows, *queries, **options):
    return {"kind": "graph", "title": title, "unit": unit, "shows": shows, "queries": queries, **options}


def quantiles(metric, *parts, by="", where=""):
    """Queries of quantiles of a histogram, by labels."""
    labels = f"le, {by}" if by else "le"
    legend = " ".join("{{" + label.strip() + "}}" for label in by.split(",") if label)
    for part in parts:
        query = f"histogram_quantile({part / 100}, sum by ({labels}) (rate({metric}_bucket{{@{where}}}[@])))"
        yield query, f"{legend} p{part}".strip()


ROWS = [
    ("Overview", [
        stat("Instances that are ready", "none",
             "Instances whose /readyz is green, by service. Normal: as many as run.",
             ("sum by (job) (tidelog_ready{@})", "{{job}}"), red_below=1),
        stat("Sync success rate", "percentunit",
             "Share of the syncs that devices tried and that succeeded, over the chosen time, as the devices themselves report it "
             "with their next hello; those that reached nobody count as failed. Normal: above 95 %, less where phones are often offline.",
             ('sum(rate(tidelog_gateway_device_syncs_total{@,outcome="succeeded"}[$__range]))'
              " / sum(rate(tidelog_gateway_device_syncs_total{@}[$__range]))", "of all syncs"), red_below=0.8, yellow_below=0.95),
        stat("Pushes", "reqps",
             "Pushes that were published, a second, over HTTP and live connections. Normal: follows the day.",
             ("sum(rate(tidelog_gateway_pushes_total{@}[@]))", "pushes")),
        stat("Push errors", "percentunit",
             "Share of the pushes over HTTP that were answered with a 5xx. Devices keep their events and come again. Normal: 0.",
             ('sum(rate(tidelog_gateway_requests_total{@,endpoint=~"push|push_many",status="5xx"}[@]))'
              ' / sum(rate(tidelog_gateway_requests_total{@,endpoint=~"push|push_many"}[@]))', "of all pushes"),
             red_above=0.05, yellow_above=0.001),
        stat("Push duration", "s",
             "From a push's body to its answer, which says that it is committed. Normal: p99 far below a second.",
             *quantiles("tidelog_gateway_push_seconds", 50, 99), red_above=2.5, yellow_above=1),
        stat("Oldest pending batch", "s",
             "Age of the oldest batch in PUSH that is not settled. Normal: below a second; it grows while ingest or the database stand.",
             ("max(tidelog_ingest_oldest_pending_seconds{@})", "age"), red_above=60, yellow_above=10),
        stat("Versions", "none",
             "Instances of each version of Tidelog. Normal: one version, two during an upgrade.",
             ("count by (version) (tidelog_build_info{@})", "{{version}}"), text="value_and_name"),
        stat("Schema versions", "none",
             "Instances that use each version of the app's schema. Normal: one version; two for seconds after a new one is rolled out.",
             ('count_values("version", tidelog_schema_version{@})', "version {{version}}"), text="value_and_name"),
        stat("Projection lag", "s",
             "From an event's arrival at a gateway until it is folded into the read model, p99. Normal: below a second.",
             *quantiles("tidelog_projector_lag_seconds", 99), red_above=60, yellow_above=5),
        stat("Live connections", "none",
             "WebSockets and event streams that are open, on all gateways. Normal: follows the day; at most live.connections each.",
             ("sum(tidelog_gateway_live_connections{@})", "connections")),
        stat("PUSH fill", "percentunit",
             "How full PUSH is. Normal: below 80 %, where committed batches begin to leave it early; above 90 % it is about to refuse.",
             ("max(tidelog_ingest_push_fill_ratio{@})", "of push_max_bytes"), red_above=0.9, yellow_above=0.8),
        stat("Firing alerts", "none",
             "Alerts of deploy/monitoring/alerts.yaml that fire. Normal: 0. Shows 0 also where Prometheus has not loaded the rules.",
             ('count(ALERTS{alertname=~"Tidelog.+",alertstate="firing"}) or vector(0)', "alerts"), red_above=1),
    ]),
    ("API", [
        graph("Requests by endpoint", "reqps",
              "Requests to both listeners, a second. A pull that asks to wait is a long_poll. Normal: pulls and pushes lead; "
              "`other` are paths that do not exist, from scanners.",
              ("sum by (endpoint) (rate(tidelog_gateway_requests_total{@}[@]))", "{{endpoint}}")),
        graph("Answers by status", "reqps",
              "Answers a second, by class of status. Normal: 2xx; 4xx are the callers' faults, such as expired tokens; no 5xx.",
              ("sum by (status) (rate(tidelog_gateway_requests_total{@}[@]))", "{{status}}"), stack=True),
        graph("Server errors by endpoint", "percentunit",
              "Share of an endpoint's requests that were answered with a 5xx, overloaded included. Normal: 0.",
              ('sum by (endpoint) (rate(tidelog_gateway_requests_total{@,status="5xx"}[@]))'
               " / sum by (endpoint) (rate(tidelog_gateway_requests_total{@}[@]))", "{{endpoint}}")),
        graph("Duration by endpoint, p50", "s",
              "From a request's head to the head of its answer, for half of the requests. Long polls wait for news and are left out. "
              "Normal: milliseconds.",
              *quantiles("tidelog_gateway_request_seconds", 50, by="endpoint", where=',endpoint!="long_poll"')),
        graph("Duration by endpoint, p99", "s",
              "The same for the slowest hundredth. Normal: far below a second; a push waits for its commit, at most commit_wait_ms.",
              *quantiles("tidelog_gateway_request_seconds", 99, by="endpoint", where=',endpoint!="long_poll"')),
        graph("Requests under way", "short",
              "Requests that are not answered yet, by endpoint. Normal: long polls as many as wait; pushes below in_flight_pushes (1024 "
              "a gateway), where they are refused.",
              ("sum by (endpoint) (tidelog_gateway_requests_under_way{@})", "{{endpoint}}")),
        graph("Refusals by code", "reqps",
              "Requests that were refused, by code; each has a page in docs/errors. Normal: few, of the callers' kind; no `internal`, and "
              "`overloaded` only at a peak.",
              ("sum by (code) (rate(tidelog_gateway_refusals_total{@}[@]))", "{{code}}")),
        graph("Refused tokens by reason", "reqps",
              "Tokens that were refused. Normal: some `expired`. A jump of `unknown-key` or `signature` is a rotation gone wrong, or an attack.",
              ("sum by (reason) (rate(tidelog_gateway_refused_tokens_total{@}[@]))", "{{reason}}")),
        graph("Keys for tokens", "none",
              "Keys that a gateway verifies tokens by, the fewest of any gateway, by source. Normal: does not change; 0 of a source that is "
              "configured means that its tokens are refused.",
              ("min by (source) (tidelog_gateway_keys{@})", "{{source}}")),
        graph("Reads of keys by outcome", "short",
              "Times that keys were read or fetched, an hour. Normal: `unchanged` for a URL, nothing for a file; `refused` and `unavailable` "
              "leave the old keys in use.",
              ("sum by (source, outcome) (increase(tidelog_gateway_key_reads_total{@}[1h]))", "{{source}} {{outcome}}")),
        graph("Pulls by format", "reqps",
              "Pulls that were answered, by what was asked for. Normal: frames, from the SDKs.",
              ("sum by (format) (rate(tidelog_gateway_pulls_total{@}[@]))", "{{format}}")),
        graph("What pulls were answered with", "eps",
              "Events, and snapshots with which a device begins or catches up from far. Normal: a multiple of what is pushed, by the number of a "
              "user's devices; few snapshots.",
              ("sum(rate(tidelog_gateway_served_events_total{@}[@]))", "events"),
              ("sum(rate(tidelog_gateway_served_snapshots_total{@}[@]))", "snapshots")),
        graph("Pulls that broke off", "short",
              "Answers that broke off in an hour since a part of their snapshot was missing, damaged or could not be read. Normal: 0.",
              ("sum(increase(tidelog_gateway_broken_off_pulls_total{@}[1h]))", "broken off")),
        graph("Reads of entities", "reqps",
              "Reads of the read model, by way: one entity, a list by an indexed field, any other list. Normal: as the app asks; `scan` is dear.",
              ("sum by (way) (rate(tidelog_gateway_entity_reads_total{@}[@]))", "{{way}}")),
        graph("Entities that were read", "ops",
              "Entities that reads were answered with, a second. Normal: as the app asks.",
              ("sum(rate(tidelog_gateway_served_entities_total{@}[@]))", "entities")),
        graph("Waiting reads and pulls", "short",
              "Pulls that wait for news, and reads that wait for the projector. Normal: pulls as many as devices that poll; reads near 0.",
              ("sum(tidelog_gateway_waiting_pulls{@})", "pulls"), ("sum(tidelog_gateway_waiting_reads{@})", "reads")),
        graph("Admin calls by outcome", "short",
              "Calls of the admin API in an hour. Normal: `recorded`, while support works. `unrecorded`: the audit could not be written; "
              "`unknown-caller`: no valid token.",
              ("sum by (outcome) (increase(tidelog_gateway_admin_calls_total{@}[1h]))", "{{outcome}}")),
    ]),
    ("Pipeline", [
        graph("Pushes by outcome", "reqps",
              "Pushes that were published, by how they were answered: committed, refused by ingest, or accepted (202: not committed within "
              "commit_wait_ms). Normal: committed.",
              ("sum by (outcome) (rate(tidelog_gateway_pushes_total{@}[@]))", "{{outcome}}"), stack=True),
        graph("Push duration", "s",
              "From a push's body to its answer. Normal: tens of milliseconds; 5 s are answers 202.",
              *quantiles("tidelog_gateway_push_seconds", 50, 95, 99)),
        graph("Push by stage, p95", "s",
              "Where a push's time goes in the gateway: its body arrives, it is judged, the broker acknowledges it, it is committed. Normal: "
              "`commit` leads; `receive` is the callers' network.",
              *quantiles("tidelog_gateway_push_stage_seconds", 95, by="stage")),
        graph("Events through the pipeline", "eps",
              "Events published by gateways, appended to the log by ingest, folded by the projector. Normal: the three lie on each other; "
              "rebuilds fold more, retries publish more.",
              ("sum(rate(tidelog_gateway_pushed_events_total{@}[@]))", "published"),
              ("sum(rate(tidelog_ingest_events_total{@}[@]))", "appended"),
              ("sum(rate(tidelog_projector_events_total{@}[@]))", "folded")),
        graph("Batches by outcome", "ops",
              "Batches that ingest settled. Normal: `appended`; `nothing-new` are repeated pushes; codes are refusals, such as `sequence-gap` "
              "after an outage.",
              ("sum by (outcome) (rate(tidelog_ingest_batches_total{@}[@]))", "{{outcome}}"), stack=True),
        graph("Commands by outcome", "ops",
              "Commands that ingest carried out for the admin API and for devices: releases, dismissals, changes of devices. Normal: few, `done`.",
              ("sum by (outcome) (rate(tidelog_ingest_commands_total{@}[@]))", "{{outcome}}")),
        graph("Ingest by stage, p95", "s",
              "A batch's way through ingest: queued in PUSH, committed in a transaction, announced in LOG. Normal: milliseconds; `queued` grows "
              "when ingest does not keep up.",
              *quantiles("tidelog_ingest_stage_seconds", 95, by="stage")),
        graph("Ingest transactions", "s",
              "Time of a transaction that appends batches to the log. Normal: milliseconds; it follows PostgreSQL's disk.",
              *quantiles("tidelog_ingest_transaction_seconds", 50, 99)),
        graph("Batches of an ingest transaction", "short",
              "Batches that one transaction takes, on average. Normal: 1 at rest, more under load; transaction_batches (256) means that it is full.",
              ("sum(rate(tidelog_ingest_transaction_batches_sum{@}[@])) / sum(rate(tidelog_ingest_transaction_batches_count{@}[@]))",
               "batches")),
        graph("Oldest pending batch", "s",
              "Age of the oldest batch in PUSH that is not settled. Normal: below a second.",
              ("max(tidelog_ingest_oldest_pending_seconds{@})", "age")),
        graph("Fill of the streams", "percentunit",
              "How full PUSH and LOG are, of their max_bytes. Normal: PUSH below 80 %. LOG may be full, its oldest messages go first.",
              ("max by (stream) (tidelog_broker_stream_bytes{@}) / max by (stream) (tidelog_broker_stream_bytes_max{@})", "{{stream}}")),
        graph("Messages of the streams", "short",
              "Messages that PUSH and LOG hold, committed ones as well. Normal: grows to the window of push_max_age_hours and log_max_age_hours.",
              ("max by (stream) (tidelog_broker_stream_messages{@})", "{{stream}}")),
        graph("Lag of the consumers", "short",
              "Messages that ingest (push) and the projector (log) have not been handed yet. Normal: near 0; a line that climbs is a service "
              "that does not keep up.",
              ("max by (stream) (tidelog_broker_consumer_pending{@})", "{{stream}}")),
        graph("Messages in hand", "short",
              "Messages that were handed out and are not acknowledged, and of them those that were handed out again. Normal: below "
              "max_ack_pending (10,000); none again.",
              ("max by (stream) (tidelog_broker_consumer_in_flight{@})", "{{stream}} in flight"),
              ("max by (stream) (tidelog_broker_consumer_redelivered{@})", "{{stream}} again")),
        graph("Publishes by outcome", "ops",
              "Publishes to PUSH and LOG. Normal: `acknowledged`; `full`, `busy` and `unavailable` are answered 503 or sent again.",
              ("sum by (stream, outcome) (rate(tidelog_broker_publishes_total{@}[@]))", "{{stream}} {{outcome}}")),
        graph("Publish acknowledgement", "s",
              "Time until the broker acknowledges a message. Normal: milliseconds; it follows the disks of, and the network between, the NATS nodes.",
              *quantiles("tidelog_broker_publish_seconds", 50, 99, by="stream")),
        graph("Lost on the way", "short",
              "In an hour: segments that were not announced in LOG, and hints that could not be sent. Readers find them by sweeps, later. "
              "Normal: 0, some while the broker is away.",
              ("sum(increase(tidelog_ingest_log_dropped_total{@}[1h]))", "announcements"),
              ("sum(increase(tidelog_broker_hints_dropped_total{@}[1h]))", "hints")),
        graph("Batches that left PUSH early", "short",
              "Committed batches that were purged in an hour since PUSH was full to push_trim_percent. Normal: 0; else the window in which a "
              "restored database heals is shorter than push_max_age_hours.",
              ("sum(increase(tidelog_ingest_push_trimmed_total{@}[1h]))", "batches")),
        graph("Delayed batches", "short",
              "Batches that wait for their predecessors in ingest. Normal: 0; a steady number means that devices or a proxy send batches in parallel.",
              ("sum(tidelog_ingest_delayed_batches{@})", "batches")),
        graph("Projection lag", "s",
              "From an event's arrival at a gateway until it is folded into the read model, of each transaction the oldest. Normal: below a second.",
              *quantiles("tidelog_projector_lag_seconds", 50, 95, 99)),
        graph("Behind the log", "short",
              "Spaces whose read model is behind their log, and the events between. Normal: some of both under load, 0 at rest.",
              ("max(tidelog_projector_behind_spaces{@})", "spaces"), ("max(tidelog_projector_behind_events{@})", "events")),
        graph("Projector transactions", "s",
              "Time of a transaction that folds. Normal: tens of milliseconds under load.",
              *quantiles("tidelog_projector_transaction_seconds", 50, 99)),
        graph("Spaces of a projector transaction", "short",
              "Spaces that one transaction folds, on average. Normal: 1 at rest; transaction_spaces (256) means that it is full.",
              ("sum(rate(tidelog_projector_transaction_spaces_sum{@}[@])) / sum(rate(tidelog_projector_transaction_spaces_count{@}[@]))",
               "spaces")),
    ]),
    ("Devices and live connections", [
        graph("Syncs by outcome", "ops",
              "Syncs that devices tried, as they report them with their next hello. A device that is offline reports when it is back. Normal: succeeded.",
              ("sum by (outcome) (rate(tidelog_gateway_device_syncs_total{@}[@]))", "{{outcome}}"), stack=True),
        graph("Sync success rate", "percentunit",
              "Share of the syncs that succeeded: of all, and of those that reached a server. Normal: the second above 99 %.",
              ('sum(rate(tidelog_gateway_device_syncs_total{@,outcome="succeeded"}[@])) / sum(rate(tidelog_gateway_device_syncs_total{@}[@]))',
               "of all"),
              ('sum(rate(tidelog_gateway_device_syncs_total{@,outcome="succeeded"}[@]))'
               " / (sum(rate(tidelog_gateway_device_syncs_total{@}[@]))"
               ' - sum(rate(tidelog_gateway_device_sync_failures_total{@,cause="offline"}[@])))', "of those that reached a server")),
        graph("Sync failures by cause", "ops",
              "Syncs that failed, by what the device saw. Normal: `offline` and `timeout`, the phones' networks. `unauthorized`, `refused` and "
              "`server` are ours.",
              ("sum by (cause) (rate(tidelog_gateway_device_sync_failures_total{@}[@]))", "{{cause}}")),
        graph("Live connections by gateway", "short",
              "WebSockets and event streams that are open. Normal: spread evenly; at most live.connections (10,000) each.",
              ("sum by (instance) (tidelog_gateway_live_connections{@})", "{{instance}}")),
        graph("Connections by gateway", "short",
              "TCP connections of both listeners. Normal: spread evenly; at most server.connections (20,000) for each listener.",
              ("sum by (instance) (tidelog_gateway_connections{@})", "{{instance}}")),
        graph("Ends of live connections", "ops",
              "Live connections that ended, by reason. Normal: `gone`; `going-away` while gateways restart; `slow-reader` are bad networks.",
              ("sum by (reason) (rate(tidelog_gateway_live_ended_total{@}[@]))", "{{reason}}")),
        graph("Messages to live connections", "ops",
              "Messages of the log that were sent. Normal: events appended, times the devices that listen.",
              ("sum(rate(tidelog_gateway_live_log_messages_total{@}[@]))", "messages")),
        graph("Slots that are listened to", "short",
              "Parts of the spaces whose news gateways listen to, for long polls and live connections. Normal: grows with the users to its most.",
              ("sum by (instance) (tidelog_gateway_listened_slots{@})", "{{instance}}")),
        graph("Refused connections", "ops",
              "Connections that were closed as soon as they were made, by limit: all, or of one address. Normal: 0.",
              ("sum by (limit) (rate(tidelog_gateway_refused_connections_total{@}[@]))", "{{limit}}")),
        graph("Slow connections", "ops",
              "Connections that were closed since they were slow, by what was. Normal: few, from bad networks.",
              ("sum by (what) (rate(tidelog_gateway_slow_connections_total{@}[@]))", "{{what}}")),
        graph("Reports that could not be read", "short",
              "Reports of devices in an hour that could not be read and were ignored. Normal: 0; else an app sends another form.",
              ("sum(increase(tidelog_gateway_ignored_reports_total{@}[1h]))", "reports")),
    ]),
    ("Database", [
        graph("Connections in use", "percentunit",
              "Share of a pool's connections that are in use, by instance. Normal: below 50 %; at 100 % requests wait for acquire_timeout_ms.",
              ('tidelog_database_connections{@,state="used"} / ignoring (state) tidelog_database_connections_max{@}', "{{job}} {{instance}}")),
        graph("Connections", "short",
              "Connections of all pools, by service and state. PostgreSQL's max_connections must be above the sum of what they may have. "
              "Normal: follows the load.",
              ("sum by (job, state) (tidelog_database_connections{@})", "{{job}} {{state}}")),
        graph("Ping", "s",
              "Time to get a connection and an answer to SELECT 1, by service. Normal: a millisecond or two.",
              *quantiles("tidelog_database_ping_seconds", 50, 99, by="job")),
        graph("Failed pings", "short",
              "Times in five minutes that the database did not answer, by service. Normal: 0.",
              ("sum by (job) (increase(tidelog_database_ping_failures_total{@}[5m]))", "{{job}}")),
    ]),
    ("Quarantine, divergence, poison", [
        graph("Quarantined events by code", "short",
              "Events that went to quarantine in an hour, by what is wrong with them. Normal: 0; a jump comes with a release of an app whose "
              "schema the server does not have.",
              ("sum by (code) (increase(tidelog_ingest_quarantined_events_total{@}[1h]))", "{{code}}")),
        graph("Events in quarantine", "short",
              "Events that lie in quarantine and that nobody has dismissed, among the latest 10,000. Normal: does not grow.",
              ("max(tidelog_ingest_quarantine_events{@})", "events")),
        graph("Verdicts of gateways", "eps",
              "Events that gateways published, by verdict. Normal: accepted.",
              ("sum by (verdict) (rate(tidelog_gateway_pushed_events_total{@}[@]))", "{{verdict}}")),
        graph("Divergences", "short",
              "Devices in a day whose state was found to differ from the read model at the same position. Normal: 0; each is a defect.",
              ("sum(increase(tidelog_ingest_divergences_total{@}[1d]))", "devices")),
        graph("Poison", "short",
              "What the database refused in a day and the log could not take as a whole, by kind. Normal: 0; each is a defect.",
              ("sum by (kind) (increase(tidelog_ingest_poison_total{@}[1d]))", "{{kind}}")),
        graph("Folds that failed or skipped", "short",
              "In an hour: times that a space could not be folded, and events that folds skipped. Normal: 0 failures; skipped are events of a "
              "schema version that is not loaded yet.",
              ("sum(increase(tidelog_projector_failures_total{@}[1h]))", "failures"),
              ("sum(increase(tidelog_projector_skipped_events_total{@}[1h]))", "skipped events")),
        graph("Rebuilds", "short",
              "Read models that were built anew in an hour. Normal: 0; all spaces after a new schema version.",
              ("sum(increase(tidelog_projector_rebuilds_total{@}[1h]))", "spaces")),
        graph("Refused schemas", "short",
              "Contents of the schema file that were not taken, in a day, by service. Normal: 0.",
              ("sum by (job) (increase(tidelog_schema_refusals_total{@}[1d]))", "{{job}}")),
    ]),
    ("Compaction", [
        graph("Time of a sweep", "s",
              "Time of a sweep over all spaces. Normal: shorter than a few compactor.interval_ms (10 min).",
              *quantiles("tidelog_compactor_sweep_seconds", 50, 99)),
        graph("Since the last sweep", "s",
              "Time since a whole sweep ended. Normal: up to interval_ms and a sweep's time.",
              ("time() - max(tidelog_compactor_last_sweep_seconds{@})", "age")),
        graph("Events pruned and folded", "eps",
              "Events that were pruned from the log, and those that were folded to write and to verify snapshots. Normal: on average as many "
              "pruned as are pushed.",
              ("sum(rate(tidelog_compactor_pruned_events_total{@}[@]))", "pruned"),
              ("sum(rate(tidelog_compactor_folded_events_total{@}[@]))", "folded")),
        graph("Segments merged", "ops",
              "Segments that were merged into others. Normal: follows what is pushed, merge_after_hours later.",
              ("sum(rate(tidelog_compactor_merged_segments_total{@}[@]))", "segments")),
        graph("Written to the archive", "binBps",
              "Bytes written to the archive. Normal: follows what is pruned.",
              ("sum(rate(tidelog_compactor_archived_bytes_total{@}[@]))", "bytes")),
        graph("Spaces that were not pruned", "short",
              "In an hour: spaces that were refused, by reason, and those that failed. Normal: 0; `not-comparable` and `skipped` for a while after "
              "a new schema version.",
              ("sum by (reason) (increase(tidelog_compactor_refusals_total{@}[1h]))", "{{reason}}"),
              ("sum(increase(tidelog_compactor_failures_total{@}[1h]))", "failed")),
        graph("Overdue spaces", "short",
              "Spaces that the last sweep found past retention and could not prune. Normal: 0.",
              ("max(tidelog_compactor_overdue_spaces{@})", "spaces")),
    ]),
    ("Processes", [
        graph("Processor", "percentunit",
              "Processor time, 100 % being one core. Normal: below the container's limit.",
              ("rate(process_cpu_seconds_total{@}[@])", "{{job}} {{instance}}")),
        graph("Memory", "bytes",
              "Memory in RAM. Normal: flat after minutes of load; its bounds are in docs/operations/configuration.md.",
              ("process_resident_memory_bytes{@}", "{{job}} {{instance}}")),
        graph("Open files", "short",
              "Files and sockets that are open. Normal: as many as connections; far below the limit (ulimit -n).",
              ("process_open_fds{@}", "{{job}} {{instance}}")),
        graph("Time since the start", "s",
              "How long each process runs. Normal: lines that climb; a drop is a restart.",
              ("time() - process_start_time_seconds{@}", "{{job}} {{instance}}")),
        graph("Broker connection", "none",
              "1 while the connection to NATS stands. Normal: 1.",
              ("tidelog_broker_connected{@}", "{{job}} {{instance}}")),
        graph("Events of the broker connection", "short",
              "Events of the connection to NATS in an hour. Normal: 0; a `disconnected` and a `connected` for each restart of a NATS node; "
              "`slow_consumer` lost messages.",
              ("sum by (job, event) (increase(tidelog_broker_events_total{@}[1h]))", "{{job}} {{event}}")),
        graph("Readiness", "none",
              "1 while /readyz is green, by instance. Normal: 1; 0 while it starts and drains.",
              ("tidelog_ready{@}", "{{job}} {{instance}}")),
    ]),
]

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
SERVICES = "tidelog-(gateway|ingest|projector|compactor)"


def query(text):
    return text.replace("{@", '{job=~"$service",instance=~"$instance"').replace("[@]", "[$__rate_interval]")


def thresholds(panel):
    """Colours of a value: green, and the bounds that the panel names."""
    if "red_below" in panel:
        steps = [("red", None), ("yellow", panel["red_below"]) if "yellow_below" in panel else None,
                 ("green", panel.get("yellow_below", panel["red_below"]))]
    else:
        steps = [("green", None), ("yellow", panel["yellow_above"]) if "yellow_above" in panel else None,
                 ("red", panel["red_above"]) if "red_above" in panel else None]
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for color, value in filter(None, steps)]}


def look(panel):
    """What differs between the kinds."""
    if panel["kind"] == "stat":
        return {"type": "stat", "options": {
            "colorMode": "value", "graphMode": "none", "justifyMode": "auto", "orientation": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "textMode": panel.get("text", "auto"), "wideLayout": True}}, {}
    custom = {"drawStyle": "line", "fillOpacity": 30 if panel.get("stack") else 8, "lineWidth": 1, "showPoints": "never",
              "spanNulls": False, "stacking": {"group": "A", "mode": "normal" if panel.get("stack") else "none"}}
    return {"type": "timeseries", "options": {
        "legend": {"calcs": ["lastNotNull", "max"], "displayMode": "table", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"}}}, {"custom": custom, "min": 0}


def made(panel, number, place):
    kind, defaults = look(panel)
    targets = [{"datasource": DATASOURCE, "editorMode": "code", "expr": query(text), "legendFormat": legend, "range": True,
                "refId": chr(ord("A") + at)} for at, (text, legend) in enumerate(panel["queries"])]
    return {"id": number, "title": panel["title"], "description": panel["shows"], "datasource": DATASOURCE, "gridPos": place,
            "fieldConfig": {"defaults": {"color": {"mode": "thresholds" if panel["kind"] == "stat" else "palette-classic"},
                                         **defaults, "thresholds": thresholds(panel), "unit": panel["unit"]}, "overrides": []},
            **kind, "targets": targets}


def panels():
    """All panels with their places: rows one below the other, the panels of a row side by side as they fit."""
    number, top = 0, 0
    for title, row in ROWS:
        number += 1
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
               "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": top}}
        left, top, height = 0, top + 1, 0
        for panel in row:
            number += 1
            width, own_height = SIZES[panel["kind"]]
            if left + width > WIDTH:
                left, top, height = 0, top + height, 0
            yield made(panel, number, {"h": own_height, "w": width, "x": left, "y": top})
            left, height = left + width, max(height, own_height)
        top += height


def chosen(name, label, values):
    """A variable with which services or instances are chosen."""
    return {"name": name, "label": label, "type": "query", "datasource": DATASOURCE, "definition": values,
            "query": {"qryType": 1, "query": values, "refId": "A"}, "refresh": 2, "sort": 1, "multi": True, "includeAll": True,
            "allValue": ".+", "current": {"selected": True, "text": ["All"], "value": ["$__all"]}, "options": [], "hide": 0,
            "regex": "", "skipUrlSync": False}


def dashboard():
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1, "regex": "",
              "multi": False, "includeAll": False, "hide": 0, "options": [], "skipUrlSync": False, "current": {}}
    return {
        "uid": "tidelog", "title": "Tidelog", "tags": ["tidelog"], "schemaVersion": 41, "version": 1, "id": None, "editable": True,
        "description": "Everything that Tidelog measures. Made by deploy/monitoring/dashboard.py: change that, not this.",
        "graphTooltip": 1, "fiscalYearStartMonth": 0, "timezone": "browser", "refresh": "30s", "weekStart": "", "preload": False,
        "time": {"from": "now-1h", "to": "now"}, "timepicker": {}, "links": [],
        "annotations": {"list": [{
            "builtIn": 1, "datasource": {"type": "grafana", "uid": "-- Grafana --"}, "enable": True, "hide": True,
            "iconColor": "rgba(0, 211, 255, 1)", "name": "Annotations & Alerts", "type": "dashboard"}]},
        "templating": {"list": [
            source,
            chosen("service", "Service", f'label_values(tidelog_ready{{job=~"{SERVICES}"}}, job)'),
            chosen("instance", "Instance", 'label_values(tidelog_ready{job=~"$service"}, instance)'),
        ]},
        "panels": list(panels()),
    }


def main():
    text = json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"
    if sys.argv[1:] == ["--check"]:
        if not FILE.exists() or FILE.read_text() != text:
            sys.exit(f"{FILE.name} is not what {pathlib.Path(__file__).name} makes: run it and commit both")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        FILE.write_text(text)


main()
