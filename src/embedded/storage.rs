//! The broker's data directory: who may use it, the cluster id, the ports, and formatting on first use.
//!
//! ```text
//! <data_dir>/broker.log          what the broker printed since its last start; locked while a broker runs
//! <data_dir>/cluster.id          written once the storage is formatted
//! <data_dir>/ports               "client controller": a restart keeps its address where it can
//! <data_dir>/server.properties   written at each start
//! <data_dir>/log4j2.properties   likewise
//! <data_dir>/kafka/              the broker's own data
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::error::{EmbeddedError, last_lines};
use super::jars::remove_dir;
use super::process::Jvm;
use super::properties::{Ports, ProxiedListener, server_properties};

const LOG4J2: &str = include_str!("log4j2.properties");

/// How long to wait for a predecessor that is being killed: its watcher needs a moment.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// A data directory that this process owns for as long as `log` is open, here or in the broker.
#[derive(Debug)]
pub(super) struct Storage {
    dir: PathBuf,
    log: File,
}

impl Storage {
    /// Creates the directory if need be and takes it.
    ///
    /// The lock is on `broker.log` because the broker inherits that open file as its stdout: the directory stays
    /// taken until the JVM is gone, even if the process that started it went first.
    pub(super) fn open(dir: &Path) -> Result<Self, EmbeddedError> {
        fs::create_dir_all(dir).map_err(EmbeddedError::io("create", dir))?;
        let dir = dir.canonicalize().map_err(EmbeddedError::io("resolve", dir))?;
        let path = dir.join("broker.log");
        let open = OpenOptions::new().create(true).append(true).open(&path);
        let log = open.map_err(EmbeddedError::io("open", &path))?;
        let storage = Self { dir, log };
        storage.lock()?;
        storage.log.set_len(0).map_err(EmbeddedError::io("truncate", &path))?;
        Ok(storage)
    }

    fn lock(&self) -> Result<(), EmbeddedError> {
        let deadline = Instant::now() + LOCK_TIMEOUT;
        loop {
            match self.log.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(source)) => {
                    return Err(EmbeddedError::io("lock", &self.log_path())(source));
                }
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    return Err(EmbeddedError::InUse { data_dir: self.dir.clone() });
                }
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// The open log, which a broker inherits.
    pub(super) fn log(&self) -> &File {
        &self.log
    }

    /// Where the broker's output goes.
    pub(super) fn log_path(&self) -> PathBuf {
        self.dir.join("broker.log")
    }

    /// The last lines of the broker's output, for an error.
    pub(super) fn log_end(&self) -> String {
        let bytes = fs::read(self.log_path()).unwrap_or_default();
        last_lines(&String::from_utf8_lossy(&bytes), 20)
    }

    /// The `server.properties` of the coming start.
    pub(super) fn properties_path(&self) -> PathBuf {
        self.dir.join("server.properties")
    }

    /// The log4j2 configuration of the coming start.
    pub(super) fn log4j2_path(&self) -> PathBuf {
        self.dir.join("log4j2.properties")
    }

    /// Writes what the broker reads at its start, and remembers the ports.
    pub(super) fn write_settings(
        &self,
        ports: Ports,
        proxied: &[ProxiedListener],
    ) -> Result<(), EmbeddedError> {
        write(&self.log4j2_path(), LOG4J2)?;
        write(&self.properties_path(), &server_properties(ports, proxied, &self.dir.join("kafka")))?;
        write(&self.dir.join("ports"), &format!("{} {}\n", ports.client, ports.controller))
    }

    /// The ports to use: the ones asked for, else the remembered ones while they are free, else free ones.
    ///
    /// # Errors
    /// [`EmbeddedError::PortTaken`] when `asked` is.
    pub(super) fn choose_ports(&self, asked: Option<u16>) -> Result<Ports, EmbeddedError> {
        let remembered = self.remembered_ports();
        // Held until both are known, so that they differ.
        let client = match asked {
            Some(port) => bind(port).ok_or(EmbeddedError::PortTaken { port })?,
            None => self.bind_or_any(remembered.map(|ports| ports.client))?,
        };
        let controller = self.bind_or_any(remembered.map(|ports| ports.controller))?;
        Ok(Ports { client: self.port_of(&client)?, controller: self.port_of(&controller)? })
    }

    /// Lets the next start choose other ports.
    pub(super) fn forget_ports(&self) {
        // Not there is as good as removed.
        let _removed = fs::remove_file(self.dir.join("ports"));
    }

