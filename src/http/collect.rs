//! One answer about all partitions: from those that are here, from the owners of the others, and from copies if they will do.
//! What nobody can tell is missing, and never passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, Method, Uri};
use axum::response::{IntoResponse, Response};

use super::ask::{PARTITIONS, Question, is_passed_on, partitions_of, partitions_value};
use super::gather::{Missing, Part, ask_each};
use super::params::Params;
use super::parts::{App, OwnedPartition};
use super::position::Token;
use super::problem::{Answer, Problem};
use super::stale::{Way, copies, take_stale};

/// Names the partitions that an answer with `partial=ok` is not about.
const MISSING: HeaderName = HeaderName::from_static("yardmaster-missing-partitions");
/// Of those that keep copies of a partition elsewhere, so many are asked.
const KEEPERS_MAX: usize = 2;

/// What is put together.
pub(crate) trait Whole {
    /// Reads a partition that is here.
    async fn read(&mut self, owned: &Arc<OwnedPartition>) -> Answer<()>;

    /// Takes in what another instance has told, as far as it is about its partitions.
    fn take(&mut self, part: &Part) -> Answer<()>;
}

/// What a request wants to be told.
pub(crate) struct Terms {
    question: Question,
    /// Only these: another instance asks, and nobody else is asked for it.
    only: Option<BTreeSet<i32>>,
    is_partial_ok: bool,
    is_stale_ok: bool,
    way: Way,
}

/// What an answer is about.
pub(crate) struct Collected {
    told: BTreeSet<i32>,
    missing: Missing,
    is_passed_on: bool,
    is_partial_ok: bool,
}

impl Terms {
    /// Takes them out of a request.
    pub(crate) fn take(app: &App, uri: &Uri, headers: &HeaderMap, params: &mut Params) -> Answer<Self> {
        let is_partial_ok = match params.one("partial")?.as_deref() {
            None => false,
            Some("ok") => true,
            Some(_) => {
                return Err(Problem::bad_field("partial", "`partial` can only be `ok`")
                    .remedy("leave it out, or set it to `ok`"));
            }
        };
        let only = is_passed_on(headers).then(|| {
            let all = || (0..app.parts.registry.partitions()).collect();
            if headers.contains_key(PARTITIONS) { partitions_of(headers) } else { all() }
        });
        Ok(Self {
            question: Question::new(app, &Method::GET, uri, headers, Bytes::new()),
            only,
            is_partial_ok,
            is_stale_ok: take_stale(params)?,
            way: params.way.clone(),
        })
    }
}

/// Puts together what can be told.
pub(crate) async fn collect(
    app: &App,
    terms: &Terms,
    token: &Token,
    whole: &mut impl Whole,
) -> Answer<Collected> {
    let mut here = BTreeSet::new();
    for owned in app.parts.registry.owned() {
        if terms.only.as_ref().is_some_and(|only| !only.contains(&owned.partition)) {
            continue;
        }
        token.wait(&owned).await?;
        whole.read(&owned).await?;
        here.insert(owned.partition);
    }
    let mut missing = Missing::beside(&here, app);
    let is_passed_on = terms.only.is_some();
    if !is_passed_on {
        let owners = missing.owners();
        hear(app, terms, owners, &mut missing, whole).await?;
    }
    if terms.is_stale_ok {
        let wanted = terms.only.as_ref().map_or_else(|| missing.all(), |only| &missing.all() & only);
        for (copy, lag) in copies(app, &wanted, token).await {
            whole.read(&copy).await?;
            terms.way.lags(lag);
            missing.remove(copy.partition);
        }
        for round in 0..KEEPERS_MAX * usize::from(!is_passed_on) {
            let keepers = keepers(app, &missing, round);
            hear(app, terms, keepers, &mut missing, whole).await?;
        }
    }
    let all = 0..app.parts.registry.partitions();
    let told = all.filter(|partition| !missing.has(*partition)).collect();
    Ok(Collected { told, missing, is_passed_on, is_partial_ok: terms.is_partial_ok })
}

/// Takes in what others tell.
async fn hear(
    app: &App,
    terms: &Terms,
    places: BTreeMap<String, BTreeSet<i32>>,
    missing: &mut Missing,
    whole: &mut impl Whole,
) -> Answer<()> {
    for part in ask_each(app, places, &terms.question, missing).await {
        whole.take(&part)?;
        if let Some(lag) = part.lag {
            terms.way.lags(lag);
        }
    }
    Ok(())
}

/// Who keeps copies of what is missing: of each the closest to the end, in the next round the next one.
fn keepers(app: &App, missing: &Missing, round: usize) -> BTreeMap<String, BTreeSet<i32>> {
    let mut keepers: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for partition in missing.all() {
        if let Some(keeper) = app.parts.registry.standbys().elsewhere(partition).into_iter().nth(round) {
            keepers.entry(keeper).or_default().insert(partition);
        }
    }
    keepers
}

impl Collected {
    /// Refuses an answer that is not whole and was not allowed to be so.
    pub(crate) fn must_be_whole(&self, what: &str) -> Answer<()> {
        if self.is_partial_ok { Ok(()) } else { self.must_be_searched(what) }
    }

    /// Refuses to say that nothing is there while something is missing. Another instance knows itself what it has not been told.
    pub(crate) fn must_be_searched(&self, what: &str) -> Answer<()> {
        if self.is_passed_on { Ok(()) } else { self.missing.must_be_none(what) }
    }

    /// What is missing.
    pub(crate) fn missing(&self) -> &Missing {
        &self.missing
    }

    /// Says in an answer what it is about: all of it to another instance, what is missing to a client.
    pub(crate) fn mark(&self, answer: impl IntoResponse) -> Response {
        let (name, partitions) =
            if self.is_passed_on { (PARTITIONS, self.told.clone()) } else { (MISSING, self.missing.all()) };
        let mut response = answer.into_response();
        if self.is_passed_on || !partitions.is_empty() {
            response.headers_mut().insert(name, partitions_value(&partitions));
        }
        response
    }
}
