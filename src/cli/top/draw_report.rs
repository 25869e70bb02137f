//! What a task's last attempt said: its error, the end of what it wrote.

use ratatui::text::{Line, Span};
use serde_json::Value;

use super::super::table::{clean, text};
use super::model::Model;
use super::paint::Paint;
use super::shapes::{Seen, TaskDetail};
use super::sheet::Ink;

/// The lines, of each stream the last ones.
pub(super) fn report(model: &Model, room: usize, paint: &Paint) -> Vec<Line<'static>> {
    let Some(Seen::Task(task)) = &model.here().listing().seen else {
        return Vec::new();
    };
    let parts = parts(task);
    let Some(each) = room.checked_div(parts.len()).filter(|each| *each > 1) else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    for (head, words) in parts {
        lines.push(Line::from(paint.span(format!(" {head}"), Ink::Dim)));
        let words: Vec<&str> = words.trim_end().lines().collect();
        let last = words.iter().skip(words.len().saturating_sub(each - 1));
        lines.extend(last.map(|line| Line::from(Span::raw(format!("   {}", clean(line))))));
    }
    lines
}

fn parts(task: &TaskDetail) -> Vec<(&'static str, String)> {
    let report = task.attempts.last().and_then(|attempt| attempt.get("report")).unwrap_or(&Value::Null);
    let heads = [("error", "error"), ("stderr", "stderr_tail"), ("stdout", "stdout_tail")];
    // An error has a kind, too: the state and its reason say that already.
    let error = report.get("error").map(|error| text(error, "message")).filter(|words| !words.is_empty());
    let mut parts = heads.map(|(head, field)| (head, text(report, field)));
    if let (Some((_, words)), Some(message)) = (parts.first_mut(), error) {
        *words = message;
    }
    parts.into_iter().filter(|(_, words)| !words.trim().is_empty()).collect()
}
