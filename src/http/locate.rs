//! From a pool to its store: here, at another instance (421 with its address), or on its way (503).

use std::sync::Arc;

use axum::http::{StatusCode, Uri, header};
use yardmaster_state::{StateError, StoreRead};
use yardmaster_topologies::id::Pool;

use super::params::Params;
use super::parts::{App, Location, OwnedPartition};
use super::position::Token;
use super::problem::{Answer, Problem};

/// The partition of a pool, if it is here.
pub(crate) fn owned(app: &App, pool: &Pool, uri: &Uri) -> Answer<Arc<OwnedPartition>> {
    match app.parts.registry.locate(pool) {
        Location::Here(owned) => Ok(owned),
        Location::Elsewhere(owner) => Err(elsewhere(uri, &format!("pool {pool}"), &owner)),
        Location::Moving => Err(moving(&format!("pool {pool}"))),
    }
}

/// Another instance serves it. `forward.rs` asks there; who asks itself is sent there.
pub(crate) fn elsewhere(uri: &Uri, what: &str, owner: &str) -> Problem {
    let detail = format!("{what} is served by another instance: {owner}");
    let there = uri.path_and_query().map_or("/", |path| path.as_str());
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "elsewhere", "Another instance has it", detail)
        .remedy("send the same request to the address in `Location`")
        .with("owner", owner)
        .header(header::LOCATION, &format!("{}{there}", owner.trim_end_matches('/')))
}

/// Nobody serves it at the moment.
pub(crate) fn moving(what: &str) -> Problem {
    Problem::later("moving", format!("{what} is moving between instances or being restored"))
}

/// The partition of a pool, once it has applied what `min_position` names.
pub(crate) async fn caught_up(
    app: &App,
    pool: &Pool,
    uri: &Uri,
    params: &mut Params,
) -> Answer<Arc<OwnedPartition>> {
    let token = min_position(params)?;
    let owned = owned(app, pool, uri)?;
    token.wait(&owned).await?;
    Ok(owned)
}

/// What `min_position` names; nothing when it is absent.
pub(crate) fn min_position(params: &mut Params) -> Answer<Token> {
    params.one("min_position")?.map_or_else(|| Ok(Token::default()), |text| Token::parse(&text))
}

/// Reads one consistent view on a thread that may block.
pub(crate) async fn read<T, F>(owned: &Arc<OwnedPartition>, read: F) -> Answer<T>
where
    T: Send + 'static,
    F: FnOnce(&dyn StoreRead) -> Answer<T> + Send + 'static,
{
    let owned = Arc::clone(owned);
    let reading = tokio::task::spawn_blocking(move || {
        let view = owned.store.view();
        read(view.as_ref())
    });
    reading.await.unwrap_or_else(|error| Err(Problem::internal(format!("reading failed: {error}"))))
}

impl From<StateError> for Problem {
    fn from(error: StateError) -> Self {
        Self::internal(format!("the store can't be read: {error}"))
    }
}
