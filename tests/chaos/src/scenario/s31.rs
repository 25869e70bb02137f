//! S31: the program itself is broken on purpose, in each of fourteen ways, and a scenario that should notice is run. A mutant
//! that nothing notices shows that the scenarios are too weak.

use anyhow::Result;

use super::{s01, s03, s04, s05, s06, s07, s13, s20};
use crate::lab::{Lab, Outcome, Plan, say};

/// A mutant, and who should catch it.
struct Mutant {
    id: &'static str,
    what: &'static str,
    catcher: fn(&mut Lab) -> Result<Outcome>,
    minutes: f64,
    trials: u32,
}

const fn mutant(
    id: &'static str,
    what: &'static str,
    catcher: fn(&mut Lab) -> Result<Outcome>,
    minutes: f64,
    trials: u32,
) -> Mutant {
    Mutant { id, what, catcher, minutes, trials }
}

const MUTANTS: [Mutant; 14] = [
    mutant("M1", "a restore that ends at the last stable offset", s13::run, 1.0, 1),
    mutant("M2", "the high watermark is read before the fence", s04::run, 1.0, 27),
    mutant("M3", "inputs are resumed from group offsets", s03::run, 1.0, 1),
    mutant("M4", "rows are applied before the commit", s01::run, 1.0, 1),
    mutant("M5", "the batch record is outside the transaction", s01::run, 1.0, 1),
    mutant("M6", "no new producer after a doubt", s05::run, 1.0, 24),
    mutant("M7", "a worker that reads what was not committed", s01::run, 1.0, 1),
    mutant("M8", "a completion is taken without its token", s03::run, 1.0, 1),
    mutant("M9", "leases by the wall's clock", s07::run, 0.5, 1),
    mutant("M10", "the offset of the last record, not of the next", s03::run, 1.0, 1),
    mutant("M11", "a reader without a position begins at the end", s01::run, 1.0, 1),
    mutant("M12", "topics that were made again are not noticed", s20::run, 1.0, 1),
    mutant("M13", "dead letters are outside the transaction", s06::run, 1.0, 10),
    mutant("M14", "rows are in the store while the transaction is open", s01::run, 1.0, 1),
];

pub(super) fn run(lab: &mut Lab) -> Result<Outcome> {
    let calm = lab.plan.clone();
    let mut outcome = Outcome::default();
    for mutant in &MUTANTS {
        // One alone: --mutant M6.
        if calm.mutant.as_ref().is_some_and(|wanted| wanted != mutant.id) {
            continue;
        }
        outcome.trials += 1;
        lab.plan = Plan {
            mutant: Some(mutant.id.to_owned()),
            minutes: Some(mutant.minutes),
            trials: Some(mutant.trials),
            ..calm.clone()
        };
        let found = (mutant.catcher)(lab);
        lab.heal();
        let Mutant { id, what, .. } = mutant;
        match found {
            Ok(found) if !found.violations.is_empty() => {
                let first =
                    found.violations.first().map(|one| one.lines().next().unwrap_or_default().to_owned());
                let line = format!("{id} ({what}) was caught: {}", first.unwrap_or_default());
                say("S31", &line);
                outcome.notes.push(line);
            }
            Ok(_) => {
                say("S31", &format!("{id} ({what}) was NOT caught"));
                outcome.violations.push(format!("{id} ({what}) was not caught"));
            }
            // A grid that does not even come up is noticed by anybody.
            Err(error) => {
                let line = format!("{id} ({what}) broke the run: {error:#}");
                say("S31", &line);
                outcome.notes.push(line.lines().next().unwrap_or_default().to_owned());
            }
        }
    }
    lab.plan = calm;
    Ok(outcome)
}
