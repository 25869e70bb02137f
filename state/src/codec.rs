//! Rows as bytes: one version byte, then bincode. The only file that names bincode, which has no maintainer any more
//! and must stay replaceable: another encoding is another range of version bytes.
//!
//! Bincode stores no field names: a change of a row's fields needs a new version, and `#[serde(skip, flatten,
//! untagged)]` and `serde_json::Value` can't be read back.

use bincode::config::{self, Config};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StateError;

/// Nothing larger is ever written (a record has at most 900 KiB); a damaged length must not allocate more.
const DECODED_BYTES_MAX: usize = 64 << 20;

fn configuration() -> impl Config {
    config::standard().with_limit::<DECODED_BYTES_MAX>()
}

/// The bytes of a row.
///
/// # Panics
/// When `version` is 0, which marks bytes that are no row, or when the row has a shape that serde can't describe
/// (a sequence of unknown length): both are mistakes in the table's definition.
#[must_use]
pub fn encode<R: Serialize>(version: u8, row: &R) -> Vec<u8> {
    assert!(version != 0, "version 0 is not a version");
    let mut bytes = Vec::with_capacity(128);
    bytes.push(version);
    bincode::serde::encode_into_std_write(row, &mut bytes, configuration()).expect("a row can be encoded");
    bytes
}

/// The version and the row in `bytes`, which must be exactly one row.
///
/// # Errors
/// [`StateError::TooNew`] above `max_version`; [`StateError::Corrupted`] for anything else that is not a row.
pub fn decode<R: DeserializeOwned>(max_version: u8, bytes: &[u8]) -> Result<(u8, R), StateError> {
    let (&version, rest) = bytes.split_first().ok_or_else(|| StateError::corrupted("a row has no bytes"))?;
    if version == 0 {
        return Err(StateError::corrupted("a row has version 0"));
    }
    if version > max_version {
        return Err(StateError::TooNew { what: "a row", found: version.into(), known: max_version.into() });
    }
    let (row, read) = bincode::serde::decode_from_slice(rest, configuration()).map_err(|cause| {
        StateError::corrupted(format!("a row of version {version} can't be read: {cause}"))
    })?;
    if read != rest.len() {
        return Err(StateError::corrupted(format!(
            "a row of version {version} has {} bytes too many",
            rest.len() - read
        )));
    }
    Ok((version, row))
}
