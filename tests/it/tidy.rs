//! The house rules that no compiler checks: heads, sizes, forbidden words, who may name which crate, true documents.
//!
//! Rules are pure functions from a file's text to breaches; comments and strings are blanked first, so that only code
//! counts. One test reads the tree, the others show that each rule fires on a bad sample.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const README_LINES_MAX: usize = 150;

/// Never in any code, tests included.
const FORBIDDEN: &[(&str, &str)] = &[
    ("dbg!", "it is a leftover of debugging"),
    ("todo!", "what is unfinished is refused by name, it does not panic"),
    ("unimplemented!", "what is unfinished is refused by name, it does not panic"),
    ("#[ignore", "a test that never runs proves nothing: put slow ones behind an env variable"),
];

/// Who may not name what: files under `within`, except those under `except`.
struct Boundary {
    within: &'static str,
    except: &'static str,
    names: &'static [&'static str],
    why: &'static str,
}

const BOUNDARIES: &[Boundary] = &[
    Boundary {
        within: "",
        except: "src/kafka",
        names: &["rdkafka", "rdkafka_sys"],
        why: "only src/kafka speaks to librdkafka, so that its hazards have one home",
    },
    Boundary {
        within: "state/",
        except: "-",
        names: &["kafka", "tokio", "yardmaster_topologies", "yardmaster"],
        why: "the state crate knows no Kafka, no async and nothing of what it is used for",
    },
    Boundary {
        within: "topologies/src/",
        except: "-",
        names: &["tokio", "rocksdb", "Instant", "SystemTime", "HashMap", "HashSet", "RandomState"],
        why: "deciding is pure: no IO, no clock, no order that differs per run",
    },
    Boundary {
        within: "",
        except: "state/src/codec",
        names: &["bincode"],
        why: "bincode has no maintainer any more and must stay replaceable in one place",
    },
    Boundary {
        within: "",
        except: "state/src/disk",
        names: &["rocksdb"],
        why: "everything else works on the store's own interface",
    },
];

/// A rule that a line does not keep.
#[derive(Debug, PartialEq, Eq)]
struct Breach {
    file: String,
    line: usize,
    rule: String,
    why: &'static str,
}

impl fmt::Display for Breach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, rule, why } = self;
        write!(formatter, "{file}:{line}: {rule}: {why}")
    }
}

/// A Rust file: its lines as they are, the same with comments and strings blanked, and which of them are tests.
struct Source {
    path: String,
    lines: Vec<String>,
    code: Vec<String>,
    in_tests: Vec<bool>,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let code: Vec<String> = blank(text).lines().map(str::to_owned).collect();
        let in_tests = test_lines(path, &code);
        Self { path: path.to_owned(), lines: text.lines().map(str::to_owned).collect(), code, in_tests }
    }

    fn breach(&self, line_index: usize, rule: impl Into<String>, why: &'static str) -> Breach {
        Breach { file: self.path.clone(), line: line_index + 1, rule: rule.into(), why }
    }

    /// Lines of code with their index, tests left out.
    fn shipped(&self) -> impl Iterator<Item = (usize, &String)> {
        self.code.iter().enumerate().filter(|(index, _)| !self.in_tests.get(*index).copied().unwrap_or(false))
    }
}

/// Whether a whole file is a test.
fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/")
        || path.contains("/tests/")
        || path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
        || path.starts_with("benches/")
}

// --- reading Rust, as much as the rules need -------------------------------------------------------------------------

/// The text with comments, strings and character literals replaced by spaces; line breaks stay.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = literal_length(rest, out.chars().last());
        let taken = length.unwrap_or(first.len_utf8());
        let (token, left) = rest.split_at(taken);
        match length {
            Some(_) => out.extend(token.chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
            None => out.push_str(token),
        }
        rest = left;
    }
    out
}

/// The length of the comment or literal that the text starts with.
fn literal_length(text: &str, before: Option<char>) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(block_comment_length(text));
    }
    if text.starts_with('"') {
        return Some(quoted_length(text, '"'));
    }
    if text.starts_with('\'') {
        return character_length(text);
    }
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if in_word { None } else { raw_string_length(text) }
}

