//! The token file: one bearer token a line, as it is or as `sha256:` and its digest; `#` begins a comment. Read again when
//! it changes.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::HttpError;

/// How often the file is looked at, at most.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The shortest token, in characters.
const LENGTH_MIN: usize = 16;
/// The largest file, in bytes.
const BYTES_MAX: u64 = 1 << 20;

type Hash = [u8; 32];

struct Known {
    hashes: Vec<Hash>,
    stamp: Option<(SystemTime, u64)>,
    looked_at: Instant,
}

/// The tokens that are let in.
pub(crate) struct Tokens {
    path: PathBuf,
    known: Mutex<Known>,
}

impl Tokens {
    /// Reads the file.
    ///
    /// # Errors
    /// [`HttpError::Tokens`] when it can't be read, has no token, or a bad one.
    pub(crate) fn open(path: &Path) -> Result<Self, HttpError> {
        let stamp = stamp(path);
        let hashes = load(path)?;
        let known = Mutex::new(Known { hashes, stamp, looked_at: Instant::now() });
        Ok(Self { path: path.to_owned(), known })
    }

    /// Whether a token is one of them; takes as long for every wrong one.
    pub(crate) fn know(&self, token: &str) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut known);
        let given = hash(token);
        let found = known.hashes.iter().fold(Choice::from(0), |found, hash| found | hash.ct_eq(&given));
        found.into()
    }

    fn refresh(&self, known: &mut Known) {
        if known.looked_at.elapsed() < LOOK_INTERVAL {
            return;
        }
        known.looked_at = Instant::now();
        let stamp = stamp(&self.path);
        if stamp == known.stamp {
            return;
        }
        known.stamp = stamp;
        match load(&self.path) {
            Ok(hashes) => {
                tracing::info!(tokens = hashes.len(), "the token file was read again");
                known.hashes = hashes;
            }
            Err(error) => {
                tracing::error!(%error, "the token file changed and is no good: the old tokens stay")
            }
        }
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

fn load(path: &Path) -> Result<Vec<Hash>, HttpError> {
    let bad = |cause: String| HttpError::Tokens { path: path.to_owned(), cause };
    let length = std::fs::metadata(path).map_err(|error| bad(error.to_string()))?.len();
    if length > BYTES_MAX {
        return Err(bad(format!("has {length} bytes, allowed are {BYTES_MAX}")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    let mut hashes = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        hashes.push(entry(line).map_err(|cause| bad(format!("line {}: {cause}", index + 1)))?);
    }
    if hashes.is_empty() {
        return Err(bad("has no token in it".to_owned()));
    }
    Ok(hashes)
}

fn entry(line: &str) -> Result<Hash, String> {
    if let Some(digits) = line.strip_prefix("sha256:") {
        return from_hex(digits).ok_or_else(|| "after `sha256:` must stand 64 hexadecimal digits".to_owned());
    }
    if line.len() < LENGTH_MIN || !line.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(format!("a token has at least {LENGTH_MIN} visible ASCII characters and no blanks"));
    }
    Ok(hash(line))
}

fn hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

fn from_hex(digits: &str) -> Option<Hash> {
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut hash = Hash::default();
    for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Result<Tokens, HttpError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        std::fs::write(&path, text).unwrap();
        Tokens::open(&path)
    }

    #[test]
    fn knows_tokens_and_digests() {
        let digest: String = hash("another-token-0123456789").iter().map(|b| format!("{b:02x}")).collect();
        let tokens = with(&format!("# mine\n\n a-token-0123456789 \nsha256:{digest}\n")).unwrap();
        assert!(tokens.know("a-token-0123456789"));
        assert!(tokens.know("another-token-0123456789"));
        assert!(!tokens.know("a-token-012345678"));
        assert!(!tokens.know(""));
    }

    #[test]
    fn refuses_bad_files() {
        for text in ["", "# only a comment\n", "short\n", "sha256:12\n", "a token with blanks in it\n"] {
            assert!(with(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_a_changed_file_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        std::fs::write(&path, "a-token-0123456789\n").unwrap();
        let tokens = Tokens::open(&path).unwrap();
        std::fs::write(&path, "the-new-token-0123456789\n").unwrap();
        tokens.known.lock().unwrap().looked_at -= LOOK_INTERVAL;
        assert!(tokens.know("the-new-token-0123456789"));
        assert!(!tokens.know("a-token-0123456789"));
    }
}
