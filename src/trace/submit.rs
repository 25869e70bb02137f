//! A submit: the context that came with it goes on in the environment of each of its tasks.

use std::collections::BTreeMap;
use std::time::SystemTime;

use yardmaster_topologies::task::TaskSpec;
use yardmaster_topologies::wire::ENV_BYTES_MAX;

use super::context::TraceContext;
use super::span::{Kind, Span};
use super::{TRACEPARENT, TRACESTATE, begin, export};

/// The longest `tracestate` that is passed on, in bytes: what the W3C asks for.
const STATE_BYTES_MAX: usize = 512;

/// A submit that is being answered; exported when it is dropped.
pub(crate) struct Submitting {
    parent: Option<TraceContext>,
    own: Option<TraceContext>,
    state: Option<String>,
    started_at: SystemTime,
    tasks: usize,
}

impl Submitting {
    /// With the headers `traceparent` and `tracestate` of its request.
    pub(crate) fn begin(parent: Option<&str>, state: Option<&str>) -> Self {
        let parent = parent.and_then(TraceContext::parse);
        let is_plain = |state: &&str| {
            state.len() <= STATE_BYTES_MAX && state.bytes().all(|b| (b' '..=b'~').contains(&b))
        };
        let state = state.filter(is_plain).filter(|_| parent.is_some()).map(str::to_owned);
        Self { parent, own: begin(parent), state, started_at: SystemTime::now(), tasks: 0 }
    }

    /// Gives the context to tasks that have none of their own.
    pub(crate) fn carry(&mut self, tasks: &mut [TaskSpec]) {
        self.tasks = tasks.len();
        let Some(context) = self.own.or(self.parent) else {
            return;
        };
        let context = context.to_string();
        for task in tasks {
            add(&mut task.env, &context, self.state.as_deref());
        }
    }
}

/// A task's environment is never made larger than it may be.
fn add(env: &mut BTreeMap<String, String>, context: &str, state: Option<&str>) {
    if env.contains_key(TRACEPARENT) {
        return;
    }
    let pairs = [(TRACEPARENT, Some(context)), (TRACESTATE, state)];
    let pairs: Vec<(&str, &str)> =
        pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let has: usize = env.iter().map(|(name, value)| name.len() + value.len()).sum();
    let more: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
    if has + more <= ENV_BYTES_MAX {
        env.extend(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}

impl Drop for Submitting {
    fn drop(&mut self) {
        let Some(context) = self.own else {
            return;
        };
        export(Span {
            context,
            parent: self.parent,
            name: "submit",
            kind: Kind::Server,
            started_at: self.started_at,
            ended_at: SystemTime::now(),
            attributes: vec![("yardmaster.tasks", self.tasks.to_string())],
            error: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_task_gets_the_context_unless_it_has_one_or_no_room() {
        let mut bare = env(&[("MODE", "fast")]);
        add(&mut bare, CONTEXT, Some("a=b"));
        assert_eq!(bare, env(&[("MODE", "fast"), (TRACEPARENT, CONTEXT), (TRACESTATE, "a=b")]));
        let own = env(&[(TRACEPARENT, "its own")]);
        let mut kept = own.clone();
        add(&mut kept, CONTEXT, Some("a=b"));
        assert_eq!(kept, own);
        let large = "x".repeat(ENV_BYTES_MAX - 20);
        let mut full = env(&[("A", &large)]);
        add(&mut full, CONTEXT, None);
        assert_eq!(full.len(), 1);
    }

    #[test]
    fn what_is_no_context_is_not_passed_on() {
        let submitting = Submitting::begin(Some("nonsense"), Some("a=b"));
        assert!(submitting.parent.is_none() && submitting.state.is_none());
        let submitting = Submitting::begin(Some(CONTEXT), Some("a=\u{e9}"));
        assert!(submitting.parent.is_some() && submitting.state.is_none());
        // Nobody exports in this process: no span is made up.
        assert!(submitting.own.is_none() && Submitting::begin(None, None).own.is_none());
    }
}
