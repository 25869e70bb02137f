//! The bytes of rows, checkpoints and batch records stay what they are.

use yardmaster_state::{
    BatchRecord, Checkpoint, NextOffset, StateError, batch_key, decode, encode, is_batch_key,
};

#[test]
fn a_row_is_its_version_and_then_bincode() {
    assert_eq!(encode(7, &("ab", 300_u32, None::<u8>, -1_i64)), [7, 2, b'a', b'b', 251, 44, 1, 0, 1]);
}

#[test]
fn versions_are_checked() {
    let bytes = encode(3, &5_u32);
    assert_eq!(decode::<u32>(3, &bytes).unwrap(), (3, 5));
    assert_eq!(decode::<u32>(9, &bytes).unwrap(), (3, 5));
    let error = decode::<u32>(2, &bytes).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a row has version 3, this program knows versions up to 2: start the newer program"
    );
    assert!(matches!(decode::<u32>(3, &[0, 5]), Err(StateError::Corrupted(_))));
    assert!(matches!(decode::<u32>(3, &[]), Err(StateError::Corrupted(_))));
    assert!(matches!(decode::<u32>(3, &[3]), Err(StateError::Corrupted(_))));
    assert!(matches!(decode::<u32>(3, &[3, 5, 6]), Err(StateError::Corrupted(_))), "bytes are left over");
}

#[test]
fn a_damaged_length_allocates_nothing() {
    let bytes = [1, 253, 255, 255, 255, 255, 255, 255, 255, 127];
    assert!(matches!(decode::<String>(1, &bytes), Err(StateError::Corrupted(_))));
}

fn batch() -> BatchRecord {
    BatchRecord {
        sequence: 65_537,
        inputs: vec![(NextOffset(1), NextOffset(2)), (NextOffset(3), NextOffset(300))],
        records: 4,
        digest: 0x0102_0304_0506_0708,
        at_ms: 9,
        wall_ms: 1_700_000_000_000,
        local: vec![1, 2],
        owner_epoch: 5,
        code_version: 6,
    }
}

#[test]
fn a_batch_record_has_these_bytes() {
    let hex: String = batch().encode().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "01fc01000100020204\
         06fb580204fd0807060504030201\
         09fd0068e5cf8b01000002010205\
         06"
    );
    assert_eq!(BatchRecord::decode(&batch().encode()).unwrap(), batch());
    assert_eq!(batch().key(), b"__batch/1");
    assert!(is_batch_key(&batch_key(0)) && !is_batch_key(b"_x"));
}

#[test]
fn a_checkpoint_has_these_bytes() {
    let checkpoint = batch().checkpoint(NextOffset(17));
    let expected = Checkpoint {
        changelog: NextOffset(17),
        inputs: vec![NextOffset(2), NextOffset(300)],
        sequence: 65_537,
        at_ms: 9,
        wall_ms: 1_700_000_000_000,
        owner_epoch: 5,
        code_version: 6,
    };
    assert_eq!(checkpoint, expected);
    let hex: String = checkpoint.encode().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "01220204fb5802fc0100010009fd0068e5cf8b0100000506");
    assert_eq!(Checkpoint::decode(&checkpoint.encode()).unwrap(), checkpoint);
}