fn block_comment_length(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A character literal, not a lifetime: `'x'` or `'\...'`.
fn character_length(text: &str) -> Option<usize> {
    let mut characters = text.chars().skip(1);
    let (first, second) = (characters.next()?, characters.next()?);
    let is_character = first == '\\' || (first != '\'' && second == '\'');
    is_character.then(|| quoted_length(text, '\''))
}

/// `r"..."`, `r#"..."#`, `br#"..."#`.
fn raw_string_length(text: &str) -> Option<usize> {
    let after_prefix = ["br", "cr", "r"].iter().find_map(|prefix| text.strip_prefix(prefix))?;
    let after_hashes = after_prefix.trim_start_matches('#');
    let hashes = after_prefix.len() - after_hashes.len();
    let inside = after_hashes.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = text.len() - inside.len();
    Some(inside.find(&end).map_or(text.len(), |at| start + at + end.len()))
}

/// The index of the line on which the braces that open at or after `from` close again.
fn block_end(code: &[String], from: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (index, line) in code.iter().enumerate().skip(from) {
        for c in line.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth <= 1 => return Some(index),
                '}' => depth -= 1,
                // A declaration without a body.
                ';' if depth == 0 => return None,
                _ => {}
            }
        }
    }
    None
}

/// For each line, whether it belongs to a test: a test file, or an item under `#[cfg(test)]`.
fn test_lines(path: &str, code: &[String]) -> Vec<bool> {
    let mut in_tests = vec![is_test_file(path); code.len()];
    for (index, _) in code.iter().enumerate().filter(|(_, line)| line.trim() == "#[cfg(test)]") {
        let end = block_end(code, index).unwrap_or(index + 1);
        in_tests.iter_mut().take(end + 1).skip(index).for_each(|line| *line = true);
    }
    in_tests
}

/// Whether a line of code has this word whole.
fn names(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.split(|c: char| !is_part(c)).any(|part| part == word)
}

// --- the rules -------------------------------------------------------------------------------------------------------

fn check_rust(path: &str, text: &str) -> Vec<Breach> {
    let source = Source::new(path, text);
    let rules =
        [check_head, check_file_size, check_functions, check_forbidden, check_unwrap, check_boundaries];
    rules.iter().flat_map(|rule| rule(&source)).collect()
}

fn check_head(source: &Source) -> Vec<Breach> {
    let has_head = source.lines.first().is_some_and(|line| line.starts_with("//!"));
    let why = "a reader learns what a file holds and why before the first line of code";
    if has_head { vec![] } else { vec![source.breach(0, "a file starts with a `//!` comment", why)] }
}

fn check_file_size(source: &Source) -> Vec<Breach> {
    let count = source.shipped().count();
    if count <= FILE_LINES_MAX {
        return vec![];
    }
    let rule = format!("{count} lines, at most {FILE_LINES_MAX} without tests");
    vec![source.breach(count - 1, rule, "a file that nobody can hold in mind hides its mistakes")]
}

fn check_functions(source: &Source) -> Vec<Breach> {
    let starts = source.code.iter().enumerate().filter(|(_, line)| names(line, "fn") && line.contains('('));
    let too_long = starts.filter_map(|(start, _)| {
        let end = block_end(&source.code, start)?;
        let body = source.code.get(start + 1..end).unwrap_or_default();
        let count = body.iter().filter(|line| !line.trim().is_empty()).count();
        let rule = format!("a function of {count} lines, at most {FUNCTION_LINES_MAX}");
        let why = "name its parts: each becomes a function";
        (count > FUNCTION_LINES_MAX).then(|| source.breach(start, rule, why))
    });
    too_long.collect()
}

fn check_forbidden(source: &Source) -> Vec<Breach> {
    let lines = source.code.iter().enumerate();
    let found = lines.flat_map(|(index, line)| {
        let hits = FORBIDDEN.iter().filter(|(word, _)| line.contains(word));
        hits.map(move |(word, why)| source.breach(index, format!("`{word}` is forbidden"), why))
    });
    found.collect()
}

fn check_unwrap(source: &Source) -> Vec<Breach> {
    let why = "say what must hold with `expect`, or return the error";
    let found = source.shipped().filter(|(_, line)| line.contains(".unwrap()"));
    found.map(|(index, _)| source.breach(index, "no `.unwrap()` outside tests", why)).collect()
}

fn check_boundaries(source: &Source) -> Vec<Breach> {
    if is_test_file(&source.path) {
        return vec![];
    }
    let applies =
        |rule: &&Boundary| source.path.starts_with(rule.within) && !source.path.starts_with(rule.except);
    let rules = BOUNDARIES.iter().filter(applies);
    rules.flat_map(|rule| check_boundary(source, rule)).collect()
}

