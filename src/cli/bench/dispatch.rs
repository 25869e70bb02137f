//! Dispatch latency: from the submitter's send until a `read_committed` worker has the assignment, at a steady rate.
//! Beside it a raw echo: consumed, produced in a transaction as soon as there is something, read committed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Ground;
use super::fleet::SLOTS;
use super::grid::{Counted, Grid, PHASES, phase_json, phase_words, raw_topics};
use super::message::submit;
use super::spread::{Spread, percentile};
use crate::cli::failure::Failure;
use crate::cli::output::say;
use crate::kafka::{Channels, Flood, raw_echo};

/// The percentiles that are shown.
const SHOWN: [usize; 3] = [50, 90, 99];

/// How long the last records may be on their way.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is measured.
pub(super) struct Shape {
    pub(super) rate: u32,
    pub(super) seconds: u32,
    pub(super) workers: usize,
    pub(super) rounds: u32,
}

impl Shape {
    fn count(&self) -> usize {
        self.rate as usize * self.seconds as usize
    }
}

/// What came out: milliseconds by percentile, as in [`SHOWN`].
#[derive(Default)]
pub(super) struct Dispatch {
    rate: u32,
    seconds: u32,
    workers: usize,
    ours: [Spread; SHOWN.len()],
    raw: [Spread; SHOWN.len()],
    ratio: [Spread; SHOWN.len()],
    /// Batches per second.
    batches: Spread,
    /// Milliseconds per batch, by phase.
    phases: [Spread; PHASES.len()],
}

/// One round after the other, ours and the raw one in turns. A first one is not counted: see [`super::lives`].
pub(super) fn measure(ground: &Ground, shape: &Shape) -> Result<Dispatch, Failure> {
    let mut measured =
        Dispatch { rate: shape.rate, seconds: shape.seconds, workers: shape.workers, ..Dispatch::default() };
    for round in 0..=shape.rounds {
        let (ours, counted) = ours(ground, shape)?;
        let raw = raw(ground, shape)?;
        if round == 0 {
            say("the broker is warm");
            continue;
        }
        let [Some(p50), .., Some(p99)] = SHOWN.map(|hundredth| Some(percentile(&ours, hundredth))) else {
            continue;
        };
        say(&format!(
            "round {round} of {}: p50 {p50:.1} ms, p99 {p99:.1} ms; raw p50 {:.1} ms, p99 {:.1} ms",
            shape.rounds,
            percentile(&raw, 50),
            percentile(&raw, 99)
        ));
        measured.batches.add(counted.batches / f64::from(shape.seconds));
        for (spread, seconds) in measured.phases.iter_mut().zip(counted.phases) {
            spread.add(seconds / counted.batches * 1e3);
        }
        let all = measured.ours.iter_mut().zip(&mut measured.raw).zip(&mut measured.ratio).zip(SHOWN);
        for (((of_ours, of_raw), ratio), hundredth) in all {
            let (our, their) = (percentile(&ours, hundredth), percentile(&raw, hundredth));
            of_ours.add(our);
            of_raw.add(their);
            ratio.add(our / their);
        }
    }
    Ok(measured)
}

fn ours(ground: &Ground, shape: &Shape) -> Result<(Vec<f64>, Counted), Failure> {
    let grid = Grid::start(ground, shape.workers)?;
    let before = grid.await_ended(0)?;
    let sent = paced(shape, |number| {
        grid.submit(number)?;
        grid.tasks.serve();
        grid.fleet.check()
    })?;
    grid.tasks.finish()?;
    let after = grid.await_ended(shape.count())?;
    Ok((latencies(shape, &sent, &grid.fleet.take_read()), after.since(before)))
}

