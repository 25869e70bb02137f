//! S31: the program itself is broken on purpose, in each of fourteen ways, and whoever should notice looks: an integration
//! test, or a scenario of this harness where a proxy is needed. A mutant that nothing notices shows that those are too weak.

use anyhow::{Result, bail};

use super::s05;
use super::suite::Suite;
use crate::lab::{Lab, Outcome, Plan, say};

/// Who should catch it.
#[derive(Debug, Clone, Copy)]
enum Catcher {
    /// The cheapest integration test that finds it, and the word that tells that it was found for what it is: a server that
    /// does not even start fails every test.
    Test(&'static str, &'static [&'static str]),
    /// S5, with so many trials: a proxy keeps the end of a transaction back.
    HeldEnd(u32),
}

/// A mutant (`state/src/chaos.rs`), and who should catch it.
struct Mutant {
    id: &'static str,
    what: &'static str,
    catcher: Catcher,
}

const fn test(
    id: &'static str,
    what: &'static str,
    name: &'static str,
    signs: &'static [&'static str],
) -> Mutant {
    Mutant { id, what, catcher: Catcher::Test(name, signs) }
}

const MUTANTS: [Mutant; 14] = [
    test(
        "M1",
        "a restore that ends at the first open transaction",
        "faults::open_transaction::foreign_transaction_in_the_changelog",
        &["was assigned after"],
    ),
    test(
        "M2",
        "the high watermark is read before the fence",
        "faults::late_owner::late_owner_commits_once_more",
        &["was assigned after"],
    ),
    test(
        "M3",
        "inputs are resumed from another position",
        "faults::deaths::death_after_the_commit",
        &["but batch"],
    ),
    test(
        "M4",
        "rows are applied before the commit",
        "faults::deaths::death_before_the_commit",
        &["that stands still"],
    ),
    test(
        "M5",
        "the batch record is outside the transaction",
        "faults::deaths::death_after_the_commit",
        &["a row that no batch record claims"],
    ),
    Mutant { id: "M6", what: "no new producer after a doubt", catcher: Catcher::HeldEnd(24) },
    test(
        "M7",
        "a worker that reads what was not committed",
        "faults::deaths::death_before_the_commit",
        &["before it was given out"],
    ),
    test(
        "M8",
        "a completion is taken without its token",
        "faults::token::wrong_token_counts_for_nothing",
        &["a wrong token has ended the task"],
    ),
    test(
        "M9",
        "leases by the wall's clock",
        "faults::pause::paused_server_loses_no_worker",
        &["an attempt was lost"],
    ),
    test(
        "M10",
        "the offset of the last record, not of the next",
        "tasks::idempotent_submit",
        &["the record was never taken"],
    ),
    test(
        "M11",
        "what is lost of an input is skipped",
        "faults::lost_input::lost_input_halts",
        &["the halt of partition 0 for input_lost"],
    ),
    test(
        "M12",
        "topics that were made again are not noticed",
        "identity::a_topic_that_was_made_again",
        &["the halt of partition 0 for directory"],
    ),
    test(
        "M13",
        "dead letters are outside the transaction",
        "faults::deaths::death_before_the_commit",
        &["became two dead letters"],
    ),
    test(
        "M14",
        "rows are in the store while the transaction is open",
        "faults::deaths::death_before_the_commit",
        &["that stands still"],
    ),
];

pub(super) fn run(lab: &mut Lab) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let (wanted, mut suite) = (lab.plan.mutant.clone(), Suite::new(lab));
    // One alone: --mutant M6.
    let is_wanted = |mutant: &&Mutant| wanted.as_ref().is_none_or(|wanted| wanted == mutant.id);
    for mutant in MUTANTS.iter().filter(is_wanted) {
        outcome.trials += 1;
        let Mutant { id, what, catcher } = mutant;
        let found = match catcher {
            Catcher::Test(name, signs) => suite.finds(id, name, signs),
            Catcher::HeldEnd(trials) => held_end(lab, id, *trials),
        };
        let line = match found {
            Ok(Some(found)) => format!("{id} ({what}) was caught by {found}"),
            Ok(None) => {
                outcome.violations.push(format!("{id} ({what}) was not caught"));
                format!("{id} ({what}) was NOT caught")
            }
            // Whoever could not look has not seen it.
            Err(error) => {
                outcome.invalid.push(format!("{id} ({what}): {error:#}"));
                format!("{id} ({what}) was not looked for: {error:#}")
            }
        };
        say("S31", &line);
        outcome.notes.push(line.lines().next().unwrap_or_default().to_owned());
    }
    if outcome.trials == 0 {
        bail!("there is no mutant {}: they are M1 to M14", wanted.unwrap_or_default());
    }
    let killed = outcome.trials as usize - outcome.violations.len() - outcome.invalid.len();
    outcome.notes.insert(0, format!("{killed}/{} killed", outcome.trials));
    Ok(outcome)
}

/// What S5 finds. A run that broke off before its first round has found nothing, whatever it says.
fn held_end(lab: &mut Lab, id: &str, trials: u32) -> Result<Option<String>> {
    let calm = lab.plan.clone();
    lab.plan = Plan { mutant: Some(id.to_owned()), trials: Some(trials), ..calm.clone() };
    let found = s05::run(lab);
    lab.plan = calm;
    lab.heal();
    let found = found?;
    if found.trials == 0 {
        bail!("S5 broke off: {}", found.invalid.join("; "));
    }
    // A grid that only stands still may have other reasons.
    let told = found.violations.iter().find(|violation| !violation.contains("I11"));
    let first = told.and_then(|text| text.lines().next());
    Ok(first.map(|first| format!("S5 after {} trials: {first}", found.trials)))
}
