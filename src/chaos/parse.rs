//! `YARDMASTER_FAILPOINT`: `<name>@<n>=<action>`, several separated by commas.

use std::fmt;
use std::time::Duration;

use yardmaster_state::chaos::Mutant;

use super::POINTS;

const SYNTAX: &str = "must be NAME@N=kill, stop, panic or delay:MILLISECONDS, several separated by commas";

/// What happens to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// It gets SIGKILL.
    Kill,
    /// It gets SIGSTOP, and waits for a SIGCONT.
    Stop,
    /// It panics.
    Panic,
    /// The thread that is there sleeps.
    Delay(Duration),
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill => formatter.write_str("kill"),
            Self::Stop => formatter.write_str("stop"),
            Self::Panic => formatter.write_str("panic"),
            Self::Delay(time) => write!(formatter, "delay of {} ms", time.as_millis()),
        }
    }
}

/// One failpoint with something in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Armed {
    pub(super) point: &'static str,
    /// The how-manieth passing it happens at; the first one is 1.
    pub(super) pass: u64,
    pub(super) action: Action,
}

/// Reads the whole variable.
pub(super) fn parse(text: &str) -> Result<Vec<Armed>, String> {
    text.split(',').map(|one| parse_one(one.trim())).collect()
}

fn parse_one(text: &str) -> Result<Armed, String> {
    let malformed = || format!("`{text}` {SYNTAX}");
    let (name, rest) = text.split_once('@').ok_or_else(malformed)?;
    let (pass, action) = rest.split_once('=').ok_or_else(malformed)?;
    let (_, point, _) = POINTS.iter().find(|(_, known, _)| *known == name).ok_or_else(|| unknown(name))?;
    let pass = pass.parse().ok().filter(|pass| *pass > 0).ok_or_else(malformed)?;
    let action = match (action, action.strip_prefix("delay:")) {
        ("kill", _) => Action::Kill,
        ("stop", _) => Action::Stop,
        ("panic", _) => Action::Panic,
        (_, Some(ms)) => Action::Delay(Duration::from_millis(ms.parse().map_err(|_| malformed())?)),
        (_, None) => return Err(malformed()),
    };
    Ok(Armed { point, pass, action })
}

/// `YARDMASTER_MUTANT`: M1 to M14.
pub(super) fn mutant(text: &str) -> Result<Mutant, String> {
    let number = text.strip_prefix('M').and_then(|number| number.parse::<usize>().ok());
    let found = number.and_then(|number| Mutant::ALL.get(number.checked_sub(1)?).copied());
    found.ok_or_else(|| format!("there is no mutant `{text}`; there are M1 to M{}", Mutant::ALL.len()))
}

fn unknown(name: &str) -> String {
    let names: Vec<&str> = POINTS.iter().map(|(_, name, _)| *name).collect();
    format!("there is no failpoint `{name}`; there are {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read() {
        let delay = Action::Delay(Duration::from_millis(250));
        let armed = |point, pass, action| Armed { point, pass, action };
        assert_eq!(
            parse("after_flush@3=kill, rocksdb_open@1=stop,after_poll@20=delay:250").unwrap(),
            [
                armed("after_flush", 3, Action::Kill),
                armed("rocksdb_open", 1, Action::Stop),
                armed("after_poll", 20, delay)
            ]
        );
    }

    #[test]
    fn an_unknown_name_is_told_with_all_names() {
        let error = parse("after_lunch@1=kill").unwrap_err();
        assert!(error.contains("`after_lunch`") && error.contains("after_poll, after_begin"), "{error}");
        assert!(error.contains("lease_tick_emit"), "{error}");
    }

    #[test]
    fn mutants_have_numbers() {
        assert_eq!(mutant("M1"), Ok(Mutant::RestoreToStableEnd));
        assert_eq!(mutant("M14"), Ok(Mutant::RowsWhileOpen));
        for text in ["", "M0", "M15", "4", "m4"] {
            assert!(mutant(text).unwrap_err().contains("M1 to M14"), "{text}");
        }
    }

    #[test]
    fn what_is_malformed_is_told_with_the_right_form() {
        for text in
            ["", "after_poll", "after_poll@1", "after_poll@0=kill", "after_poll@x=kill", "after_poll@1=die"]
        {
            assert!(parse(text).unwrap_err().contains("NAME@N="), "{text}");
        }
        assert!(parse("after_poll@1=delay:soon").is_err() && parse("after_poll@1=kill,").is_err());
    }
}
