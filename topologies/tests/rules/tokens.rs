//! Fencing tokens: the same in every replay, and different for whatever makes an attempt another one.

use std::collections::BTreeSet;

use yardmaster_topologies::dispatch::{is_legal, token};
use yardmaster_topologies::id::{Attempt, Generation, Incarnation, Pool, TaskId};
use yardmaster_topologies::task::TaskState;

fn make(secret: u8, pool: &str, id: &str, numbers: (u32, u32), incarnation: &str) -> String {
    let name = (&Pool::trusted(pool), &TaskId::trusted(id));
    let (generation, attempt) = (Generation(numbers.0), Attempt(numbers.1));
    token(&[secret; 32], name, generation, attempt, &Incarnation::trusted(incarnation)).to_string()
}

#[test]
fn a_token_never_changes() {
    // Tokens of open attempts must survive an upgrade: this one was made by the first version.
    assert_eq!(make(7, "p", "t", (0, 1), "i"), "9477c127bbf24d5e8c64c8ae88d13f91");
}

#[test]
fn every_part_makes_another_token() {
    let all = [
        make(7, "p", "t", (0, 1), "i"),
        make(8, "p", "t", (0, 1), "i"),
        make(7, "q", "t", (0, 1), "i"),
        make(7, "p", "u", (0, 1), "i"),
        make(7, "p", "t", (1, 1), "i"),
        make(7, "p", "t", (0, 2), "i"),
        make(7, "p", "t", (0, 1), "j"),
        // The same letters, cut elsewhere.
        make(7, "pt", "t", (0, 1), "i"),
        make(7, "p", "tt", (0, 1), "i"),
        make(7, "p", "ti", (0, 1), ""),
    ];
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    assert!(all.iter().all(|token| token.len() == 32));
}

#[test]
fn nothing_leaves_a_terminal_state_but_a_requeue() {
    for from in TaskState::ALL {
        for to in TaskState::ALL {
            if from.is_terminal() {
                assert_eq!(is_legal(from, to), to == TaskState::Queued, "{from:?} {to:?}");
            }
            assert!(!is_legal(from, from), "{from:?}");
        }
    }
}
