//! Server-sent events from the committed events topic, filtered, and resumed by `Last-Event-ID`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, Sender};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use yardmaster_topologies::id::{JobId, Pool};

use super::params::Params;
use super::parts::{App, EventFeed, EventStream, FeedError, STREAMS_MAX, TailRecord};
use super::problem::{Answer, Problem};

/// How long one look at the feed takes; also how soon a stream notices that the server stops.
const POLL: Duration = Duration::from_millis(250);
/// A client that got nothing for so long learns at least how far it is, for resuming.
const MARK_INTERVAL: Duration = Duration::from_secs(10);
/// How long a client may take nothing before it is dropped.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Messages that wait for a slow client.
const WAITING_MAX: usize = 256;
/// Event types in one filter.
const TYPES_MAX: usize = 32;

/// What of an event the filter looks at.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    kind: String,
    pool: Option<String>,
    job: Option<String>,
}

/// What a client wants to see; what is empty doesn't matter.
struct Filter {
    pool: Option<Pool>,
    job: Option<JobId>,
    kinds: Vec<String>,
}

impl Filter {
    fn takes(&self, head: &Head) -> bool {
        self.pool.as_ref().is_none_or(|pool| head.pool.as_deref() == Some(pool.as_str()))
            && self.job.as_ref().is_none_or(|job| head.job.as_deref() == Some(job.as_str()))
            && (self.kinds.is_empty() || self.kinds.contains(&head.kind))
    }
}

/// Streams committed events: `event` is the type, `data` the JSON as it stands on the topic, `id` says where to resume.
/// From now on, or from behind `Last-Event-ID`, which wins over `last_event_id`. The first message has only an `id`. A last
/// event `lost` says that the place to resume at is gone; its `id` is where the topic ends now.
#[utoipa::path(
    get, path = "/v1/events", tag = "events",
    params(("pool" = Option<String>, Query), ("job" = Option<String>, Query, description = "Events that carry a job"),
        ("type" = Option<String>, Query, description = "One or several, comma separated"),
        ("last_event_id" = Option<String>, Query, description = "For clients that can't send the header"),
        ("Last-Event-ID" = Option<String>, Header)),
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 400, body = Problem),
        (status = 503, body = Problem))
)]
pub(crate) async fn events(
    State(app): State<App>,
    headers: HeaderMap,
    mut params: Params,
) -> Answer<Response> {
    let kinds: Vec<String> = params
        .all("type")
        .iter()
        .flat_map(|value| value.split(','))
        .filter(|kind| !kind.is_empty())
        .map(str::to_owned)
        .collect();
    if kinds.len() > TYPES_MAX {
        return Err(Problem::bad_field("type", "too many types")
            .limit(TYPES_MAX.to_string())
            .remedy("leave `type` out and filter what comes"));
    }
    let filter =
        Filter { pool: params.name("pool", Pool::parse)?, job: params.name("job", JobId::parse)?, kinds };
    let header = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    // A browser that comes back sends the header: the address is that of its first connection.
    let asked = params.one("last_event_id")?;
    let last = header.filter(|text| !text.is_empty()).or(asked);
    params.finish()?;
    let partitions = app.parts.registry.partitions();
    let from = last.map(|text| parse_place(&text, partitions)).transpose()?;
    let place = app.streams.clone().try_acquire_owned();
    let place = place.map_err(|_| {
        Problem::later("streams", "too many answers are streamed at once").limit(STREAMS_MAX.to_string())
    })?;
    let feed = app.parts.feed.clone();
    let opened = tokio::task::spawn_blocking(move || open(feed.as_ref(), from)).await;
    let opened = opened.map_err(|error| Problem::internal(format!("opening a feed failed: {error}")))?;
    let (mut stream, from) = opened.map_err(|error| match error {
        FeedError::Gone(detail) | FeedError::Away(detail) => Problem::later("broker", detail),
    })?;
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let (stopping, feed, handle) = (app.shutdown.clone(), app.parts.feed.clone(), Handle::current());
    let follow = move || {
        let mut follower = Follower { filter, sender, handle, feed, partitions, told_at: Instant::now() };
        // Who is cut off before the first match must know where to resume.
        let mut goes_on = follower.tell(Message::default().id(place_of(from)));
        while goes_on && !*stopping.borrow() {
            goes_on = follower.step(stream.as_mut());
        }
        drop(place);
    };
    // A thread of its own: it lives as long as its client.
    std::thread::Builder::new()
        .name("events".to_owned())
        .spawn(follow)
        .map_err(|error| Problem::later("threads", error.to_string()))?;
    let messages = ReceiverStream::new(receiver).map(Ok::<Message, Infallible>);
    Ok(Sse::new(messages).keep_alive(KeepAlive::default()).into_response())
}

