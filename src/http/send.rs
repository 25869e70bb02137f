//! Sending commands: a request id, the broker's acknowledgement, the position.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use ulid::Ulid;
use utoipa::ToSchema;
use yardmaster_topologies::event::{Action, Command};
use yardmaster_topologies::id::{Pool, RequestId};
use yardmaster_topologies::wire::encode_command;

use super::locate::owned;
use super::params::Params;
use super::parts::{App, Decision, Position};
use super::position::Token;
use super::problem::{Answer, Problem};
use super::refusal::refusal_of;
use super::wait::Wait;

/// The largest body, in bytes.
pub(crate) const BODY_MAX: usize = 8 * 1024 * 1024;

/// The answer to a command that is not a submit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sent {
    /// Stands in every event that answers the command.
    request_id: String,
    /// For `min_position` of reads.
    position: String,
    /// Its pool.
    pool: String,
    /// `applied`, when that was waited for and has come true.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    /// Why there is no outcome though it was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// A request id of our own.
pub(crate) fn new_request_id() -> RequestId {
    RequestId::trusted(&format!("http-{}", Ulid::generate().to_string().to_lowercase()))
}

/// A body that could be read; a problem otherwise.
pub(crate) fn body_of(body: Result<Bytes, BytesRejection>) -> Answer<Bytes> {
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        _ => Problem::bad_body(rejection.body_text()),
    })
}

/// A body that is larger than [`BODY_MAX`].
pub(crate) fn too_large() -> Problem {
    let words = "the body is too large";
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is too large", words)
        .limit(format!("{BODY_MAX} bytes"))
        .remedy("send several requests")
}

/// Sends one command and waits for the broker.
pub(crate) async fn send(app: &App, command: &Command) -> Answer<Position> {
    let bytes = encode_command(command);
    app.parts.sink.send(&command.pool, bytes).await.map_err(|cause| {
        Problem::later("broker", format!("the broker has not acknowledged the command: {cause}"))
            .remedy("send the same again: what arrived all the same is recognised by its id")
    })
}

/// Sends a command that is not a submit, and answers.
pub(crate) async fn order(
    app: &App,
    pool: Pool,
    action: Action,
    mut params: Params,
    uri: &Uri,
) -> Answer<Response> {
    let wait = Wait::take(&mut params)?;
    params.finish()?;
    let request_id = new_request_id();
    let mut waiter = None;
    if wait.is_wanted() {
        // Who waits must be where the decision is made.
        owned(app, &pool, uri)?;
        waiter = Some(app.parts.registry.wait_for(request_id.clone(), 1));
    }
    let command = Command { pool: pool.clone(), request_id: Some(request_id.clone()), action };
    let position =
        send(app, &command).await.map_err(|problem| problem.with("request_id", request_id.as_str()))?;
    let mut token = Token::default();
    token.add(position);
    let mut sent = Sent {
        request_id: request_id.to_string(),
        position: token.to_string(),
        pool: pool.to_string(),
        outcome: None,
        note: None,
    };
    let Some(waiter) = &mut waiter else {
        return Ok((StatusCode::ACCEPTED, Json(sent)).into_response());
    };
    let mut refusal = None;
    let decided = |decision: &Decision| {
        sent.outcome = Some("applied");
        refusal = decision.events.iter().find_map(|event| refusal_of(event, &app.defaults.limits));
        true
    };
    wait.hear(waiter, decided).await;
    if let Some(problem) = refusal {
        return Err(problem.with("request_id", &sent.request_id).with("position", &sent.position));
    }
    let status = if sent.outcome.is_some() {
        StatusCode::OK
    } else {
        sent.note = Some("not decided yet: read with min_position, or follow /v1/events");
        StatusCode::ACCEPTED
    };
    Ok((status, Json(sent)).into_response())
}
