//! A list of tasks: the best index for what is asked, then history from the newest hour on.

use std::collections::BTreeSet;

use yardmaster_state::{KeyWriter, StoreRead, Table, read_row};
use yardmaster_topologies::id::{JobId, Pool, QueueName, TaskId, WorkerName};
use yardmaster_topologies::tables::{
    ByJobTable, ByQueueTable, ByTagTable, ByWorkerTable, HistoryByJobTable, HistoryClass, HistoryTable,
    TaskTable,
};
use yardmaster_topologies::task::{EndedTask, LiveTask, TaskRow, TaskSpec, TaskState};

use super::lookup::{Horizon, is_current, wall_now};
use super::page::{LEFT_OUT, Page, SMALL_ROW};
use super::problem::Answer;
use super::read_tasks::TaskPage;
use super::task_view::TaskView;

/// What a task must be to be listed; what is empty doesn't matter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) states: BTreeSet<TaskState>,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) queue: Option<QueueName>,
    pub(crate) job: Option<JobId>,
    pub(crate) worker: Option<WorkerName>,
}

impl Filter {
    fn wants(&self, is_terminal: bool) -> bool {
        self.states.is_empty() || self.states.iter().any(|state| state.is_terminal() == is_terminal)
    }

    fn takes(&self, spec: &TaskSpec, state: TaskState) -> bool {
        (self.states.is_empty() || self.states.contains(&state))
            && self.queue.as_ref().is_none_or(|queue| *queue == spec.queue)
            && self.job.as_ref().is_none_or(|job| Some(job) == spec.job.as_ref())
            && self.tags.iter().all(|(name, value)| spec.tags.get(name) == Some(value))
    }

    fn takes_live(&self, task: &LiveTask) -> bool {
        let has_it = |worker: &WorkerName| task.open.as_ref().is_some_and(|open| open.worker == *worker);
        self.takes(&task.spec, task.state) && self.worker.as_ref().is_none_or(has_it)
    }

    fn takes_ended(&self, task: &EndedTask) -> bool {
        let had_it = |worker: &WorkerName| task.attempts.iter().any(|attempt| attempt.worker == *worker);
        self.takes(&task.spec, task.state) && self.worker.as_ref().is_none_or(had_it)
    }
}

/// One page of the tasks of a pool.
pub(crate) fn list(
    view: &dyn StoreRead,
    pool: &Pool,
    filter: &Filter,
    mut page: Page,
    horizon: Horizon,
) -> Answer<TaskPage> {
    let mut tasks = Vec::new();
    let prefix = live_prefix(pool, filter);
    let place = |cursor: &[u8]| history_place(cursor, pool, filter.job.as_ref());
    page.check(|cursor| cursor.starts_with(&prefix) || place(cursor).is_some())?;
    let resumed = page.after.as_deref().and_then(place);
    if filter.wants(false) && resumed.is_none() {
        live(view, (pool, &prefix), filter, &mut page, &mut tasks)?;
    }
    if filter.wants(true) {
        for (class, hour) in
            buckets(horizon).skip_while(|bucket| resumed.is_some_and(|at| is_newer(*bucket, at)))
        {
            let mut keep = |task: &EndedTask| -> Answer<usize> {
                let is_wanted = filter.takes_ended(task) && is_current(view, task, horizon)?;
                Ok(if is_wanted { add(&mut tasks, TaskView::ended(task)) } else { LEFT_OUT })
            };
            ended(view, (pool, class, hour), filter, &mut page, &mut keep)?;
            if page.has_more() {
                break;
            }
        }
    }
    Ok(TaskPage { tasks, next_cursor: page.next_cursor() })
}

/// Adds a task, and says how large it is.
fn add(tasks: &mut Vec<TaskView>, task: TaskView) -> usize {
    let bytes = serde_json::to_vec(&task).map_or(SMALL_ROW, |text| text.len());
    tasks.push(task);
    bytes
}

