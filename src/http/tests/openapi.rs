//! The OpenAPI document against the routes themselves.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::Value;

use super::cluster::{Cluster, ask};

const ROUTES: &str = include_str!("../routes.rs");

/// What stands in `routes.rs`: each path with its methods.
fn routed() -> Vec<(String, Vec<&'static str>)> {
    let plain = ROUTES.split(".route(").skip(1).filter_map(|route| {
        let path = route.split('"').nth(1)?;
        let methods = ["get", "post"].into_iter().filter(|method| {
            route.split_once(",").is_some_and(|(_, rest)| rest.contains(&format!("{method}(")))
        });
        Some((path.to_owned(), methods.collect()))
    });
    plain.collect()
}

/// Whether a path of the document is served by a route's: `{*rest}` stands for all that follows.
fn serves(route: &str, path: &str) -> bool {
    match route.split_once("{*") {
        Some((before, _)) => path.len() > before.len() && path.starts_with(before),
        None => route == path,
    }
}

async fn document() -> Value {
    Cluster::new().get("/openapi.json").await.ok(200)
}

#[tokio::test]
async fn the_document_and_the_routes_name_the_same() {
    let document = document().await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut told: Vec<(String, String)> = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        told.extend(methods.as_object().unwrap().keys().map(|method| (path.clone(), method.clone())));
    }
    let routes = routed();
    assert!(routes.len() > 15, "{routes:?}");
    for (path, method) in &told {
        let is_served = |(route, methods): &(String, Vec<&str>)| {
            serves(route, path) && methods.contains(&method.as_str())
        };
        assert!(routes.iter().any(is_served), "no route serves {method} {path}");
    }
    for (route, methods) in &routes {
        for method in methods {
            let is_told = told.iter().any(|(path, of)| of == method && serves(route, path));
            assert!(is_told, "{method} {route} is not in the document");
        }
    }
}

#[tokio::test]
async fn every_operation_of_the_document_is_answered() {
    let cluster = Cluster::new();
    let document = document().await;
    for (path, methods) in document["paths"].as_object().unwrap() {
        if path == "/v1/events" {
            continue;
        }
        let real = path.replace("{pool}", "p").replace("{id}", "x").replace("{worker}", "w");
        for method in methods.as_object().unwrap().keys() {
            let request = Request::builder()
                .method(method.to_uppercase().as_str())
                .uri(&real)
                .header(header::HOST, "localhost")
                .header(header::CONTENT_TYPE, "application/json");
            let reply = ask(cluster.router(), request.body(Body::from("{}")).unwrap()).await;
            let (status, told) = (reply.status.as_u16(), &methods[method]["responses"]);
            assert!(!told[status.to_string()].is_null(), "{method} {path} answers {status}: {told}");
            assert!(!reply.text.contains("there is nothing at this path"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn problems_tokens_and_tasks_are_described() {
    let document = document().await;
    let submit = &document["paths"]["/v1/tasks"]["post"];
    for status in ["400", "401", "403", "409", "413", "414", "415", "421", "422", "503"] {
        let content = submit["responses"][status]["content"].as_object();
        let kinds: Vec<&String> = content.unwrap_or_else(|| panic!("{status}: {submit}")).keys().collect();
        assert_eq!(kinds, ["application/problem+json"], "{status}");
    }
    assert_eq!(document["components"]["securitySchemes"]["bearerAuth"]["scheme"], "bearer");
    assert_eq!(document["security"][1]["bearerAuth"], serde_json::json!([]));
    let body = &submit["requestBody"]["content"]["application/json"]["schema"]["anyOf"];
    assert_eq!(body[0]["$ref"], "#/components/schemas/Task");
    let task = &document["components"]["schemas"]["Task"]["properties"];
    let known: BTreeSet<&str> = task.as_object().unwrap().keys().map(String::as_str).collect();
    for field in ["id", "pool", "queue", "job", "command", "payload", "retry", "run_timeout_ms"] {
        assert!(known.contains(field), "{field}: {task}");
    }
    let mut missing = Vec::new();
    check_references(&document, &document, &mut missing);
    assert!(missing.is_empty(), "{missing:?}");
}

/// Every `$ref` must lead somewhere.
fn check_references(document: &Value, value: &Value, missing: &mut Vec<String>) {
    if let Some(target) = value.get("$ref").and_then(Value::as_str)
        && document.pointer(target.trim_start_matches('#')).is_none()
    {
        missing.push(target.to_owned());
    }
    let inner: Vec<&Value> = match value {
        Value::Object(map) => map.values().collect(),
        Value::Array(list) => list.iter().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    inner.into_iter().for_each(|value| check_references(document, value, missing));
}

#[tokio::test]
async fn reads_of_a_pool_say_that_they_may_be_stale() {
    let document = document().await;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let names: Vec<&str> = methods["get"]["parameters"]
            .as_array()
            .map(|all| all.iter().map(|parameter| parameter["name"].as_str().unwrap()).collect())
            .unwrap_or_default();
        let is_of_all = ["/v1/pools", "/v1/tasks/{id}"].contains(&path.as_str());
        let is_of_one = path.contains("{pool}") && !path.ends_with("results");
        let is_read = !methods["get"].is_null() && (is_of_all || is_of_one);
        assert_eq!(names.contains(&"stale"), is_read, "{path}: {names:?}");
    }
}
