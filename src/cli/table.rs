//! Tables for people: columns as wide as needed, two spaces between, numbers to the right.

use serde_json::Value;

/// A column: its head, and how a row's cell is made.
pub(crate) struct Column {
    pub(crate) head: &'static str,
    pub(crate) cell: fn(&Value) -> String,
}

/// The lines of a table.
pub(crate) fn lines(columns: &[Column], rows: &[Value]) -> Vec<String> {
    let heads = columns.iter().map(|column| column.head.to_owned()).collect();
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| columns.iter().map(|column| clean(&(column.cell)(row))).collect()).collect();
    align(heads, &cells)
}

fn align(heads: Vec<String>, rows: &[Vec<String>]) -> Vec<String> {
    let width = |at: usize| {
        let widest =
            rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0);
        widest.max(heads.get(at).map_or(0, |head| head.chars().count()))
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let is_number = |at: usize| {
        let mut cells = rows.iter().filter_map(|row| row.get(at)).filter(|cell| !cell.is_empty()).peekable();
        cells.peek().is_some() && cells.all(|cell| cell.parse::<f64>().is_ok())
    };
    let rights: Vec<bool> = (0..heads.len()).map(is_number).collect();
    let line = |cells: &Vec<String>| {
        let padded = cells.iter().zip(&widths).zip(&rights).map(|((cell, width), is_right)| {
            if *is_right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    std::iter::once(&heads).chain(rows).map(line).collect()
}

/// A cell has no line breaks and no control characters: a task's name can't draw on the terminal.
fn clean(cell: &str) -> String {
    cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A field as text; empty when it is not there.
pub(crate) fn text(row: &Value, field: &str) -> String {
    match row.get(field) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(words)) => words
            .iter()
            .map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(" "),
        Some(Value::Object(map)) => {
            let pair = |(name, value): (&String, &Value)| {
                format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            };
            map.iter().map(pair).collect::<Vec<_>>().join(" ")
        }
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_aligned_and_harmless() {
        let columns = [
            Column { head: "ID", cell: |row| text(row, "id") },
            Column { head: "N", cell: |row| text(row, "n") },
            Column { head: "TAGS", cell: |row| text(row, "tags") },
        ];
        let rows = [json!({"id":"long-name","n":7,"tags":{"a":"b"}}), json!({"id":"x\u{1b}[2J","n":120})];
        assert_eq!(lines(&columns, &rows), ["ID           N  TAGS", "long-name    7  a=b", "x [2J      120"]);
    }

    #[test]
    fn an_empty_table_has_its_heads() {
        assert_eq!(lines(&[Column { head: "ID", cell: |row| text(row, "id") }], &[]), ["ID"]);
    }
}
