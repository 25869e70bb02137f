//! What lies over the screen: the keys, and questions.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::symbols::border;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Widget, Wrap};

use super::keys::{HELP, NOTES};
use super::orders::Order;
use super::paint::Paint;
use super::sheet::{Ink, ink_of};

const ASCII_BORDER: border::Set<'_> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

/// A box in the middle, as large as it may be.
fn over(title: &str, lines: Vec<Line<'static>>, wide: u16, paint: &Paint, area: Rect, buf: &mut Buffer) {
    let width = wide.min(area.width);
    let wrapped: usize =
        lines.iter().map(|line| line.width().max(1).div_ceil(usize::from(width.max(5) - 4))).sum();
    let height = u16::try_from(wrapped + 2).unwrap_or(u16::MAX).min(area.height);
    let place =
        Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    Clear.render(place, buf);
    let border = if paint.glyphs.lines { border::PLAIN } else { ASCII_BORDER };
    let block = Block::bordered().border_set(border).title(paint.span(format!(" {title} "), Ink::Strong));
    let inner = Rect { x: place.x + 2, width: place.width.saturating_sub(4), ..block.inner(place) };
    block.render(place, buf);
    Paragraph::new(lines).wrap(Wrap { trim: false }).render(inner.intersection(buf.area), buf);
}

/// The keys.
pub(super) fn help(paint: &Paint, area: Rect, buf: &mut Buffer) {
    let key = |(key, what): &(&str, &str)| {
        Line::from(vec![paint.span(format!("{key:<21}"), Ink::Strong), Span::raw((*what).to_owned())])
    };
    let mut lines: Vec<Line<'static>> = HELP.iter().map(key).collect();
    lines.push(Line::default());
    lines.extend(NOTES.iter().map(|note| Line::from(paint.span(*note, Ink::Dim))));
    over("keys (any key closes this)", lines, 80, paint, area, buf);
}

/// A question, and what its answer does.
pub(super) fn question(order: &Order, paint: &Paint, area: Rect, buf: &mut Buffer) {
    let state = Line::from(vec![
        paint.span(format!("In pool {}", super::super::table::clean(&order.pool)), Ink::Plain),
        Span::raw(if order.state.is_empty() { "." } else { ", now " }),
        paint.span(order.state.clone(), ink_of(&order.state)),
    ]);
    let lines = vec![
        Line::from(paint.span(super::super::table::clean(&order.question()), Ink::Strong)),
        state,
        Line::from(paint.span(order.consequence(), Ink::Plain)),
        Line::default(),
        Line::from(vec![
            paint.span("y", Ink::Strong),
            Span::raw(" yes   "),
            paint.span("n", Ink::Strong),
            Span::raw(" no"),
        ]),
    ];
    over("sure?", lines, 70, paint, area, buf);
}
