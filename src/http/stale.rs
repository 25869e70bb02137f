//! `?stale=ok`: a read may be answered by a copy of a partition, which is behind its owner, and says how far.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use axum::response::Response;
use tokio::sync::watch;
use yardmaster_state::NextOffset;
use yardmaster_topologies::id::Pool;

use super::ask::Unheard;
use super::locate::{elsewhere, min_position, moving};
use super::lookup::wall_now;
use super::params::Params;
use super::parts::{App, Behind, Committed, Location, OwnedPartition, StandbyPartition, partition_of};
use super::position::Token;
use super::problem::{Answer, Problem};

/// Records of the changelog that the copy has not yet taken in.
const STALE_RECORDS: HeaderName = HeaderName::from_static("yardmaster-stale-records");
/// How old the last batch in the copy is, in milliseconds; 0 when there is nothing that it has not taken in.
const STALE_MS: HeaderName = HeaderName::from_static("yardmaster-stale-ms");

/// What goes with a request through its handler and back.
#[derive(Clone, Default)]
pub(crate) struct Way {
    /// Instances that were asked and are silent, and why.
    silent: Vec<(String, Arc<Unheard>)>,
    /// How far behind the copies are that were read: the furthest.
    lag: Arc<Mutex<Option<Lag>>>,
}

/// How far a copy is behind its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lag {
    records: i64,
    ms: u64,
}

impl Way {
    /// The same, knowing of one more instance that doesn't answer.
    pub(crate) fn without(mut self, silent: String, why: Unheard) -> Self {
        self.silent.push((silent, Arc::new(why)));
        self
    }

    /// Why an instance that was asked has not answered.
    pub(crate) fn why_silent(&self, url: &str) -> Option<&Unheard> {
        self.silent.iter().find(|(silent, _)| silent == url).map(|(_, why)| why.as_ref())
    }

    /// How many were.
    pub(crate) fn tried(&self) -> usize {
        self.silent.len()
    }

    /// A copy that is so far behind was read.
    pub(crate) fn lags(&self, lag: Lag) {
        let mut furthest = self.lag.lock().unwrap_or_else(PoisonError::into_inner);
        let so_far = furthest.unwrap_or(lag);
        *furthest = Some(Lag { records: lag.records.max(so_far.records), ms: lag.ms.max(so_far.ms) });
    }

    /// Says in the answer how far behind the copies are that it was read from, if it was.
    pub(crate) fn tell(&self, mut response: Response) -> Response {
        if let Some(lag) = *self.lag.lock().unwrap_or_else(PoisonError::into_inner) {
            response.headers_mut().insert(STALE_RECORDS, HeaderValue::from(lag.records));
            response.headers_mut().insert(STALE_MS, HeaderValue::from(lag.ms));
        }
        response
    }
}

impl Lag {
    /// What another instance has said of an answer.
    pub(crate) fn told(headers: &HeaderMap) -> Option<Self> {
        let number = |name: &HeaderName| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
        let records = i64::try_from(number(&STALE_RECORDS)?).ok()?;
        Some(Self { records, ms: number(&STALE_MS)? })
    }

    fn of(behind: Behind, now_ms: u64) -> Self {
        let records = behind.end.0.saturating_sub(behind.next.0).max(0);
        Self { records, ms: if records == 0 { 0 } else { now_ms.saturating_sub(behind.wall_ms) } }
    }
}

/// Whether a copy will do.
pub(crate) fn take_stale(params: &mut Params) -> Answer<bool> {
    match params.one("stale")?.as_deref() {
        None => Ok(false),
        Some("ok") => Ok(true),
        Some(_) => {
            Err(Problem::bad_field("stale", "`stale` can only be `ok`")
                .remedy("leave it out, or set it to `ok`"))
        }
    }
}

/// The copies of these partitions that are here and have come far enough.
pub(crate) async fn copies(
    app: &App,
    partitions: &BTreeSet<i32>,
    token: &Token,
) -> Vec<(Arc<OwnedPartition>, Lag)> {
    let mut found = Vec::new();
    for partition in partitions {
        if let Some(copy) = copy_here(app, *partition) {
            // One that is not far enough is as good as none.
            found.extend(read_only(&copy, token).await.ok());
        }
    }
    found
}

