//! Draws a table: columns as wide as they need to be, less important ones left out where there is little room.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::paint::{Paint, put, width};
use super::sheet::{Cell, Column, Ink, Row, Sheet, Sorting};

/// Between two columns.
const GAP: usize = 2;
/// The widest that words get.
const TEXT_MAX: usize = 40;
/// What is left of the most important words where there is little room, and of all others.
const TEXT_MIN: (usize, usize) = (24, 12);

/// A column that is shown: its index, and its width.
type Shown = (usize, usize);

/// Which columns fit into so many, and how wide each is. The most important ones are kept, long words are cut first.
fn fit(sheet: &Sheet, sorting: Option<Sorting>, room: usize) -> Vec<Shown> {
    let wanted = |(at, column): (usize, &Column)| {
        let cells = sheet.rows.iter().filter_map(|row| row.cells.get(at)).map(|cell| width(&cell.text));
        // Behind the head of the sorted column stands which way.
        let mark = if sorting.is_some_and(|sorting| sorting.column == at) { 2 } else { 0 };
        let widest = cells.max().unwrap_or(0).min(TEXT_MAX).max(width(column.head) + mark);
        (at, widest)
    };
    let mut kept: Vec<Shown> = sheet.columns.iter().enumerate().map(wanted).collect();
    loop {
        let mut shown = kept.clone();
        if squeeze(sheet, &mut shown, room) {
            return shown;
        }
        let rank = |(at, _): &Shown| sheet.columns.get(*at).map_or(0, |column| column.rank);
        let last = kept.iter().enumerate().max_by_key(|(place, one)| (rank(one), *place));
        match last.map(|(place, one)| (place, rank(one))) {
            Some((place, 1..)) => drop(kept.remove(place)),
            Some((_, 0)) | None => return shown,
        }
    }
}

/// Cuts long words, the widest column first; says whether that is enough.
fn squeeze(sheet: &Sheet, shown: &mut [Shown], room: usize) -> bool {
    // What a column can give away before it is left out.
    let spare = |(at, wide): &Shown| match sheet.columns.get(*at) {
        Some(Column { is_whole: false, rank: 0, .. }) => wide.saturating_sub(TEXT_MIN.0),
        Some(Column { is_whole: false, .. }) => wide.saturating_sub(TEXT_MIN.1),
        Some(Column { is_whole: true, .. }) | None => 0,
    };
    loop {
        let total = shown.iter().map(|(_, wide)| wide + GAP).sum::<usize>().saturating_sub(GAP);
        let excess = total.saturating_sub(room);
        if excess == 0 {
            return true;
        }
        let widest = shown.iter_mut().max_by_key(|one| spare(one));
        match widest.filter(|one| spare(one) > 0) {
            Some(one) => one.1 -= excess.min(spare(one)),
            None => return false,
        }
    }
}

/// Which rows are shown: those around the chosen one.
fn first_row(rows: usize, chosen: usize, room: usize) -> usize {
    chosen.saturating_sub(room / 2).min(rows.saturating_sub(room))
}

/// Draws the head and the rows around the chosen one; without one, from the first row on.
pub(super) fn sheet(
    (sheet, sorting): (&Sheet, Option<Sorting>),
    chosen: Option<usize>,
    paint: &Paint,
    area: Rect,
    buf: &mut Buffer,
) {
    let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    if area.height == 0 {
        return;
    }
    if sheet.rows.is_empty() {
        put(buf, inner, (inner.x, inner.y + 1), &sheet.nothing, paint.style(Ink::Dim), inner.width);
        return;
    }
    let shown = fit(sheet, sorting, usize::from(inner.width));
    let head: Vec<(Cell, bool)> = shown.iter().map(|(at, _)| head_cell(sheet, *at, sorting, paint)).collect();
    let style = paint.style(Ink::Dim).add_modifier(Modifier::UNDERLINED);
    buf.set_style(Rect { height: 1, ..inner }.intersection(buf.area), style);
    cells(&head, &shown, paint, Some(style), inner, buf);
    let room = usize::from(area.height - 1);
    let first = first_row(sheet.rows.len(), chosen.unwrap_or(0), room);
    for (line, (at, row)) in sheet.rows.iter().enumerate().skip(first).take(room).enumerate() {
        let y = area.y + 1 + u16::try_from(line).unwrap_or(u16::MAX);
        let place = Rect { y, height: 1, ..inner };
        let row_cells: Vec<(Cell, bool)> = shown.iter().map(|(at, _)| row_cell(sheet, row, *at)).collect();
        cells(&row_cells, &shown, paint, None, place, buf);
        if chosen == Some(at) {
            let whole = Rect { y, height: 1, ..area };
            buf.set_style(whole.intersection(buf.area), Style::new().add_modifier(Modifier::REVERSED));
        }
    }
}

