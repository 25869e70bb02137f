//! Keys: what the terminal sends, and what they are for.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// A key, as far as one is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// One screen up.
    PageUp,
    /// One screen down.
    PageDown,
    /// To the first row.
    Home,
    /// To the last row.
    End,
    /// Open, or accept.
    Enter,
    /// Back, or give up.
    Escape,
    /// Delete a letter.
    Backspace,
    /// To the tab before.
    Left,
    /// To the next tab.
    Right,
    /// Ctrl-C.
    Interrupt,
    /// Anything that is typed.
    Char(char),
}

const PLAIN: [(KeyCode, Key); 14] = [
    (KeyCode::Up, Key::Up),
    (KeyCode::Down, Key::Down),
    (KeyCode::PageUp, Key::PageUp),
    (KeyCode::PageDown, Key::PageDown),
    (KeyCode::Home, Key::Home),
    (KeyCode::End, Key::End),
    (KeyCode::Enter, Key::Enter),
    (KeyCode::Esc, Key::Escape),
    (KeyCode::Backspace, Key::Backspace),
    (KeyCode::Left, Key::Left),
    (KeyCode::BackTab, Key::Left),
    (KeyCode::Right, Key::Right),
    (KeyCode::Tab, Key::Right),
    (KeyCode::Char('\u{8}'), Key::Backspace),
];

impl Key {
    /// The key of an event; none for those that mean nothing here.
    pub(super) fn of(event: &KeyEvent) -> Option<Self> {
        if event.kind == KeyEventKind::Release {
            return None;
        }
        let is_control = event.modifiers.contains(KeyModifiers::CONTROL);
        if let Some((_, key)) = PLAIN.iter().find(|(code, _)| *code == event.code) {
            return Some(*key);
        }
        match (event.code.as_char(), is_control) {
            (Some('c'), true) => Some(Self::Interrupt),
            (Some(letter), false) => Some(Self::Char(letter)),
            (Some(_) | None, true) | (None, false) => None,
        }
    }
}

/// The keys and what they do, for `?`.
pub(super) const HELP: &[(&str, &str)] = &[
    ("up down  k j", "move; PgUp PgDn Home End, too"),
    ("Enter", "open: pool, queue, job, worker, task"),
    ("Esc", "back; first clears the filter"),
    ("left right Tab 1-4", "the lists of this screen"),
    ("/", "filter: type a part of a name, Enter keeps it"),
    ("s  o", "sort by the next column; other order"),
    ("f", "only some states (jobs and tasks)"),
    ("m", "more rows, where a list was cut"),
    ("c", "cancel the task or job"),
    ("r", "requeue the task, when it has ended"),
    ("d", "drain the worker, or give it work again"),
    ("?", "this page"),
    ("q  Ctrl-C", "quit"),
];

/// What the columns mean that need a word.
pub(super) const NOTES: &[&str] = &[
    "IN/S OUT/S  tasks per second that came and that ended, over the last minute",
    "WAIT~       how long what comes now waits, if it goes on like that",
    "LEFT~       until a job is done; \"stands\": nothing moved for 20 s and more",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: KeyCode, modifiers: KeyModifiers) -> Option<Key> {
        Key::of(&KeyEvent::new(code, modifiers))
    }

    #[test]
    fn letters_arrows_and_control_c() {
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::NONE), Some(Key::Char('q')));
        assert_eq!(key(KeyCode::Char('G'), KeyModifiers::SHIFT), Some(Key::Char('G')));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Key::Interrupt));
        assert_eq!(key(KeyCode::Char('x'), KeyModifiers::CONTROL), None);
        assert_eq!(key(KeyCode::BackTab, KeyModifiers::SHIFT), Some(Key::Left));
        assert_eq!(key(KeyCode::F(1), KeyModifiers::NONE), None);
    }
}
