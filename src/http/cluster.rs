//! The cluster: who is there, who owns and copies what; emptying an instance, and balancing. Any instance answers, and
//! takes orders: what is wanted is written to the placement, where every placer reads it.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::params::{Names, Params};
use super::parts::App;
use super::problem::{Answer, Problem};
use crate::runtime::{ClusterView, InstanceView, PartitionView, Progress, Wish};

/// How long Kafka may take to take in what is wanted.
const WISH_PATIENCE: Duration = Duration::from_secs(10);

/// The cluster, as the instance that answers sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClusterBody {
    /// The instance that answers.
    answered_by: String,
    /// The number of the placement; it grows with each change.
    epoch: u64,
    /// The instance whose turn it is to place: the live one with the lowest id.
    #[serde(skip_serializing_if = "Option::is_none")]
    placer: Option<String>,
    /// Those that are heard, by id.
    instances: Vec<InstanceBody>,
    /// All partitions.
    partitions: Vec<PartitionBody>,
    /// Instances that are to be empty, also those that are not there.
    drained: Vec<String>,
}

/// One instance.
#[derive(Debug, Serialize, ToSchema)]
struct InstanceBody {
    id: String,
    url: String,
    /// Its rack or zone, if it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    rack: Option<String>,
    /// new (it gets copies, but no partition for balance yet), settled, stopping (its partitions go to others) or
    /// drained (its copies too).
    standing: &'static str,
    /// Whether it is its turn to place.
    placer: bool,
    /// When this life of it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    since_at_ms: Option<u64>,
    /// The partitions that it serves.
    owns: Vec<i32>,
    /// The copies that it keeps of others' partitions.
    copies: Vec<CopyBody>,
}

/// A copy of a partition.
#[derive(Debug, Serialize, ToSchema)]
struct CopyBody {
    partition: i32,
    /// The next offset of the changelog that it needs.
    next: i64,
    /// Offsets up to the changelog's end, as it last heard of it.
    behind: i64,
}

/// Where a partition is placed.
#[derive(Debug, Serialize, ToSchema)]
struct PartitionBody {
    partition: i32,
    owner: String,
    /// Whether its owner says that it serves it.
    served: bool,
    /// Who is to keep copies.
    standbys: Vec<String>,
}

/// What was written down.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ordered {
    /// `ordered`: the placer acts on it, which takes as long as copies need.
    outcome: &'static str,
}

/// Who is there, who owns what, and how far copies are behind.
#[utoipa::path(
    get, path = "/v1/cluster", tag = "operation",
    responses((status = 200, body = ClusterBody), (status = 503, body = Problem))
)]
pub(crate) async fn cluster(State(app): State<App>, params: Params) -> Answer<Json<ClusterBody>> {
    params.finish()?;
    let view = app.parts.registry.cluster().view();
    if view.me.is_empty() {
        return Err(Problem::later("starting", "this instance has not seen the placement yet"));
    }
    Ok(Json(ClusterBody::new(&view)))
}

/// Balances at once: instances that have just come, or that came and went, count as settled.
#[utoipa::path(
    post, path = "/v1/cluster/rebalance", tag = "operation",
    responses((status = 202, body = Ordered), (status = 503, body = Problem))
)]
pub(crate) async fn rebalance(State(app): State<App>, params: Params) -> Answer<Response> {
    params.finish()?;
    order(&app, Wish::Rebalance).await
}

/// Empties an instance: its partitions move to others once those are warm, and it gets no more, also after a restart.
#[utoipa::path(
    post, path = "/v1/cluster/instances/{instance}/drain", tag = "operation", params(("instance" = String, Path)),
    responses((status = 202, body = Ordered), (status = 404, body = Problem), (status = 503, body = Problem))
)]
pub(crate) async fn drain(
    State(app): State<App>,
    Names(instance): Names<String>,
    params: Params,
) -> Answer<Response> {
    params.finish()?;
    order(&app, known(&app, instance, true)?).await
}

/// Lets an instance own partitions again.
#[utoipa::path(
    post, path = "/v1/cluster/instances/{instance}/undrain", tag = "operation", params(("instance" = String, Path)),
    responses((status = 202, body = Ordered), (status = 404, body = Problem), (status = 503, body = Problem))
)]
pub(crate) async fn undrain(
    State(app): State<App>,
    Names(instance): Names<String>,
    params: Params,
) -> Answer<Response> {
    params.finish()?;
    order(&app, known(&app, instance, false)?).await
}

/// A name that nobody has is a slip: it would be written down and nothing would happen.
fn known(app: &App, instance: String, drained: bool) -> Answer<Wish> {
    let view = app.parts.registry.cluster().view();
    if view.instances.contains_key(&instance) || view.drained.contains(&instance) {
        return Ok(Wish::Drain { instance, drained });
    }
    let names: Vec<&str> = view.instances.keys().map(String::as_str).collect();
    let problem = Problem::not_found(format!("no instance {instance} is there"));
    Err(problem.field("instance").remedy(format!("use one of {} (instance.id)", names.join(", "))))
}

async fn order(app: &App, wish: Wish) -> Answer<Response> {
    let later = |detail: &str| Problem::later("placement", detail);
    let asked = app.parts.registry.cluster().ask(wish);
    let asked = asked.ok_or_else(|| later("too many orders wait to be written to the placement"))?;
    match tokio::time::timeout(WISH_PATIENCE, asked).await {
        Ok(Ok(Ok(()))) => Ok((StatusCode::ACCEPTED, Json(Ordered { outcome: "ordered" })).into_response()),
        Ok(Ok(Err(error))) => Err(later(&error)),
        Ok(Err(_)) | Err(_) => Err(later("the placement can't be written at the moment")),
    }
}

impl ClusterBody {
    fn new(view: &ClusterView) -> Self {
        let partition = |(partition, place): (&i32, &PartitionView)| PartitionBody {
            partition: *partition,
            owner: place.owner.clone(),
            served: place.is_served,
            standbys: place.standbys.clone(),
        };
        let is_placer = |id: &String| view.placer.as_ref() == Some(id);
        let instances = view.instances.iter();
        Self {
            answered_by: view.me.clone(),
            epoch: view.epoch,
            placer: view.placer.clone(),
            instances: instances.map(|(id, it)| InstanceBody::new(id, it, is_placer(id))).collect(),
            partitions: view.partitions.iter().map(partition).collect(),
            drained: view.drained.clone(),
        }
    }
}

impl InstanceBody {
    fn new(id: &str, view: &InstanceView, placer: bool) -> Self {
        let copy = |(partition, at): (&i32, &Progress)| CopyBody {
            partition: *partition,
            next: at.next.0,
            behind: at.behind(),
        };
        Self {
            id: id.to_owned(),
            url: view.url.clone(),
            rack: Some(view.rack.clone()).filter(|rack| !rack.is_empty()),
            standing: view.standing,
            placer,
            since_at_ms: Some(view.since_ms).filter(|since| *since > 0),
            owns: view.serves.clone(),
            copies: view.copies.iter().map(copy).collect(),
        }
    }
}
