//! What a newcomer reads when the stack is up: addresses, tokens, and commands that work when they are pasted.

use std::time::Duration;

use anyhow::Result;
use owo_colors::Style;
use tidelog_runtime::clock::Clock;

use crate::stack_file::StackFile;
use crate::terminal::{shows_colours, styled};
use crate::token::Claims;

const TOKEN_HOURS: u64 = 24;

/// Prints it.
pub(super) fn print(stack: &StackFile, took: Duration) {
    let heading = |text: &str| styled(text, Style::new().bold(), shows_colours());
    println!("\n{}", heading(&format!("Tidelog is up, after {:.1} s.", took.as_secs_f32())));
    println!("  API          {}", stack.gateway_url);
    println!("  admin API    {}", stack.admin_url);
    for (role, url) in &stack.operations_urls {
        println!("  {role:<12} {url}  (/healthz /readyz /metrics)");
    }
    println!("  NATS         {}", stack.nats_url);
    println!("  PostgreSQL   {}", stack.database_url);
    println!("  in a file    .tidelog/up.json    logs    .tidelog/logs/");
    println!("\n{}\n  {}", heading("A token of user-1"), stack.token);
    println!("{}\n  {}", heading("An admin token"), stack.admin_token);
    println!("\n{}\n{}", heading("Record an event"), push_command(stack));
    println!("{}\n{}", heading("Read the log"), pull_command(stack));
    println!("{}\n{}", heading("Read what it amounts to"), entity_command(stack));
    println!(
        "\nCtrl-C stops everything. The data stays for the next time; `make up FRESH=1` starts empty.\n"
    );
}

/// Prints how to look at the phones that are in use.
pub(super) fn print_phones(stack: &StackFile) -> Result<()> {
    let heading = |text: &str| styled(text, Style::new().bold(), shows_colours());
    let program = std::env::args().next().unwrap_or_else(|| "tidelog".to_owned());
    let token = Claims::new("ann", TOKEN_HOURS).sign(&stack.jwt_secret)?;
    println!("\n{}", heading("What ann's first phone has recorded, and what of it is synced"));
    println!("  {program} device inspect .tidelog/phones/ann-1.sqlite --follow");
    println!("{}\n  {program} tail --space ann", heading("What the log has of all her phones"));
    println!("{}", heading("What it amounts to"));
    println!(
        "  curl -sS {}/v1/spaces/me/entities/workout -H 'Authorization: Bearer {token}'\n",
        stack.gateway_url
    );
    Ok(())
}

fn push_command(stack: &StackFile) -> String {
    let now = Clock::system().now();
    let body = serde_json::json!({
        "deviceId": "curl-1",
        "events": [{
            "eventId": "0198f2a4-0000-7000-8000-000000000001",
            "deviceSequence": 1,
            "type": "WORKOUT_CREATED",
            "entityId": "w-curl-1",
            "timestamp": format!("{now}-0000"),
            "lastSeenEventId": null,
            "payload": { "name": "Morning run" },
        }],
    });
    format!(
        "  curl -sS {}/v1/spaces/me/events -H 'Authorization: Bearer {}' -H 'Content-Type: application/json' -d '{body}'",
        stack.gateway_url, stack.token
    )
}

fn pull_command(stack: &StackFile) -> String {
    format!(
        "  curl -sS '{}/v1/spaces/me/log?after=0' -H 'Authorization: Bearer {}' -H 'Accept: application/json'",
        stack.gateway_url, stack.token
    )
}

fn entity_command(stack: &StackFile) -> String {
    format!(
        "  curl -sS {}/v1/spaces/me/entities/workout/w-curl-1 -H 'Authorization: Bearer {}'",
        stack.gateway_url, stack.token
    )
}
