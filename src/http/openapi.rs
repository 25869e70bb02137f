//! The OpenAPI 3.1 document, and Swagger UI out of the binary: nothing is fetched from elsewhere.

use axum::Router;
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa_swagger_ui::SwaggerUi;

use super::{
    anywhere, cancel, cluster, counts, events, jobs, pools, probes, read_tasks, requeue, results, stats,
    submit, windows, workers,
};

/// The schema of what stands on the topic of commands: a task in a body is the task of a command.
const COMMANDS: &str = include_str!("../../docs/schemas/command.json");
/// What is read without a token.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "yardmaster",
        description = "Hands the tasks of a compute grid to workers and tracks every one of them, exactly once. Errors are \
                       RFC 9457 problem details. Any instance answers: what another one owns is asked for there, and its \
                       URL stands in the header yardmaster-answered-by.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        submit::submit,
        anywhere::anywhere,
        read_tasks::tasks,
        read_tasks::task,
        cancel::cancel_task,
        requeue::requeue,
        jobs::jobs,
        jobs::one,
        results::results,
        cancel::cancel_job,
        pools::pools,
        counts::queues,
        counts::tags,
        stats::stats,
        windows::windows,
        workers::workers,
        workers::worker,
        workers::drain,
        workers::undrain,
        events::events,
        cluster::cluster,
        cluster::rebalance,
        cluster::drain,
        cluster::undrain,
        probes::healthz,
        probes::readyz,
        probes::metrics,
    )
)]
struct Document;

/// `/openapi.json` and `/swagger`.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    SwaggerUi::new("/swagger").external_url_unchecked("/openapi.json", document()).into()
}

/// What the handlers say of themselves, and what holds for all of them: problems, tokens, the shape of a task.
fn document() -> Value {
    let mut document = serde_json::to_value(Document::openapi()).unwrap_or_default();
    if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
        for (path, methods) in paths {
            for (method, operation) in methods.as_object_mut().into_iter().flatten() {
                complete(path, method, operation);
            }
        }
    }
    add(&mut document, "/components/schemas", task_schemas());
    let bearer = json!({ "bearerAuth": {
        "type": "http", "scheme": "bearer", "description": "A token of http.token_file, if the server has one"
    } });
    add(&mut document, "/components", json!({ "securitySchemes": bearer }));
    // Either: a server on loopback asks for none.
    add(&mut document, "", json!({ "security": [{}, { "bearerAuth": [] }] }));
    if let Some(content) = document.pointer_mut("/paths/~1v1~1tasks/post/requestBody/content") {
        let one = json!({ "$ref": "#/components/schemas/Task" });
        let list = json!({ "type": "array", "items": one });
        let named = json!({ "type": "object", "required": ["tasks"], "properties": { "tasks": list },
            "additionalProperties": false });
        *content = json!({ "application/json": { "schema": { "anyOf": [one, list, named] } } });
    }
    document
}

/// Puts fields into an object of the document.
fn add(document: &mut Value, place: &str, fields: Value) {
    if let (Some(Value::Object(object)), Value::Object(fields)) = (document.pointer_mut(place), fields) {
        object.extend(fields);
    }
}

/// Puts an entry into a list of an object.
fn add_to(object: &mut Value, list: &str, entry: Value) {
    if let Some(list) = object.get_mut(list).and_then(Value::as_array_mut) {
        list.push(entry);
    }
}

/// Adds what the guard and the limits may answer to an operation, and says that problems are problems.
fn complete(path: &str, method: &str, operation: &mut Value) {
    let mut common =
        vec![("403", "The Host header is not allowed"), ("414", "The path and query are too long")];
    if !OPEN.contains(&path) {
        common.push(("401", "A token is needed"));
        common.push(("503", "Not now: ask again"));
    }
    if method == "post" {
        common.push(("400", "The request can't be read"));
        common.push(("413", "The body is too large"));
        common.push(("415", "The body must be sent as application/json"));
        common.push(("421", "Another instance has it: see `Location`"));
        common.push(("504", "Another instance has not answered, and may have done it"));
    }
    if method == "get" && path.starts_with("/v1/pools/{pool}/") && !path.ends_with("/results") {
        let stale = json!({ "name": "stale", "in": "query", "required": false, "schema": { "type": "string" },
            "description": "`ok`: a copy may answer; yardmaster-stale-records and yardmaster-stale-ms say how far it is behind" });
        add_to(operation, "parameters", stale);
    }
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else {
        return;
    };
    let problem = json!({ "schema": { "$ref": "#/components/schemas/Problem" } });
    for (status, meaning) in common {
        let answer = json!({ "description": meaning, "content": { "application/json": problem } });
        responses.entry(status).or_insert(answer);
    }
    for content in responses.values_mut().filter_map(|answer| answer.get_mut("content")) {
        if content.pointer("/application~1json") == Some(&problem) {
            *content = json!({ "application/problem+json": problem });
        }
    }
}

/// The schemas of the commands, so that a body is described by what it is checked against.
fn task_schemas() -> Value {
    let commands: Value = serde_json::from_str(COMMANDS).unwrap_or_default();
    let task = commands.pointer("/$defs/task").cloned().unwrap_or_default();
    json!({ "Task": task })
}
