//! The ids of topics: a topic that was deleted and made again has another one, under the same name. rust-rdkafka has no
//! call for it, so librdkafka's own is used.
//!
//! **Invariant:** the only unsafe code of the project is here, but for `_exit` in `cli/exit.rs`.
#![expect(unsafe_code, reason = "rust-rdkafka does not wrap DescribeTopics")]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::time::Duration;

use rdkafka::admin::AdminClient;
use rdkafka::bindings as rd;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::calls::{Call, watched};
use super::error::{KafkaFailure, Result, failure, is_missing};

const PATIENCE: Duration = Duration::from_secs(10);

/// A topic that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicFound {
    /// Its id, in the text form that Kafka's own tools print.
    pub id: String,
    /// How many partitions it has.
    pub partitions: i32,
}

/// What the broker says about these topics, in one request; none for one that is not there.
///
/// # Errors
/// `Unreachable`, or `Fatal` when the broker is too old to have ids (before 2.8).
pub(super) fn describe<C: ClientContext>(
    admin: &AdminClient<C>,
    topics: &[String],
) -> Result<BTreeMap<String, Option<TopicFound>>> {
    let of = topics.first().map_or("", String::as_str);
    let described = watched(Call::Describe, of, || Described::ask(admin, topics))?;
    let mut found: BTreeMap<String, Option<TopicFound>> =
        topics.iter().map(|topic| (topic.clone(), None)).collect();
    for (name, topic) in described.topics() {
        match topic {
            Ok(topic) => found.insert(name, Some(topic)),
            Err(code) if is_missing(code) => found.insert(name, None),
            Err(code) => {
                return Err(failure("asking for the id of a topic", &name, &KafkaError::AdminOp(code)));
            }
        };
    }
    Ok(found)
}

/// An answer of the broker, and the queue that it came over.
struct Described {
    queue: *mut rd::rd_kafka_queue_t,
    event: *mut rd::rd_kafka_event_t,
}

impl Drop for Described {
    fn drop(&mut self) {
        // SAFETY: both were made in `ask`, are not null there, and are used by nobody else.
        unsafe {
            rd::rd_kafka_event_destroy(self.event);
            rd::rd_kafka_queue_destroy(self.queue);
        }
    }
}

impl Described {
    fn ask<C: ClientContext>(admin: &AdminClient<C>, topics: &[String]) -> Result<Self> {
        let fatal = |text: &str| KafkaFailure::Fatal(format!("asking for the ids of topics: {text}"));
        let names: Vec<CString> = topics
            .iter()
            .map(|topic| CString::new(topic.as_str()).map_err(|_| fatal("a name has a zero byte")))
            .collect::<Result<_>>()?;
        let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        let patience = c_int::try_from(PATIENCE.as_millis()).unwrap_or(c_int::MAX);
        let client = admin.inner().native_ptr();
        // SAFETY: the client outlives this call, which waits for the answer; the names live as long, and librdkafka
        // copies them. What is made here is destroyed here, but for the queue and the event, which `Described` owns.
        let (queue, event) = unsafe {
            let options = rd::rd_kafka_AdminOptions_new(
                client,
                rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            );
            let wanted = rd::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
            let queue = rd::rd_kafka_queue_new(client);
            rd::rd_kafka_DescribeTopics(client, wanted, options, queue);
            let event = rd::rd_kafka_queue_poll(queue, patience);
            rd::rd_kafka_TopicCollection_destroy(wanted);
            rd::rd_kafka_AdminOptions_destroy(options);
            if event.is_null() {
                rd::rd_kafka_queue_destroy(queue);
                return Err(KafkaFailure::Unreachable("no answer to a question for topics' ids".to_owned()));
            }
            (queue, event)
        };
        let described = Self { queue, event };
        // SAFETY: the event is not null.
        let error: RDKafkaErrorCode = unsafe { rd::rd_kafka_event_error(described.event) }.into();
        if error == RDKafkaErrorCode::NoError {
            return Ok(described);
        }
        Err(failure("asking for the ids of topics", "", &KafkaError::AdminOp(error)))
    }

    /// Name, and what it is or an error, of each topic.
    fn topics(&self) -> Vec<(String, std::result::Result<TopicFound, RDKafkaErrorCode>)> {
        let mut count = 0;
        let mut found = Vec::new();
        // SAFETY: the event is the answer to DescribeTopics, so the result is not null and holds `count` descriptions;
        // they live as long as the event, their names and ids as long as they.
        unsafe {
            let result = rd::rd_kafka_event_DescribeTopics_result(self.event);
            if result.is_null() {
                return found;
            }
            let all = rd::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            for index in 0..count {
                let one = *all.add(index);
                let name = text(rd::rd_kafka_TopicDescription_name(one));
                let error: RDKafkaErrorCode =
                    rd::rd_kafka_error_code(rd::rd_kafka_TopicDescription_error(one)).into();
                if error != RDKafkaErrorCode::NoError {
                    found.push((name, Err(error)));
                    continue;
                }
                let id = text(rd::rd_kafka_Uuid_base64str(rd::rd_kafka_TopicDescription_topic_id(one)));
                let mut partitions = 0;
                rd::rd_kafka_TopicDescription_partitions(one, &raw mut partitions);
                let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
                found.push((name, Ok(TopicFound { id, partitions })));
            }
        }
        found
    }
}

/// # Safety
/// The pointer is null, or to a text that ends with a zero byte.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: as the caller says.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}
