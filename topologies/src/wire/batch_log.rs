//! The part of a batch record's copy on `events` that a replay needs besides the records that the batch took.

use serde::ser::SerializeMap;

use crate::time::ProcessorMs;
use crate::wire::error::Fault;
use crate::wire::object::Object;

/// What a replay needs to know of a batch. Copies of older servers do not have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchLog {
    /// The batch's time on the processor's clock.
    pub clock: ProcessorMs,
    /// How many rows the batch wrote into the changelog.
    pub rows: u32,
    /// The digest of these rows.
    pub digest: u64,
    /// The epoch of the owner that committed.
    pub owner_epoch: u64,
    /// The version of the deciding code.
    pub code_version: u32,
    /// The processor's own events as [`crate::event::encode_local_blanked`] has them; empty when there were none.
    pub local: Vec<u8>,
}

/// The longest that local events of one batch can be read back, in hexadecimal digits.
const LOCAL_DIGITS_MAX: usize = 4 << 20;

/// Digests are text: JSON's numbers end at 2^53 for most readers.
pub(super) fn put_log<M: SerializeMap>(map: &mut M, log: &BatchLog) -> Result<(), M::Error> {
    map.serialize_entry("clock_ms", &log.clock)?;
    map.serialize_entry("rows", &log.rows)?;
    map.serialize_entry("digest", &format!("{:016x}", log.digest))?;
    map.serialize_entry("owner_epoch", &log.owner_epoch)?;
    map.serialize_entry("code_version", &log.code_version)?;
    if log.local.is_empty() {
        return Ok(());
    }
    let digits: String = log.local.iter().map(|byte| format!("{byte:02x}")).collect();
    map.serialize_entry("local", &digits)
}

/// None in a copy that an older server made.
pub(super) fn read_log(object: &Object<'_>) -> Result<Option<BatchLog>, Fault> {
    let Some(clock) = object.scalar("clock_ms", "a whole number")? else {
        return Ok(None);
    };
    let number = |name: &str| object.need(name, object.scalar::<u64>(name, "a whole number")?);
    let small = |name: &str| object.need(name, object.scalar::<u32>(name, "a whole number")?);
    let digest = object.need("digest", object.text("digest", 16)?)?;
    let digest = u64::from_str_radix(&digest, 16)
        .map_err(|_| Fault::invalid("digest".to_owned(), "must be 16 hexadecimal digits"))?;
    let local = object.text("local", LOCAL_DIGITS_MAX)?.unwrap_or_default();
    Ok(Some(BatchLog {
        clock: ProcessorMs(clock),
        rows: small("rows")?,
        digest,
        owner_epoch: number("owner_epoch")?,
        code_version: small("code_version")?,
        local: bytes_of(&local)
            .ok_or_else(|| Fault::invalid("local".to_owned(), "must be pairs of hexadecimal digits"))?,
    }))
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = digits.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let byte = |[high, low]: &[u32; 2]| u8::try_from(high * 16 + low).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::bytes_of;

    #[test]
    fn bytes_are_pairs_of_digits() {
        assert_eq!(bytes_of("01fF"), Some(vec![1, 255]));
        assert_eq!(bytes_of(""), Some(Vec::new()));
        assert_eq!(bytes_of("0"), None);
        assert_eq!(bytes_of("0g"), None);
    }
}
