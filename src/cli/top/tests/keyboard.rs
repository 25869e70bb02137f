//! What keys do: moving, drilling down, filtering, sorting, and orders that are asked about first.

use super::super::model::{Ask, Notice, Over};
use super::super::orders::{Kind, Order};
use super::super::place::{Of, Place, Tab};
use super::*;

fn chosen(model: &Model) -> String {
    model.chosen().map(|row| row.name).unwrap_or_default()
}

fn names(model: &Model) -> Vec<String> {
    model.sheet().rows.iter().map(|row| row.name.clone()).collect()
}

#[test]
fn from_a_pool_to_the_timeline_of_a_task_and_back() {
    let mut model = model(None);
    assert_eq!(chosen(&model), "risk", "the pool in which most waits stands first");
    press(&mut model, &[Key::Enter]);
    assert_eq!((model.here().tab(), chosen(&model)), (Tab::Queues, "default".to_owned()));
    press(&mut model, &[Key::Down, Key::Enter]);
    let slow = Place::Tasks { pool: "risk".to_owned(), of: Of::Queue("slow".to_owned()) };
    assert_eq!(model.here().place, slow);
    press(&mut model, &[Key::Enter]);
    assert_eq!(model.here().place, Place::Task { pool: "risk".to_owned(), id: "t-1".to_owned() });
    assert_eq!(press(&mut model, &[Key::Enter]), [], "there is nothing below a task");
    press(&mut model, &[Key::Escape, Key::Escape]);
    assert_eq!(chosen(&model), "slow", "each list keeps its place");
    press(&mut model, &[Key::Escape, Key::Escape, Key::Escape]);
    assert_eq!(model.here().place, Place::Grid, "the first screen stays");
}

#[test]
fn jobs_and_workers_lead_to_their_tasks() {
    for (tab, of) in [('2', Of::Job("night".to_owned())), ('3', Of::Worker("w-2".to_owned()))] {
        let mut model = model(Some("risk"));
        press(&mut model, &[Key::Char(tab), Key::Enter]);
        assert_eq!(model.here().place, Place::Tasks { pool: "risk".to_owned(), of });
    }
    let mut model = model(Some("risk"));
    press(&mut model, &[Key::Left]);
    assert_eq!(model.here().tab(), Tab::Tasks, "tabs go round");
    press(&mut model, &[Key::Right, Key::Right]);
    assert_eq!(model.here().tab(), Tab::Jobs);
    press(&mut model, &[Key::Char('9')]);
    assert_eq!(model.here().tab(), Tab::Jobs, "there is no ninth");
}

#[test]
fn what_is_typed_filters_and_what_nothing_passes_may_be_an_id() {
    let mut model = model(Some("risk"));
    press(&mut model, &letters("4/t-2q"));
    assert!(model.is_typing && names(&model).is_empty(), "`q` is a letter while one types");
    press(&mut model, &[Key::Backspace]);
    assert_eq!(names(&model), ["t-2"]);
    press(&mut model, &[Key::Enter]);
    assert!(!model.is_typing);
    press(&mut model, &[Key::Escape]);
    assert_eq!(names(&model).len(), 3, "Esc clears the filter first");
    press(&mut model, &letters("/t-77"));
    press(&mut model, &[Key::Enter, Key::Enter]);
    assert_eq!(model.here().place, Place::Task { pool: "risk".to_owned(), id: "t-77".to_owned() });
}

#[test]
fn a_chosen_row_stays_chosen_wherever_it_goes() {
    let mut model = model(Some("risk"));
    press(&mut model, &letters("4"));
    assert_eq!(names(&model), ["t-1", "t-2", "t-9"], "what runs, what waits, what ended");
    press(&mut model, &letters("jso"));
    assert_eq!((names(&model).join(" "), chosen(&model)), ("t-9 t-2 t-1".to_owned(), "t-2".to_owned()));
    press(&mut model, &[Key::End]);
    assert_eq!(chosen(&model), "t-1");
    press(&mut model, &[Key::PageUp]);
    assert_eq!(chosen(&model), "t-9");
}

#[test]
fn states_are_asked_of_the_server_and_so_are_more_rows() {
    let mut model = model(Some("risk"));
    press(&mut model, &letters("4ff"));
    assert_eq!(model.wanted().states, "ASSIGNED,RUNNING,CANCELLING");
    press(&mut model, &letters("m"));
    assert!(model.notice.is_some(), "all rows are there");
    press(&mut model, &letters("1"));
    let before = model.wanted().limit;
    press(&mut model, &letters("m"));
    assert!(model.wanted().limit > before);
}

