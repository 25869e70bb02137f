//! A TCP proxy in front of the broker that knows Kafka's frames. One for each instance, so that one can be cut off alone: the
//! broker has a listener for each, which sends clients back to its proxy. Two plain threads for each connection.
//!
//! **Invariant:** frames are never changed, and those of one direction of a connection never change their order.

mod faults;
mod frame;
mod hold;

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

pub(crate) use faults::{COORDINATOR, Counts, Faults};
pub(crate) use frame::api;
pub(crate) use hold::{HoldId, Wanted};

use faults::Fate;
use frame::{correlation, parse, read_frame};

/// Kinds of the requests that are not answered yet, by correlation.
type Asked = Arc<Mutex<HashMap<i32, i16>>>;

/// Below what Linux gives to outgoing connections.
const PORTS: std::ops::Range<u16> = 22_000..32_000;

/// A proxy; it listens until this process ends.
pub(crate) struct Proxy {
    /// Where clients connect.
    pub(crate) port: u16,
    /// The broker's listener behind it.
    pub(crate) broker_port: u16,
    pub(crate) faults: Arc<Faults>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// On two free ports.
    pub(crate) fn start() -> Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, free_port()?)).context("a port for the proxy")?;
        let port = listener.local_addr()?.port();
        let broker_port = free_port()?;
        let faults = Arc::new(Faults::default());
        let connections = Arc::<Mutex<Vec<TcpStream>>>::default();
        let inside = (Arc::clone(&faults), Arc::clone(&connections));
        spawn("proxy", move || accept(&listener, broker_port, &inside.0, &inside.1))?;
        Ok(Self { port, broker_port, faults, connections })
    }

    /// For `bootstrap.servers`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Closes all connections.
    pub(crate) fn cut(&self) {
        for connection in self.connections.lock().expect("the list of connections").drain(..) {
            if connection.shutdown(Shutdown::Both).is_ok() {
                self.faults.count_cut();
            }
        }
    }

    /// Closes all connections and refuses new ones until [`Faults::heal`].
    pub(crate) fn cut_off(&self) {
        self.faults.refuse();
        self.cut();
    }
}

/// Free at this moment, and not one of those that the kernel gives to outgoing connections: while the broker is away a
/// client that tries to reach such a port would sooner or later get that very port for itself, and be connected to itself.
pub(crate) fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let spread = u16::try_from(std::process::id() % 8_000)?;
    for _ in 0..PORTS.len() {
        let offset = (spread + NEXT.fetch_add(1, Ordering::Relaxed)) % (PORTS.end - PORTS.start);
        let port = PORTS.start + offset;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no port of {PORTS:?} is free")
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).stack_size(128 << 10).spawn(body).map(drop)
}

fn accept(
    listener: &TcpListener,
    broker_port: u16,
    faults: &Arc<Faults>,
    connections: &Mutex<Vec<TcpStream>>,
) {
    for client in listener.incoming().flatten() {
        if faults.is_refusing() {
            continue;
        }
        // A broker that is away is seen as a closed connection.
        if let Ok(copies) = connect(client, broker_port, faults) {
            let mut connections = connections.lock().expect("the list of connections");
            connections.retain(|stream| stream.peer_addr().is_ok());
            connections.extend(copies);
        }
    }
}

fn connect(client: TcpStream, broker_port: u16, faults: &Arc<Faults>) -> io::Result<[TcpStream; 2]> {
    let address = (Ipv4Addr::LOCALHOST, broker_port).into();
    let broker = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let asked = Asked::default();
    let copies = [client.try_clone()?, broker.try_clone()?];
    let requests = (client.try_clone()?, broker.try_clone()?, Arc::clone(faults), Arc::clone(&asked));
    spawn("requests", move || {
        // Errors are the end of the connection, which the other side sees as one, too.
        pump_requests(requests.0, requests.1, &requests.2, &requests.3).ok();
    })?;
    let answers = Arc::clone(faults);
    spawn("answers", move || {
        pump_answers(broker, client, &answers, &asked).ok();
    })?;
    Ok(copies)
}

