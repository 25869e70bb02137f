//! What another instance has is asked for there, so that any instance answers. A handler that finds a pool elsewhere says 421
//! and where; here the request goes there, once, and the client gets that answer.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response as HttpResponse, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use tower_http::timeout::TimeoutBody;

use super::ask::{Question, Unheard, ask, is_passed_on};
use super::locate::moving;
use super::parts::App;
use super::problem::{Answer, Problem};
use super::send::{BODY_MAX, too_large};
use super::stale::Way;
use super::wait::wait_of;

/// Names the instance that has answered, in what another one passes on.
pub(crate) const ANSWERED_BY: HeaderName = HeaderName::from_static("yardmaster-answered-by");
/// How long another instance may take between two parts of an answer: longer than it waits for a client that doesn't read.
const PART_TIMEOUT: Duration = Duration::from_secs(35);
/// Instances that are tried for one request: its owner, and who keeps copies.
const TRIES_MAX: usize = 3;
/// What concerns a connection and not the answer on it.
const OF_CONNECTION: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Answers from here, or from where it is.
pub(crate) async fn forward(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut way = Way::default();
    if is_passed_on(request.headers()) {
        let mut request = request;
        request.extensions_mut().insert(way.clone());
        return way.tell(next.run(request).await);
    }
    let (parts, body) = request.into_parts();
    let body = match kept(&parts, body).await {
        Ok(body) => body,
        Err(problem) => return problem.into_response(),
    };
    loop {
        let mut request = Request::from_parts(parts.clone(), Body::from(body.clone()));
        request.extensions_mut().insert(way.clone());
        let response = next.clone().run(request).await;
        let Some(owner) = owner_of(&response, &parts) else {
            return way.tell(response);
        };
        let is_order = parts.method == Method::POST;
        if let Some(unheard) = way.why_silent(&owner) {
            return unheard.problem(&owner, is_order).into_response();
        }
        let question = Question::new(&app, &parts.method, &parts.uri, &parts.headers, body.clone());
        let question = question.waiting(wait_of(parts.uri.query().unwrap_or_default()));
        let unheard = match ask(&app, &owner, &question).await {
            Ok(answer) => return passed_back(answer, &owner),
            // Whoever asks can speak TLS.
            Err(Unheard::Secure) => return response,
            Err(unheard) => unheard,
        };
        tracing::debug!(owner, %unheard, "another instance was asked in vain");
        if is_order || way.tried() + 1 == TRIES_MAX {
            return unheard.problem(&owner, is_order).into_response();
        }
        // A copy may be wanted, and is somewhere else.
        way = way.without(owner, unheard);
    }
}

/// The whole body: it may have to be sent on.
async fn kept(parts: &Parts, body: Body) -> Answer<Bytes> {
    if matches!(parts.method, Method::GET | Method::HEAD) {
        return Ok(Bytes::new());
    }
    to_bytes(body, BODY_MAX).await.map_err(|error| {
        let is_long =
            std::error::Error::source(&error).is_some_and(|cause| cause.to_string().contains("limit"));
        if is_long { too_large() } else { Problem::bad_body(format!("the body ended early: {error}")) }
    })
}

/// The one place that a 421 names, for the same path.
fn owner_of(response: &Response, parts: &Parts) -> Option<String> {
    if response.status() != StatusCode::MISDIRECTED_REQUEST {
        return None;
    }
    let path = parts.uri.path_and_query()?.as_str();
    let there = response.headers().get(header::LOCATION)?.to_str().ok()?;
    there.strip_suffix(path).map(str::to_owned)
}

/// The answer of another instance as it came.
fn passed_back(answer: HttpResponse<Incoming>, by: &str) -> Response {
    if answer.status() == StatusCode::MISDIRECTED_REQUEST {
        // It has given away what it is said to have: who has it now will be known in a moment.
        return moving(&format!("what {by} had")).into_response();
    }
    let (mut head, body) = answer.into_parts();
    OF_CONNECTION.iter().for_each(|name| drop(head.headers.remove(name)));
    name_answerer(&mut head.headers, by);
    Response::from_parts(head, Body::new(TimeoutBody::new(PART_TIMEOUT, body)))
}

fn name_answerer(headers: &mut HeaderMap, by: &str) {
    if let Ok(by) = HeaderValue::from_str(by) {
        headers.insert(ANSWERED_BY, by);
    }
}
