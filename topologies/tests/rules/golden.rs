//! Behaviour as scripts: what goes in, and exactly what comes out. `YARDMASTER_BLESS=1` writes what came out into the
//! files; read the difference before it is committed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::rig::{Rig, settings};
use crate::{script, show};

/// Plays a script and returns it with what really came out.
fn play(text: &str) -> String {
    let mut rig = Rig::new(settings());
    let (mut out, mut waiting) = (String::new(), Vec::new());
    for line in text.lines().filter(|line| !line.starts_with("<-")).chain([""]) {
        if let Some(input) = line.strip_prefix("-> ") {
            writeln!(out, "{line}").unwrap();
            waiting.push(input);
            continue;
        }
        if !waiting.is_empty() {
            run(&mut rig, &std::mem::take(&mut waiting), &mut out);
        }
        writeln!(out, "{line}").unwrap();
        if let Some(ms) = line.strip_prefix('+') {
            rig.pass(ms.trim().parse().unwrap());
        } else if line == "tick" {
            run(&mut rig, &[], &mut out);
        }
    }
    format!("{}\n", out.trim_end())
}

fn run(rig: &mut Rig, lines: &[&str], out: &mut String) {
    let input = script::batch(rig, lines);
    for effect in rig.batch(input) {
        writeln!(out, "<- {}", show::effect(&effect)).unwrap();
    }
}

#[expect(clippy::disallowed_methods, reason = "a test reads and writes its own files")]
fn scripts() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads its own files and an order to write them")]
fn scripts_come_out_as_written() {
    let is_blessed = std::env::var_os("YARDMASTER_BLESS").is_some();
    let mut wrong = Vec::new();
    for (path, before) in scripts() {
        let after = play(&before);
        if is_blessed {
            std::fs::write(&path, &after).unwrap();
        } else if before != after {
            let at = before.lines().zip(after.lines()).position(|(a, b)| a != b).unwrap_or(0);
            let context: Vec<_> = after.lines().skip(at.saturating_sub(3)).take(8).collect();
            wrong.push(format!(
                "{} differs at line {}; now:\n{}",
                path.display(),
                at + 1,
                context.join("\n")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
