//! What is written is read back as it was.

use proptest::prelude::*;

use super::{events, generate};
use crate::task::TaskSpec;
use crate::wire::{
    BadReason, Defaults, RefusedReason, decode_command, decode_event, decode_status, decode_to_worker,
    encode_command, encode_event, encode_status, encode_status_batch, encode_to_worker, spec_hash,
};

/// Limits that random values stay below.
fn wide() -> Defaults {
    let mut defaults = Defaults::default();
    defaults.limits.result_bytes_max = u32::MAX;
    defaults.limits.payload_bytes_max = u32::MAX;
    defaults
}

proptest! {
    #[test]
    fn commands(command in generate::command()) {
        prop_assert_eq!(decode_command(&encode_command(&command), &wide()).unwrap(), command);
    }

    #[test]
    fn statuses(status in generate::status()) {
        prop_assert_eq!(decode_status(&encode_status(&status), &wide()).unwrap(), vec![status]);
    }

    #[test]
    fn batches_of_statuses(statuses in prop::collection::vec(generate::status(), 1..4)) {
        let mut statuses = statuses;
        let first = statuses[0].clone();
        for status in &mut statuses {
            status.pool = first.pool.clone();
            status.worker = first.worker.clone();
        }
        prop_assert_eq!(decode_status(&encode_status_batch(&statuses), &wide()).unwrap(), statuses);
    }

    #[test]
    fn messages_to_workers(message in generate::to_worker()) {
        prop_assert_eq!(decode_to_worker(&encode_to_worker(&message)).unwrap(), message);
    }

    #[test]
    fn events_of_every_type(event in events::event()) {
        prop_assert_eq!(decode_event(&encode_event(&event)).unwrap(), event);
    }

    #[test]
    fn equal_specs_and_only_they_have_equal_hashes(a in generate::spec(), b in generate::spec()) {
        let copy = a.clone();
        prop_assert_eq!(spec_hash(&a), spec_hash(&copy));
        prop_assert_eq!(spec_hash(&a) == spec_hash(&b), a == b);
        let other = TaskSpec { run_timeout: a.queue_ttl, queue_ttl: a.run_timeout, ..a.clone() };
        prop_assert_eq!(spec_hash(&a) == spec_hash(&other), a == other);
    }
}

#[test]
fn words_are_read_back() {
    for reason in BadReason::ALL {
        assert_eq!(BadReason::from_name(reason.name()), Some(*reason));
    }
    for reason in RefusedReason::ALL {
        assert_eq!(RefusedReason::from_name(reason.name()), Some(*reason));
    }
}

#[test]
fn a_payload_keeps_its_bytes() {
    let text = super::submit(r#","payload":{ "b" : 1.50, "a":[1e400 , "é\u00e9"] }"#);
    let command = decode_command(text.as_bytes(), &wide()).unwrap();
    let bytes = String::from_utf8(encode_command(&command)).unwrap();
    assert!(bytes.contains(r#""payload":{ "b" : 1.50, "a":[1e400 , "é\u00e9"] }"#), "{bytes}");
}

/// The encoding is stored in rows: when this number changes, repeated submits become conflicts.
#[test]
fn the_hash_of_a_spec_never_changes() {
    let command =
        decode_command(super::submit(r#","payload":[1]"#).as_bytes(), &Defaults::default()).unwrap();
    let crate::event::Action::Submit { tasks } = command.action else { panic!("a submit") };
    assert_eq!(spec_hash(&tasks[0]), 14_623_672_649_789_345_546);
}
