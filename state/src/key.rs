//! Keys whose byte order is the order of their fields.
//!
//! A key is one table byte, then its fields. Integers are big endian, signed ones with their sign bit flipped. A string
//! that is not the last field has a 16 bit length before it, so that no string can run into the field after it; it
//! follows that such strings sort by length first. The last string is raw.

use crate::StateError;

/// An exclusive upper bound of all keys: no table has this byte.
pub const KEY_END: &[u8] = &[0xFF];

const SIGN: u64 = 1 << 63;

/// Writes the fields of a key one after the other.
#[derive(Debug, Clone)]
pub struct KeyWriter(Vec<u8>);

impl KeyWriter {
    /// Starts a key of a table.
    #[must_use]
    pub fn new(table: u8) -> Self {
        let mut bytes = Vec::with_capacity(48);
        bytes.push(table);
        Self(bytes)
    }

    /// A string that is not the last field.
    ///
    /// # Panics
    /// When it is longer than 65,535 bytes: names are checked where they enter.
    #[must_use]
    pub fn str(self, text: &str) -> Self {
        let length = u16::try_from(text.len()).expect("a string in a key has at most 65535 bytes");
        self.u16(length).tail(text)
    }

    /// A string that is the last field.
    #[must_use]
    pub fn tail(mut self, text: &str) -> Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// One byte.
    #[must_use]
    pub fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    /// An unsigned number of 16 bits.
    #[must_use]
    pub fn u16(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// An unsigned number of 32 bits.
    #[must_use]
    pub fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// An unsigned number of 64 bits.
    #[must_use]
    pub fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// A signed number of 64 bits; negative ones sort first.
    #[must_use]
    pub fn i64(self, value: i64) -> Self {
        self.u64(value.cast_unsigned() ^ SIGN)
    }

    /// The key.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads the fields of a key in the order in which they were written.
#[derive(Debug, Clone)]
pub struct KeyReader<'a>(&'a [u8]);

impl<'a> KeyReader<'a> {
    /// Takes the table byte off.
    ///
    /// # Errors
    /// [`StateError::Corrupted`] when the key is empty. So it is for every field that is missing.
    pub fn new(bytes: &'a [u8]) -> Result<(u8, Self), StateError> {
        let mut reader = Self(bytes);
        Ok((reader.u8()?, reader))
    }

    /// A string that is not the last field.
    ///
    /// # Errors
    /// As [`KeyReader::new`], or when it is not UTF-8.
    pub fn str(&mut self) -> Result<&'a str, StateError> {
        let length = usize::from(self.u16()?);
        text(self.take(length)?)
    }

    /// All that is left, as a string.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub fn tail(&mut self) -> Result<&'a str, StateError> {
        text(std::mem::take(&mut self.0))
    }

    /// One byte.
    ///
    /// # Errors
    /// As [`KeyReader::new`].
    pub fn u8(&mut self) -> Result<u8, StateError> {
        self.array::<1>().map(u8::from_be_bytes)
    }

    /// An unsigned number of 16 bits.
    ///
    /// # Errors
    /// As [`KeyReader::new`].
    pub fn u16(&mut self) -> Result<u16, StateError> {
        self.array().map(u16::from_be_bytes)
    }

    /// An unsigned number of 32 bits.
    ///
    /// # Errors
    /// As [`KeyReader::new`].
    pub fn u32(&mut self) -> Result<u32, StateError> {
        self.array().map(u32::from_be_bytes)
    }

    /// An unsigned number of 64 bits.
    ///
    /// # Errors
    /// As [`KeyReader::new`].
    pub fn u64(&mut self) -> Result<u64, StateError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A signed number of 64 bits.
    ///
    /// # Errors
    /// As [`KeyReader::new`].
    pub fn i64(&mut self) -> Result<i64, StateError> {
        Ok((self.u64()? ^ SIGN).cast_signed())
    }

    /// Checks that nothing is left over.
    ///
    /// # Errors
    /// [`StateError::Corrupted`] when something is.
    pub fn end(self) -> Result<(), StateError> {
        if self.0.is_empty() { Ok(()) } else { Err(StateError::corrupted("a key is longer than its fields")) }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], StateError> {
        let (head, rest) = self.0.split_at_checked(length).ok_or_else(too_short)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or_else(too_short)?;
        self.0 = rest;
        Ok(*head)
    }
}

fn too_short() -> StateError {
    StateError::corrupted("a key is shorter than its fields")
}

fn text(bytes: &[u8]) -> Result<&str, StateError> {
    std::str::from_utf8(bytes).map_err(|_| StateError::corrupted("a string in a key is not UTF-8"))
}

/// The exclusive upper bound of all keys that start with `prefix`.
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    // 0xFF can't be counted up, so the byte before it is; what is cut off sorts below the result anyway.
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    KEY_END.to_vec()
}
