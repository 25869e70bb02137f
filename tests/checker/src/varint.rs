//! Numbers as batch records and checkpoints have them: small ones in one byte, larger ones behind a mark of their width.

/// Reads one value after the other.
pub(crate) struct Numbers<'a>(pub(crate) &'a [u8]);

impl Numbers<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    /// Little endian: below 251 as it is, else 251, 252 or 253 before 2, 4 or 8 bytes.
    pub(crate) fn unsigned(&mut self) -> Option<u64> {
        match self.take::<1>()? {
            [251] => self.take().map(u16::from_le_bytes).map(u64::from),
            [252] => self.take().map(u32::from_le_bytes).map(u64::from),
            [253] => self.take().map(u64::from_le_bytes),
            [254 | 255] => None,
            [small] => Some(small.into()),
        }
    }

    /// Zigzag: 0, -1, 1, -2.
    pub(crate) fn signed(&mut self) -> Option<i64> {
        let number = self.unsigned()?;
        let half = i64::try_from(number >> 1).ok()?;
        Some(if number & 1 == 0 { half } else { -half - 1 })
    }

    /// Bytes behind their length.
    pub(crate) fn skip_bytes(&mut self) -> Option<()> {
        let length = usize::try_from(self.unsigned()?).ok()?;
        self.0 = self.0.get(length..)?;
        Some(())
    }
}

#[test]
fn numbers_of_each_width() {
    let mut bytes = vec![250, 251, 44, 1, 252, 1, 0, 1, 0, 253];
    bytes.extend(u64::MAX.to_le_bytes());
    bytes.extend([3, 4, 2, 9, 9, 7]);
    let mut numbers = Numbers(&bytes);
    let read: Vec<Option<u64>> = (0..4).map(|_| numbers.unsigned()).collect();
    assert_eq!(read, [Some(250), Some(300), Some(65_537), Some(u64::MAX)]);
    assert_eq!((numbers.signed(), numbers.signed()), (Some(-2), Some(2)));
    assert_eq!((numbers.skip_bytes(), numbers.unsigned(), numbers.unsigned()), (Some(()), Some(7), None));
}
