//! What is drawn, at 80x24 and larger, read back from ratatui's test backend.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::{Color, Modifier};

use super::super::draw::draw;
use super::super::once::text;
use super::*;

fn screen(model: &Model, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(model, &paint(), frame.area(), frame.buffer_mut())).unwrap();
    text(terminal.backend().buffer()).collect()
}

/// The words of the row that begins with this one, blanks aside.
fn row_of(screen: &[String], name: &str) -> String {
    let found = screen.iter().find(|line| line.trim_start().starts_with(name));
    let words: Vec<&str> =
        found.unwrap_or_else(|| panic!("no {name} in {screen:#?}")).split_whitespace().collect();
    words.join(" ")
}

#[test]
fn pools_with_their_rates_fit_on_80_columns() {
    let mut model = model(None);
    answer(&mut model, NOW + 10_000);
    let lines = screen(&model, 80, 24);
    assert_eq!(lines.len(), 24);
    assert!(lines[0].starts_with(" yardmaster top  grid"), "{}", lines[0]);
    assert!(lines[0].ends_with("13:46:50 UTC, every 2.0s"), "{}", lines[0]);
    assert!(
        lines[2].contains("16/20   workers 5, 1 lost") && lines[2].contains("1 of 3 not served"),
        "{}",
        lines[2]
    );
    assert_eq!(row_of(&lines, "POOL"), "POOL WAITING RUNNING FAILED ENDED IN/S OUT/S WAIT~ SLOTS");
    assert_eq!(row_of(&lines, "risk"), "risk 12,345 16 3 903 10.0 10.0 20m34s ██████ 16/16");
    assert_eq!(row_of(&lines, "idle"), "idle 0 0 0 7 0 0 - ░░░░░░ 0/4");
    assert!(lines[23].contains("? keys") && lines[23].contains("q quit"), "{}", lines[23]);
}

#[test]
fn a_larger_screen_shows_more_columns() {
    let lines = screen(&model(None), 120, 40);
    assert_eq!(row_of(&lines, "POOL"), "POOL WAITING RUNNING FAILED ENDED IN/S OUT/S WAIT~ SLOTS WORKERS");
    assert!(row_of(&lines, "risk").ends_with("16/16 4, 1 lost"), "{lines:#?}");
    assert!(lines[39].contains("q quit"));
}

#[test]
fn processors_that_nobody_serves_stand_first() {
    let mut model = model(None);
    press(&mut model, &letters("2"));
    let lines = screen(&model, 100, 24);
    let at = |name: &str| lines.iter().position(|line| line.contains(name)).unwrap();
    assert!(at("moving") < at("served     127.0.0.1:9733"), "{lines:#?}");
    assert!(lines[at("no answer  other:1")].contains('2'));
    assert!(at("no answer  other:1") < at("served     127.0.0.1:9733"), "{lines:#?}");
}

#[test]
fn every_list_of_a_pool() {
    let mut model = model(Some("risk"));
    let lines = screen(&model, 80, 24);
    assert!(lines[0].contains("grid › risk"), "{}", lines[0]);
    let lately = "last minute: waited p50 120ms   p99 3.2s   max 4.0s   ran p50 900ms   p99 1m01s";
    assert!(lines[2].contains(lately), "{}", lines[2]);
    assert!(lines[3].contains("3 ACTIVE, 1 LOST"), "{}", lines[3]);
    assert!(lines[4].contains("1 Queues   2 Jobs   3 Workers   4 Tasks"), "{}", lines[4]);
    assert!(lines[4].ends_with("first 2, more (m)"), "{}", lines[4]);
    assert!(row_of(&lines, "default").starts_with("default 12,340 15 3"));
    press(&mut model, &letters("2"));
    assert!(row_of(&screen(&model, 80, 24), "night").starts_with("night ACTIVE ████░░░░░░ 45% 100"));
    press(&mut model, &letters("3"));
    let lines = screen(&model, 80, 24);
    assert_eq!(row_of(&lines, "w-1"), "w-1 ACTIVE ███░░░ 5/8 900ms ago 2h05m zone=a");
    assert_eq!(row_of(&lines, "w-2"), "w-2 LOST ░░░░░░ 0/8 1m05s ago 2h05m yes");
    press(&mut model, &letters("4"));
    let lines = screen(&model, 80, 24);
    assert_eq!(row_of(&lines, "TASK"), "TASK STATE QUEUE JOB TRY WORKER WAITED RAN REASON PROGRESS");
    assert_eq!(row_of(&lines, "t-1"), "t-1 RUNNING default night 1 w-1 29.5s 1.5s STARTED");
    assert_eq!(row_of(&lines, "t-9"), "t-9 FAILED default 3 w-1 10.0s 10.0s EXIT_CODE");
}

