//! One question to another instance: whether it may be asked is looked at first, and how long it may take is bounded.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::parts::App;
use super::peers::Peer;
use super::problem::Problem;

/// Marks a request that another instance passes on: it is answered by what is here, or not at all.
pub(crate) const PASSED_ON: HeaderName = HeaderName::from_static("yardmaster-passed-on");
/// Questions to others at once.
pub(crate) const ASKED_MAX: usize = 128;
/// How long another instance may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long an answer may take to begin when nothing is waited for: longer than a read waits for its position.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is looked whether who is asked still has what is asked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Headers of an answer, and their bytes.
const HEADERS_MAX: usize = 64;
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// What of a request concerns whoever answers it. `Authorization` is one more, see [`Question::new`].
const HEADERS: [&str; 5] = ["accept", "content-type", "traceparent", "tracestate", "user-agent"];

/// A request as it is passed on.
#[derive(Clone)]
pub(crate) struct Question {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
    patience: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unheard {
    /// It must not be asked.
    #[error("http.peers of this instance does not allow to ask it")]
    Foreign,
    /// It speaks TLS, which this program does not.
    #[error("it is known under an https:// URL, and instances speak plain HTTP to each other")]
    Secure,
    /// Nothing was sent.
    #[error("it can't be connected to: {0}")]
    Silent(String),
    /// It may have understood.
    #[error("it has not answered: {0}")]
    Unanswered(String),
    /// Too many questions are open.
    #[error("{ASKED_MAX} requests to other instances are open already")]
    Busy,
}

impl Question {
    /// What is passed on of a request. The guard has let it in: a token that it has is one of this instance's file, which
    /// all instances are meant to have. Where no tokens are asked for, nobody has looked at it, and it goes nowhere.
    pub(crate) fn new(app: &App, method: &Method, uri: &Uri, headers: &HeaderMap, body: Bytes) -> Self {
        let mut passed = HeaderMap::new();
        let token = app.parts.access.token_file.as_ref().map(|_| "authorization");
        for name in HEADERS.into_iter().chain(token) {
            if let Some(value) = headers.get(name) {
                passed.insert(HeaderName::from_static(name), value.clone());
            }
        }
        let by = HeaderValue::from_str(&app.parts.access.advertise);
        passed.insert(PASSED_ON, by.unwrap_or_else(|_| HeaderValue::from_static("1")));
        Self {
            method: method.clone(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            headers: passed,
            body,
            patience: ANSWER_TIMEOUT,
        }
    }

    /// The same, of a request that waits itself.
    pub(crate) fn waiting(self, wait: Duration) -> Self {
        Self { patience: self.patience + wait, ..self }
    }

    /// The same, about these partitions.
    pub(crate) fn about(&self, partitions: &BTreeSet<i32>) -> Self {
        let mut question = self.clone();
        question.headers.insert(PARTITIONS, partitions_value(partitions));
        question
    }

    fn request(&self, authority: &str) -> Result<Request<Body>, Unheard> {
        let mut request = Request::builder().method(self.method.clone()).uri(&self.path);
        if let Some(headers) = request.headers_mut() {
            headers.extend(self.headers.clone());
        }
        let request = request.header(header::HOST, authority).body(Body::from(self.body.clone()));
        request.map_err(|error| Unheard::Silent(error.to_string()))
    }
}

/// Asks the instance at `url`; the answer has begun then.
pub(crate) async fn ask(app: &App, url: &str, question: &Question) -> Result<Response<Incoming>, Unheard> {
    let is_owner = owns(app, url);
    let place = app.asking.clone().try_acquire_owned().map_err(|_| Unheard::Busy)?;
    let peer = Peer::parse(url).ok_or(Unheard::Foreign)?;
    let silent = |cause: &dyn std::fmt::Display| Unheard::Silent(cause.to_string());
    let connecting = async {
        let addresses = admitted(app, &peer).await?;
        TcpStream::connect(addresses.as_slice()).await.map_err(|error| silent(&error))
    };
    let stream = timeout(CONNECT_TIMEOUT, connecting).await;
    let stream = stream.map_err(|_| silent(&"no answer within 1 s"))??;
    let mut http = http1::Builder::new();
    http.max_headers(HEADERS_MAX).max_buf_size(HEAD_BYTES_MAX);
    let connected = http.handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = connected.map_err(|error| silent(&error))?;
    tokio::spawn(async move {
        // It ends when the answer is read, or dropped.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to another instance ended early");
        }
        drop(place);
    });
    let request = question.request(&peer.authority)?;
    tokio::select! {
        answer = timeout(question.patience, sender.send_request(request)) => match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Unheard::Unanswered(error.to_string())),
            Err(_) => Err(Unheard::Unanswered(format!("{} s are over", question.patience.as_secs()))),
        },
        // Who keeps only copies has nothing to lose.
        () = has_lost_it(app, url), if is_owner => Err(Unheard::Unanswered("what it had is moving meanwhile".to_owned())),
    }
}

