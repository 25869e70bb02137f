//! Colours, and putting text on the screen: the 16 colours that every terminal has, and none where none are wanted.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::draw_sheet::cut;
use super::sheet::Ink;
use super::words::Glyphs;

/// A name, a value and its meaning.
pub(super) type Fact = (&'static str, String, Ink);

/// How things look.
#[derive(Debug, Clone)]
pub(super) struct Paint {
    pub(super) has_colours: bool,
    pub(super) glyphs: Glyphs,
    /// Of the server, for the title.
    pub(super) url: String,
    /// Between two looks, in words.
    pub(super) interval: String,
}

impl Paint {
    /// A meaning as a style.
    pub(super) fn style(&self, ink: Ink) -> Style {
        let (colour, modifier) = match ink {
            Ink::Plain => (Color::Reset, Modifier::empty()),
            // Not "bright black": on many terminals that is nothing at all.
            Ink::Dim => (Color::Reset, Modifier::DIM),
            Ink::Strong => (Color::Reset, Modifier::BOLD),
            Ink::Good => (Color::Green, Modifier::empty()),
            Ink::Busy => (Color::Cyan, Modifier::empty()),
            Ink::Warn => (Color::Yellow, Modifier::empty()),
            Ink::Bad => (Color::Red, Modifier::BOLD),
        };
        let style = Style::new().add_modifier(modifier);
        if self.has_colours { style.fg(colour) } else { style }
    }

    /// A piece of text.
    pub(super) fn span(&self, text: impl Into<String>, ink: Ink) -> Span<'static> {
        Span::styled(text.into(), self.style(ink))
    }

    /// Pairs of a name and a value, in one line; those without a value are left out, and those that have no room. The
    /// first one is cut instead.
    pub(super) fn facts(&self, facts: &[Fact], room: usize) -> Line<'static> {
        let mut line = Line::default();
        for (name, value, ink) in facts.iter().filter(|(_, value, _)| !value.is_empty()) {
            let is_first = line.spans.is_empty();
            let lead = if is_first { " " } else { "   " };
            let name = if name.is_empty() { String::new() } else { format!("{name} ") };
            let left = room.saturating_sub(line.width() + lead.len() + width(&name));
            let value = super::super::table::clean(value);
            let value = if is_first { cut(&value, left, self.glyphs.cut) } else { value };
            if width(&value) <= left {
                line.push_span(Span::raw(lead));
                line.push_span(self.span(name, Ink::Dim));
                line.push_span(self.span(value, *ink));
            }
        }
        line
    }
}

/// The width of a text on the screen.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// Puts a text, cut to so many columns; what does not fit into the area is left out.
pub(super) fn put(buf: &mut Buffer, area: Rect, (x, y): (u16, u16), text: &str, style: Style, wide: u16) {
    let area = area.intersection(buf.area);
    if x >= area.left() && x < area.right() && y >= area.top() && y < area.bottom() {
        let room = wide.min(area.right() - x);
        buf.set_stringn(x, y, text, usize::from(room), style);
    }
}

/// Puts a line at the left end of a row.
pub(super) fn put_line(buf: &mut Buffer, area: Rect, y: u16, line: &Line<'_>) {
    let area = area.intersection(buf.area);
    if y >= area.top() && y < area.bottom() && area.width > 0 {
        buf.set_line(area.x, y, line, area.width);
    }
}

/// Puts a line at the right end of a row, if there is room for it behind so many columns.
pub(super) fn put_right(buf: &mut Buffer, area: Rect, y: u16, line: &Line<'_>, taken: usize) {
    let area = area.intersection(buf.area);
    let (wide, room) = (line.width(), usize::from(area.width));
    if wide + taken < room && y >= area.top() && y < area.bottom() {
        let x = area.right().saturating_sub(u16::try_from(wide).unwrap_or(u16::MAX));
        buf.set_line(x, y, line, u16::try_from(wide).unwrap_or(u16::MAX));
    }
}