    fn remembered_ports(&self) -> Option<Ports> {
        let text = fs::read_to_string(self.dir.join("ports")).ok()?;
        let (client, controller) = text.trim().split_once(' ')?;
        Some(Ports { client: client.parse().ok()?, controller: controller.parse().ok()? })
    }

    fn bind_or_any(&self, preferred: Option<u16>) -> Result<TcpListener, EmbeddedError> {
        if let Some(listener) = preferred.and_then(bind) {
            return Ok(listener);
        }
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .map_err(EmbeddedError::io("find a free port for", &self.dir))
    }

    fn port_of(&self, listener: &TcpListener) -> Result<u16, EmbeddedError> {
        let address = listener.local_addr().map_err(EmbeddedError::io("find a free port for", &self.dir))?;
        Ok(address.port())
    }

    /// The cluster's id, if the storage is formatted.
    pub(super) fn cluster_id(&self) -> Option<String> {
        let text = fs::read_to_string(self.dir.join("cluster.id")).ok()?;
        Some(text.trim().to_owned()).filter(|id| !id.is_empty())
    }

    /// Formats the storage and returns the new cluster's id; needs the settings written.
    pub(super) fn format(&self, jvm: &Jvm) -> Result<String, EmbeddedError> {
        // `cluster.id` is written before the first start, so without it this is the rest of an interrupted format.
        remove_dir(&self.dir.join("kafka"))?;
        let id = new_cluster_id()?;
        let properties = self.properties_path().display().to_string();
        let (formatted, text) =
            jvm.run("kafka.tools.StorageTool", &["format", "-t", &id, "-c", &properties])?;
        if !formatted {
            return Err(EmbeddedError::Format { data_dir: self.dir.clone(), lines: last_lines(&text, 20) });
        }
        let partial = self.dir.join("cluster.id.partial");
        write(&partial, &format!("{id}\n"))?;
        fs::rename(&partial, self.dir.join("cluster.id")).map_err(EmbeddedError::io("rename", &partial))?;
        Ok(id)
    }
}

fn write(path: &Path, text: &str) -> Result<(), EmbeddedError> {
    fs::write(path, text).map_err(EmbeddedError::io("write", path))
}

fn bind(port: u16) -> Option<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
}

/// 16 random bytes as Kafka writes a UUID. The first bit is 0, so that the text never starts with the `-` of an option.
fn new_cluster_id() -> Result<String, EmbeddedError> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0_u8; 16];
    let mut file = File::open(source).map_err(EmbeddedError::io("open", source))?;
    file.read_exact(&mut bytes).map_err(EmbeddedError::io("read", source))?;
    Ok(base64_url(u128::from_be_bytes(bytes) >> 1))
}

/// Base64 without padding, in the alphabet of RFC 4648 section 5: 21 digits of 6 bits and one of the last 2.
fn base64_url(value: u128) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |bits: u128| ALPHABET.get((bits & 63) as usize).map_or('A', |byte| char::from(*byte));
    let whole = (0..21).map(|index| digit(value >> (122 - 6 * index)));
    whole.chain([digit(value << 4)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_the_rfc_says() {
        assert_eq!(base64_url(0), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(base64_url(u128::MAX), "_____________________w");
        assert_eq!(base64_url(u128::from_be_bytes(*b"any carnal pleas")), "YW55IGNhcm5hbCBwbGVhcw");
    }

    #[test]
    fn cluster_ids_are_22_characters_and_no_option() {
        let id = new_cluster_id().expect("random bytes");
        assert_eq!(id.len(), 22);
        assert!(!id.starts_with('-'));
    }

    #[test]
    fn ports_are_remembered_and_differ() {
        let dir = tempfile::tempdir().expect("a directory");
        let storage = Storage::open(dir.path()).expect("a storage");
        let first = storage.choose_ports(None).expect("ports");
        assert_ne!(first.client, first.controller);
        storage.write_settings(first, &[]).expect("settings");
        assert_eq!(storage.choose_ports(None).expect("ports"), first);
    }

    #[test]
    fn a_taken_port_is_refused_by_number() {
        let dir = tempfile::tempdir().expect("a directory");
        let storage = Storage::open(dir.path()).expect("a storage");
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let port = taken.local_addr().expect("an address").port();
        let error = storage.choose_ports(Some(port)).expect_err("the port is taken");
        assert!(error.to_string().contains(&port.to_string()), "{error}");
    }
}
