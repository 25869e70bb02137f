//! Colours as the first terminals that had some know them: `31`, where crossterm writes `38;5;1`, which a terminal of 16
//! colours reads as something else (`5` blinks). Also sends each frame at once, which is what a slow connection wants.

use std::io::{self, Write};

/// Keeps what is written until it is flushed.
pub(super) struct Sixteen<W> {
    out: W,
    frame: Vec<u8>,
}

impl<W> Sixteen<W> {
    /// Before another writer.
    pub(super) fn new(out: W) -> Self {
        Self { out, frame: Vec::new() }
    }
}

impl<W: Write> Write for Sixteen<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.frame.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let frame = translate(&std::mem::take(&mut self.frame));
        self.out.write_all(&frame)?;
        self.out.flush()
    }
}

/// Translates the colours of a frame; all else stays as it is.
fn translate(frame: &[u8]) -> Vec<u8> {
    const BEGIN: &[u8] = b"\x1b[";
    let mut out = Vec::with_capacity(frame.len());
    let mut rest = frame;
    while let Some(at) = rest.windows(BEGIN.len()).position(|bytes| bytes == BEGIN) {
        let (before, sequence) = rest.split_at(at + BEGIN.len());
        out.extend_from_slice(before);
        let end = sequence.iter().position(|byte| matches!(byte, 0x40..=0x7e));
        let (numbers, behind) = sequence.split_at(end.unwrap_or(sequence.len()));
        match (behind.first(), std::str::from_utf8(numbers)) {
            (Some(b'm'), Ok(numbers)) => out.extend_from_slice(colours(numbers).as_bytes()),
            _ => out.extend_from_slice(numbers),
        }
        rest = behind;
    }
    out.extend_from_slice(rest);
    out
}

fn colours(numbers: &str) -> String {
    let mut words = Vec::new();
    let mut rest = numbers.split(';');
    while let Some(word) = rest.next() {
        let mut ahead = rest.clone();
        let base = match word {
            "38" => Some(30),
            "48" => Some(40),
            _ => None,
        };
        let colour = if ahead.next() == Some("5") { ahead.next() } else { None };
        match (base, colour.and_then(|colour| colour.parse::<u8>().ok())) {
            (Some(base), Some(colour @ 0..8)) => words.push((base + colour).to_string()),
            (Some(base), Some(colour @ 8..16)) => words.push((base + 60 + colour - 8).to_string()),
            _ => {
                words.push(word.to_owned());
                continue;
            }
        }
        rest = ahead;
    }
    words.join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_those_of_old_and_all_else_stays() {
        let translated = |text: &str| String::from_utf8(translate(text.as_bytes())).unwrap();
        assert_eq!(translated("\u{1b}[38;5;2;49mok\u{1b}[0m"), "\u{1b}[32;49mok\u{1b}[0m");
        assert_eq!(translated("\u{1b}[38;5;9;48;5;0mx"), "\u{1b}[91;40mx");
        assert_eq!(translated("\u{1b}[38;5;200m\u{1b}[38;2;1;2;3m"), "\u{1b}[38;5;200m\u{1b}[38;2;1;2;3m");
        assert_eq!(translated("a 38;5;2m task\u{1b}[2;1Hü\u{1b}["), "a 38;5;2m task\u{1b}[2;1Hü\u{1b}[");
    }

    #[test]
    fn a_frame_is_sent_when_it_is_whole() {
        let mut writer = Sixteen::new(Vec::new());
        writer.write_all(b"\x1b[38;5").unwrap();
        writer.write_all(b";1mred").unwrap();
        assert!(writer.out.is_empty());
        writer.flush().unwrap();
        assert_eq!(writer.out, b"\x1b[31mred");
    }
}