fn head_cell(sheet: &Sheet, at: usize, sorting: Option<Sorting>, paint: &Paint) -> (Cell, bool) {
    let Some(column) = sheet.columns.get(at) else {
        return (Cell::default(), false);
    };
    let text = match sorting.filter(|sorting| sorting.column == at) {
        Some(sorting) if sheet.is_falling(sorting) => format!("{} {}", column.head, paint.glyphs.down),
        Some(_) => format!("{} {}", column.head, paint.glyphs.up),
        None => column.head.to_owned(),
    };
    (Cell::text(&text), column.is_number)
}

fn row_cell(sheet: &Sheet, row: &Row, at: usize) -> (Cell, bool) {
    let is_number = sheet.columns.get(at).is_some_and(|column| column.is_number);
    (row.cells.get(at).cloned().unwrap_or_default(), is_number)
}

fn cells(
    cells: &[(Cell, bool)],
    shown: &[Shown],
    paint: &Paint,
    style: Option<Style>,
    area: Rect,
    buf: &mut Buffer,
) {
    let mut x = area.x;
    for ((cell, is_right), (_, wide)) in cells.iter().zip(shown) {
        let text = cut(&cell.text, *wide, paint.glyphs.cut);
        let left = if *is_right { wide.saturating_sub(width(&text)) } else { 0 };
        let at = x.saturating_add(u16::try_from(left).unwrap_or(u16::MAX));
        let style = style.unwrap_or_else(|| paint.style(cell.ink));
        put(buf, area, (at, area.y), &text, style, u16::try_from(*wide).unwrap_or(u16::MAX));
        x = x.saturating_add(u16::try_from(wide + GAP).unwrap_or(u16::MAX));
    }
}

/// A text that is not wider than this. What is left out is in the middle: names often differ at their end.
pub(super) fn cut(text: &str, wide: usize, mark: char) -> String {
    if width(text) <= wide {
        return text.to_owned();
    }
    let room = wide.saturating_sub(1);
    let head = taken(text.chars(), room.div_ceil(2));
    let tail = taken(text.chars().rev(), room - width(&head));
    head.chars().chain([mark]).chain(tail.chars().rev()).collect()
}

/// The first letters, as many as have room.
fn taken(letters: impl Iterator<Item = char>, room: usize) -> String {
    let mut kept = String::new();
    for letter in letters {
        if width(&kept) + width(letter.encode_utf8(&mut [0; 4])) > room {
            break;
        }
        kept.push(letter);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::super::sheet::Column;
    use super::*;

    #[test]
    fn what_matters_least_goes_first() {
        let row = Row::new("a", vec![Cell::text(&"n".repeat(30)), Cell::text("1"), Cell::text("2")]);
        let columns = vec![Column::text("NAME", 0), Column::number("ONE", 2), Column::number("TWO", 1)];
        let sheet = Sheet { columns, rows: vec![row], ..Sheet::default() };
        let shown = |room| fit(&sheet, None, room);
        assert_eq!(shown(40), [(0, 30), (1, 3), (2, 3)]);
        assert_eq!(shown(35), [(0, 25), (1, 3), (2, 3)], "long words are cut first");
        assert_eq!(shown(30), [(0, 25), (2, 3)], "then the highest rank goes");
        assert_eq!(shown(29), [(0, 24), (2, 3)]);
        assert_eq!(shown(5), [(0, 24)], "the first always stays");
    }

    #[test]
    fn the_chosen_row_is_in_sight() {
        assert_eq!([first_row(100, 0, 10), first_row(100, 50, 10), first_row(100, 99, 10)], [0, 45, 90]);
        assert_eq!(first_row(3, 2, 10), 0);
    }

    #[test]
    fn a_cut_text_has_a_mark() {
        assert_eq!([cut("abcdef", 6, '~'), cut("abcdef", 4, '~')], ["abcdef", "ab~f"]);
        assert_eq!([cut("abc", 1, '~'), cut("日本語", 5, '~')], ["~", "日~語"], "wide letters count twice");
    }
}