/// The copy of a partition, if one is here that is followed. That of an instance that is cut off may be behind what it has
/// never heard of.
fn copy_here(app: &App, partition: i32) -> Option<Arc<StandbyPartition>> {
    let is_followed = app.parts.registry.is_following(app.parts.instance_timeout);
    app.parts.registry.standbys().get(partition).filter(|_| is_followed)
}

/// As [`super::locate::caught_up`]; with `stale=ok` also a copy of the partition: one that is here is taken before an owner
/// elsewhere is asked, one that is elsewhere after its owner was asked in vain.
pub(crate) async fn readable(
    app: &App,
    pool: &Pool,
    uri: &Uri,
    params: &mut Params,
) -> Answer<Arc<OwnedPartition>> {
    if !take_stale(params)? {
        return super::locate::caught_up(app, pool, uri, params).await;
    }
    let token = min_position(params)?;
    let registry = &app.parts.registry;
    let owner = match registry.locate(pool) {
        Location::Here(owned) => {
            token.wait(&owned).await?;
            return Ok(owned);
        }
        Location::Elsewhere(owner) => Some(owner),
        Location::Moving => None,
    };
    let partition = partition_of(pool, registry.partitions());
    let way = &params.way;
    let mut refused = None;
    if let Some(copy) = copy_here(app, partition) {
        match read_only(&copy, &token).await {
            Ok((owned, lag)) => {
                way.lags(lag);
                return Ok(owned);
            }
            Err(problem) => refused = Some(problem),
        }
    }
    let is_untried = |url: &String| way.why_silent(url).is_none();
    let keeper = || registry.standbys().elsewhere(partition).into_iter().find(is_untried);
    Err(match (owner, refused) {
        (Some(owner), _) if is_untried(&owner) => elsewhere(uri, &format!("pool {pool}"), &owner),
        (_, Some(refused)) => refused,
        (owner, None) => match keeper().or(owner) {
            Some(there) => elsewhere(uri, &format!("a copy of pool {pool}"), &there),
            None => moving(&format!("pool {pool}")),
        },
    })
}

/// A copy as handlers read a partition. It does not move on while they do: its rows do.
async fn read_only(copy: &Arc<StandbyPartition>, token: &Token) -> Answer<(Arc<OwnedPartition>, Lag)> {
    let lag = Lag::of(*copy.behind.borrow(), wall_now().0);
    let of = Arc::clone(copy);
    let checkpoint = tokio::task::spawn_blocking(move || of.store.checkpoint()).await;
    let checkpoint = checkpoint.map_err(|error| Problem::internal(format!("reading failed: {error}")))??;
    let Some(checkpoint) = checkpoint else {
        return Err(moving(&format!("the copy of partition {}", copy.partition)));
    };
    let input = |index: usize| checkpoint.inputs.get(index).copied().unwrap_or(NextOffset(0));
    let committed = Committed {
        tasks: input(0),
        status: input(1),
        sequence: checkpoint.sequence,
        at_ms: checkpoint.at_ms,
    };
    let position = watch::channel(committed).1;
    let owned = Arc::new(OwnedPartition::new(copy.partition, Arc::clone(&copy.store), position));
    token.reached(&owned)?;
    Ok((owned, lag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_lacks_nothing_is_not_behind() {
        let behind =
            |next, end| Behind { next: NextOffset(next), end: NextOffset(end), sequence: 3, wall_ms: 1_000 };
        assert_eq!(Lag::of(behind(7, 7), 9_000), Lag { records: 0, ms: 0 });
        assert_eq!(Lag::of(behind(5, 7), 9_000), Lag { records: 2, ms: 8_000 });
        // It has read further than it has looked for the end, or the owner's clock is ahead.
        assert_eq!(Lag::of(behind(8, 7), 9_000), Lag { records: 0, ms: 0 });
        assert_eq!(Lag::of(behind(5, 7), 900), Lag { records: 2, ms: 0 });
    }
}
