//! What a broker must be set to, looked at before anything is begun: a transaction that it would refuse, or a safeguard that
//! it lacks, is better known at the start.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;

use super::apart::Apart;
use super::client::{Connection, TRANSACTION_TIMEOUT_MS};
use super::error::{KafkaFailure, Result, failure};

const PATIENCE: Duration = Duration::from_secs(15);
/// Between two questions.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Any topic's metadata names the brokers; that of one costs less than that of all.
const ANY_TOPIC: &str = "__transaction_state";

const TIMEOUT_MAX: &str = "transaction.max.timeout.ms";
const VERIFICATION: &str = "transaction.partition.verification.enable";
const UNCLEAN: &str = "unclean.leader.election.enable";

type Settings = BTreeMap<String, String>;

/// Looks at the settings of a broker. Returns what is not as it should be, in words. Blocks; for plain threads.
///
/// # Errors
/// `Fatal` when no transaction of ours could be begun, with the remedy; `Unreachable`.
pub fn check_broker(conn: &Connection) -> Result<Vec<String>> {
    match settings(conn) {
        Ok(settings) => judge(&settings),
        Err(error @ KafkaFailure::Unreachable(_)) => Err(error),
        // Who may not ask still may do all the rest.
        Err(error) => Ok(vec![format!("the broker's settings can't be checked: {error}")]),
    }
}

fn settings(conn: &Connection) -> Result<Settings> {
    let doing = "reading the broker's settings";
    let failed = |error| failure(doing, "", &error);
    let admin: AdminClient<DefaultClientContext> = conn.base()?.create().map_err(failed)?;
    let admin = Apart::new("an admin client", admin);
    let id = any_broker(&admin)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| KafkaFailure::Fatal(format!("creating a runtime: {error}")))?;
    let options = AdminOptions::new().request_timeout(Some(PATIENCE));
    let resource = [ResourceSpecifier::Broker(id)];
    let results = runtime.block_on(admin.describe_configs(&resource, &options)).map_err(failed)?;
    let described = match results.into_iter().next() {
        Some(Ok(described)) => described,
        Some(Err(code)) => return Err(failed(rdkafka::error::KafkaError::AdminOp(code))),
        None => return Err(KafkaFailure::Unreachable(format!("{doing}: no answer"))),
    };
    let values = described.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?)));
    Ok(values.collect())
}

/// One of the brokers. A broker that stood still for a while answers before the controller has taken it in again, and lists
/// none, not even itself.
fn any_broker(admin: &AdminClient<DefaultClientContext>) -> Result<i32> {
    let doing = "asking for the brokers";
    let deadline = Instant::now() + PATIENCE;
    loop {
        let listed = admin.inner().fetch_metadata(Some(ANY_TOPIC), PATIENCE);
        let metadata = listed.map_err(|error| failure(doing, "", &error))?;
        if let Some(broker) = metadata.brokers().first() {
            return Ok(broker.id());
        }
        if Instant::now() >= deadline {
            let seconds = PATIENCE.as_secs();
            return Err(KafkaFailure::Unreachable(format!("{doing}: none is listed, for {seconds} s")));
        }
        thread::sleep(ASK_AGAIN);
    }
}

fn judge(settings: &Settings) -> Result<Vec<String>> {
    let max: Option<u64> = settings.get(TIMEOUT_MAX).and_then(|value| value.parse().ok());
    if let Some(max) = max.filter(|max| *max < TRANSACTION_TIMEOUT_MS) {
        return Err(KafkaFailure::Fatal(format!(
            "the broker has {TIMEOUT_MAX}={max}, and transactions of yardmaster need {TRANSACTION_TIMEOUT_MS}: raise it in \
             the broker's configuration"
        )));
    }
    let mut warnings = Vec::new();
    match settings.get(VERIFICATION).map(String::as_str) {
        Some("true") => {}
        Some(_) => warnings.push(format!(
            "the broker has {VERIFICATION}=false: a record that is late can then leave a transaction open for ever, and a \
             restore waits for it; set it to true"
        )),
        None => warnings.push(format!(
            "the broker does not know {VERIFICATION}, so it is older than Kafka 3.6: a record that is late can leave a \
             transaction open for ever, and a restore waits for it; a newer broker is advised"
        )),
    }
    if settings.get(UNCLEAN).map(String::as_str) == Some("true") {
        warnings.push(format!(
            "the broker has {UNCLEAN}=true: when all replicas in sync are gone, records that were committed are lost; set \
             it to false, at least for the topics of the namespace"
        ));
    }
    Ok(warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_broker_as_it_comes_is_fine() {
        let usual = settings(&[(TIMEOUT_MAX, "900000"), (VERIFICATION, "true"), (UNCLEAN, "false")]);
        assert_eq!(judge(&usual), Ok(Vec::new()));
    }

    #[test]
    fn a_broker_that_would_refuse_our_transactions_is_refused() {
        let error = judge(&settings(&[(TIMEOUT_MAX, "5000"), (VERIFICATION, "true")])).unwrap_err();
        assert!(error.to_string().contains("transaction.max.timeout.ms=5000"), "{error}");
    }

    #[test]
    fn what_weakens_the_promise_is_told() {
        let told = |pairs: &[(&str, &str)]| judge(&settings(pairs)).unwrap().join("\n");
        assert!(told(&[]).contains("older than Kafka 3.6"));
        assert!(told(&[(VERIFICATION, "false")]).contains("set it to true"));
        assert!(
            told(&[(VERIFICATION, "true"), (UNCLEAN, "true")])
                .contains("records that were committed are lost")
        );
    }
}