fn raw(ground: &Ground, shape: &Shape) -> Result<Vec<f64>, Failure> {
    let [from, to] = raw_topics(&ground.conn)?;
    let (conn, count) = (ground.conn.clone(), shape.count());
    let echoed = {
        let (bootstrap, from, to) = (conn.bootstrap.clone(), from.clone(), to.clone());
        std::thread::Builder::new()
            .name("echo".to_owned())
            .spawn(move || raw_echo(&bootstrap, &from, &to, count).map_err(|error| error.to_string()))?
    };
    let reading =
        std::thread::Builder::new().name("reader".to_owned()).spawn(move || read(&conn, to, count))?;
    let flood = Flood::open(&ground.conn, &from)?;
    let sent = paced(shape, |number| {
        flood.send(0, b"raw", submit("raw", &format!("t-{number:0>12}")).as_bytes())?;
        flood.serve();
        Ok(())
    })?;
    flood.finish()?;
    let died = |what: &str| Failure::Incomplete(format!("the raw {what} died"));
    let read = reading.join().map_err(|_| died("reader"))??;
    echoed.join().map_err(|_| died("echo"))?.map_err(Failure::Incomplete)?;
    Ok(latencies(shape, &sent, &read))
}

/// Reads until all have come; their order is that of their sending.
fn read(
    conn: &crate::kafka::Connection,
    topic: String,
    count: usize,
) -> Result<Vec<(usize, Instant)>, Failure> {
    let mut channel = Channels::open(conn, vec![topic])?;
    let mut read = Vec::with_capacity(count);
    let mut heard = Instant::now();
    while read.len() < count {
        match channel.poll(Duration::from_millis(20))? {
            Some(_) => {
                heard = Instant::now();
                read.push((read.len(), heard));
            }
            None if heard.elapsed() > PATIENCE => {
                return Err(Failure::TimedOut("the raw echo has stopped".to_owned()));
            }
            None => {}
        }
    }
    Ok(read)
}

/// Sends at the rate; returns when each was sent.
fn paced(shape: &Shape, mut send: impl FnMut(usize) -> Result<(), Failure>) -> Result<Vec<Instant>, Failure> {
    let began = Instant::now();
    let mut sent = Vec::with_capacity(shape.count());
    for number in 0..shape.count() {
        let at = began + Duration::from_secs_f64(number as f64 / f64::from(shape.rate));
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        sent.push(Instant::now());
        send(number)?;
    }
    Ok(sent)
}

/// Sorted milliseconds, without those of the first fifth: then everything is warm.
fn latencies(shape: &Shape, sent: &[Instant], read: &[(usize, Instant)]) -> Vec<f64> {
    let warm = shape.count() / 5;
    let took = |&(number, at): &(usize, Instant)| {
        let sent = sent.get(number).filter(|_| number >= warm)?;
        Some(at.duration_since(*sent).as_secs_f64() * 1_000.0)
    };
    let mut took: Vec<f64> = read.iter().filter_map(took).collect();
    took.sort_by(f64::total_cmp);
    took
}

impl Dispatch {
    /// For a person.
    pub(super) fn lines(&self) -> Vec<String> {
        let head = format!(
            "dispatch: {} tasks/s for {} s, {} workers with {SLOTS} slots; ms, median of rounds (least to most)",
            self.rate, self.seconds, self.workers
        );
        let row = |(((hundredth, ours), raw), ratio): (((usize, &Spread), &Spread), &Spread)| {
            format!(
                "  p{hundredth:<3} yardmaster {:<24} raw echo {:<24} ratio {}",
                ours.words(1),
                raw.words(1),
                ratio.words(2)
            )
        };
        let rows = SHOWN.into_iter().zip(&self.ours).zip(&self.raw).zip(&self.ratio).map(row);
        let batches =
            format!("  batches per second {}; ms each: {}", self.batches.words(0), phase_words(&self.phases));
        std::iter::once(head).chain(rows).chain([batches]).collect()
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let by_percentile = |spreads: &[Spread]| -> Value {
            SHOWN
                .iter()
                .zip(spreads)
                .map(|(hundredth, spread)| (format!("p{hundredth}"), spread.json()))
                .collect()
        };
        json!({
            "tasks_per_second": self.rate, "seconds": self.seconds, "workers": self.workers, "slots": SLOTS,
            "ms": by_percentile(&self.ours), "raw_ms": by_percentile(&self.raw), "ratio": by_percentile(&self.ratio),
            "batches_per_second": self.batches.json(),
            "milliseconds_per_batch": phase_json(&self.phases),
        })
    }
}
