//! Query parameters and paths: read one by one, and what is not known is refused by its name.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts as RequestParts;
use serde::de::DeserializeOwned;
use yardmaster_topologies::id::{BadName, Pool, TaskId};

use super::problem::{Answer, Problem};
use super::stale::Way;

/// How many parameters a request may have.
const PARAMETERS_MAX: usize = 64;
/// Rows of a page when the request doesn't say.
const LIMIT_DEFAULT: usize = 100;
/// The most rows of a page.
pub(crate) const LIMIT_MAX: usize = 1_000;

/// The parameters of a request, taken out one by one.
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
    /// The way of the request so far.
    pub(crate) way: Way,
}

/// The parts of a path that its route names.
#[derive(Debug)]
pub(crate) struct Names<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Names<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut RequestParts, state: &S) -> Answer<Self> {
        let names = Path::from_request_parts(parts, state).await;
        names.map(|Path(names)| Self(names)).map_err(|rejection: PathRejection| {
            Problem::bad_field("path", rejection.body_text())
                .remedy("encode names as UTF-8, then percent-encode them")
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut RequestParts, _: &S) -> Answer<Self> {
        let way = parts.extensions.get::<Way>().cloned().unwrap_or_default();
        Ok(Self { way, ..Self::parse(parts.uri.query().unwrap_or_default())? })
    }
}

impl Params {
    fn parse(query: &str) -> Answer<Self> {
        let mut pairs = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == PARAMETERS_MAX {
                let detail = format!("the query has more than {PARAMETERS_MAX} parameters");
                return Err(Problem::bad_field("query", detail)
                    .limit(PARAMETERS_MAX.to_string())
                    .remedy("send fewer parameters; lists of values may be separated by commas"));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let text = |raw: &str| {
                percent_decode(&raw.replace('+', " ")).ok_or_else(|| {
                    Problem::bad_field("query", format!("`{pair}` is not percent-encoded UTF-8"))
                        .remedy("encode names and values as UTF-8, then percent-encode them")
                })
            };
            pairs.push((text(name)?, text(value)?));
        }
        Ok(Self { pairs, way: Way::default() })
    }

    /// All values of a parameter.
    pub(crate) fn all(&mut self, name: &str) -> Vec<String> {
        let (found, rest) = std::mem::take(&mut self.pairs).into_iter().partition(|(key, _)| key == name);
        self.pairs = rest;
        let found: Vec<(String, String)> = found;
        found.into_iter().map(|(_, value)| value).collect()
    }

    /// The value of a parameter that stands at most once; an empty one counts as absent.
    pub(crate) fn one(&mut self, name: &str) -> Answer<Option<String>> {
        let mut values = self.all(name);
        if values.len() > 1 {
            return Err(Problem::bad_field(name, format!("`{name}` stands {} times", values.len()))
                .remedy("send it once"));
        }
        Ok(values.pop().filter(|value| !value.is_empty()))
    }

    /// A name of the domain.
    pub(crate) fn name<T>(&mut self, name: &str, parse: fn(&str) -> Result<T, BadName>) -> Answer<Option<T>> {
        let Some(text) = self.one(name)? else {
            return Ok(None);
        };
        parse(&text).map(Some).map_err(|bad| Problem::bad_field(name, bad.to_string()))
    }

    /// A number from `min` to `max`.
    pub(crate) fn number(&mut self, name: &str, min: u64, max: u64) -> Answer<Option<u64>> {
        let Some(text) = self.one(name)? else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) if (min..=max).contains(&number) => Ok(Some(number)),
            Ok(_) | Err(_) => {
                let detail = format!("`{name}` must be a whole number from {min} to {max}");
                Err(Problem::bad_field(name, detail)
                    .limit(max.to_string())
                    .remedy("send a number in that range"))
            }
        }
    }

    /// How many rows the page may have.
    pub(crate) fn limit(&mut self) -> Answer<usize> {
        let limit = self.number("limit", 1, LIMIT_MAX as u64)?;
        Ok(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LIMIT_DEFAULT))
    }

    /// Whatever is left is not known.
    pub(crate) fn finish(self) -> Answer<()> {
        match self.pairs.first() {
            Some((name, _)) => {
                let shown: String = name.chars().take(80).collect();
                let detail = format!("the parameter `{shown}` is not known here");
                Err(Problem::bad_field(shown, detail).remedy("see /openapi.json"))
            }
            None => Ok(()),
        }
    }
}

/// A name of the domain out of a path.
pub(crate) fn path_name<T>(field: &str, text: &str, parse: fn(&str) -> Result<T, BadName>) -> Answer<T> {
    parse(text).map_err(|bad| Problem::bad_field(field, bad.to_string()))
}

/// What stands in a path behind `/v1/pools/{pool}/{noun}/`: the pool, then the raw rest, with raw and encoded `/`.
pub(crate) fn behind<'a>(path: &'a str, noun: &str) -> Answer<(Pool, &'a str)> {
    let found = path
        .strip_prefix("/v1/pools/")
        .and_then(|rest| rest.split_once('/'))
        .and_then(|(pool, rest)| Some((pool, rest.strip_prefix(noun)?.strip_prefix('/')?)));
    let (pool, rest) = found.ok_or_else(|| Problem::not_found("no such path"))?;
    let pool = path_name("pool", &decoded("pool", pool)?, Pool::parse)?;
    Ok((pool, rest))
}

/// A part of a path as it was meant.
pub(crate) fn decoded(field: &str, raw: &str) -> Answer<String> {
    percent_decode(raw).ok_or_else(|| {
        Problem::bad_field(field, "is not percent-encoded UTF-8")
            .remedy("encode it as UTF-8, then percent-encode it")
    })
}

/// None when an escape is broken or the bytes are not UTF-8.
fn percent_decode(raw: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let (high, low) = (digit(rest.next())?, digit(rest.next())?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// A task or job id as one segment of a path.
fn segment(id: &str) -> String {
    // Of the characters that ids may have, only this one means something in a path.
    id.replace('/', "%2F")
}

/// A task as a path names it.
pub(crate) fn task_href(pool: &Pool, id: &TaskId) -> String {
    format!("/v1/pools/{pool}/tasks/{}", segment(id.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_parameters_out() {
        let mut params = Params::parse("tag=a%3Db&tag=c+d&limit=7&x=1").unwrap();
        assert_eq!(params.all("tag"), ["a=b", "c d"]);
        assert_eq!(params.limit().unwrap(), 7);
        assert!(params.finish().is_err());
    }

    #[test]
    fn refuses_broken_escapes_and_repeats() {
        assert!(Params::parse("a=%f").is_err());
        assert!(Params::parse("a=%ff").is_err());
        assert!(Params::parse("limit=1&limit=2").unwrap().limit().is_err());
        assert!(Params::parse("limit=1001").unwrap().limit().is_err());
        assert!(Params::parse(&"a=1&".repeat(65)).is_err());
    }

    #[test]
    fn finds_ids_with_slashes() {
        let (pool, rest) = behind("/v1/pools/default/tasks/a%2Fb/cancel", "tasks").unwrap();
        assert_eq!((pool.as_str(), rest), ("default", "a%2Fb/cancel"));
        assert_eq!(decoded("id", "a%2Fb").unwrap(), "a/b");
        assert!(behind("/v1/pools/a_b/tasks/x", "tasks").is_err());
    }
}