fn check_boundary(source: &Source, boundary: &Boundary) -> Vec<Breach> {
    let lines = source.code.iter().enumerate();
    let found = lines.filter_map(|(index, line)| {
        let name = boundary.names.iter().find(|name| names(line, name))?;
        Some(source.breach(index, format!("names `{name}`"), boundary.why))
    });
    found.collect()
}

fn check_readme(text: &str) -> Vec<Breach> {
    let count = text.lines().count();
    if count <= README_LINES_MAX {
        return vec![];
    }
    let rule = format!("{count} lines, at most {README_LINES_MAX}");
    let why = "a stranger reads it to the end; the rest belongs in docs/";
    vec![Breach { file: "README.md".to_owned(), line: count, rule, why }]
}

/// Every file that a document names exists: as a path from the root, or as the end of one.
fn check_mentions(document: &str, text: &str, files: &[String]) -> Vec<Breach> {
    let exists = |name: &str| files.iter().any(|file| file == name || file.ends_with(&format!("/{name}")));
    let mentions =
        text.lines().enumerate().flat_map(|(index, line)| file_names(line).map(move |name| (index, name)));
    let missing = mentions.filter(|(_, name)| !exists(name)).map(|(index, name)| Breach {
        file: document.to_owned(),
        line: index + 1,
        rule: format!("names `{name}`, which is not in the tree"),
        why: "a map that is wrong is worse than none",
    });
    missing.collect()
}

/// Words of a line that look like files of the tree.
fn file_names(line: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
    let words = line.split(move |c: char| !is_part(c)).filter(|word| !word.contains("://"));
    let trimmed = words.map(|word| word.trim_end_matches(['.', ':']).trim_start_matches("./"));
    trimmed.filter(|word| {
        let stem =
            [".rs", ".md", ".toml", ".py", ".json", ".xml"].iter().find_map(|end| word.strip_suffix(end));
        stem.is_some_and(|stem| !stem.is_empty())
    })
}

// --- the tree --------------------------------------------------------------------------------------------------------

