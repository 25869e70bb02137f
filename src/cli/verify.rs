//! `yardmaster verify`: a user's audit of the state.

use clap::Args;
use serde_json::json;

use super::JsonArg;
use super::failure::{Failure, Outcome};
use super::output::{json, line};
use super::progress::Progress;
use super::server::ConfigArgs;
use crate::verify::{Audit, PartitionReport, verify};

const EXAMPLES: &str = "\
Examples:
  yardmaster verify --kafka broker-1:9092 --state-dir /var/lib/yardmaster
  yardmaster verify --kafka broker-1:9092 --state-dir /backup/yardmaster --partition 3
  yardmaster verify --kafka broker-1:9092 --replay --from-sequence 120000 --json
A server may be running, on the same state directory too: it is not disturbed, nothing is locked or written. Then
what is compared ends where the topics ended when it began.
Exit codes: 0 nothing wrong was found, 1 a difference was found or something can't be read, 2 wrong usage, 3 unreachable.";

/// `yardmaster verify`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    config: ConfigArgs,
    /// Only this partition; may be given several times. All without it.
    #[arg(long = "partition", value_name = "N")]
    partitions: Vec<i32>,
    /// Only fold the changelog and compare the store's rows with it.
    #[arg(long)]
    fold: bool,
    /// Only decide every batch again and compare what comes out. Without --fold and --replay both are done.
    #[arg(long)]
    replay: bool,
    /// Begin the replay with this batch.
    #[arg(long, value_name = "N")]
    from_sequence: Option<u64>,
    #[command(flatten)]
    json: JsonArg,
}

/// Prints what was compared; fails when something differs.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let config = arguments.config.load()?;
    let both = arguments.fold == arguments.replay;
    let audit = Audit {
        partitions: arguments.partitions.clone(),
        state_dir: Some(config.state_dir.clone()),
        fold: both || arguments.fold,
        replay: both || arguments.replay,
        from_sequence: arguments.from_sequence,
        ..Audit::new(config.connection(), &config.namespace)
    };
    let mut shown: Option<((i32, &'static str), Progress)> = None;
    let reports = verify(&audit, &mut |progress| {
        let now = (progress.partition, progress.doing);
        let bar = match &mut shown {
            Some((before, bar)) if *before == now => bar,
            other => &mut other.insert((now, Progress::new(progress.total))).1,
        };
        let words = format!("partition {}: {}", progress.partition, progress.doing);
        bar.show(progress.done, progress.total, &words);
    })?;
    drop(shown);
    if arguments.json.json {
        json(&json!({ "partitions": reports }))?;
    } else {
        reports.iter().flat_map(words).try_for_each(|text| line(&text))?;
    }
    let wrong = reports.iter().filter(|report| !report.is_clean()).count();
    match wrong {
        0 => Ok(()),
        _ if arguments.json.json => Err(Failure::Incomplete(String::new())),
        wrong => Err(Failure::Incomplete(format!(
            "{wrong} of {} partitions are not as they must be",
            reports.len()
        ))),
    }
}

/// A report as lines.
fn words(report: &PartitionReport) -> Vec<String> {
    let compared = &report.compared;
    let verdict = if report.is_clean() { "right as far as it was checked" } else { "NOT RIGHT" };
    let mut lines = vec![
        format!("partition {}: {verdict}", report.partition),
        format!(
            "  changelog  {} records up to offset {}, {} batches up to {}, {} with all rows and the right digest, {} torn \
             rows mended",
            compared.changelog_records,
            report.changelog_end,
            compared.batches,
            report.sequence,
            compared.digests,
            compared.torn_repaired
        ),
    ];
    if let Some(sequence) = report.store_sequence {
        lines.push(format!("  store      stands at batch {sequence}, {} rows compared", compared.store_rows));
    }
    if let (Some(from), Some([tasks, status])) = (report.replayed_from, report.inputs) {
        lines.push(format!(
            "  replay     {} batches from {from} on, {} input records up to tasks {tasks} and status {status}, {} rows \
             written, {} rows of state compared at the end",
            compared.replayed_batches,
            compared.input_records,
            compared.replayed_rows,
            compared.replayed_state_rows
        ));
        lines.push(format!(
            "  sent       {} assignments decided; {} messages, {} events, {} replies, {} dead letters compared",
            compared.assignments,
            compared.messages,
            compared.events,
            compared.replies,
            compared.dead_letters
        ));
    }
    lines.extend(report.unchecked.iter().map(|what| format!("  unchecked  {what}")));
    lines.extend(report.difference.iter().map(|difference| format!("  {difference}")));
    lines
}
