//! The end of a run: everything stands still, the checker gets all that is known, and what only the harness knows is added:
//! readers that saw different things while faults happened (S32), ends that nobody honest reported.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::Result;
use serde_json::json;
use xxhash_rust::xxh3::xxh3_64;
use yardmaster_checker::{Answer, Evidence, LogFile, Topics, Verdict, find_stores, parse_history, read_all};

use crate::grid::Grid;
use crate::lab::{Lab, OBSERVER};
use crate::workload::Sequences;

/// A crash leaves errors in logs, and that is right; only panics are judged.
const EXPLAINED: &str = "ERROR";

/// Drains the grid, stops it and decides. The instances are gone afterwards.
pub(crate) fn judge(lab: &Lab, grid: &mut Grid) -> Result<Verdict> {
    let missing = grid.drain();
    let read = grid.fleet.take().map(|fleet| fleet.read()).unwrap_or_default();
    grid.processes.clear();
    let answers = answers(grid);
    let mut faults = missing;
    faults.extend(stop_all(grid));
    let (bootstrap, namespace) = (&grid.client.bootstrap, &grid.client.namespace);
    let topics = read_all(bootstrap, namespace);
    let whole = sequences(&topics);
    for (number, observer) in grid.observers.iter().enumerate() {
        let seen = observer.seen();
        faults.extend(differences(&format!("{OBSERVER} {number}"), &seen.sequences, &whole));
        faults.extend(seen.forged.iter().map(|name| format!("I1: {name} ended by a report that was forged")));
    }
    faults.extend(differences("I4: the fleet", &read, &whole));
    let evidence = Evidence {
        acknowledged: grid.acknowledged.pairs(),
        history: history_of(&lab.dir, namespace),
        answers,
        stores: grid.instances.iter().flat_map(|instance| find_stores(&instance.state_dir())).collect(),
        logs: logs(grid),
        explained: vec![EXPLAINED.to_owned()],
        again: Some(read_all(bootstrap, namespace)),
        topics,
        ..Evidence::default()
    };
    let mut verdict = yardmaster_checker::judge(&evidence);
    verdict.violations.extend(faults.into_iter().map(found_here));
    if !verdict.is_clean() {
        dump(&lab.dir.join(namespace), &evidence.topics)?;
    }
    Ok(verdict)
}

fn found_here(text: String) -> yardmaster_checker::Violation {
    yardmaster_checker::Violation {
        invariant: yardmaster_checker::Invariant::Alive,
        place: "the harness".to_owned(),
        text,
    }
}

/// What the instances say of each pool when nothing changes any more.
fn answers(grid: &Grid) -> Vec<Answer> {
    let mut answers = Vec::new();
    for instance in &grid.instances {
        for pool in &grid.pools {
            let path = format!("/v1/pools/{pool}/stats");
            if let Some(answer) = instance.http.get(&path).filter(|answer| answer.status == 200) {
                answers.push(Answer { path, body: answer.json() });
            }
        }
    }
    answers
}

/// Stores are read when nobody has them open.
fn stop_all(grid: &mut Grid) -> Vec<String> {
    let mut faults = Vec::new();
    for instance in &mut grid.instances {
        if instance.is_running()
            && let Err(error) = instance.stop()
        {
            faults.push(format!("I11: {error:#}"));
            // There must be nobody left who writes.
            instance.kill().ok();
        }
    }
    faults
}

fn logs(grid: &Grid) -> Vec<LogFile> {
    let log = |instance: &crate::cluster::Instance| {
        let bytes = fs::read(instance.log_path()).unwrap_or_default();
        let name = instance.log_path().display().to_string();
        LogFile { name, text: String::from_utf8_lossy(&bytes).into_owned() }
    };
    grid.instances.iter().map(log).collect()
}

/// Of this grid only: other grids of the same call had tasks of the same names.
fn history_of(dir: &Path, namespace: &str) -> Vec<yardmaster_checker::Op> {
    let text = fs::read_to_string(dir.join(format!("history-{namespace}.jsonl"))).unwrap_or_default();
    parse_history(&text).unwrap_or_default()
}

fn sequences(topics: &Topics) -> Sequences {
    let mut all = Sequences::new();
    for raw in [&topics.events, &topics.dead_letter, &topics.assign].into_iter().flatten() {
        let digest = xxh3_64(raw.value.as_deref().unwrap_or_default());
        all.entry((raw.topic.clone(), raw.partition)).or_default().push((raw.offset, digest));
    }
    all
}

/// What was read while faults happened must be the beginning of what is read now: nothing more, nothing else.
fn differences(who: &str, read: &Sequences, whole: &Sequences) -> Vec<String> {
    let mut faults = Vec::new();
    for (place, seen) in read {
        let there = whole.get(place).map(Vec::as_slice).unwrap_or_default();
        if there.starts_with(seen) {
            continue;
        }
        let at = seen.iter().zip(there).position(|(one, other)| one != other).unwrap_or(there.len());
        let (was, is) = (seen.get(at), there.get(at));
        faults.push(format!("{who} read {was:?} on {place:?} as record {at}, where {is:?} is committed"));
    }
    faults
}

/// Both topics and history of a failed run are kept, so that it can be judged again.
fn dump(dir: &Path, topics: &Topics) -> Result<()> {
    let mut file = BufWriter::new(File::create(dir.join("topics.jsonl"))?);
    let all = [&topics.tasks, &topics.status, &topics.assign, &topics.events, &topics.dead_letter];
    for raw in all.into_iter().flatten() {
        let text = |bytes: &Option<Vec<u8>>| {
            bytes.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        let line = json!({"topic":raw.topic,"partition":raw.partition,"offset":raw.offset,
            "key":text(&raw.key),"value":text(&raw.value),"headers":raw.headers});
        writeln!(file, "{line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(records: &[(i64, u64)]) -> Sequences {
        [(("events".to_owned(), 0), records.to_vec())].into()
    }

    #[test]
    fn a_reader_that_is_behind_is_no_fault_and_one_that_saw_more_is() {
        let whole = read(&[(0, 1), (2, 5)]);
        assert_eq!(differences("r", &read(&[(0, 1)]), &whole), Vec::<String>::new());
        assert_eq!(differences("r", &whole, &whole), Vec::<String>::new());
        assert_eq!(differences("r", &read(&[(0, 1), (1, 9), (2, 5)]), &whole).len(), 1);
        assert_eq!(differences("r", &read(&[(0, 1), (2, 5), (4, 4)]), &whole).len(), 1);
    }
}
