//! Who may come in: bearer tokens, the `Host` header where there are none, the content type of what changes something.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::HttpError;
use super::parts::Access;
use super::problem::{Answer, Problem};
use super::tokens::Tokens;

/// Marks a request to an open path of somebody without a token where tokens are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stranger;

/// The guard of one listener.
pub(crate) struct Guard {
    tokens: Option<Tokens>,
    /// The names that `Host` may have beside addresses; none means any.
    hosts: Option<Vec<String>>,
}

impl Guard {
    /// The guard of a listener at `at`.
    ///
    /// # Errors
    /// [`HttpError::Open`] when everybody could come in, [`HttpError::Tokens`] when the token file is no good.
    pub(crate) fn new(access: &Access, at: SocketAddr) -> Result<Arc<Self>, HttpError> {
        let is_loopback = at.ip().is_loopback();
        let tokens = access.token_file.as_deref().map(Tokens::open).transpose()?;
        if !is_loopback && tokens.is_none() && !access.insecure {
            return Err(HttpError::Open(at));
        }
        // Whoever has a token is not a page of another site; without tokens the name is all there is to see.
        let hosts = (is_loopback || tokens.is_none()).then(|| {
            let mut hosts = vec!["localhost".to_owned()];
            let advertised = access.advertise.split("://").nth(1).and_then(|rest| rest.split('/').next());
            hosts.extend(advertised.map(|host| name_of(host).to_lowercase()));
            hosts
        });
        Ok(Arc::new(Self { tokens, hosts }))
    }

    /// Says whether it knows who asks.
    fn check(&self, request: &Request) -> Answer<bool> {
        self.check_host(request.headers())?;
        let is_known = self.check_token(request)?;
        check_type(request)?;
        Ok(is_known)
    }

    /// A page of another site whose name was made to resolve to this address says its own name, never the address.
    fn check_host(&self, headers: &HeaderMap) -> Answer<()> {
        let Some(hosts) = &self.hosts else {
            return Ok(());
        };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = name_of(host).to_lowercase();
        let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        if is_address || hosts.contains(&name) {
            return Ok(());
        }
        let detail = format!("this server is not known as `{name}`");
        let problem =
            Problem::new(StatusCode::FORBIDDEN, "bad_host", "The Host header is not allowed", detail);
        Err(problem
            .field("Host")
            .remedy("use the server's address, or set http.advertise to the URL that it is known by"))
    }

    fn check_token(&self, request: &Request) -> Answer<bool> {
        let path = request.uri().path();
        let is_open =
            matches!(path, "/healthz" | "/readyz" | "/openapi.json") || path.starts_with("/swagger");
        let Some(tokens) = &self.tokens else {
            return Ok(true);
        };
        let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = given
            .and_then(|value| value.split_once(' '))
            .filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
        let is_known = token.is_some_and(|(_, token)| tokens.know(token.trim()));
        if is_known || is_open {
            return Ok(is_known);
        }
        let detail = "a token of this server's token file is needed";
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "No valid token", detail);
        Err(problem
            .field("Authorization")
            .remedy("send `Authorization: Bearer TOKEN`")
            .header(header::WWW_AUTHENTICATE, "Bearer"))
    }
}

/// A form on another site can send a body, but not as JSON without asking first.
fn check_type(request: &Request) -> Answer<()> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let given = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let problem = Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "content_type",
        "The content type is not allowed",
        "what changes something must be sent as JSON, also when the body is empty",
    );
    Err(problem.field("Content-Type").remedy("send `Content-Type: application/json`"))
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

/// Lets a request through, or says why not. No answer is ever guessed to be of another type than it says.
pub(crate) async fn guard(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let mut response = match guard.check(&request) {
        Ok(is_known) => {
            if !is_known {
                request.extensions_mut().insert(Stranger);
            }
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    let nosniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(HeaderName::from_static("x-content-type-options"), nosniff);
    response
}