fn pump_requests(
    mut client: TcpStream,
    mut broker: TcpStream,
    faults: &Faults,
    asked: &Asked,
) -> io::Result<()> {
    let outcome = loop {
        let frame = match read_frame(&mut client) {
            Ok(Some(frame)) => frame,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        let header = parse(&frame);
        if faults.request(header.as_ref()) == Fate::Drop {
            continue;
        }
        if let Some(header) = &header {
            asked.lock().expect("the questions").insert(header.correlation, header.api);
        }
        if let Err(error) = write_frame(&mut broker, &frame, faults) {
            break Err(error);
        }
    };
    // What was sent is still answered by a broker that got it; nobody may be there to read that.
    broker.shutdown(Shutdown::Write).ok();
    outcome
}

fn pump_answers(
    mut broker: TcpStream,
    mut client: TcpStream,
    faults: &Faults,
    asked: &Asked,
) -> io::Result<()> {
    let outcome = loop {
        let frame = match read_frame(&mut broker) {
            Ok(Some(frame)) => frame,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        let api = correlation(&frame).and_then(|id| asked.lock().expect("the questions").remove(&id));
        if faults.response(api) == Fate::Drop {
            continue;
        }
        if let Err(error) = write_frame(&mut client, &frame, faults) {
            break Err(error);
        }
    };
    client.shutdown(Shutdown::Both).ok();
    // The client may be gone while one of its requests is kept back: that one must still reach the broker.
    outcome
}

fn write_frame(to: &mut TcpStream, frame: &[u8], faults: &Faults) -> io::Result<()> {
    let length = u32::try_from(frame.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let whole = [&length.to_be_bytes(), frame].concat();
    let Some(pace) = faults.pace() else {
        return to.write_all(&whole);
    };
    for part in whole.chunks(usize::try_from(pace.div_ceil(10)).unwrap_or(1)) {
        to.write_all(part)?;
        if faults.pace().is_some() {
            thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A broker that answers each request with its correlation id and the rest of it.
    fn echo(port: u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        spawn("echo", move || {
            for stream in listener.incoming().flatten() {
                spawn("echo", move || answer_all(stream)).unwrap();
            }
        })
        .unwrap();
    }

    fn answer_all(mut stream: TcpStream) {
        while let Ok(Some(frame)) = read_frame(&mut stream) {
            let answer = &frame[4..];
            let length = u32::try_from(answer.len()).unwrap().to_be_bytes();
            stream.write_all(&[&length, answer].concat()).unwrap();
        }
    }

    fn ask(stream: &mut TcpStream, api: i16, correlation: i32) {
        let body =
            [&api.to_be_bytes()[..], &1_i16.to_be_bytes(), &correlation.to_be_bytes(), b"\xff\xff\0\x01t"]
                .concat();
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        stream.write_all(&[&length[..], &body].concat()).unwrap();
    }

    fn answer(stream: &mut TcpStream) -> Option<i32> {
        correlation(&read_frame(stream).ok()??)
    }

    fn connected() -> (Proxy, TcpStream) {
        let proxy = Proxy::start().unwrap();
        echo(proxy.broker_port);
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port)).unwrap();
        (proxy, stream)
    }

    #[test]
    fn frames_pass_in_their_order() {
        let (proxy, mut stream) = connected();
        for number in 1..=3 {
            ask(&mut stream, api::FETCH, number);
        }
        assert_eq!((1..=3).map(|_| answer(&mut stream)).collect::<Vec<_>>(), [Some(1), Some(2), Some(3)]);
        assert_eq!(proxy.faults.counts().passed, 3);
    }

    #[test]
    fn one_kind_of_request_is_swallowed_and_one_is_not_answered() {
        let (proxy, mut stream) = connected();
        proxy.faults.swallow(&[api::END_TXN]);
        proxy.faults.mute(&[api::PRODUCE]);
        ask(&mut stream, api::END_TXN, 1);
        ask(&mut stream, api::PRODUCE, 2);
        ask(&mut stream, api::FETCH, 3);
        assert_eq!(answer(&mut stream), Some(3));
        let counts = proxy.faults.counts();
        assert_eq!((counts.swallowed, counts.muted, counts.passed), (1, 1, 2));
    }

    #[test]
    fn a_held_request_arrives_after_its_client_has_gone() {
        let (proxy, mut stream) = connected();
        let wanted = Wanted { api: api::END_TXN, transactional_id: Some("t".into()), skip: 0 };
        let id = proxy.faults.hold(wanted);
        ask(&mut stream, api::END_TXN, 1);
        while !proxy.faults.is_caught(id) {
            thread::yield_now();
        }
        drop(stream);
        let mut other = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port)).unwrap();
        ask(&mut other, api::END_TXN, 2);
        assert_eq!(answer(&mut other), Some(2));
        assert_eq!(proxy.faults.passed(id), [api::END_TXN]);
        assert!(proxy.faults.release(id));
        while proxy.faults.counts().passed < 2 {
            thread::yield_now();
        }
        assert_eq!(proxy.faults.counts().held, 1);
    }

    #[test]
    fn who_is_cut_off_gets_no_connection_until_it_heals() {
        let (proxy, mut stream) = connected();
        ask(&mut stream, api::FETCH, 1);
        assert_eq!(answer(&mut stream), Some(1));
        proxy.cut_off();
        assert_eq!(answer(&mut stream), None);
        let mut refused = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port)).unwrap();
        ask(&mut refused, api::FETCH, 2);
        assert_eq!(answer(&mut refused), None);
        proxy.faults.heal();
        let mut again = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port)).unwrap();
        ask(&mut again, api::FETCH, 3);
        assert_eq!(answer(&mut again), Some(3));
    }
}