/// Every file under the root, relative, in order; what is built or hidden is left out.
fn tree(root: &Path) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_folder = entry.file_type()?.is_dir();
            if is_folder && !name.starts_with('.') && name != "target" && name != "__pycache__" {
                folders.push(entry.path());
            } else if !is_folder && let Ok(path) = entry.path().strip_prefix(root) {
                files.push(path.to_string_lossy().into_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

#[test]
fn the_tree_keeps_its_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = tree(root).expect("the tree can be read");
    let read = |path: &str| fs::read_to_string(root.join(path)).expect("a listed file can be read");
    let rust = files.iter().filter(|path| path.ends_with(".rs"));
    let mut breaches: Vec<Breach> = rust.flat_map(|path| check_rust(path, &read(path))).collect();
    breaches.extend(check_readme(&read("README.md")));
    let architecture = "docs/architecture.md";
    breaches.extend(check_mentions(architecture, &read(architecture), &files));
    let lines: Vec<String> = breaches.iter().map(Breach::to_string).collect();
    assert!(lines.is_empty(), "{} broken rules:\n{}", lines.len(), lines.join("\n"));
}

// --- each rule fires -------------------------------------------------------------------------------------------------

/// The rules that a sample breaks, with their lines.
fn broken(path: &str, text: &str) -> Vec<(usize, String)> {
    check_rust(path, text).into_iter().map(|breach| (breach.line, breach.rule)).collect()
}

#[test]
fn a_good_file_breaks_nothing() {
    let text = "//! Head.\n/// `dbg!` in a comment, rdkafka too.\nfn f<'a>(x: &'a str) -> char { let _ = \"todo!()\"; '{' }\n";
    assert_eq!(broken("src/good.rs", text), []);
}

#[test]
fn a_missing_head_fires() {
    assert_eq!(broken("src/a.rs", "fn f() {}\n"), [(1, "a file starts with a `//!` comment".to_owned())]);
}

#[test]
fn a_long_file_fires_and_its_tests_do_not_count() {
    let long = format!("//! Head.\n{}", "const A: u8 = 1;\n".repeat(FILE_LINES_MAX));
    assert_eq!(broken("src/a.rs", &long), [(501, "501 lines, at most 500 without tests".to_owned())]);
    assert_eq!(broken("tests/it/a.rs", &long), []);
    let tests = format!("//! Head.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "const A: u8 = 1;\n".repeat(600));
    assert_eq!(broken("src/a.rs", &tests), []);
}

#[test]
fn a_long_function_fires_at_its_first_line() {
    let function = |count| format!("//! Head.\n\nfn f() {{\n{}}}\n", "    g(\"}\");\n".repeat(count));
    assert_eq!(broken("src/a.rs", &function(70)), []);
    assert_eq!(broken("src/a.rs", &function(71)), [(3, "a function of 71 lines, at most 70".to_owned())]);
}

#[test]
fn leftovers_fire_in_tests_too() {
    let text = "//! Head.\n#[ignore]\nfn f() { dbg!(1); }\nfn g() { todo!() }\nfn h() { unimplemented!() }\n";
    let lines: Vec<usize> = broken("tests/it/a.rs", text).into_iter().map(|(line, _)| line).collect();
    assert_eq!(lines, [2, 3, 4, 5]);
}

#[test]
fn an_unwrap_fires_outside_tests_only() {
    let text =
        "//! Head.\nfn f() { g().unwrap() }\n#[cfg(test)]\nmod tests {\n    fn f() { g().unwrap() }\n}\n";
    assert_eq!(broken("src/a.rs", text), [(2, "no `.unwrap()` outside tests".to_owned())]);
    assert_eq!(broken("tests/it/a.rs", text), []);
}

#[test]
fn each_crate_keeps_to_its_side() {
    let fires = |path: &str, code: &str| !broken(path, &format!("//! Head.\n{code}\n")).is_empty();
    assert!(fires("src/runtime/step.rs", "use rdkafka::producer::Producer;"));
    assert!(!fires("src/kafka/source.rs", "use rdkafka::producer::Producer;"));
    assert!(!fires("tests/it/checker.rs", "use rdkafka::producer::Producer;"));
    for word in ["rdkafka", "tokio", "yardmaster_topologies"] {
        assert!(fires("state/src/table.rs", &format!("use {word}::x;")), "{word}");
    }
    for word in
        ["tokio", "rdkafka", "std::time::Instant", "std::time::SystemTime", "std::collections::HashMap"]
    {
        assert!(fires("topologies/src/task.rs", &format!("use {word};")), "{word}");
    }
    assert!(fires("state/src/table.rs", "use bincode::config;"));
    assert!(!fires("state/src/codec.rs", "use bincode::config;"));
    assert!(fires("src/runtime/restore.rs", "use rocksdb::DB;"));
    assert!(!fires("state/src/disk.rs", "use rocksdb::DB;"));
    assert!(!fires("state/src/disk/batch.rs", "use rocksdb::DB;"));
}

#[test]
fn a_long_readme_fires() {
    assert_eq!(check_readme(&"line\n".repeat(150)), []);
    assert_eq!(check_readme(&"line\n".repeat(151)).len(), 1);
}

#[test]
fn a_document_that_names_a_missing_file_fires() {
    let files = ["src/runtime/step.rs".to_owned(), "README.md".to_owned()];
    let text =
        "See `step.rs`, README.md and src/runtime/step.rs.\nNot src/gone.rs, nor https://example.org/x.md.\n";
    let breaches = check_mentions("docs/a.md", text, &files);
    let found: Vec<(usize, &str)> =
        breaches.iter().map(|breach| (breach.line, breach.rule.as_str())).collect();
    assert_eq!(found, [(2, "names `src/gone.rs`, which is not in the tree")]);
}

#[test]
fn a_breach_names_file_line_rule_and_reason() {
    let breaches = check_rust("src/a.rs", "fn f() {}\n");
    let first = breaches.first().map(Breach::to_string).unwrap_or_default();
    assert!(first.starts_with("src/a.rs:1: a file starts with a `//!` comment: a reader"), "{first}");
}

#[test]
fn literals_and_comments_are_blanked() {
    assert_eq!(blank("a /* b /* c */ d */ e"), format!("a {} e", " ".repeat(17)));
    assert_eq!(
        blank("x(r#\"{\"#, '\\'', '{', b\"}\")"),
        format!("x({}, {}, {}, b{})", " ".repeat(6), " ".repeat(4), " ".repeat(3), " ".repeat(3))
    );
    assert_eq!(blank("fn f<'a>(x: &'a u8) {} // }"), format!("fn f<'a>(x: &'a u8) {{}} {}", " ".repeat(4)));
}
