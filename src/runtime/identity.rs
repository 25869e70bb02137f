//! Whether the topics are still those that the state follows from, and as they must be: asked at the start, before each
//! session, and every few seconds while running.
//!
//! A topic that is made again is noticed at once where its new records end before the old position, which ends the session;
//! only if it has grown past that within these seconds, records of it can be taken for those of the old one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use yardmaster_topologies::event::Local;

use super::data_loss::DataLoss;
use super::names::Names;
use crate::config::Config;
use crate::kafka::{Connection, KafkaFailure, TopicFound, Topics};

/// How often the topics are looked at while running.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Processors that begin together share one look.
const FRESH: Duration = Duration::from_millis(500);

const POLICY: &str = "cleanup.policy";
const DELETES_KEPT: &str = "delete.retention.ms";

/// What the topics must be.
#[derive(Debug, Clone)]
struct Expected {
    bootstrap: String,
    /// How many partitions each has, and its id where state follows from it.
    topics: BTreeMap<String, Option<String>>,
    partitions: i32,
    changelog: String,
    deletes_kept_min: Duration,
}

/// What the broker says.
#[derive(Debug, Clone)]
struct Seen {
    topics: BTreeMap<String, Option<TopicFound>>,
    changelog: BTreeMap<String, String>,
}

/// Watches over the topics of a namespace.
pub(super) struct Identity {
    expected: Expected,
    instance: String,
    accepted: Vec<DataLoss>,
    topics: Mutex<(Topics, Option<Instant>)>,
    refusal: RwLock<Option<String>>,
    is_refused: AtomicBool,
    deletes_kept_ms: AtomicU64,
}

impl Identity {
    /// Notes which topics there are, and looks at them for the first time.
    ///
    /// # Errors
    /// `Fatal` when they are not as they must be, with what was found, what is wanted and the command that mends it.
    pub(super) fn open(conn: &Connection, names: &Names, config: &Config) -> Result<Arc<Self>, KafkaFailure> {
        let topics = Topics::new(conn)?;
        let followed = [names.tasks(), names.status(), names.changelog()];
        let written = [names.events(), names.dead_letter()];
        let found = topics.describe(&followed)?;
        let mut ids: BTreeMap<String, Option<String>> =
            written.into_iter().map(|name| (name, None)).collect();
        for (name, found) in found {
            let found = found.ok_or_else(|| KafkaFailure::MissingTopic(name.clone()))?;
            ids.insert(name, Some(found.id));
        }
        let expected = Expected {
            bootstrap: conn.bootstrap.clone(),
            topics: ids,
            partitions: config.partitions,
            changelog: names.changelog(),
            deletes_kept_min: config.deletes_kept_min,
        };
        let identity = Arc::new(Self {
            expected,
            instance: config.instance_id.clone(),
            accepted: config.accepted_losses.clone(),
            topics: Mutex::new((topics, None)),
            refusal: RwLock::new(None),
            is_refused: AtomicBool::new(false),
            deletes_kept_ms: AtomicU64::new(0),
        });
        identity.look()?;
        match identity.refusal() {
            None => Ok(identity),
            Some(refusal) => Err(KafkaFailure::Fatal(refusal)),
        }
    }

    /// The ids of the topics that a store follows from, by name.
    pub(super) fn ids(&self) -> BTreeMap<String, String> {
        let ids = self.expected.topics.iter();
        ids.filter_map(|(name, id)| Some((name.clone(), id.clone()?))).collect()
    }

