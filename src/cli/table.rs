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
pub(crate) fn clean(cell: &str) -> String {
    cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A field that is true or not: nothing is shown for most rows, so that the others are seen.
pub(crate) fn yes(row: &Value, field: &str) -> String {
    if row.get(field).and_then(Value::as_bool) == Some(true) { "yes".to_owned() } else { String::new() }
}

/// A field of milliseconds since 1970 as a date and a time of day, in UTC.
pub(crate) fn moment(row: &Value, field: &str) -> String {
    row.get(field).and_then(Value::as_u64).map(utc).unwrap_or_default()
}

/// The civil date of a day number (Howard Hinnant's `civil_from_days`, for days after 1970).
fn utc(ms: u64) -> String {
    let (days, rest) = (ms / 86_400_000 + 719_468, ms % 86_400_000);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hours, minutes, seconds) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02} {hours:02}:{minutes:02}:{seconds:02}.{:03}", rest % 1_000)
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
    fn a_moment_is_a_date_and_a_time() {
        assert_eq!(utc(0), "1970-01-01 00:00:00.000");
        assert_eq!(utc(951_827_696_007), "2000-02-29 12:34:56.007");
        assert_eq!(utc(1_767_225_599_999), "2025-12-31 23:59:59.999");
        assert_eq!(moment(&json!({}), "at_ms"), "");
    }

    #[test]
    fn an_empty_table_has_its_heads() {
        assert_eq!(lines(&[Column { head: "ID", cell: |row| text(row, "id") }], &[]), ["ID"]);
    }
}