fn live(
    view: &dyn StoreRead,
    (pool, prefix): (&Pool, &[u8]),
    filter: &Filter,
    page: &mut Page,
    tasks: &mut Vec<TaskView>,
) -> Answer<()> {
    let mut keep = |id: TaskId| -> Answer<usize> {
        let row = read_row::<TaskTable>(view, &(pool.clone(), id))?;
        let Some(TaskRow::Live(task)) =
            row.filter(|row| matches!(row, TaskRow::Live(task) if filter.takes_live(task)))
        else {
            return Ok(LEFT_OUT);
        };
        Ok(add(tasks, TaskView::live(&task)))
    };
    match prefix.first() {
        Some(&ByWorkerTable::ID) => page.walk::<ByWorkerTable>(view, prefix, &mut |(_, _, id), _| keep(id)),
        Some(&ByJobTable::ID) => page.walk::<ByJobTable>(view, prefix, &mut |(_, _, id), _| keep(id)),
        Some(&ByTagTable::ID) => page.walk::<ByTagTable>(view, prefix, &mut |(_, _, _, id), _| keep(id)),
        _ => page.walk::<ByQueueTable>(view, prefix, &mut |(_, _, id), _| keep(id)),
    }
}

/// The part of the best index that is walked for live tasks.
fn live_prefix(pool: &Pool, filter: &Filter) -> Vec<u8> {
    let of = |table: u8| KeyWriter::new(table).str(pool.as_str());
    if let Some(worker) = &filter.worker {
        of(ByWorkerTable::ID).str(worker.as_str()).finish()
    } else if let Some(job) = &filter.job {
        of(ByJobTable::ID).str(job.as_str()).finish()
    } else if let Some((name, value)) = filter.tags.first() {
        of(ByTagTable::ID).str(name).str(value).finish()
    } else {
        let queue = filter.queue.iter();
        queue.fold(of(ByQueueTable::ID), |prefix, queue| prefix.str(queue.as_str())).finish()
    }
}

fn ended(
    view: &dyn StoreRead,
    (pool, class, hour): (&Pool, HistoryClass, u32),
    filter: &Filter,
    page: &mut Page,
    keep: &mut dyn FnMut(&EndedTask) -> Answer<usize>,
) -> Answer<()> {
    let prefix = |table: u8| KeyWriter::new(table).u8(class as u8).u32(hour).str(pool.as_str());
    match &filter.job {
        Some(job) => {
            let prefix = prefix(HistoryByJobTable::ID).str(job.as_str()).finish();
            page.walk::<HistoryByJobTable>(view, &prefix, &mut |(key, _), _| {
                read_row::<HistoryTable>(view, &key)?.map_or(Ok(LEFT_OUT), |task| keep(&task))
            })
        }
        None => page.walk::<HistoryTable>(view, &prefix(HistoryTable::ID).finish(), &mut |_, bytes| {
            keep(&HistoryTable::decode(bytes)?)
        }),
    }
}

/// The hours of history, newest first, and within an hour COMPLETED first.
pub(crate) fn buckets(horizon: Horizon) -> impl Iterator<Item = (HistoryClass, u32)> {
    let now = wall_now();
    let hours = |class| horizon.hours(class, now).map(move |hour| (class, hour));
    let mut buckets: Vec<_> = HistoryClass::ALL.into_iter().flat_map(hours).collect();
    buckets.sort_by_key(|(class, hour)| (std::cmp::Reverse(*hour), *class));
    buckets.into_iter()
}

/// Whether a bucket comes before another one.
pub(crate) fn is_newer((class, hour): (HistoryClass, u32), (at_class, at_hour): (HistoryClass, u32)) -> bool {
    (std::cmp::Reverse(hour), class) < (std::cmp::Reverse(at_hour), at_class)
}

/// The bucket that a cursor of this query lies in; none when it lies in an index of live tasks.
fn history_place(cursor: &[u8], pool: &Pool, job: Option<&JobId>) -> Option<(HistoryClass, u32)> {
    let key = match job {
        Some(job) => HistoryByJobTable::parse(cursor).ok().filter(|(_, of)| of == job)?.0,
        None => HistoryTable::parse(cursor).ok()?,
    };
    (key.pool == *pool).then_some((key.class, key.hour))
}
