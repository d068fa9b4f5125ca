//! Whether a configuration is one for the gateway: each of its sections by itself, and what must hold between them.

use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::{Config, ConfigError, LimitsConfig, RetentionConfig};

use crate::{AdminConfig, AuthConfig, CorsConfig, GatewayConfig, LiveConfig, RatesConfig, ServerConfig};

/// Checks all that the gateway reads of a configuration. No file that it names is looked at.
///
/// # Errors
/// The first that is wrong.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    tidelog_runtime::config::check_common(config)?;
    Clock::from_config(&config.section("clock")?)
        .map_err(|error| config.refused("clock.day_seconds", &error))?;
    config.section::<tidelog_archive::ArchiveConfig>("archive")?;
    config.section::<GatewayConfig>("gateway")?;
    config.section::<LiveConfig>("live")?;
    config.section::<AdminConfig>("admin")?;
    config.section::<AuthConfig>("auth")?;
    config.section::<ServerConfig>("server")?;
    config.section::<RatesConfig>("rates")?;
    config.section::<CorsConfig>("cors")?;
    config.section::<LimitsConfig>("limits")?;
    config.section::<RetentionConfig>("retention")?;
    let (spread, drain) = ("live.drain_spread_ms", "gateway.drain_seconds");
    if config.number(spread)? >= config.number(drain)?.saturating_mul(1000) {
        return Err(config.contradiction(spread, drain, "the first must be shorter than the second"));
    }
    let (request, wait) = ("server.request_timeout_ms", "limits.wait_seconds");
    if config.number(request)? <= config.number(wait)?.saturating_mul(1000) {
        return Err(config.contradiction(request, wait, "the first must be longer than the second"));
    }
    let (body, commit) = ("gateway.body_timeout_ms", "gateway.commit_wait_ms");
    if config.number(request)? <= config.number(body)?.saturating_add(config.number(commit)?) {
        let rule = "the first must be longer than the second and `gateway.commit_wait_ms` together";
        return Err(config.contradiction(request, body, rule));
    }
    Ok(())
}
