//! The thread that asks: the view never waits for a server.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::super::client::Client;
use super::super::failure::Failure;
use super::super::table;
use super::Input;
use super::look::look;
use super::model::{Ask, Miss, News, Notice};
use super::orders::Order;
use super::place::Wanted;

/// Asks again and again, as it is told through the sender that is returned; answers go to `out`.
pub(super) fn start(
    client: Client,
    interval: Duration,
    first: Wanted,
    out: Sender<Input>,
) -> Result<Sender<Ask>, Failure> {
    let (asks, told) = channel();
    let run = move || {
        let mut wanted = first;
        // Ends when nobody listens any more.
        while out.send(Input::News(Box::new(news(&client, &wanted)))).is_ok() {
            if wait(&client, interval, &told, &mut wanted, &out).is_none() {
                return;
            }
        }
    };
    thread::Builder::new().name("top-fetch".to_owned()).spawn(run)?;
    Ok(asks)
}

/// An answer for a screen, with the time at which it came.
pub(super) fn news(client: &Client, wanted: &Wanted) -> News {
    let found = look(client, wanted, now_ms()).map_err(|failure| Miss {
        text: one_line(failure.message()),
        is_silence: matches!(failure, Failure::Unreachable(_)),
    });
    News { wanted: wanted.clone(), at_ms: now_ms(), found }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Until it is time to look again: after the interval, or at once when something was wanted. None: nobody is there.
fn wait(
    client: &Client,
    interval: Duration,
    told: &Receiver<Ask>,
    wanted: &mut Wanted,
    out: &Sender<Input>,
) -> Option<()> {
    let mut next = match told.recv_timeout(interval) {
        Ok(ask) => Some(ask),
        Err(RecvTimeoutError::Timeout) => return Some(()),
        Err(RecvTimeoutError::Disconnected) => return None,
    };
    while let Some(ask) = next {
        match ask {
            Ask::Look(other) => *wanted = other,
            Ask::Do(order) => out.send(Input::Told(carry_out(client, &order))).ok()?,
            Ask::Quit => return None,
        }
        next = told.try_recv().ok();
    }
    Some(())
}

/// Sends an order, and says what became of it.
fn carry_out(client: &Client, order: &Order) -> Notice {
    match client.post(&order.path(), &json!({})) {
        Ok(answer) => {
            let outcome = table::text(&answer, "outcome");
            let outcome = if outcome.is_empty() { "sent, not decided yet".to_owned() } else { outcome };
            Notice { text: format!("{}: {outcome}", order.words()), is_bad: false }
        }
        Err(failure) => {
            let text = format!("{}: {}", order.words(), one_line(failure.message()));
            Notice { text, is_bad: true }
        }
    }
}

/// A status has one line.
fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    table::clean(&lines.join("; "))
}
