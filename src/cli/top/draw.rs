//! The whole screen: a title, what the screen is about, its lists, the chosen list, what happened, the keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

use super::draw_head::head;
use super::draw_over;
use super::draw_report::report;
use super::draw_sheet::{cut, sheet};
use super::model::{Model, Over};
use super::paint::{Paint, put, put_line, put_right, width};
use super::place::{Place, Tab};
use super::sheet::{Ink, Sheet};
use super::words::{clock, count, span};

/// Draws all of it.
pub(super) fn draw(model: &Model, paint: &Paint, area: Rect, buf: &mut Buffer) {
    title(model, paint, area, buf);
    let table = model.sheet();
    let mut y = area.y + 1;
    for facts in head(model, paint) {
        put_line(buf, area, y, &paint.facts(&facts, usize::from(area.width)));
        y += 1;
    }
    tabs(model, &table, paint, Rect { y: y.min(area.bottom()), height: 1, ..area }, buf);
    y = y.saturating_add(1);
    let bottom = area.bottom().saturating_sub(2);
    let mut rest = Rect { y, height: bottom.saturating_sub(y), ..area };
    if matches!(model.here().place, Place::Task { .. }) {
        rest.height = below_timeline(model, &table, paint, rest, buf);
    }
    let listing = model.here().listing();
    sheet((&table, listing.sorting), Some(listing.at(&table)), paint, rest, buf);
    status(model, &table, paint, Rect { y: bottom, height: 1, ..area }, buf);
    keys(model, paint, Rect { y: bottom.saturating_add(1), height: 1, ..area }, buf);
    match &model.over {
        Some(Over::Help) => draw_over::help(paint, area, buf),
        Some(Over::Confirm(order)) => draw_over::question(order, paint, area, buf),
        None => {}
    }
}

/// What its last attempt said, under a task's timeline; returns how many rows are left for the timeline.
fn below_timeline(model: &Model, table: &Sheet, paint: &Paint, area: Rect, buf: &mut Buffer) -> u16 {
    let wanted = u16::try_from(table.rows.len() + 1).unwrap_or(u16::MAX);
    // A long timeline leaves a third for the words.
    let above = wanted.min(area.height.saturating_sub(area.height / 3));
    let room = area.height.saturating_sub(above + 1);
    let lines = report(model, usize::from(room), paint);
    if lines.is_empty() {
        return area.height;
    }
    for (index, line) in lines.iter().enumerate() {
        put_line(buf, area, area.y + above + 1 + u16::try_from(index).unwrap_or(u16::MAX), line);
    }
    above
}

/// The way here, and how fresh it is.
fn title(model: &Model, paint: &Paint, area: Rect, buf: &mut Buffer) {
    let names: Vec<String> = model.path().map(Place::name).collect();
    let way = names.join(&format!(" {} ", paint.glyphs.deeper));
    let (fresh, ink) = match (&model.trouble, model.seen_ms) {
        (Some(trouble), _) => {
            let what = if trouble.miss.is_silence { "NO ANSWER" } else { "REFUSED" };
            let since = span(model.now_ms.saturating_sub(trouble.since_ms));
            (format!("{what} for {since} "), Ink::Bad)
        }
        (None, None) => ("asking ... ".to_owned(), Ink::Plain),
        (None, Some(at)) => {
            let time = clock(at);
            let time = time.split('.').next().unwrap_or_default();
            (format!("{time} UTC, every {} ", paint.interval), Ink::Plain)
        }
    };
    let reversed = paint.style(Ink::Strong).add_modifier(Modifier::REVERSED);
    buf.set_style(Rect { height: 1, ..area }.intersection(buf.area), reversed);
    let room = usize::from(area.width).saturating_sub(fresh.len() + 2);
    let text = cut(&format!(" yardmaster top  {way}"), room, paint.glyphs.cut);
    put(buf, area, (area.x, area.y), &text, reversed, area.width);
    let fresh_style = paint.style(ink).add_modifier(Modifier::REVERSED);
    put_right(buf, area, area.y, &Line::from(Span::styled(fresh, fresh_style)), width(&text));
}

