//! Finding one task: its live row, its marker, or its record in history.

use yardmaster_state::{StoreRead, prefix_end, read_row, scan_rows};
use yardmaster_topologies::id::{Pool, TaskId};
use yardmaster_topologies::settings::Settings;
use yardmaster_topologies::tables::{
    HistoryClass, HistoryKey, HistoryMark, HistoryPositionTable, HistoryTable, PayloadTable, TaskTable,
};
use yardmaster_topologies::task::{DoneMarker, EndedTask, LiveTask, TaskRow, TaskSpec};
use yardmaster_topologies::time::{Millis, WallMs};

use super::problem::{Answer, Problem};
use super::task_view::{TaskDetail, whole_spec};

/// Hours of history that are looked into, at most: 60 days.
const HOURS_MAX: u32 = 1_440;

/// What is known of a task.
pub(crate) enum Found {
    /// Not terminal.
    Live(Box<LiveTask>, std::sync::Arc<TaskSpec>),
    /// Terminal, with its whole record; `false` when its marker is gone: the processor doesn't know it any more.
    Ended(Box<EndedTask>, bool),
    /// Terminal, and history doesn't have it (any more, or not yet again).
    Marker(DoneMarker),
}

impl Found {
    /// As it is shown.
    pub(crate) fn detail(&self, pool: &Pool, id: &TaskId) -> TaskDetail {
        match self {
            Self::Live(task, spec) => TaskDetail::live(task, spec),
            Self::Ended(task, _) => TaskDetail::ended(task),
            Self::Marker(marker) => TaskDetail::marker(pool, id, marker),
        }
    }
}

/// How far back history goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Horizon {
    completed: Millis,
    other: Millis,
}

impl Horizon {
    /// That of a server.
    pub(crate) fn of(settings: &Settings) -> Self {
        Self { completed: settings.history_completed, other: settings.history_failed }
    }

    /// The hours of a class that are kept, newest first.
    pub(crate) fn hours(self, class: HistoryClass, now: WallMs) -> impl Iterator<Item = u32> + use<> {
        let kept = match class {
            HistoryClass::Completed => self.completed,
            HistoryClass::Other => self.other,
        };
        // An hour ahead: the processor's clock is not ours.
        let newest = HistoryKey::hour_of(now) + 1;
        let oldest = HistoryKey::hour_of(WallMs(now.0.saturating_sub(kept.0)));
        (oldest.max(newest.saturating_sub(HOURS_MAX))..=newest).rev()
    }

    /// Nothing is known of a task: the answer says how far it was looked.
    pub(crate) fn not_found(self, what: &str) -> Problem {
        let hours = |kept: Millis| kept.0 / 3_600_000;
        let detail = format!(
            "{what} is not live, and not in history, which keeps COMPLETED tasks for {} h and others for {} h",
            hours(self.completed),
            hours(self.other)
        );
        Problem::not_found(detail)
            .with("horizon_completed_ms", self.completed.0)
            .with("horizon_other_ms", self.other.0)
            .remedy("older tasks are in the events topic, as long as that is kept")
    }
}

/// Now, for people and for finding the newest hour.
pub(crate) fn wall_now() -> WallMs {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    WallMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Looks for a task in its row, then where its marker says, then in every hour that is kept.
pub(crate) fn find(
    view: &dyn StoreRead,
    pool: &Pool,
    id: &TaskId,
    horizon: Horizon,
) -> Answer<Option<Found>> {
    match read_row::<TaskTable>(view, &(pool.clone(), id.clone()))? {
        Some(TaskRow::Live(task)) => {
            let payload = if task.payload_apart {
                read_row::<PayloadTable>(view, &(pool.clone(), id.clone()))?
            } else {
                None
            };
            let spec = whole_spec(&task, payload);
            Ok(Some(Found::Live(Box::new(task), spec)))
        }
        Some(TaskRow::Done(marker)) => {
            let key = HistoryKey::of((pool, id), marker.generation, marker.state, marker.at);
            let record = read_row::<HistoryTable>(view, &key)?;
            Ok(Some(record.map_or(Found::Marker(marker), |task| Found::Ended(Box::new(task), true))))
        }
        None => {
            let newest = newest_record(view, pool, id, horizon)?;
            Ok(newest.map(|task| Found::Ended(Box::new(task), false)))
        }
    }
}

/// The newest record of a task.
fn newest_record(
    view: &dyn StoreRead,
    pool: &Pool,
    id: &TaskId,
    horizon: Horizon,
) -> Answer<Option<EndedTask>> {
    let now = wall_now();
    let mut newest: Option<EndedTask> = None;
    for class in HistoryClass::ALL {
        for hour in horizon.hours(class, now) {
            // All of its generations that ended so in that hour; the last key is the newest.
            let prefix = HistoryKey::prefix(class, hour, (pool, id));
            let records = scan_rows::<HistoryTable>(view, &prefix, &prefix_end(&prefix), usize::MAX)?;
            let Some((_, task)) = records.into_iter().next_back() else {
                continue;
            };
            if newest.as_ref().is_none_or(|other| other.ended_at < task.ended_at) {
                newest = Some(task);
            }
            break;
        }
    }
    Ok(newest)
}

/// Whether a record is the last word about its task: it may run again, have ended again since, or its id may have been
/// given to another task once it was forgotten.
pub(crate) fn is_current(view: &dyn StoreRead, task: &EndedTask, horizon: Horizon) -> Answer<bool> {
    let (pool, id) = (&task.spec.pool, &task.spec.id);
    let place = |generation, state, at| HistoryKey::of((pool, id), generation, state, at);
    let newest = match read_row::<TaskTable>(view, &(pool.clone(), id.clone()))? {
        Some(TaskRow::Live(_)) => None,
        Some(TaskRow::Done(marker)) => Some(place(marker.generation, marker.state, marker.at)),
        None => newest_record(view, pool, id, horizon)?
            .map(|newest| place(newest.generation, newest.state, newest.ended_at)),
    };
    Ok(newest == Some(place(task.generation, task.state, task.ended_at)))
}

/// Says no while history is still being read back from `events`: an answer that must be whole would lack tasks.
pub(crate) fn is_whole(view: &dyn StoreRead) -> Answer<()> {
    let at = |mark| Ok::<_, Problem>(read_row::<HistoryPositionTable>(view, &mark)?.unwrap_or(0));
    let (next, end) = (at(HistoryMark::RefillNext)?, at(HistoryMark::RefillEnd)?);
    if next >= end {
        return Ok(());
    }
    let detail = format!("history is being read back from the events topic: it is at offset {next} of {end}");
    Err(Problem::later("refilling", detail)
        .remedy("ask again when it has been read back: this takes minutes"))
}
