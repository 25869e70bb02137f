//! Fencing tokens: the same in every replay, and different for whatever makes an attempt another one.

use std::collections::BTreeSet;

use yardmaster_topologies::dispatch::token;
use yardmaster_topologies::event::{Local, decode_local, encode_local, encode_local_blanked};
use yardmaster_topologies::id::{Attempt, Generation, Incarnation, Pool, TaskId};
use yardmaster_topologies::settings::Settings;
use yardmaster_topologies::time::WallMs;

use crate::rig::settings;

fn make(secret: u8, pool: &str, id: &str, numbers: (u32, u32), incarnation: &str) -> String {
    of_life(secret, pool, id, (numbers.0, 5), numbers.1, incarnation)
}

fn of_life(secret: u8, pool: &str, id: &str, life: (u32, u64), attempt: u32, incarnation: &str) -> String {
    let name = (&Pool::trusted(pool), &TaskId::trusted(id));
    let life = (Generation(life.0), WallMs(life.1));
    token(&[secret; 32], name, life, Attempt(attempt), &Incarnation::trusted(incarnation)).to_string()
}

#[test]
fn a_token_never_changes() {
    // Tokens of open attempts must survive an upgrade: this one was made by the first version.
    assert_eq!(make(7, "p", "t", (0, 1), "i"), "394382f18aa03c1f7da16a930dc6eb49");
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
        // The id is used again after the dedup window: all its numbers are the same.
        of_life(7, "p", "t", (0, 6), 1, "i"),
        // The same letters, cut elsewhere.
        make(7, "pt", "t", (0, 1), "i"),
        make(7, "p", "tt", (0, 1), "i"),
        make(7, "p", "ti", (0, 1), ""),
    ];
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    assert!(all.iter().all(|token| token.len() == 32));
}

#[test]
fn the_secret_is_logged_and_never_published() {
    let secret = [0xa7; 32];
    let settings = Settings { secret, ..settings() };
    let local = [Local::ReplyReady { topic: "t".into() }, Local::Configured(Box::new(settings.clone()))];
    assert_eq!(decode_local(&encode_local(&local)).unwrap(), local);
    let published = encode_local_blanked(&local);
    assert!(!published.windows(2).any(|pair| pair == [0xa7; 2]), "{published:?}");
    let blank = Settings { secret: [0; 32], ..settings };
    let expected = [local[0].clone(), Local::Configured(Box::new(blank))];
    assert_eq!(decode_local(&published).unwrap(), expected);
    assert!(encode_local(&[]).is_empty() && decode_local(&[]).unwrap().is_empty());
}
