//! Faults at the moments that matter most. Each of these tests is the one that finds a mutant (`cargo xtask mutants`).

mod deaths;
mod late_owner;
mod lost_input;
mod open_transaction;
mod pause;
mod token;

use serde_json::Value;
use yardmaster_checker::{Answer, Evidence, Report, find_stores, judge, read_all};

use crate::cluster::{Server, await_some, bootstrap};

/// Judges a run by its topics, by what HTTP shows at its end, and by the stores of a server, which is stopped.
fn judged(server: &mut Server, pools: &[&str]) -> Report {
    let show = |pool: &&str| {
        let path = format!("/v1/pools/{pool}/stats");
        // The store has a batch a moment after its events can be read.
        let body = await_some(
            "the end of all tasks over HTTP",
            || server.last_words(),
            || {
                let body: Value = server.http.try_get(&path)?.expect(200);
                (body["live"] == 0).then_some(body)
            },
        );
        Answer { path, body }
    };
    let answers: Vec<Answer> = pools.iter().map(show).collect();
    server.stop();
    let topics = read_all(&bootstrap(), &server.options.namespace);
    let stores = find_stores(&server.state_dir());
    let verdict = judge(&Evidence { topics, stores, answers, ..Evidence::default() });
    assert!(verdict.is_clean(), "{}\n{}", verdict.words(), server.last_words());
    let figures = verdict.figures;
    assert!(figures.rows_compared > 0 && figures.numbers_compared > 0, "nothing was compared: {figures:?}");
    figures
}