/// Opens a stream; without a place to resume at from now on.
fn open(feed: &dyn EventFeed, from: Option<Vec<i64>>) -> Result<(Box<dyn EventStream>, Vec<i64>), FeedError> {
    let from = from.map_or_else(|| feed.ends(), Ok)?;
    Ok((feed.open(from.clone())?, from))
}

struct Follower {
    filter: Filter,
    sender: Sender<Message>,
    handle: Handle,
    feed: Arc<dyn EventFeed>,
    partitions: i32,
    told_at: Instant,
}

impl Follower {
    /// One look at the feed; false when it is over.
    fn step(&mut self, stream: &mut dyn EventStream) -> bool {
        match stream.poll(POLL) {
            Ok(Some(record)) => {
                let message = self.message(&record);
                match message {
                    Some(message) => self.tell(message.id(place(stream, self.partitions))),
                    None => self.mark(stream),
                }
            }
            Ok(None) => self.mark(stream),
            Err(FeedError::Away(cause)) => {
                tracing::warn!(cause, "a stream of events waits for the broker");
                std::thread::sleep(POLL);
                !self.sender.is_closed()
            }
            Err(FeedError::Gone(cause)) => {
                // Who comes back with this id goes on from now on instead of being told the same again.
                let message = Message::default().event("lost").data(one_line(&cause));
                self.tell(match self.feed.ends() {
                    Ok(ends) => message.id(place_of(ends)),
                    Err(_) => message,
                });
                false
            }
        }
    }

    fn message(&self, record: &TailRecord) -> Option<Message> {
        let text = std::str::from_utf8(record.value.as_deref()?).ok()?;
        let head: Head = serde_json::from_str(text).ok()?;
        let is_wanted = self.filter.takes(&head);
        is_wanted.then(|| Message::default().event(one_line(&head.kind)).data(one_line(text)))
    }

    /// Says only how far it is, now and then.
    fn mark(&mut self, stream: &dyn EventStream) -> bool {
        if self.told_at.elapsed() < MARK_INTERVAL {
            return !self.sender.is_closed();
        }
        self.tell(Message::default().id(place(stream, self.partitions)))
    }

    fn tell(&mut self, message: Message) -> bool {
        self.told_at = Instant::now();
        self.handle.block_on(self.sender.send_timeout(message, SEND_TIMEOUT)).is_ok()
    }
}

/// JSON has line breaks only between its parts.
fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

/// The next offset of every partition. Opaque to clients.
fn place(stream: &dyn EventStream, partitions: i32) -> String {
    place_of((0..partitions).map(|partition| stream.position(partition).unwrap_or_default()))
}

fn place_of(offsets: impl IntoIterator<Item = i64>) -> String {
    let offsets = offsets.into_iter().map(|offset| offset.to_string());
    format!("e1.{}", offsets.collect::<Vec<_>>().join("."))
}

fn parse_place(text: &str, partitions: i32) -> Answer<Vec<i64>> {
    let bad = || {
        let detail = "the place to resume at is not one that this namespace gave out";
        Problem::bad_field("Last-Event-ID", detail).remedy("leave it out to start from now on")
    };
    let offsets: Option<Vec<i64>> = text
        .strip_prefix("e1.")
        .ok_or_else(bad)?
        .split('.')
        .map(|offset| offset.parse().ok().filter(|offset| *offset >= 0))
        .collect();
    offsets.filter(|offsets| i32::try_from(offsets.len()) == Ok(partitions)).ok_or_else(bad)
}
