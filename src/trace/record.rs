//! Kafka records carry a context in their headers, as clients that trace write and read it.

use yardmaster_topologies::event::{Action, Command};
use yardmaster_topologies::wire::ToWorker;

use super::carried::{Carried, STATE_BYTES_MAX};
use super::{TRACEPARENT, TRACESTATE};

/// The names of the headers, and of the variables in a task's environment.
const NAMES: [(&str, &str); 2] = [("traceparent", TRACEPARENT), ("tracestate", TRACESTATE)];

/// Gives the context in a command's headers to its tasks that have none of their own.
pub(crate) fn take_up(command: &mut Command, headers: &[(String, Vec<u8>)]) {
    let Action::Submit { tasks } = &mut command.action else {
        return;
    };
    let header = |wanted: &str| {
        let found = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    };
    let carried = header("traceparent").and_then(|parent| Carried::read(parent, header("tracestate")));
    if let Some(carried) = carried {
        carried.give(tasks);
    }
}

/// Of a record's headers those that go on when it is sent on: others may make it larger than a producer may send.
pub(crate) fn kept(mut headers: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    let is_known = |found: &str| NAMES.iter().any(|(name, _)| found.eq_ignore_ascii_case(name));
    headers.retain(|(name, value)| is_known(name) && value.len() <= STATE_BYTES_MAX);
    headers
}

/// The headers of a message: of an assignment, the context of its task, unless it is far too long for one.
pub(crate) fn headers_of(message: &ToWorker) -> Vec<(String, Vec<u8>)> {
    let ToWorker::Assign { work, .. } = message else {
        return Vec::new();
    };
    let header = |(header, variable): (&str, &str)| {
        let value = work.env.get(variable).filter(|value| value.len() <= STATE_BYTES_MAX)?;
        Some((header.to_owned(), value.as_bytes().to_vec()))
    };
    NAMES.into_iter().filter_map(header).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_on_is_hardly_larger_than_what_came() {
        let header = |name: &str, bytes: usize| (name.to_owned(), vec![b'x'; bytes]);
        let came = vec![header("Traceparent", 55), header("large", 900_000), header("tracestate", 513)];
        assert_eq!(kept(came), [header("Traceparent", 55)]);
    }
}
