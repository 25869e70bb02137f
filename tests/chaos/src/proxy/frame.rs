//! Kafka's frames: a length of four bytes, then a request's header or a response's correlation id. As much is read of them
//! as the faults need.

use std::io::{self, Read};

/// The numbers of requests, as the protocol has them.
pub(crate) mod api {
    pub(crate) const PRODUCE: i16 = 0;
    pub(crate) const FETCH: i16 = 1;
    pub(crate) const FIND_COORDINATOR: i16 = 10;
    pub(crate) const INIT_PRODUCER_ID: i16 = 22;
    pub(crate) const ADD_PARTITIONS_TO_TXN: i16 = 24;
    pub(crate) const ADD_OFFSETS_TO_TXN: i16 = 25;
    pub(crate) const END_TXN: i16 = 26;
}

/// Longer ones are no frames: the broker itself takes at most 100 MiB.
const FRAME_BYTES_MAX: usize = 128 << 20;

/// What a request says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) api: i16,
    pub(crate) version: i16,
    pub(crate) correlation: i32,
    pub(crate) client: Option<String>,
    /// Of the requests about transactions, and of Produce.
    pub(crate) transactional_id: Option<String>,
}

/// The next frame without its length; none at the end of the stream.
pub(crate) fn read_frame(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0_u8; 4];
    match stream.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes")));
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame)?;
    Ok(Some(frame))
}

/// The header of a request; none of what is too short to be one.
pub(crate) fn parse(frame: &[u8]) -> Option<Header> {
    let mut rest = Bytes(frame);
    let (api, version, correlation) = (rest.i16()?, rest.i16()?, rest.i32()?);
    let client = rest.nullable_text()?;
    let transactional_id = transactional_id(api, version, &mut rest);
    Some(Header { api, version, correlation, client, transactional_id })
}

/// The correlation id that begins a response.
pub(crate) fn correlation(frame: &[u8]) -> Option<i32> {
    Bytes(frame).i32()
}

/// The first field of the body, where it is that.
fn transactional_id(api: i16, version: i16, rest: &mut Bytes<'_>) -> Option<String> {
    let (first, flexible) = match api {
        api::PRODUCE => (3, 9),
        api::INIT_PRODUCER_ID => (0, 2),
        api::ADD_PARTITIONS_TO_TXN | api::END_TXN => (0, 3),
        _ => return None,
    };
    // Later versions of AddPartitionsToTxn carry several transactions; only brokers send them.
    if version < first || (api == api::ADD_PARTITIONS_TO_TXN && version > 3) {
        return None;
    }
    if version < flexible {
        return rest.nullable_text()?;
    }
    // The header's tags end it; clients send none.
    if rest.varint()? != 0 {
        return None;
    }
    let length = rest.varint()?.checked_sub(1)?;
    rest.text(length as usize)
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn i16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn i32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn text(&mut self, length: usize) -> Option<String> {
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    /// A length in 16 bits, -1 for null.
    fn nullable_text(&mut self) -> Option<Option<String>> {
        match usize::try_from(self.i16()?) {
            Ok(length) => Some(Some(self.text(length)?)),
            Err(_) => Some(None),
        }
    }

    /// Seven bits a byte, the lowest first.
    fn varint(&mut self) -> Option<u32> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = *self.take(1)?.first()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(api: i16, version: i16, body: &[u8]) -> Vec<u8> {
        let client = b"rdkafka";
        [
            &api.to_be_bytes()[..],
            &version.to_be_bytes(),
            &7_i32.to_be_bytes(),
            &7_i16.to_be_bytes(),
            client,
            body,
        ]
        .concat()
    }

    #[test]
    fn a_classic_end_of_a_transaction_names_it() {
        let header = parse(&request(api::END_TXN, 1, b"\0\x04ns-0\0\0\0\0\0\0\0\x01\0\0\x01")).unwrap();
        assert_eq!((header.api, header.version, header.correlation), (26, 1, 7));
        assert_eq!(header.client.as_deref(), Some("rdkafka"));
        assert_eq!(header.transactional_id.as_deref(), Some("ns-0"));
    }

    #[test]
    fn a_flexible_one_is_read_behind_the_header_s_tags() {
        let header = parse(&request(api::INIT_PRODUCER_ID, 4, b"\0\x05ns-0\0\0\0\0")).unwrap();
        assert_eq!(header.transactional_id.as_deref(), Some("ns-0"));
        let none = parse(&request(api::INIT_PRODUCER_ID, 4, b"\0\0\0\0\0\0")).unwrap();
        assert_eq!(none.transactional_id, None);
    }

    #[test]
    fn a_produce_without_a_transaction_has_none() {
        assert_eq!(parse(&request(api::PRODUCE, 7, b"\xff\xff\0\x01")).unwrap().transactional_id, None);
        let named = parse(&request(api::PRODUCE, 7, b"\0\x01t\0\x01")).unwrap();
        assert_eq!(named.transactional_id.as_deref(), Some("t"));
        assert_eq!(parse(&request(api::FETCH, 11, b"\0\x01t")).unwrap().transactional_id, None);
    }

    #[test]
    fn what_is_cut_short_is_no_header() {
        let whole = request(api::FETCH, 11, b"");
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), None, "{length}");
        }
    }

    #[test]
    fn frames_follow_each_other_until_the_end() {
        let mut stream: &[u8] = b"\0\0\0\x02ab\0\0\0\0";
        assert_eq!(read_frame(&mut stream).unwrap(), Some(b"ab".to_vec()));
        assert_eq!(read_frame(&mut stream).unwrap(), Some(Vec::new()));
        assert_eq!(read_frame(&mut stream).unwrap(), None);
        let mut huge: &[u8] = b"\xff\xff\xff\xff";
        assert!(read_frame(&mut huge).is_err());
    }
}
