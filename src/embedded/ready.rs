//! Asks a broker whether it is ready: one hand-written Metadata request, because an open port says too little.
//!
//! A Kafka broker listens before it is unfenced, and until then it refuses to create topics. It lists itself in the
//! answer to a Metadata request (version 2) from the moment when it is unfenced; the answer also carries the cluster's
//! id, so that another broker on the same port is not taken for ours.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// For connecting, asking and answering, each; a broker that is ready answers in milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// An answer about no topic at all from a cluster of one is far smaller.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Whether the broker on this port of loopback is unfenced and belongs to the cluster.
pub(super) fn is_ready(port: u16, cluster_id: &str) -> bool {
    ask(port).is_ok_and(|answer| describes(&answer, cluster_id).unwrap_or(false))
}

fn ask(port: u16) -> io::Result<Vec<u8>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    stream.write_all(&metadata_request())?;
    let mut length = [0_u8; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > ANSWER_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut answer = vec![0_u8; length];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// Key 3 (Metadata), version 2, correlation 1, client "yardmaster", an empty list of topics; its length in front.
fn metadata_request() -> Vec<u8> {
    let mut body: Vec<u8> = vec![0, 3, 0, 2, 0, 0, 0, 1, 0, 10];
    body.extend_from_slice(b"yardmaster");
    body.extend_from_slice(&[0, 0, 0, 0]);
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [length.to_be_bytes().to_vec(), body].concat()
}

/// Whether the answer lists a broker and names the cluster; nothing when it is cut short.
fn describes(answer: &[u8], cluster_id: &str) -> Option<bool> {
    let mut rest = answer;
    take(&mut rest, 4)?; // the correlation
    let broker_count = take_u32(&mut rest)?;
    for _broker in 0..broker_count {
        take(&mut rest, 4)?; // its id
        take_text(&mut rest)?; // its host
        take(&mut rest, 4)?; // its port
        take_text(&mut rest)?; // its rack
    }
    let cluster = take_text(&mut rest)?;
    Some(broker_count > 0 && cluster == cluster_id.as_bytes())
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(take(rest, 4)?.try_into().ok()?))
}

/// A nullable string: a length in 16 bits, -1 for null, which is read as empty.
fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = i16::from_be_bytes(take(rest, 2)?.try_into().ok()?);
    take(rest, usize::try_from(length).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Correlation 1, then one broker (id 1, "h", port 9, no rack) or none, cluster "c", no controller, no topics.
    fn answer(broker_count: u8) -> Vec<u8> {
        let broker = [0, 0, 0, 1, 0, 1, b'h', 0, 0, 0, 9, 0xff, 0xff];
        let brokers = broker.repeat(usize::from(broker_count));
        [vec![0, 0, 0, 1, 0, 0, 0, broker_count], brokers, vec![0, 1, b'c', 0, 0, 0, 1, 0, 0, 0, 0]].concat()
    }

    #[test]
    fn an_unfenced_broker_of_the_cluster_is_ready() {
        assert_eq!(describes(&answer(1), "c"), Some(true));
    }

    #[test]
    fn a_fenced_broker_or_another_cluster_is_not() {
        assert_eq!(describes(&answer(0), "c"), Some(false));
        assert_eq!(describes(&answer(1), "d"), Some(false));
    }

    #[test]
    fn an_answer_cut_anywhere_before_the_cluster_is_none() {
        let whole = answer(1);
        for length in 0..whole.len() - 8 {
            assert_eq!(describes(whole.get(..length).unwrap_or_default(), "c"), None, "{length}");
        }
    }

    #[test]
    fn the_request_starts_with_its_length() {
        let request = metadata_request();
        assert_eq!(request.get(..4), Some([0, 0, 0, 24].as_slice()));
        assert_eq!(request.len(), 28);
    }
}