/// The addresses of a peer that may be connected to: what is looked at here is what is connected to.
async fn admitted(app: &App, peer: &Peer) -> Result<Vec<SocketAddr>, Unheard> {
    let access = &app.parts.access;
    let found = tokio::net::lookup_host((peer.host.as_str(), peer.port)).await;
    let found: Vec<SocketAddr> = found.map_err(|error| Unheard::Silent(error.to_string()))?.collect();
    let admitted = access.peers.admit(peer, &access.advertise, found);
    match (admitted.is_empty(), peer.is_secure) {
        (true, _) => Err(Unheard::Foreign),
        (false, true) => Err(Unheard::Secure),
        (false, false) => Ok(admitted),
    }
}

/// Whether an instance serves anything.
fn owns(app: &App, url: &str) -> bool {
    app.parts.registry.elsewhere().values().any(|owner| owner == url)
}

/// Waits until an instance that served something doesn't any more: it may never answer.
async fn has_lost_it(app: &App, url: &str) {
    while owns(app, url) {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

impl Unheard {
    /// What the client is told of it. An order that got no answer may have been followed all the same.
    pub(crate) fn problem(&self, owner: &str, is_order: bool) -> Problem {
        let detail = format!("{owner} serves it, and {self}");
        let problem = match self {
            Self::Foreign => Problem::later("unreachable", detail)
                .remedy("if it is an instance of this namespace, add its host or network to http.peers here"),
            Self::Secure => Problem::later("unreachable", detail)
                .remedy("ask it yourself, or set its http.advertise to the http:// URL that instances see"),
            Self::Silent(_) => Problem::later("unreachable", detail).remedy(
                "ask again in a second: if the instance is gone, others take over within instance.timeout",
            ),
            Self::Unanswered(_) if is_order => {
                let title = "It is not known whether it was done";
                Problem::new(StatusCode::GATEWAY_TIMEOUT, "unanswered", title, detail).remedy(
                    "look whether it was done before you ask again; what has an id of yours may be sent again at once",
                )
            }
            Self::Unanswered(_) => Problem::later("unreachable", detail),
            Self::Busy => Problem::later("busy", detail).limit(ASKED_MAX.to_string()),
        };
        problem.with("owner", owner)
    }
}

/// The header that says which partitions are wanted of another instance, and which ones its answer is about.
pub(crate) const PARTITIONS: HeaderName = HeaderName::from_static("yardmaster-partitions");

/// Whether another instance passed it on.
pub(crate) fn is_passed_on(headers: &HeaderMap) -> bool {
    headers.contains_key(PASSED_ON)
}

/// Partitions as they stand in headers.
pub(crate) fn partitions_value(partitions: &BTreeSet<i32>) -> HeaderValue {
    let text = partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The partitions in [`PARTITIONS`].
pub(crate) fn partitions_of(headers: &HeaderMap) -> BTreeSet<i32> {
    let text = headers.get(PARTITIONS).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(',').filter_map(|number| number.parse().ok()).collect()
}
