//! Reads one JSON object field by field, so that every fault can be named by its path.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::id::BadName;
use crate::wire::error::{BadReason, Fault, RefusedReason, Undecodable};
use crate::wire::limits::{DEPTH_MAX, OUTPUT_BYTES_MAX, OUTPUT_DEPTH_MAX, RECORD_BYTES_MAX};

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// The fields of an object in their order, each as it stands in the text.
struct Entries<'a>(Vec<(Key<'a>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = Entries<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::with_capacity(16);
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Walk)
    }
}

/// One JSON object and the path to it.
pub(crate) struct Object<'a> {
    entries: Entries<'a>,
    path: String,
}

impl<'a> Object<'a> {
    /// The object that a whole record of an input must be.
    pub(crate) fn record(bytes: &'a [u8]) -> Result<Self, Undecodable> {
        Self::limited(bytes, RECORD_BYTES_MAX, DEPTH_MAX)
    }

    /// The object of a record that a server wrote: it holds what came in, and more.
    pub(crate) fn output(bytes: &'a [u8]) -> Result<Self, Undecodable> {
        Self::limited(bytes, OUTPUT_BYTES_MAX, OUTPUT_DEPTH_MAX)
    }

    fn limited(bytes: &'a [u8], bytes_max: usize, depth_max: usize) -> Result<Self, Undecodable> {
        if bytes.len() > bytes_max {
            let detail = format!("{} bytes, allowed are {bytes_max}", bytes.len());
            return Err(Undecodable::bad(BadReason::TooLarge, detail));
        }
        let text =
            std::str::from_utf8(bytes).map_err(|e| Undecodable::bad(BadReason::NotUtf8, e.to_string()))?;
        if is_deeper(text, depth_max) {
            let detail = format!("nested deeper than {depth_max}");
            return Err(Undecodable::bad(BadReason::TooDeep, detail));
        }
        match serde_json::from_str(text) {
            Ok(entries) => Ok(Self { entries, path: String::new() }),
            Err(error) => Err(no_object(text, &error)),
        }
    }

    /// An object inside another one.
    pub(crate) fn nested(raw: &'a RawValue, path: String) -> Result<Self, Fault> {
        match serde_json::from_str(raw.get()) {
            Ok(entries) => {
                let object = Self { entries, path };
                object.no_duplicates()?;
                Ok(object)
            }
            Err(_) => Err(Fault::invalid(path, "must be an object")),
        }
    }

    /// An object inside another one, whatever stands in it twice: to find out whom a bad command is from.
    pub(crate) fn glance(&self, name: &str) -> Option<Self> {
        let raw = self.raw(name)?;
        let entries = serde_json::from_str(raw.get()).ok()?;
        Some(Self { entries, path: self.at(name) })
    }

    /// The key that stands twice, if one does.
    pub(crate) fn duplicate(&self) -> Option<&str> {
        let mut keys: Vec<&str> = self.entries.0.iter().map(|(key, _)| key.0.as_ref()).collect();
        keys.sort_unstable();
        let mut last = None;
        keys.into_iter().find(|key| last.replace(*key) == Some(*key))
    }

    /// Refuses a key that stands twice.
    pub(crate) fn no_duplicates(&self) -> Result<(), Fault> {
        match self.duplicate() {
            Some(key) => {
                Err(Fault::new(self.at(key), RefusedReason::DuplicateKey, "stands twice in one object"))
            }
            None => Ok(()),
        }
    }

