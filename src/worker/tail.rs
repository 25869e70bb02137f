//! What is kept of a program's output: the whole of it while it is short, and always its end.

use std::collections::VecDeque;

/// Collects output as it comes, in bounded memory.
#[derive(Debug)]
pub struct Capture {
    head: Vec<u8>,
    head_max: usize,
    tail: VecDeque<u8>,
    tail_max: usize,
    total: u64,
}

impl Capture {
    /// Keeps the whole output while it has at most `head_max` bytes, and its last `tail_max` bytes.
    #[must_use]
    pub fn new(head_max: usize, tail_max: usize) -> Self {
        Self { head: Vec::new(), head_max, tail: VecDeque::new(), tail_max, total: 0 }
    }

    /// More output.
    pub fn push(&mut self, bytes: &[u8]) {
        self.total = self.total.saturating_add(bytes.len() as u64);
        let room = self.head_max.saturating_sub(self.head.len());
        self.head.extend(bytes.iter().take(room));
        let skip = bytes.len().saturating_sub(self.tail_max);
        self.tail.extend(bytes.iter().skip(skip));
        let excess = self.tail.len().saturating_sub(self.tail_max);
        self.tail.drain(..excess);
    }

    /// Its first `head_max` bytes.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// How many bytes it had.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// All of it, if it was not too long.
    #[must_use]
    pub fn whole(&self) -> Option<&[u8]> {
        (self.total == self.head.len() as u64).then_some(self.head.as_slice())
    }

    /// The end as text of at most `tail_max` bytes, starting at a whole character; `None` when there was no output.
    #[must_use]
    pub fn tail(&self) -> Option<String> {
        if self.tail.is_empty() {
            return None;
        }
        let bytes: Vec<u8> = self.tail.iter().copied().collect();
        let cut_inside = self.total > bytes.len() as u64;
        // The cut may have gone through a character: at most three bytes belong to it.
        let rest = bytes.iter().take(3).take_while(|byte| cut_inside && **byte & 0xC0 == 0x80).count();
        let text = String::from_utf8_lossy(bytes.get(rest..).unwrap_or_default()).into_owned();
        Some(last_bytes(text, self.tail_max))
    }
}

/// The end of a text, cut before a character. Bytes that are not UTF-8 become longer when they become text.
fn last_bytes(text: String, max: usize) -> String {
    let mut from = text.len().saturating_sub(max);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.get(from..).map_or_else(String::new, str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_output_is_kept_whole() {
        let mut capture = Capture::new(8, 4);
        assert_eq!((capture.tail(), capture.whole()), (None, Some(&b""[..])));
        capture.push(b"abc");
        capture.push(b"defgh");
        assert_eq!(capture.whole(), Some(&b"abcdefgh"[..]));
        assert_eq!(capture.tail().as_deref(), Some("efgh"));
        capture.push(b"i");
        assert_eq!((capture.whole(), capture.tail().as_deref()), (None, Some("fghi")));
    }

    #[test]
    fn a_cut_character_is_left_out_and_bad_bytes_stay_within_the_limit() {
        let mut capture = Capture::new(0, 5);
        capture.push("aé€é".as_bytes());
        assert_eq!(capture.tail().as_deref(), Some("€é"));
        capture.push(&[0xFF; 9]);
        let tail = capture.tail().unwrap();
        assert!(tail.len() <= 5 && tail.ends_with('\u{FFFD}'), "{tail:?}");
    }

    #[test]
    fn one_large_piece_is_the_same_as_many_small_ones() {
        let text: Vec<u8> = (b'a'..=b'z').cycle().take(10_000).collect();
        let (mut at_once, mut in_pieces) = (Capture::new(100, 64), Capture::new(100, 64));
        at_once.push(&text);
        text.chunks(7).for_each(|piece| in_pieces.push(piece));
        assert_eq!(at_once.tail(), in_pieces.tail());
        assert_eq!(at_once.tail().unwrap().len(), 64);
        assert_eq!(at_once.whole(), None);
    }
}