    /// Looks every few seconds, until told to stop.
    pub(super) fn watch(&self, stop: &AtomicBool) {
        let mut looked_at = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(100));
            if looked_at.elapsed() < LOOK_EVERY {
                continue;
            }
            looked_at = Instant::now();
            // What is not known changes nothing: a broker that is away lets nobody commit anyway.
            if let Err(error) = self.look() {
                tracing::debug!(%error, "the topics can't be looked at");
            }
        }
    }

    /// Looks now, if nobody has just done so.
    ///
    /// # Errors
    /// When the broker does not answer: then nothing is known.
    pub(super) fn look(&self) -> Result<(), KafkaFailure> {
        self.look_within(FRESH)
    }

    /// Looks now, whoever has just done so.
    ///
    /// # Errors
    /// As [`Identity::look`].
    pub(super) fn look_again(&self) -> Result<(), KafkaFailure> {
        self.look_within(Duration::ZERO)
    }

    fn look_within(&self, fresh: Duration) -> Result<(), KafkaFailure> {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let (topics, looked_at) = &mut *topics;
        if looked_at.is_some_and(|at| at.elapsed() < fresh) {
            return Ok(());
        }
        let names: Vec<String> = self.expected.topics.keys().cloned().collect();
        let seen =
            Seen { topics: topics.describe(&names)?, changelog: topics.settings(&self.expected.changelog)? };
        *looked_at = Some(Instant::now());
        if let Some(kept) = number(&seen.changelog, DELETES_KEPT) {
            self.deletes_kept_ms.store(kept, Ordering::Relaxed);
        }
        self.conclude(judge(&self.expected, &seen).err());
        Ok(())
    }

    fn conclude(&self, refusal: Option<String>) {
        let mut known = self.refusal.write().unwrap_or_else(PoisonError::into_inner);
        if *known == refusal {
            return;
        }
        match &refusal {
            Some(refusal) => {
                tracing::error!(refusal, "nothing is processed: the topics are not as they must be")
            }
            None => tracing::info!("the topics are as they must be again"),
        }
        self.is_refused.store(refusal.is_some(), Ordering::Relaxed);
        *known = refusal;
    }

    /// Why nothing may be processed, as of the last look. Cheap: asked before each batch.
    pub(super) fn refusal(&self) -> Option<String> {
        if !self.is_refused.load(Ordering::Relaxed) {
            return None;
        }
        self.refusal.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How old a store may be and still be continued: half of the time for which the changelog keeps deletions. Later it might
    /// miss some for ever.
    pub(super) fn store_age_max(&self) -> Duration {
        Duration::from_millis(self.deletes_kept_ms.load(Ordering::Relaxed) / 2)
    }

    /// Whether a person has accepted exactly this loss: the event that records it, and where to go on.
    pub(super) fn accept(&self, failure: &KafkaFailure) -> Option<(Local, i64)> {
        let (loss, next) = DataLoss::of(failure)?;
        if !self.accepted.contains(&loss) {
            return None;
        }
        let by = self.instance.clone();
        tracing::error!(%loss, by, next, "AUDIT: the loss of records was accepted with --accept-data-loss: going on behind them");
        let DataLoss { topic, partition, from, to } = loss;
        Some((Local::DataLossAccepted { topic, partition, from, to, by }, next))
    }
}

/// Whether what is seen is what is expected; else what was found, what was expected, and the way out.
fn judge(expected: &Expected, seen: &Seen) -> Result<(), String> {
    for (name, id) in &expected.topics {
        let Some(found) = seen.topics.get(name).and_then(Option::as_ref) else {
            return Err(format!(
                "topic {name} does not exist any more, though state was computed from it: bring it back, or begin anew: stop all \
                 servers, remove the namespace's topics and state directories, and start"
            ));
        };
        if let Some(id) = id.as_ref().filter(|id| **id != found.id) {
            return Err(format!(
                "topic {name} was created again: found is the id {}, expected is {id}, from which the state was computed. Its old \
                 records are gone and offsets mean something else now. Bring the old topic back, or begin anew: stop all servers, \
                 remove the namespace's topics and state directories, and start",
                found.id
            ));
        }
        check_partitions(expected, name, found.partitions)?;
    }
    check_changelog(expected, &seen.changelog)
}

fn check_partitions(expected: &Expected, name: &str, found: i32) -> Result<(), String> {
    let wanted = expected.partitions;
    if found == wanted {
        return Ok(());
    }
    Err(format!(
        "topic {name} has {found} partitions, the state was computed with {wanted}: pools would move to other partitions, away \
         from their state. No record of a partition from {wanted} on was processed. Partitions can't be taken away: go on in \
         a new namespace, `yardmaster server --namespace NAME --set partitions={found}`, to which submitters and workers move, too"
    ))
}