    /// The path of a field.
    pub(crate) fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The names of all fields.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.0.iter().map(|(key, _)| key.0.as_ref())
    }

    /// The text of a field; `null` means absent.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.entries.0.iter().find(|(key, _)| key.0 == name);
        found.map(|(_, raw)| *raw).filter(|raw| raw.get() != "null")
    }

    /// A field that must be there.
    pub(crate) fn need<T>(&self, name: &str, value: Option<T>) -> Result<T, Fault> {
        value.ok_or_else(|| Fault::new(self.at(name), RefusedReason::Missing, "is missing"))
    }

    /// A string without NUL of at most `max` bytes.
    pub(crate) fn text(&self, name: &str, max: usize) -> Result<Option<String>, Fault> {
        let Some(raw) = self.raw(name) else {
            return Ok(None);
        };
        let text = read_text(raw, || self.at(name))?;
        if text.len() > max {
            return Err(Fault::limit(self.at(name), format!("has {} bytes, allowed are {max}", text.len())));
        }
        Ok(Some(text.into_owned()))
    }

    /// A string of any length that is cut to its last `max` bytes; NUL is replaced.
    pub(crate) fn tail(&self, name: &str, max: usize) -> Result<Option<String>, Fault> {
        Ok(self.any_text(name)?.map(|text| last_bytes(&text, max).to_owned()))
    }

    /// A string of any length that is cut to its first `max` bytes; NUL is replaced.
    pub(crate) fn head(&self, name: &str, max: usize) -> Result<Option<String>, Fault> {
        Ok(self.any_text(name)?.map(|text| first_bytes(&text, max).to_owned()))
    }

    fn any_text(&self, name: &str) -> Result<Option<String>, Fault> {
        let Some(raw) = self.raw(name) else {
            return Ok(None);
        };
        match serde_json::from_str::<String>(raw.get()) {
            Ok(text) => Ok(Some(text.replace('\0', "\u{fffd}"))),
            Err(_) => Err(Fault::invalid(self.at(name), "must be a string")),
        }
    }

    /// A name of the domain.
    pub(crate) fn name<T>(
        &self,
        name: &str,
        parse: fn(&str) -> Result<T, BadName>,
    ) -> Result<Option<T>, Fault> {
        let Some(raw) = self.raw(name) else {
            return Ok(None);
        };
        let text = read_text(raw, || self.at(name))?;
        parse(&text).map(Some).map_err(|bad| Fault::invalid(self.at(name), format!("is not valid: {bad}")))
    }

    /// A number or truth value; `what` says in words what is allowed.
    pub(crate) fn scalar<T: serde::de::DeserializeOwned>(
        &self,
        name: &str,
        what: &str,
    ) -> Result<Option<T>, Fault> {
        let Some(raw) = self.raw(name) else {
            return Ok(None);
        };
        let value = serde_json::from_str(raw.get());
        value.map(Some).map_err(|_| Fault::invalid(self.at(name), format!("must be {what}")))
    }

    /// An object inside this one.
    pub(crate) fn object(&self, name: &str) -> Result<Option<Object<'a>>, Fault> {
        self.raw(name).map(|raw| Object::nested(raw, self.at(name))).transpose()
    }

    /// A list inside this object.
    pub(crate) fn list(&self, name: &str) -> Result<Option<Vec<&'a RawValue>>, Fault> {
        let Some(raw) = self.raw(name) else {
            return Ok(None);
        };
        let list = serde_json::from_str(raw.get());
        list.map(Some).map_err(|_| Fault::invalid(self.at(name), "must be a list"))
    }

    /// An object whose values are all strings without NUL.
    pub(crate) fn strings(&self, name: &str) -> Result<BTreeMap<String, String>, Fault> {
        let Some(object) = self.object(name)? else {
            return Ok(BTreeMap::new());
        };
        let mut map = BTreeMap::new();
        for (key, raw) in &object.entries.0 {
            let path = || object.at(&key.0);
            let value = read_text(raw, path)?.into_owned();
            if key.0.contains('\0') {
                return Err(Fault::invalid(path(), "must not contain NUL"));
            }
            map.insert(key.0.clone().into_owned(), value);
        }
        Ok(map)
    }
}

/// A string without NUL.
pub(crate) fn read_text(raw: &RawValue, path: impl Fn() -> String) -> Result<Cow<'_, str>, Fault> {
    let Key(text) =
        serde_json::from_str(raw.get()).map_err(|_| Fault::invalid(path(), "must be a string"))?;
    if text.contains('\0') {
        return Err(Fault::invalid(path(), "must not contain NUL"));
    }
    Ok(text)
}

/// At most the first `max` bytes, cut between characters.
pub(crate) fn first_bytes(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|i| text.is_char_boundary(*i));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// At most the last `max` bytes, cut between characters.
pub(crate) fn last_bytes(text: &str, max: usize) -> &str {
    let from = text.len().saturating_sub(max);
    let start = (from..=text.len()).find(|i| text.is_char_boundary(*i));
    text.get(start.unwrap_or(0)..).unwrap_or_default()
}

/// What a text is that is not an object.
fn no_object(text: &str, error: &serde_json::Error) -> Undecodable {
    match serde_json::from_str::<&RawValue>(text) {
        Err(error) => Undecodable::bad(BadReason::NotJson, error.to_string()),
        Ok(raw) if !raw.get().starts_with('{') => {
            Undecodable::bad(BadReason::NotAnObject, "the record is not a JSON object")
        }
        Ok(_) => Undecodable::bad(BadReason::NotJson, error.to_string()),
    }
}

/// Whether brackets are nested deeper than this outside strings. Most texts have too few brackets for that anyway.
fn is_deeper(text: &str, max: usize) -> bool {
    text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() > max && depth(text) > max
}

/// How deep brackets are nested outside strings: a scan without recursion, before any parser sees the text.
fn depth(text: &str) -> usize {
    let (mut now, mut deepest, mut in_string, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in text.bytes() {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => {
                now += 1;
                deepest = deepest.max(now);
            }
            (false, b']' | b'}') => now = now.saturating_sub(1),
            (true | false, _) => {}
        }
    }
    deepest
}
