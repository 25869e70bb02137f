//! Lists, page by page: bounded in rows and in keys that are looked at, with a cursor for going on.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use yardmaster_state::{StoreRead, Table, prefix_end};

use super::params::Params;
use super::problem::{Answer, Problem};

/// Keys that one request looks at, at most.
pub(crate) const SCAN_MAX: usize = 20_000;
/// Bytes of the rows of one page, about: a row is added as long as there is room.
const BYTES_MAX: usize = 4 << 20;
/// The size of a row that is not of the list.
pub(crate) const LEFT_OUT: usize = 0;
/// The size of a row with nothing large in it, about.
pub(crate) const SMALL_ROW: usize = 512;
/// The longest cursor, in characters.
const CURSOR_MAX: usize = 2_048;

/// How many bytes a row takes in the answer, about; [`LEFT_OUT`] when it doesn't belong to the list.
type Keep<'k, K> = dyn FnMut(K, &[u8]) -> Answer<usize> + 'k;

/// The range of a list that a request asks for.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// Rows still wanted.
    rows: usize,
    /// Bytes that may still be added.
    bytes: usize,
    /// Keys that may still be looked at.
    scans: usize,
    /// The last key of the page before.
    pub(crate) after: Option<Vec<u8>>,
    last: Option<Vec<u8>>,
    more: bool,
}

impl Page {
    /// Takes `limit` and `cursor` out of a request.
    pub(crate) fn take(params: &mut Params) -> Answer<Self> {
        let rows = params.limit()?;
        let after = params.one("cursor")?.map(|text| from_hex(&text)).transpose()?;
        Ok(Self { after, ..Self::first(rows) })
    }

    /// A page from the beginning.
    pub(crate) fn first(rows: usize) -> Self {
        Self { rows, bytes: BYTES_MAX, scans: SCAN_MAX, after: None, last: None, more: false }
    }

    /// Refuses a cursor that another list gave out.
    pub(crate) fn check(&self, is_own: impl Fn(&[u8]) -> bool) -> Answer<()> {
        if self.after.as_deref().is_none_or(is_own) { Ok(()) } else { Err(bad_cursor()) }
    }

    /// Whether something was left out: the list stops here.
    pub(crate) fn has_more(&self) -> bool {
        self.more
    }

    /// Where the next page begins, if there is one.
    pub(crate) fn next_cursor(&self) -> Option<String> {
        self.last.as_deref().or(self.after.as_deref()).filter(|_| self.more).map(to_hex)
    }

    /// Visits the rows of a table under a prefix, behind `after` if that lies in there; `keep` says whether a row is one
    /// of the list. Stops for good once the page is full or enough was looked at.
    pub(crate) fn walk<T: Table>(
        &mut self,
        store: &dyn StoreRead,
        prefix: &[u8],
        keep: &mut Keep<'_, T::Key>,
    ) -> Answer<()> {
        if self.more {
            return Ok(());
        }
        let from = match &self.after {
            Some(after) if after.starts_with(prefix) => [after.as_slice(), &[0]].concat(),
            Some(_) | None => prefix.to_vec(),
        };
        let mut failure = None;
        // One more than allowed: only then it is known that there is more.
        store.scan(T::CLASS, &from, &prefix_end(prefix), self.scans + 1, &mut |key, value| {
            if self.rows == 0 || self.scans == 0 || self.bytes == 0 {
                self.more = true;
                return ControlFlow::Break(());
            }
            self.scans -= 1;
            self.last = Some(key.to_vec());
            match T::parse(key).map_err(Problem::from).and_then(|key| keep(key, value)) {
                Ok(LEFT_OUT) => {}
                Ok(bytes) => {
                    self.rows -= 1;
                    self.bytes = self.bytes.saturating_sub(bytes);
                }
                Err(problem) => {
                    failure = Some(problem);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        failure.map_or(Ok(()), Err)
    }
}

/// A cursor is the last key that was looked at.
fn to_hex(key: &[u8]) -> String {
    key.iter().fold(String::with_capacity(key.len() * 2), |mut text, byte| {
        // Writing into a string can't fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

fn bad_cursor() -> Problem {
    Problem::bad_field("cursor", "is not a cursor that this list gave out")
        .remedy("send `next_cursor` of the page before, with the same filters; leave it out to begin anew")
}

fn from_hex(text: &str) -> Answer<Vec<u8>> {
    let bad = bad_cursor;
    if text.len() > CURSOR_MAX
        || !text.len().is_multiple_of(2)
        || !text.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return Err(bad());
    }
    text.as_bytes()
        .chunks(2)
        .map(|pair| {
            let digits = std::str::from_utf8(pair).map_err(|_| bad())?;
            u8::from_str_radix(digits, 16).map_err(|_| bad())
        })
        .collect()
}
