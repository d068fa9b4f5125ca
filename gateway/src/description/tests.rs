//! What the descriptions must say: every refusal with its code, exact bounds, an example for every operation.

use std::collections::BTreeSet;

use serde_json::Value;
use tidelog_events::code::Refusal;

use crate::router::{admin_openapi, openapi};

/// Every operation of both descriptions, with its name.
fn operations() -> Vec<(String, &'static Value)> {
    let mut all = Vec::new();
    for document in [openapi(), admin_openapi()] {
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().unwrap() {
                all.push((format!("{method} {path}"), operation));
            }
        }
    }
    assert!(all.len() >= 8, "{}", all.len());
    all
}

fn refusals(operation: &Value) -> impl Iterator<Item = (u16, &Value)> {
    let responses = operation["responses"].as_object().unwrap().iter();
    responses
        .map(|(status, response)| (status.parse().unwrap(), response))
        .filter(|(status, _)| *status >= 400)
}

/// What stands in backquotes before a description's colon or semicolon.
fn codes(response: &Value) -> Vec<&str> {
    let description = response["description"].as_str().unwrap();
    let list = description.split([':', ';']).next().unwrap();
    list.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_operation_says_what_it_is_for() {
    for (name, operation) in operations() {
        for key in ["summary", "description", "operationId"] {
            assert!(operation[key].as_str().is_some_and(|text| !text.is_empty()), "{name}: {key}");
        }
        assert!(operation["tags"].as_array().is_some_and(|tags| !tags.is_empty()), "{name}: tags");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let parameter_name = &parameter["name"];
            assert!(parameter["description"].is_string(), "{name}: {parameter_name} has a description");
            assert!(parameter["schema"].is_object(), "{name}: {parameter_name} has a schema");
            if parameter["in"] == "path" {
                assert!(!parameter["example"].is_null(), "{name}: {parameter_name} has an example");
            }
            if parameter["schema"]["type"].to_string().contains("integer") {
                let bounds =
                    parameter["schema"]["minimum"].is_number() && parameter["schema"]["maximum"].is_number();
                assert!(bounds, "{name}: {parameter_name} has bounds");
            }
        }
    }
}

#[test]
fn every_operation_has_an_example_of_what_it_takes_and_answers() {
    let has_example = |content: &Value| {
        content.as_object().is_none_or(|types| {
            types.values().any(|media| !media["example"].is_null() || media["examples"].is_object())
        })
    };
    for (name, operation) in operations() {
        assert!(has_example(&operation["requestBody"]["content"]), "{name}: its request has an example");
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(has_example(&response["content"]), "{name}: {status} has an example");
        }
    }
}

#[test]
fn every_refusal_is_a_problem_with_an_example_of_each_code() {
    for (name, operation) in operations() {
        for (status, response) in refusals(operation) {
            let types: Vec<&String> = response["content"].as_object().unwrap().keys().collect();
            assert_eq!(types, ["application/problem+json"], "{name}: {status}");
            let named = codes(response);
            assert!(!named.is_empty(), "{name}: {status} names a code");
            for code in named {
                let refusal =
                    Refusal::from_text(code).unwrap_or_else(|| panic!("{name}: there is no code {code}"));
                assert_eq!(refusal.status(), status, "{name}: {code}");
                let examples = &response["content"]["application/problem+json"]["examples"];
                assert_eq!(examples[code]["$ref"], format!("#/components/examples/{code}"), "{name}");
            }
        }
    }
}

#[test]
fn what_needs_a_token_says_so_and_how_it_is_refused() {
    for (name, operation) in operations() {
        let secured = operation["security"].as_array().is_some_and(|needed| !needed.is_empty());
        assert!(secured, "{name} needs a token");
        assert!(operation["responses"]["401"].is_object(), "{name}: 401");
    }
}

#[test]
fn every_code_has_an_example_and_those_of_requests_an_operation() {
    let mut documented = BTreeSet::new();
    for (_, operation) in operations() {
        documented.extend(refusals(operation).flat_map(|(_, response)| codes(response)));
    }
    for code in Refusal::ALL {
        for document in [openapi(), admin_openapi()] {
            assert_eq!(document["components"]["examples"][code.as_str()]["value"]["code"], code.as_str());
        }
        // No operation answers to a method that it does not have.
        assert!(
            documented.contains(code.as_str()) || *code == Refusal::MethodNotAllowed,
            "{code} is not documented"
        );
    }
}

#[test]
fn every_reference_of_a_description_leads_somewhere() {
    fn check(document: &Value, at: &Value) {
        if let Some(reference) = at.get("$ref").and_then(Value::as_str) {
            let found = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
            assert!(found.is_some(), "{reference}");
        }
        match at {
            Value::Object(members) => members.values().for_each(|member| check(document, member)),
            Value::Array(items) => items.iter().for_each(|item| check(document, item)),
            _ => {}
        }
    }
    for document in [openapi(), admin_openapi()] {
        check(document, document);
    }
}
