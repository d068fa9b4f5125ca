//! Asks the admin API.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Client, StatusCode, Url};
use serde_json::Value;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// An admin API.
pub(super) struct Source {
    client: Client,
    admin: Url,
    token: String,
}

impl Source {
    /// The one at `url`, which `token` opens.
    pub(super) fn new(url: &str, token: String) -> Result<Self> {
        let admin = Url::parse(url).with_context(|| format!("{url} is not an address"))?;
        let client = Client::builder().timeout(REQUEST_TIMEOUT).user_agent("tidelog-inspect").build()?;
        Ok(Self { client, admin, token })
    }

    /// What it says at that path; `None` where there is no such thing.
    pub(super) async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Option<Value>> {
        let mut url = self.admin.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => segments.pop_if_empty().extend(["admin", "v1"]).extend(path),
            Err(()) => bail!("{} is not an address of an admin API", self.admin),
        };
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.client.get(url).bearer_auth(&self.token).header("Accept", "application/json");
        let answer = request.send().await.context("the admin API cannot be reached")?;
        let status = answer.status();
        let body = answer.bytes().await.context("the admin API's answer broke off")?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !status.is_success() {
            bail!("the admin API refused: {} {}", status.as_u16(), refusal(&body));
        }
        serde_json::from_slice(&body).map(Some).context("the admin API's answer is not understood")
    }
}

/// What a refusal says for people.
fn refusal(body: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    match (problem["code"].as_str(), problem["detail"].as_str()) {
        (Some(code), Some(detail)) => format!("{code}: {detail}"),
        _ => String::from_utf8_lossy(body).into_owned(),
    }
}
