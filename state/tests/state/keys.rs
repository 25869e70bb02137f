//! Keys sort as their fields do.

use proptest::prelude::*;
use yardmaster_state::{KeyReader, KeyWriter, prefix_end};

type Fields = (String, i64, u32, u16, u64, String);

fn fields() -> impl Strategy<Value = Fields> {
    let text = || "[a-c\u{fe}\u{ff}]{0,3}";
    let number = prop_oneof![any::<i64>(), -2..2_i64];
    (text(), number, any::<u32>(), 0..3_u16, any::<u64>(), text())
}

fn key((name, signed, word, half, long, last): &Fields) -> Vec<u8> {
    KeyWriter::new(9).str(name).i64(*signed).u32(*word).u16(*half).u64(*long).u8(3).tail(last).finish()
}

proptest! {
    #[test]
    fn keys_sort_as_their_fields(a in fields(), b in fields()) {
        // Strings that are not last sort by length first.
        let order = |f: &Fields| (f.0.len(), f.clone());
        prop_assert_eq!(key(&a).cmp(&key(&b)), order(&a).cmp(&order(&b)));
    }

    #[test]
    fn keys_are_read_back(a in fields()) {
        let bytes = key(&a);
        let (table, mut rest) = KeyReader::new(&bytes).unwrap();
        prop_assert_eq!(table, 9);
        let name = rest.str().unwrap().to_owned();
        let numbers = (rest.i64().unwrap(), rest.u32().unwrap(), rest.u16().unwrap(), rest.u64().unwrap());
        prop_assert_eq!(rest.u8().unwrap(), 3);
        let last = rest.tail().unwrap().to_owned();
        prop_assert!(rest.end().is_ok());
        prop_assert_eq!((name, numbers.0, numbers.1, numbers.2, numbers.3, last), a);
    }

    #[test]
    fn a_cut_key_is_refused(a in fields(), cut in 0..25_usize) {
        let bytes = key(&(a.0, a.1, a.2, a.3, a.4, String::new()));
        let cut = &bytes[..cut.min(bytes.len() - 1)];
        let read = KeyReader::new(cut).and_then(|(_, mut rest)| {
            rest.str()?;
            rest.i64()?;
            rest.u32()?;
            rest.u16()?;
            rest.u64()?;
            rest.u8()
        });
        prop_assert!(read.is_err());
    }

    #[test]
    fn a_prefix_ends_behind_all_its_keys(
        prefix in proptest::collection::vec(prop_oneof![Just(0xFF_u8), any::<u8>()], 1..4),
        key in proptest::collection::vec(prop_oneof![Just(0xFF_u8), any::<u8>()], 1..6),
    ) {
        prop_assume!(prefix[0] != 0xFF && key[0] != 0xFF);
        let inside = prefix.as_slice() <= key.as_slice() && key < prefix_end(&prefix);
        prop_assert_eq!(inside, key.starts_with(&prefix));
    }
}
