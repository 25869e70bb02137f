//! A list of tasks: the best index for what is asked, then history from the newest hour on.

use std::collections::BTreeSet;

use yardmaster_state::{KeyWriter, StoreRead, Table, read_row};
use yardmaster_topologies::id::{JobId, Pool, QueueName, TaskId, WorkerName};
use yardmaster_topologies::tables::{
    ByJobTable, ByQueueTable, ByTagTable, ByWorkerTable, HistoryByJobTable, HistoryClass, HistoryKey,
    HistoryTable, TaskTable,
};
use yardmaster_topologies::task::{EndedTask, LiveTask, TaskRow, TaskSpec, TaskState};

use super::lookup::{Horizon, wall_now};
use super::page::Page;
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
    let resumed = page.after.as_deref().and_then(history_place);
    if filter.wants(false) && resumed.is_none() {
        live(view, pool, filter, &mut page, &mut tasks)?;
    }
    if filter.wants(true) {
        for (class, hour) in
            buckets(horizon).skip_while(|bucket| resumed.is_some_and(|at| is_newer(*bucket, at)))
        {
            ended(view, (pool, class, hour), filter, &mut page, &mut tasks)?;
            if page.has_more() {
                break;
            }
        }
    }
    Ok(TaskPage { tasks, next_cursor: page.next_cursor() })
}

fn live(
    view: &dyn StoreRead,
    pool: &Pool,
    filter: &Filter,
    page: &mut Page,
    tasks: &mut Vec<TaskView>,
) -> Answer<()> {
    let mut keep = |id: TaskId| -> Answer<bool> {
        let row = read_row::<TaskTable>(view, &(pool.clone(), id))?;
        let Some(TaskRow::Live(task)) =
            row.filter(|row| matches!(row, TaskRow::Live(task) if filter.takes_live(task)))
        else {
            return Ok(false);
        };
        tasks.push(TaskView::live(&task));
        Ok(true)
    };
    let prefix = |table: u8| KeyWriter::new(table).str(pool.as_str());
    if let Some(worker) = &filter.worker {
        let prefix = prefix(ByWorkerTable::ID).str(worker.as_str()).finish();
        page.walk::<ByWorkerTable>(view, &prefix, &mut |(_, _, id), _| keep(id))
    } else if let Some(job) = &filter.job {
        let prefix = prefix(ByJobTable::ID).str(job.as_str()).finish();
        page.walk::<ByJobTable>(view, &prefix, &mut |(_, _, id), _| keep(id))
    } else if let Some((name, value)) = filter.tags.first() {
        let prefix = prefix(ByTagTable::ID).str(name).str(value).finish();
        page.walk::<ByTagTable>(view, &prefix, &mut |(_, _, _, id), _| keep(id))
    } else {
        let prefix = prefix(ByQueueTable::ID);
        let prefix = filter.queue.iter().fold(prefix, |prefix, queue| prefix.str(queue.as_str())).finish();
        page.walk::<ByQueueTable>(view, &prefix, &mut |(_, _, id), _| keep(id))
    }
}

fn ended(
    view: &dyn StoreRead,
    (pool, class, hour): (&Pool, HistoryClass, u32),
    filter: &Filter,
    page: &mut Page,
    tasks: &mut Vec<TaskView>,
) -> Answer<()> {
    let mut keep = |task: &EndedTask| -> Answer<bool> {
        let is_wanted = filter.takes_ended(task) && is_current(view, task)?;
        if is_wanted {
            tasks.push(TaskView::ended(task));
        }
        Ok(is_wanted)
    };
    let prefix = |table: u8| KeyWriter::new(table).u8(class as u8).u32(hour).str(pool.as_str());
    match &filter.job {
        Some(job) => {
            let prefix = prefix(HistoryByJobTable::ID).str(job.as_str()).finish();
            page.walk::<HistoryByJobTable>(view, &prefix, &mut |(key, _), _| {
                read_row::<HistoryTable>(view, &key)?.map_or(Ok(false), |task| keep(&task))
            })
        }
        None => page.walk::<HistoryTable>(view, &prefix(HistoryTable::ID).finish(), &mut |_, bytes| {
            keep(&HistoryTable::decode(bytes)?)
        }),
    }
}

/// Whether a record is the last word about its task: it may run again, or have ended again since.
pub(crate) fn is_current(view: &dyn StoreRead, task: &EndedTask) -> Answer<bool> {
    let key = (task.spec.pool.clone(), task.spec.id.clone());
    Ok(match read_row::<TaskTable>(view, &key)? {
        Some(TaskRow::Live(_)) => false,
        Some(TaskRow::Done(marker)) => marker.generation == task.generation,
        None => true,
    })
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

/// The bucket that a cursor lies in; none when it lies in an index of live tasks.
fn history_place(cursor: &[u8]) -> Option<(HistoryClass, u32)> {
    let place = |key: HistoryKey| (key.class, key.hour);
    let by_job = || HistoryByJobTable::parse(cursor).ok().map(|(key, _)| place(key));
    HistoryTable::parse(cursor).ok().map(place).or_else(by_job)
}