#[test]
fn a_task_has_its_attempts_and_its_last_words() {
    let mut model = model(Some("risk"));
    press(&mut model, &letters("4"));
    press(&mut model, &[Key::Enter]);
    let lines = screen(&model, 80, 24);
    assert!(lines[1].contains("FAILED   reason EXIT_CODE   try 2   failures 1   losses 1   exit code 2"));
    assert!(lines[2].contains("job night   priority 5   tags curve=USD"), "{}", lines[2]);
    assert!(lines[4].contains("command ./price --book 7"), "{}", lines[4]);
    assert_eq!(row_of(&lines, "13:45:15.000"), "13:45:15.000 +4.0s closed 1 w-2 LOST LEASE_EXPIRED");
    let at = |name: &str| lines.iter().position(|line| line.trim() == name).unwrap();
    assert!(
        at("error") < at("exit code 2")
            && !lines.join("").contains("kind")
            && at("stderr") < at("no such [2J book"),
        "{lines:#?}"
    );
}

#[test]
fn states_have_colours_and_the_chosen_row_is_reversed() {
    let mut model = model(Some("risk"));
    press(&mut model, &letters("4j"));
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| draw(&model, &paint(), frame.area(), frame.buffer_mut())).unwrap();
    let buffer = terminal.backend().buffer();
    let lines: Vec<String> = text(buffer).collect();
    let cell = |word: &str| {
        let y = lines.iter().position(|line| line.contains(word)).unwrap();
        // Before the words stand letters of one column each.
        let x = lines[y].chars().collect::<String>().find(word).unwrap();
        buffer[(u16::try_from(x).unwrap(), u16::try_from(y).unwrap())].clone()
    };
    assert_eq!(cell("RUNNING  ").fg, Color::Green);
    assert_eq!(cell("QUEUED  ").fg, Color::Yellow);
    assert_eq!(cell("FAILED  ").fg, Color::Red);
    assert!(cell("QUEUED  ").modifier.contains(Modifier::REVERSED), "{lines:#?}");
    assert!(!cell("RUNNING  ").modifier.contains(Modifier::REVERSED));
}

#[test]
fn questions_and_the_keys_lie_over_the_screen() {
    let mut model = model(Some("risk"));
    press(&mut model, &letters("4jc"));
    let lines = screen(&model, 80, 24).join("\n");
    assert!(lines.contains("Cancel task t-2?") && lines.contains("In pool risk, now QUEUED"), "{lines}");
    assert!(lines.contains("y yes   n no"), "{lines}");
    press(&mut model, &letters("n?"));
    let lines = screen(&model, 80, 24).join("\n");
    for (key, what) in super::super::keys::HELP {
        assert!(lines.contains(key) && lines.contains(what), "{key} is not on the page of keys:\n{lines}");
    }
    assert!(lines.contains("LEFT~"), "the notes fit below:\n{lines}");
}

#[test]
fn silence_is_in_the_title_and_in_the_status_line() {
    let mut model = model(None);
    for at_ms in [NOW + 2_000, NOW + 9_000] {
        model.learn(News {
            wanted: model.wanted(),
            at_ms,
            found: Err(miss("http://x does not answer", true)),
        });
    }
    let lines = screen(&model, 80, 24);
    assert!(lines[0].ends_with("NO ANSWER for 7.0s"), "{}", lines[0]);
    assert!(lines[22].contains("trying again: http://x does not answer"), "{}", lines[22]);
    assert!(row_of(&lines, "risk").starts_with("risk 12,345"));
    model.learn(News {
        wanted: model.wanted(),
        at_ms: NOW + 9_000,
        found: Err(miss("there is no x", false)),
    });
    assert!(screen(&model, 80, 24)[0].ends_with("REFUSED for 0ms"));
}

#[test]
fn no_size_is_too_small_or_too_large() {
    for keys in ["", "?", "4", "4c", "4/x", "2", "3"] {
        for pool in [None, Some("risk")] {
            let mut model = model(pool);
            press(&mut model, &letters(keys));
            for (width, height) in [(1, 1), (2, 3), (10, 2), (20, 5), (300, 100)] {
                assert_eq!(
                    screen(&model, width, height).len(),
                    usize::from(height),
                    "{keys} {width}x{height}"
                );
            }
        }
    }
    let mut model = model(Some("risk"));
    press(&mut model, &letters("4"));
    press(&mut model, &[Key::Enter]);
    (1..30).for_each(|height| drop(screen(&model, 40, height)));
}
