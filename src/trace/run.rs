//! An attempt on a worker: a span below the submit's, and the parent of what the program itself traces.

use std::time::SystemTime;

use super::context::TraceContext;
use super::span::{Kind, Span};
use super::{TRACEPARENT, begin, export};
use crate::worker::{Assignment, End, Finish};

/// An attempt that runs.
pub(crate) struct Run {
    context: TraceContext,
    parent: Option<TraceContext>,
    started_at: SystemTime,
    attributes: Vec<(&'static str, String)>,
}

impl Run {
    /// Puts the span of this attempt into the program's environment; nothing when it is not to be exported.
    pub(crate) fn begin(assignment: &mut Assignment) -> Option<Self> {
        let parent = assignment.env.get(TRACEPARENT).and_then(|text| TraceContext::parse(text));
        let context = begin(parent)?;
        assignment.env.insert(TRACEPARENT.to_owned(), context.to_string());
        let attributes = vec![
            ("yardmaster.pool", assignment.pool.to_string()),
            ("yardmaster.task", assignment.task.to_string()),
            ("yardmaster.attempt", assignment.attempt.to_string()),
            ("yardmaster.worker", assignment.worker.to_string()),
        ];
        Some(Self { context, parent, started_at: SystemTime::now(), attributes })
    }

    /// It has ended like this.
    pub(crate) fn end(self, finish: &Finish) {
        let Self { context, parent, started_at, attributes } = self;
        let why = || finish.report.error_message.clone().or_else(|| finish.report.error_kind.clone());
        let error =
            (finish.end != End::Completed).then(|| why().unwrap_or_else(|| format!("{:?}", finish.end)));
        let (name, kind, ended_at) = ("run", Kind::Consumer, SystemTime::now());
        export(Span { context, parent, name, kind, started_at, ended_at, attributes, error });
    }
}
