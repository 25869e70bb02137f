//! Kafka records carry a context in their headers, as clients that trace write and read it.

use yardmaster_topologies::event::{Action, Command};
use yardmaster_topologies::wire::ToWorker;

use super::carried::Carried;
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

/// The headers of a message: of an assignment, the context of its task.
pub(crate) fn headers_of(message: &ToWorker) -> Vec<(String, Vec<u8>)> {
    let ToWorker::Assign { work, .. } = message else {
        return Vec::new();
    };
    let header = |(header, variable): (&str, &str)| {
        work.env.get(variable).map(|value| (header.to_owned(), value.as_bytes().to_vec()))
    };
    NAMES.into_iter().filter_map(header).collect()
}
