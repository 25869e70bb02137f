//! A submit over HTTP: the context that came with it goes on in the environment of each of its tasks.

use std::time::SystemTime;

use yardmaster_topologies::task::TaskSpec;

use super::carried::Carried;
use super::context::TraceContext;
use super::span::{Kind, Span};
use super::{begin, export};

/// A submit that is being answered; exported when it is dropped.
pub(crate) struct Submitting {
    parent: Option<Carried>,
    own: Option<TraceContext>,
    started_at: SystemTime,
    tasks: usize,
}

impl Submitting {
    /// With the headers `traceparent` and `tracestate` of its request.
    pub(crate) fn begin(parent: Option<&str>, state: Option<&str>) -> Self {
        let parent = parent.and_then(|parent| Carried::read(parent, state));
        let own = begin(parent.as_ref().map(|parent| parent.context));
        Self { parent, own, started_at: SystemTime::now(), tasks: 0 }
    }

    /// Gives the context to tasks that have none of their own: the submit's span, or what came in.
    pub(crate) fn carry(&mut self, tasks: &mut [TaskSpec]) {
        self.tasks = tasks.len();
        let carried = match (self.parent.clone(), self.own) {
            (Some(parent), Some(context)) => Some(parent.below(context)),
            (None, Some(context)) => Some(Carried::plain(context)),
            (parent, None) => parent,
        };
        if let Some(carried) = carried {
            carried.give(tasks);
        }
    }
}

impl Drop for Submitting {
    fn drop(&mut self) {
        let Some(context) = self.own else {
            return;
        };
        export(Span {
            context,
            parent: self.parent.as_ref().map(|parent| parent.context),
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

    #[test]
    fn nobody_exports_so_no_span_is_made_up() {
        let context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(Submitting::begin(Some(context), None).own.is_none());
        assert!(Submitting::begin(None, None).own.is_none());
    }
}
