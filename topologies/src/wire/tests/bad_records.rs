//! Each way to be a dead letter, and that nothing panics.

use proptest::prelude::*;

use super::{events, generate};
use crate::wire::{
    BadReason, Defaults, RECORD_BYTES_MAX, Undecodable, decode_command, decode_event, decode_status,
    decode_to_worker, encode_command, encode_event, encode_status, encode_to_worker,
};

fn reason(bytes: &[u8]) -> BadReason {
    match decode_command(bytes, &Defaults::default()) {
        Err(Undecodable::Bad { reason, .. }) => reason,
        other => panic!("not bad: {other:?}"),
    }
}

#[test]
fn each_kind_of_bad_record_has_its_reason() {
    assert_eq!(reason(&[0xff, 0xfe]), BadReason::NotUtf8);
    assert_eq!(reason(b""), BadReason::NotJson);
    assert_eq!(reason(b"{"), BadReason::NotJson);
    assert_eq!(reason(b"{} {}"), BadReason::NotJson);
    assert_eq!(reason(b"[1]"), BadReason::NotAnObject);
    assert_eq!(reason(b"null"), BadReason::NotAnObject);
    assert_eq!(reason(br#"{"type":"drain","pool":"p"}"#), BadReason::NoVersion);
    assert_eq!(reason(br#"{"v":2,"type":"drain","pool":"p"}"#), BadReason::UnknownVersion);
    assert_eq!(reason(br#"{"v":"1","type":"drain","pool":"p"}"#), BadReason::UnknownVersion);
    assert_eq!(reason(br#"{"v":1,"pool":"p"}"#), BadReason::NoType);
    assert_eq!(reason(br#"{"v":1,"type":1,"pool":"p"}"#), BadReason::NoType);
    assert_eq!(reason(br#"{"v":1,"type":"drain"}"#), BadReason::NoPool);
    assert_eq!(reason(br#"{"v":1,"type":"submit_many","tasks":[]}"#), BadReason::NoPool);
    assert_eq!(reason(br#"{"v":1,"type":"drain","pool":"a_b"}"#), BadReason::BadPool);
    assert_eq!(reason(br#"{"v":1,"type":"submit","task":{"pool":"#), BadReason::NotJson);
    assert_eq!(reason(br#"{"v":1,"type":"submit","task":{"id":"a","pool":"a.b"}}"#), BadReason::BadPool);
    assert_eq!(reason(br#"{"v":1,"v":1,"type":"drain","pool":"p"}"#), BadReason::DuplicateKey);
    assert_eq!(reason(&vec![b' '; RECORD_BYTES_MAX + 1]), BadReason::TooLarge);
}

#[test]
fn deep_nesting_is_bad_and_does_not_overflow_the_stack() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nest = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        let text = format!(r#"{{"v":1,"type":"submit","task":{{"id":"t","pool":"p","payload":{nest}}}}}"#);
        assert_eq!(reason(text.as_bytes()), BadReason::TooDeep);
        assert_eq!(reason(open.repeat(10_000).as_bytes()), BadReason::TooDeep);
    }
    let brackets_in_a_string = super::submit(&format!(r#","payload":"{}""#, "[".repeat(10_000)));
    assert!(decode_command(brackets_in_a_string.as_bytes(), &Defaults::default()).is_ok());
}

fn decode_all(bytes: &[u8]) {
    let defaults = Defaults::default();
    drop(decode_command(bytes, &defaults));
    drop(decode_status(bytes, &defaults));
    drop(decode_to_worker(bytes));
    drop(decode_event(bytes));
}

fn any_record() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        generate::command().prop_map(|command| encode_command(&command)),
        generate::status().prop_map(|status| encode_status(&status)),
        events::event().prop_map(|event| encode_event(&event)),
        generate::to_worker().prop_map(|message| encode_to_worker(&message)),
    ]
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        decode_all(&bytes);
    }

    #[test]
    fn random_json_like_text_never_panics(text in r#"[{}\[\]:,"\\a-z0-9 .\-\u{0}é]{0,200}"#) {
        decode_all(text.as_bytes());
    }

    #[test]
    fn mutated_records_never_panic(
        record in any_record(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 1..6),
    ) {
        let mut bytes = record;
        for (place, byte, how) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = place.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => { bytes.remove(at); }
                _ => bytes.insert(at, byte),
            }
            decode_all(&bytes);
        }
    }

    #[test]
    fn cut_records_never_panic(record in any_record(), place in any::<prop::sample::Index>()) {
        let at = place.index(record.len().max(1));
        decode_all(record.get(..at).unwrap_or_default());
    }
}
