//! A context on its way into the environment of tasks.

use std::collections::BTreeMap;

use yardmaster_topologies::task::TaskSpec;
use yardmaster_topologies::wire::ENV_BYTES_MAX;

use super::context::TraceContext;
use super::{TRACEPARENT, TRACESTATE};

/// The longest `tracestate` that is passed on, in bytes: what the W3C asks for.
pub(super) const STATE_BYTES_MAX: usize = 512;

/// What came with a submit, checked.
#[derive(Debug, Clone)]
pub(super) struct Carried {
    pub(super) context: TraceContext,
    state: Option<String>,
}

impl Carried {
    /// Of `traceparent` and `tracestate`; what is no context is none, as the W3C wants it.
    pub(super) fn read(parent: &str, state: Option<&str>) -> Option<Self> {
        let is_plain = |state: &&str| {
            state.len() <= STATE_BYTES_MAX && state.bytes().all(|b| (b' '..=b'~').contains(&b))
        };
        let context = TraceContext::parse(parent)?;
        Some(Self { context, state: state.filter(is_plain).map(str::to_owned) })
    }

    /// Without a state.
    pub(super) fn plain(context: TraceContext) -> Self {
        Self { context, state: None }
    }

    /// The same for what is below another span.
    pub(super) fn below(self, context: TraceContext) -> Self {
        Self { context, ..self }
    }

    /// Goes into the environment of tasks that have none of their own.
    pub(super) fn give(&self, tasks: &mut [TaskSpec]) {
        let context = self.context.to_string();
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
    fn a_state_is_passed_on_when_it_is_plain_and_belongs_to_a_context() {
        assert!(Carried::read("nonsense", Some("a=b")).is_none());
        assert_eq!(Carried::read(CONTEXT, Some("a=b")).unwrap().state.as_deref(), Some("a=b"));
        assert!(Carried::read(CONTEXT, Some("a=\u{e9}")).unwrap().state.is_none());
        assert!(Carried::read(CONTEXT, Some(&"x".repeat(STATE_BYTES_MAX + 1))).unwrap().state.is_none());
    }
}
