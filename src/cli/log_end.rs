//! The end of a log: what a process that died wrote last, for the person who has to act.

use std::path::Path;

/// Lines that are shown.
const LINES: usize = 10;

/// `the end of PATH:` and its last lines, indented.
pub(crate) fn log_end(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
    if last.is_empty() {
        return format!("{} is empty", path.display());
    }
    let shown: Vec<String> = last.iter().map(|line| format!("\n  {line}")).collect();
    format!("the end of {}:{}", path.display(), shown.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        assert!(log_end(&path).ends_with("is empty"), "a log that is not there has nothing to say");
        std::fs::write(&path, (0..30).map(|n| format!("line {n}\n")).collect::<String>()).unwrap();
        let shown = log_end(&path);
        assert!(
            shown.ends_with("\n  line 29") && shown.contains("line 20") && !shown.contains("line 19"),
            "{shown}"
        );
    }
}
