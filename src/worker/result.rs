//! When what a program printed is its result, and what is said when it can't be.

use serde::de::IgnoredAny;
use serde_json::error::Category;
use serde_json::value::RawValue;
use yardmaster_topologies::task::Json;
use yardmaster_topologies::wire::DEPTH_MAX;

use super::tail::Capture;

/// A result sits inside a status inside a batch, so it may be a little less deep than a record.
const RESULT_DEPTH_MAX: usize = DEPTH_MAX - 8;

/// Stdout as a result: one of the two, or neither when it was not meant to be one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) result: Option<Json>,
    /// Why what looks like a result is none.
    pub(crate) note: Option<String>,
}

/// Stdout as the result: when it is one JSON value within the limit, and all of it is there.
pub(crate) fn take(stdout: &Capture, is_all: bool, limit: usize) -> Taken {
    if !is_all {
        // Part of a number is a number, too.
        return dropped(stdout, || {
            "stdout was still open after the program's end, held by something that it left behind: what came is not \
             taken as the result"
                .to_owned()
        });
    }
    let Some(whole) = stdout.whole() else {
        return dropped(stdout, || too_long(stdout.total(), limit));
    };
    let Ok(text) = std::str::from_utf8(whole).map(str::trim) else {
        return Taken::default();
    };
    let Ok(raw) = serde_json::from_str::<&RawValue>(text) else {
        return Taken::default();
    };
    if text.len() > limit {
        return Taken { result: None, note: Some(too_long(stdout.total(), limit)) };
    }
    if depth(text) > RESULT_DEPTH_MAX {
        let note = format!(
            "the result was dropped: it nests deeper than {RESULT_DEPTH_MAX} levels; use a flatter one"
        );
        return Taken { result: None, note: Some(note) };
    }
    Taken { result: Some(Json(raw.get().into())), note: None }
}

fn too_long(bytes: u64, limit: usize) -> String {
    format!(
        "the result was dropped: stdout has {bytes} bytes and result_bytes_max is {limit}; print where it lies instead"
    )
}

/// Says so of what could have been a result. Other output is nobody's loss.
fn dropped(stdout: &Capture, why: impl FnOnce() -> String) -> Taken {
    let head = match std::str::from_utf8(stdout.head()) {
        Ok(text) => text,
        Err(error) => {
            let (text, _) = stdout.head().split_at(error.valid_up_to());
            std::str::from_utf8(text).unwrap_or_default()
        }
    };
    let could_be = match serde_json::from_str::<IgnoredAny>(head) {
        Ok(_) => true,
        Err(error) => match error.classify() {
            Category::Eof => !head.trim().is_empty(),
            Category::Io | Category::Syntax | Category::Data => false,
        },
    };
    Taken { result: None, note: could_be.then(why) }
}

/// How deep the brackets outside strings nest.
fn depth(text: &str) -> usize {
    let (mut deepest, mut open, mut in_string, mut is_escaped) = (0, 0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                open += 1;
                deepest = deepest.max(open);
            }
            b'}' | b']' if !in_string => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str, is_all: bool) -> Taken {
        let mut capture = Capture::new(21, 10);
        capture.push(text.as_bytes());
        take(&capture, is_all, 20)
    }

    #[test]
    fn whole_json_is_the_result_and_part_of_it_never_is() {
        assert_eq!(taken(" 123\n", true).result, Some(Json("123".into())));
        let part = taken("123", false);
        assert!(part.result.is_none() && part.note.unwrap().contains("still open"));
        assert_eq!(taken("", false), Taken::default());
        assert_eq!(taken("listening", false), Taken::default());
    }

    #[test]
    fn a_result_that_is_too_long_is_spoken_of_and_other_output_is_not() {
        for text in [
            "{\"a\":[1,2,3,4,5,6,7,8,9]}",
            "\"ééééééééééééééééé\"",
            "1111111111111111111111111",
            "  \"123456789012345678\"  ",
        ] {
            let long = taken(text, true);
            assert!(long.result.is_none() && long.note.unwrap().contains("result_bytes_max is 20"), "{text}");
        }
        for text in [
            "[INFO] 10:00 starting the price run",
            "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n",
            "ok, nothing to say this time",
        ] {
            assert_eq!(taken(text, true), Taken::default(), "{text}");
        }
    }
}
