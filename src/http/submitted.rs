//! The answer to a submit: what became of each task, as far as it is known.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use yardmaster_topologies::id::RequestId;
use yardmaster_topologies::settings::Limits;
use yardmaster_topologies::task::TaskSpec;
use yardmaster_topologies::wire::{Event, RefusedReason};

use super::params::task_href;
use super::parts::{Decision, Waiter};
use super::position::Token;
use super::problem::{Answer, Problem};
use super::refusal::refused as refused_problem;
use super::submit_plan::Warning;
use super::wait::Wait;

/// The answer to a submit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Submitted {
    /// Stands in every event that answers it.
    request_id: String,
    /// For `min_position` of reads.
    position: String,
    /// In the order of the request.
    tasks: Vec<SubmittedTask>,
    /// What may not be as meant.
    warnings: Vec<Warning>,
    /// Why some are undecided.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// One task of a submit.
#[derive(Debug, Serialize, ToSchema)]
struct SubmittedTask {
    pool: String,
    id: String,
    /// Where to look at it.
    href: String,
    /// `sent`; with `wait=applied` instead `accepted`, `repeated`, `refused` or `undecided`. In a problem also `unknown`:
    /// the broker has not acknowledged it.
    outcome: &'static str,
    /// The task's state, when it was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    /// Counts requeues by people.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u32>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The field at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// One sentence for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip)]
    why: Option<RefusedReason>,
}

impl SubmittedTask {
    fn new(spec: &TaskSpec) -> Self {
        Self {
            pool: spec.pool.to_string(),
            id: spec.id.to_string(),
            href: task_href(&spec.pool, &spec.id),
            outcome: "unknown",
            state: None,
            generation: None,
            reason: None,
            field: None,
            detail: None,
            why: None,
        }
    }

    /// Takes in what was decided about it.
    fn decided(&mut self, event: &Event) {
        if let Event::Accepted { state, generation, repeated, .. } = event {
            self.outcome = if *repeated { "repeated" } else { "accepted" };
            self.state = Some(state.name());
            self.generation = Some(generation.0);
            (self.reason, self.field, self.detail, self.why) = (None, None, None, None);
        } else if let Event::Refused { reason, field, detail, .. } = event {
            self.outcome = "refused";
            self.reason = Some(reason.name());
            self.field.clone_from(field);
            self.detail = Some(detail.clone());
            self.why = Some(*reason);
        }
    }
}

impl Submitted {
    /// Before anything was sent.
    pub(crate) fn new(tasks: &[TaskSpec], request_id: &RequestId) -> Self {
        Self {
            request_id: request_id.to_string(),
            position: String::new(),
            tasks: tasks.iter().map(SubmittedTask::new).collect(),
            warnings: Vec::new(),
            note: None,
        }
    }

    /// Adds what may not be as meant.
    pub(crate) fn warn(&mut self, warnings: Vec<Warning>) {
        self.warnings = warnings;
    }

    /// The broker has acknowledged the tasks at these places of the request.
    pub(crate) fn acknowledge(&mut self, places: &[usize], token: &Token) {
        self.position = token.to_string();
        for place in places {
            if let Some(task) = self.tasks.get_mut(*place) {
                task.outcome = "sent";
            }
        }
    }

    /// What the client must know when not all of it was acknowledged.
    pub(crate) fn failed(&self, problem: Problem, has_made_up_ids: bool) -> Problem {
        let problem = problem.with("request_id", &self.request_id).with("tasks", &self.tasks);
        let problem = match self.position.as_str() {
            "" => problem,
            position => problem.with("position", position),
        };
        if !has_made_up_ids {
            return problem;
        }
        // Without them every task that did arrive would be run a second time.
        problem
            .remedy("submit again with the ids in `tasks`: what arrived all the same is recognised by them")
    }

    /// Waits for a decision about each task of `commands` commands.
    pub(crate) async fn decide(&mut self, wait: Wait, waiter: &mut Waiter, commands: usize) {
        let mut places: BTreeMap<(String, String), usize> = BTreeMap::new();
        for (index, task) in self.tasks.iter_mut().enumerate() {
            task.outcome = "undecided";
            places.insert((task.pool.clone(), task.id.clone()), index);
        }
        let tasks = &mut self.tasks;
        let mut heard = 0;
        let enough = |decision: &Decision| {
            heard += decision.commands;
            for event in &decision.events {
                let Some(id) = event.task_id() else {
                    refuse_rest(tasks, &places, decision.pool.as_str(), event);
                    continue;
                };
                if let Some(index) = places.remove(&(decision.pool.to_string(), id.to_string()))
                    && let Some(task) = tasks.get_mut(index)
                {
                    task.decided(event);
                }
            }
            places.is_empty() || heard >= commands
        };
        wait.hear(waiter, enough).await;
    }

    /// The whole answer, or the problem that a refusal is.
    pub(crate) fn respond(mut self, wait: Wait, limits: &Limits) -> Answer<Response> {
        let has = |outcome: &str| self.tasks.iter().any(|task| task.outcome == outcome);
        if has("refused") {
            return Err(self.problem(limits));
        }
        let status = if !wait.is_wanted() {
            StatusCode::ACCEPTED
        } else if has("undecided") {
            self.note = Some("not all was decided in time: read with min_position, or follow /v1/events");
            StatusCode::ACCEPTED
        } else if has("accepted") {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        let location = match self.tasks.as_slice() {
            [task] => HeaderValue::from_str(&task.href).ok(),
            _ => None,
        };
        let mut response = (status, Json(self)).into_response();
        if let Some(location) = location {
            response.headers_mut().insert(header::LOCATION, location);
        }
        Ok(response)
    }

    /// A conflict is named first: it is what a client must look at.
    fn problem(&self, limits: &Limits) -> Problem {
        let refused = || self.tasks.iter().filter_map(|task| Some((task, task.why?)));
        let conflict = refused().find(|(_, why)| *why == RefusedReason::Conflict);
        let Some((first, why)) = conflict.or_else(|| refused().next()) else {
            return Problem::internal("nothing was refused");
        };
        let detail = first.detail.clone().unwrap_or_default();
        let problem = refused_problem(why, first.field.as_deref(), detail, limits)
            .with("request_id", &self.request_id)
            .with("position", &self.position)
            .with("tasks", &self.tasks)
            .with("warnings", &self.warnings);
        match self.tasks.len() {
            1 => problem,
            _ => problem.remedy("look at `tasks`: those that were not refused are taken"),
        }
    }
}

/// A command that was refused as a whole names no task: it is true of all that are still undecided in its pool.
fn refuse_rest(
    tasks: &mut [SubmittedTask],
    places: &BTreeMap<(String, String), usize>,
    pool: &str,
    event: &Event,
) {
    for index in places.iter().filter(|((in_pool, _), _)| in_pool == pool).map(|(_, index)| *index) {
        if let Some(task) = tasks.get_mut(index) {
            task.decided(event);
        }
    }
}