#[test]
fn an_order_is_sent_after_a_plain_yes_only() {
    let order = |kind, name: &str, state: &str| Order {
        kind,
        pool: "risk".to_owned(),
        name: name.to_owned(),
        state: state.to_owned(),
    };
    let cases = [
        ("4jc", order(Kind::CancelTask, "t-2", "QUEUED")),
        ("4jjr", order(Kind::Requeue, "t-9", "FAILED")),
        ("2c", order(Kind::CancelJob, "night", "ACTIVE")),
        ("3jd", order(Kind::Drain, "w-1", "ACTIVE")),
        ("3d", order(Kind::Undrain, "w-2", "DRAINED")),
    ];
    for (keys, order) in cases {
        let mut model = model(Some("risk"));
        assert_eq!(press(&mut model, &letters(keys)), [], "{keys}");
        assert_eq!(model.over, Some(Over::Confirm(order.clone())), "{keys}");
        assert_eq!(press(&mut model, &[Key::Enter, Key::Char('q')]), [], "neither Enter nor another letter");
        assert_eq!(press(&mut model, &[Key::Escape]), []);
        assert_eq!(model.over, None);
        let last = keys.chars().last().unwrap();
        assert_eq!(press(&mut model, &[Key::Char(last), Key::Char('y')]), [Ask::Do(order)], "{keys}");
    }
}

#[test]
fn the_screen_of_a_task_cancels_that_task() {
    let mut model = model(Some("risk"));
    press(&mut model, &letters("4"));
    press(&mut model, &[Key::Enter]);
    let asked = press(&mut model, &letters("cy"));
    assert!(matches!(&asked[..], [Ask::Do(order)] if order.name == "t-1" && order.kind == Kind::CancelTask));
}

#[test]
fn where_there_is_nothing_to_change_it_is_said() {
    let mut model = model(Some("risk"));
    for keys in ["c", "r", "d", "2d", "3r"] {
        assert_eq!(press(&mut model, &letters(keys)), []);
        assert!(matches!(&model.notice, Some(Notice { is_bad: true, .. })), "{keys}");
        assert_eq!(model.over, None, "{keys}");
    }
}

#[test]
fn an_answer_to_an_old_question_is_not_shown() {
    let mut model = model(None);
    let old = model.wanted();
    model.press(Key::Enter);
    model.learn(News { wanted: old, at_ms: NOW, found: Ok(grid(900)) });
    assert!(model.here().listing().seen.is_none());
}

#[test]
fn silence_is_told_since_it_began_and_ends_with_an_answer() {
    let mut model = model(None);
    for at_ms in [NOW + 2_000, NOW + 4_000] {
        model.learn(News { wanted: model.wanted(), at_ms, found: Err(miss("nobody", true)) });
    }
    assert_eq!(model.trouble.as_ref().map(|trouble| trouble.since_ms), Some(NOW + 2_000));
    assert_eq!(names(&model), ["risk", "idle"], "what was seen last stays");
    answer(&mut model, NOW + 6_000);
    assert_eq!(model.trouble, None);
}

#[test]
fn a_refusal_stays_with_the_screen_that_it_is_about() {
    let mut model = model(Some("risk"));
    press(&mut model, &letters("4"));
    model.press(Key::Enter);
    let news = News { wanted: model.wanted(), at_ms: NOW, found: Err(miss("there is no task", false)) };
    model.learn(news.clone());
    assert!(model.trouble.is_some());
    model.press(Key::Escape);
    assert_eq!(model.trouble, None);
    model.learn(news);
    assert_eq!(model.trouble, None, "it came late");
}

#[test]
fn quitting_is_possible_everywhere() {
    assert_eq!(press(&mut model(None), &letters("q")), [Ask::Quit]);
    for keys in ["?", "/", "4c"] {
        let mut model = model(Some("risk"));
        press(&mut model, &letters(keys));
        assert_eq!(press(&mut model, &[Key::Interrupt]), [Ask::Quit], "{keys}");
    }
    let mut model = model(None);
    press(&mut model, &letters("?q"));
    assert_eq!(model.over, None, "any key closes the help");
}
