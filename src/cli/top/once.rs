//! One frame as plain text, with all lists of its screen: for scripts, logs and mails.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::client::Client;
use super::super::failure::{Failure, Outcome};
use super::super::output::line;
use super::draw_head::head;
use super::draw_sheet;
use super::fetch::news;
use super::model::Model;
use super::paint::{Paint, put_line};
use super::place::Place;
use super::words::{clock, count};

/// Columns of such a frame.
const WIDTH: u16 = 120;

/// Prints the frame, or says why there is none.
pub(super) fn print(client: &Client, mut model: Model, paint: &Paint) -> Outcome {
    let mut lines = Vec::new();
    for tab in 0..model.here().tabs() {
        model.here_mut().show_tab(tab);
        // The first failure is the whole answer: a frame with holes in it would be taken for the truth.
        client.greet()?;
        let found = news(client, &model.wanted());
        if let Err(miss) = &found.found {
            return Err(Failure::Incomplete(miss.text.clone()));
        }
        model.learn(found);
        if tab == 0 {
            lines.extend(top(&model, paint));
        }
        lines.extend(list(&model, paint));
    }
    lines.iter().try_for_each(|text| line(text))
}

fn top(model: &Model, paint: &Paint) -> Vec<String> {
    let names: Vec<String> = model.path().map(Place::name).collect();
    let way = names.join(&format!(" {} ", paint.glyphs.deeper));
    let at = clock(model.now_ms);
    let first =
        format!("yardmaster top  {way}  {} UTC  {}", at.split('.').next().unwrap_or_default(), paint.url);
    let facts = head(model, paint);
    let mut buf = Buffer::empty(Rect::new(0, 0, WIDTH, u16::try_from(facts.len()).unwrap_or(1)));
    for (fact, y) in facts.iter().zip(0..) {
        let area = buf.area;
        put_line(&mut buf, area, y, &paint.facts(fact, usize::from(WIDTH)));
    }
    std::iter::once(first).chain(text(&buf)).collect()
}

fn list(model: &Model, paint: &Paint) -> Vec<String> {
    let sheet = model.sheet();
    let more = if sheet.has_more { ", there are more" } else { "" };
    let rows = u16::try_from(sheet.rows.len().max(1) + 1).unwrap_or(u16::MAX);
    let mut buf = Buffer::empty(Rect::new(0, 0, WIDTH, rows));
    let area = buf.area;
    draw_sheet::sheet((&sheet, None), None, paint, area, &mut buf);
    let name = model.here().tab().name();
    let head = format!("{name} ({}{more})", count(sheet.rows.len() as u64));
    [String::new(), head].into_iter().chain(text(&buf).filter(|line| !line.is_empty())).collect()
}

/// A buffer's letters, without the blanks at the ends of lines.
pub(super) fn text(buf: &Buffer) -> impl Iterator<Item = String> {
    let row = move |y: u16| {
        let cells = (buf.area.left()..buf.area.right()).filter_map(move |x| buf.cell((x, y)));
        let mut text = String::new();
        let mut covered = 0;
        for cell in cells {
            // A wide letter covers the cell behind it.
            if covered > 0 {
                covered -= 1;
                continue;
            }
            text.push_str(cell.symbol());
            covered = super::paint::width(cell.symbol()).saturating_sub(1);
        }
        text.trim_end().to_owned()
    };
    (buf.area.top()..buf.area.bottom()).map(row)
}