/// The lists of the screen, and how the shown one is cut and sorted.
fn tabs(model: &Model, table: &Sheet, paint: &Paint, area: Rect, buf: &mut Buffer) {
    let level = model.here();
    let mut spans = vec![Span::raw(" ")];
    for (index, tab) in level.place.tabs().iter().enumerate() {
        let text = format!(" {} {} ", index + 1, tab.name());
        let is_shown = *tab == level.tab();
        let style = paint.style(if is_shown { Ink::Strong } else { Ink::Dim });
        spans.push(Span::styled(text, if is_shown { style.add_modifier(Modifier::REVERSED) } else { style }));
        spans.push(Span::raw(" "));
    }
    let line = Line::from(spans);
    put_line(buf, area, area.y, &line);
    let right = paint.span(format!("{} ", about_list(model, table)), Ink::Dim);
    put_right(buf, area, area.y, &Line::from(right), line.width());
}

fn about_list(model: &Model, table: &Sheet) -> String {
    let (level, listing) = (model.here(), model.here().listing());
    let mut words = Vec::new();
    if !listing.filter.is_empty() {
        words.push(format!("filter `{}`", listing.filter));
    }
    let (states, _) = listing.choice(level.tab());
    if level.tab().choices().len() > 1 {
        words.push(format!("{states} (f)"));
    }
    let rows = count(table.rows.len() as u64);
    words.push(match (table.has_more, level.tab()) {
        (true, _) => format!("first {rows}, more (m)"),
        (false, Tab::Timeline) => String::new(),
        (false, _) => format!("{rows} row{}", if table.rows.len() == 1 { "" } else { "s" }),
    });
    words.retain(|word| !word.is_empty());
    words.join(", ")
}

/// The filter while it is typed, else trouble, else what became of an order.
fn status(model: &Model, table: &Sheet, paint: &Paint, area: Rect, buf: &mut Buffer) {
    let room = usize::from(area.width);
    let line = if model.is_typing {
        let filter = &model.here().listing().filter;
        let opens = if table.rows.is_empty() && model.here().tab() == Tab::Tasks {
            "   Enter twice opens the task of this id"
        } else {
            "   Enter keeps it, Esc clears it"
        };
        Line::from(vec![
            paint.span(" filter: ", Ink::Strong),
            Span::raw(super::super::table::clean(filter)),
            paint.span("_", Ink::Strong),
            paint.span(opens, Ink::Dim),
        ])
    } else if let Some(trouble) = &model.trouble {
        paint.facts(&[("", format!("trying again: {}", trouble.miss.text), Ink::Bad)], room)
    } else if let Some(notice) = &model.notice {
        paint.facts(&[("", notice.text.clone(), if notice.is_bad { Ink::Bad } else { Ink::Good })], room)
    } else {
        paint.facts(&[("", paint.url.clone(), Ink::Dim)], room)
    };
    put_line(buf, area, area.y, &line);
}

/// The keys that matter here.
fn keys(model: &Model, paint: &Paint, area: Rect, buf: &mut Buffer) {
    let level = model.here();
    let mut keys = vec![("?", "keys"), ("q", "quit")];
    if !matches!(level.tab(), Tab::Processors | Tab::Timeline) {
        keys.push(("Enter", "open"));
    }
    if model.path().count() > 1 {
        keys.push(("Esc", "back"));
    }
    keys.extend(match level.tab() {
        Tab::Tasks | Tab::Timeline => vec![("c", "cancel"), ("r", "requeue")],
        Tab::Jobs => vec![("c", "cancel")],
        Tab::Workers => vec![("d", "drain")],
        Tab::Pools | Tab::Processors | Tab::Queues => Vec::new(),
    });
    if level.tabs() > 1 {
        keys.push(("Tab", "next list"));
    }
    keys.extend([("/", "filter"), ("s", "sort")]);
    let mut spans = Vec::new();
    let mut room = usize::from(area.width);
    for (key, what) in keys {
        // Those behind are left out whole where there is no room.
        let Some(rest) = room.checked_sub(key.len() + what.len() + 3) else {
            break;
        };
        room = rest;
        spans.extend([
            Span::raw(" "),
            paint.span(key, Ink::Strong),
            paint.span(format!(" {what} "), Ink::Dim),
        ]);
    }
    put_line(buf, area, area.y, &Line::from(spans));
}
