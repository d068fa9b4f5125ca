//! Rendered manifests, and the pods that they make.

use serde_json::Value;

/// The manifests of a text with `---` between them.
pub fn parse(text: &str) -> Vec<Value> {
    let documents = text.split("\n---\n").filter(|document| !document.trim().is_empty());
    documents.map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}

/// `Kind/name`.
pub fn id(manifest: &Value) -> String {
    format!("{}/{}", text(manifest, "/kind"), name(manifest))
}

/// Its name.
pub fn name(manifest: &Value) -> &str {
    text(manifest, "/metadata/name")
}

/// The text at that place, or an empty one.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The number at that place.
pub fn number(value: &Value, pointer: &str) -> Option<u64> {
    value.pointer(pointer).and_then(Value::as_u64)
}

/// The items at that place, or none.
pub fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The manifests of that kind.
pub fn of_kind<'a>(manifests: &'a [Value], kind: &str) -> Vec<&'a Value> {
    manifests.iter().filter(|manifest| text(manifest, "/kind") == kind).collect()
}

/// The manifest of that kind and name.
pub fn find<'a>(manifests: &'a [Value], kind: &str, wanted: &str) -> Option<&'a Value> {
    of_kind(manifests, kind).into_iter().find(|manifest| name(manifest) == wanted)
}

/// Whether a selector of labels takes these; an empty one takes all.
pub fn selects(selector: &Value, labels: &Value) -> bool {
    let label = |key: &str| labels.get(key).and_then(Value::as_str);
    let equal =
        |(key, value): (&String, &Value)| label(key).is_some_and(|found| Some(found) == value.as_str());
    // A Service has the labels themselves; everything else has them one level deeper.
    let structured = selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some();
    let plain = if structured { selector.get("matchLabels") } else { Some(selector) };
    let expressions = items(selector, "/matchExpressions").iter().all(|expression| {
        assert_eq!(text(expression, "/operator"), "In", "{expression}");
        items(expression, "/values").iter().any(|value| label(text(expression, "/key")) == value.as_str())
    });
    plain.and_then(Value::as_object).is_none_or(|plain| plain.iter().all(equal)) && expressions
}

/// What makes pods.
pub struct Workload<'a> {
    pub manifest: &'a Value,
    /// The labels and the specification of its pods.
    pub template: &'a Value,
}

impl<'a> Workload<'a> {
    /// `Kind/name`.
    pub fn id(&self) -> String {
        id(self.manifest)
    }

    /// Whether its pods stay: they have probes, and are spread and protected.
    pub fn stays(&self) -> bool {
        ["Deployment", "StatefulSet"].contains(&text(self.manifest, "/kind"))
    }

    /// The labels of its pods.
    pub fn labels(&self) -> &'a Value {
        &self.template["metadata"]["labels"]
    }

    /// `gateway`, `ingest` …: which part it is.
    pub fn component(&self) -> &'a str {
        self.labels()["app.kubernetes.io/component"].as_str().unwrap_or_default()
    }

    /// Whether it runs programs of this repository.
    pub fn is_ours(&self) -> bool {
        self.labels()["app.kubernetes.io/name"] == "tidelog"
    }

    /// The specification of its pods.
    pub fn pod(&self) -> &'a Value {
        &self.template["spec"]
    }

    /// The containers of its pods.
    pub fn containers(&self) -> &'a [Value] {
        items(self.pod(), "/containers")
    }

    /// The ports of its pods: name and number.
    pub fn ports(&self) -> Vec<(&'a str, u64)> {
        let ports = self.containers().iter().flat_map(|container| items(container, "/ports"));
        ports.map(|port| (text(port, "/name"), number(port, "/containerPort").unwrap_or_default())).collect()
    }

    /// The number of the port that a name or a number means.
    pub fn port(&self, named: &Value) -> Option<u64> {
        let meant = |(name, number): &(&str, u64)| named == name || named.as_u64() == Some(*number);
        self.ports().into_iter().find(meant).map(|(_, number)| number)
    }
}

/// What makes pods, in the order of the manifests.
pub fn workloads(manifests: &[Value]) -> Vec<Workload<'_>> {
    let made = manifests.iter().filter_map(|manifest| {
        let template = match text(manifest, "/kind") {
            "Deployment" | "StatefulSet" | "Job" => manifest.pointer("/spec/template"),
            "CronJob" => manifest.pointer("/spec/jobTemplate/spec/template"),
            _ => None,
        }?;
        Some(Workload { manifest, template })
    });
    made.collect()
}
