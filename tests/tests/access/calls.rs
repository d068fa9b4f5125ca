//! Every operation as a request that is answered, if the token allows it. An operation without a row here fails the tests.

use reqwest::Method;
use serde_json::{Value, json};
use tidelog_tests::{Answer, EventLine, World};

/// What an operation asks of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// To be valid.
    Token,
    /// To name every space, to write.
    EverySpace,
    /// To name the space.
    Read,
    /// To name the space, to write.
    Write,
    /// The scope `admin:read` or `admin`.
    AdminRead,
    /// The scope `admin`.
    AdminAct,
}

/// An operation and how it is called.
#[derive(Debug)]
pub struct Call {
    pub method: &'static str,
    /// As the description has it.
    pub path: &'static str,
    pub needs: Needs,
    /// What stands behind the path; a call of a device names `phone-1` in its path, its query or its body.
    query: &'static str,
    body: fn(&str) -> Option<Value>,
}

impl Call {
    pub fn is_of_the_admin_api(&self) -> bool {
        matches!(self.needs, Needs::AdminRead | Needs::AdminAct)
    }

    /// Whether it is about one space.
    pub fn names_a_space(&self) -> bool {
        self.path.contains("{space}")
    }

    /// Whether it says which device calls.
    pub fn names_its_device(&self) -> bool {
        let body = (self.body)("ann").is_some_and(|body| body.get("deviceId").is_some());
        matches!(self.needs, Needs::Read | Needs::Write) && (body || self.query.contains("deviceId"))
    }

    /// Calls it for a space.
    pub async fn of(&self, world: &World, space: &str, token: Option<&str>) -> Answer {
        let fixed = [("{space}", space), ("{deviceId}", "phone-1"), ("{type}", "workout")];
        let mut path =
            fixed.iter().fold(self.path.to_owned(), |path, (name, value)| path.replace(name, value));
        path = path.replace("/quarantine/{id}", "/quarantine/1").replace("{id}", "w-phone-1");
        assert!(!path.contains('{'), "{path}: every parameter has a value");
        let address = if self.is_of_the_admin_api() { world.admin_address } else { world.address };
        let method: Method = self.method.to_uppercase().parse().unwrap();
        let mut request = world.request_to(address, method, &format!("{path}{}", self.query), token);
        if let Some(body) = (self.body)(space) {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        Answer::of(request).await
    }
}

const fn get(path: &'static str, needs: Needs) -> Call {
    Call { method: "get", path, needs, query: "", body: |_| None }
}

const fn act(
    method: &'static str,
    path: &'static str,
    needs: Needs,
    body: fn(&str) -> Option<Value>,
) -> Call {
    Call { method, path, needs, query: "", body }
}

impl Call {
    const fn with(mut self, query: &'static str) -> Self {
        self.query = query;
        self
    }
}

fn batch() -> Value {
    json!({"deviceId": "phone-1", "events": [EventLine::new("phone-1", 1).0]})
}

fn many(space: &str) -> Value {
    let mut batch = batch();
    batch["userId"] = json!("ann");
    json!({"batches": [{"space": space, "batch": batch}]})
}

/// Every operation.
pub const CALLS: &[Call] = &[
    act("post", "/v1/spaces/{space}/events", Needs::Write, |_| Some(batch())),
    act("post", "/v1/batches", Needs::EverySpace, |space| Some(many(space))),
    get("/v1/spaces/{space}/log", Needs::Read).with("?deviceId=phone-1"),
    get("/v1/spaces/{space}/live", Needs::Read).with("?deviceId=phone-1"),
    get("/v1/spaces/{space}/devices/{deviceId}/events", Needs::Read),
    get("/v1/spaces/{space}/entities/{type}", Needs::Read),
    get("/v1/spaces/{space}/entities/{type}/{id}", Needs::Read),
    get("/v1/schema", Needs::Token),
    get("/v1/devices", Needs::Token),
    act("patch", "/v1/devices/{deviceId}", Needs::Token, |_| Some(json!({"name": "Another"}))),
    get("/admin/v1/spaces", Needs::AdminRead),
    get("/admin/v1/spaces/{space}", Needs::AdminRead),
    get("/admin/v1/spaces/{space}/events", Needs::AdminRead),
    get("/admin/v1/spaces/{space}/state", Needs::AdminRead),
    get("/admin/v1/spaces/{space}/entities/{type}/{id}/explain", Needs::AdminRead),
    get("/admin/v1/spaces/{space}/devices", Needs::AdminRead),
    act("post", "/admin/v1/spaces/{space}/devices/{deviceId}/revoke", Needs::AdminAct, |_| None),
    act("post", "/admin/v1/spaces/{space}/devices/{deviceId}/restore", Needs::AdminAct, |_| None),
    get("/admin/v1/quarantine", Needs::AdminRead),
    act("post", "/admin/v1/quarantine/{id}/release", Needs::AdminAct, |_| None),
    act("post", "/admin/v1/quarantine/{id}/dismiss", Needs::AdminAct, |_| Some(json!({"dismissed": true}))),
    get("/admin/v1/pipeline", Needs::AdminRead),
    get("/admin/v1/audit", Needs::AdminRead),
];
