//! What the gateway answers, and what a test expects of it.

use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// An answer of the gateway.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// The body as JSON; null where it is none.
    pub json: Value,
}

impl Answer {
    /// Sends the request.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn of(request: RequestBuilder) -> Self {
        Self::try_of(request).await.expect("an answer")
    }

    /// Sends the request, which may fail.
    pub async fn try_of(request: RequestBuilder) -> reqwest::Result<Self> {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await?.to_vec();
        let json = serde_json::from_slice(&body).unwrap_or_default();
        Ok(Self { status, headers, body, json })
    }

    /// Asserts the status, and shows the body where it is another.
    ///
    /// # Panics
    /// When it is another.
    pub fn expect(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// Asserts that the request was refused with that status and code, as a problem that names both.
    ///
    /// # Panics
    /// When it was not.
    pub fn expect_refusal(&self, status: u16, code: &str) -> &Self {
        self.expect(status);
        assert_eq!(self.json["code"], code, "{}", self.json);
        assert_eq!(self.json["status"], status);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        self
    }

    /// Asserts that a push was committed at those positions; none for a push that appended nothing.
    ///
    /// # Panics
    /// When it was not.
    pub fn expect_committed(&self, positions: Option<(u64, u64)>) -> &Self {
        self.expect(200);
        assert_eq!(self.json["committed"], true);
        assert_eq!(self.json["first"], json!(positions.map(|(first, _)| first)), "{}", self.json);
        assert_eq!(self.json["last"], json!(positions.map(|(_, last)| last)), "{}", self.json);
        self
    }

    /// The receipts as (sequence, status, code).
    pub fn receipts(&self) -> Vec<(u64, String, Option<String>)> {
        let receipts = self.json["receipts"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        receipts
            .iter()
            .map(|receipt| {
                let sequence = receipt["deviceSequence"].as_u64().unwrap_or_default();
                (sequence, text(&receipt["status"]).unwrap_or_default(), text(&receipt["code"]))
            })
            .collect()
    }
}