fn check_changelog(expected: &Expected, found: &BTreeMap<String, String>) -> Result<(), String> {
    let name = &expected.changelog;
    let remedy = |setting: &str| {
        format!(
            "run kafka-configs.sh --bootstrap-server {} --alter --entity-type topics --entity-name {name} --add-config {setting}",
            expected.bootstrap
        )
    };
    let policy = found.get(POLICY).map_or("", String::as_str);
    if policy != "compact" {
        return Err(format!(
            "topic {name} has {POLICY}={policy}, wanted is compact: anything else deletes rows that are still needed. {}",
            remedy("cleanup.policy=compact")
        ));
    }
    let kept = number(found, DELETES_KEPT).map(Duration::from_millis);
    let min = expected.deletes_kept_min;
    if kept.is_none_or(|kept| kept < min) {
        let kept = kept.map_or(0, |kept| kept.as_millis());
        let min = min.as_millis();
        return Err(format!(
            "topic {name} has {DELETES_KEPT}={kept}, wanted are {min} or more: a store that was away for longer than half of it \
             would miss deletions, so it is rebuilt each time. {}; or lower changelog.delete_retention_min",
            remedy(&format!("{DELETES_KEPT}={min}"))
        ));
    }
    Ok(())
}

fn number(settings: &BTreeMap<String, String>, key: &str) -> Option<u64> {
    settings.get(key)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Expected {
        Expected {
            bootstrap: "broker:9092".into(),
            topics: [("ns.tasks".into(), Some("old".into())), ("ns.events".into(), None)].into(),
            partitions: 8,
            changelog: "ns.changelog".into(),
            deletes_kept_min: Duration::from_secs(86_400),
        }
    }

    fn seen() -> Seen {
        let found = |id: &str| Some(TopicFound { id: id.into(), partitions: 8 });
        Seen {
            topics: [("ns.tasks".into(), found("old")), ("ns.events".into(), found("any"))].into(),
            changelog: [(POLICY.into(), "compact".into()), (DELETES_KEPT.into(), "86400000".into())].into(),
        }
    }

    fn refused(change: impl FnOnce(&mut Seen)) -> String {
        let mut seen = seen();
        change(&mut seen);
        judge(&expected(), &seen).unwrap_err()
    }

    #[test]
    fn what_is_as_it_was_is_taken() {
        judge(&expected(), &seen()).unwrap();
    }

    #[test]
    fn each_mismatch_says_what_was_found_what_was_expected_and_what_mends_it() {
        let set = |topic: &'static str, id: &'static str, partitions| {
            refused(move |seen| {
                seen.topics.insert(topic.into(), Some(TopicFound { id: id.into(), partitions }));
            })
        };
        let config = |key: &'static str, value: &'static str| {
            refused(move |seen| {
                seen.changelog.insert(key.into(), value.into());
            })
        };
        let gone = refused(|seen| {
            seen.topics.insert("ns.tasks".into(), None);
        });
        let alter = "kafka-configs.sh --bootstrap-server broker:9092 --alter --entity-type topics --entity-name ns.changelog \
                     --add-config";
        for (text, words) in [
            (gone, &["ns.tasks does not exist", "remove the namespace's topics"][..]),
            (set("ns.tasks", "new", 8), &["the id new", "expected is old", "remove the namespace's topics"]),
            (
                set("ns.tasks", "old", 16),
                &["ns.tasks has 16", "with 8", "--namespace NAME --set partitions=16"],
            ),
            (set("ns.events", "any", 9), &["ns.events has 9", "with 8"]),
            (config(POLICY, "delete"), &["cleanup.policy=delete", "wanted is compact", alter]),
            (config(POLICY, "compact,delete"), &["cleanup.policy=compact,delete", "wanted is compact"]),
            (
                config(DELETES_KEPT, "3600000"),
                &["=3600000", "86400000 or more", alter, "delete_retention_min"],
            ),
        ] {
            for word in words {
                assert!(text.contains(word), "{word}: {text}");
            }
        }
    }
}
