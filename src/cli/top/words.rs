//! Figures as people read them: counts, rates, spans of time, bars. None is wider than 7 characters, bars apart.

/// What bars and marks are drawn with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Glyphs {
    full: char,
    empty: char,
    pub(super) down: char,
    pub(super) up: char,
    pub(super) cut: char,
    pub(super) deeper: char,
    pub(super) lines: bool,
}

impl Glyphs {
    /// For terminals that know Unicode.
    pub(super) const UNICODE: Self =
        Self { full: '█', empty: '░', down: '▼', up: '▲', cut: '…', deeper: '›', lines: true };
    /// For all others.
    pub(super) const ASCII: Self =
        Self { full: '#', empty: '.', down: 'v', up: '^', cut: '~', deeper: '>', lines: false };

    /// What a locale's name says about its letters.
    pub(super) fn of_locale(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        if name.contains("utf-8") || name.contains("utf8") { Self::UNICODE } else { Self::ASCII }
    }

    /// The part of a whole as a bar of so many characters.
    pub(super) fn bar(self, part: u64, whole: u64, width: usize) -> String {
        let filled = filled(part, whole, width);
        let full = std::iter::repeat_n(self.full, filled);
        full.chain(std::iter::repeat_n(self.empty, width - filled)).collect()
    }
}

/// How many of `width` are filled: all of them only for all, none only for none.
fn filled(part: u64, whole: u64, width: usize) -> usize {
    if part == 0 || whole == 0 {
        return 0;
    }
    if part >= whole {
        return width;
    }
    let share = u128::from(part) * width as u128 / u128::from(whole);
    usize::try_from(share).unwrap_or(width).clamp(1, width.saturating_sub(1).max(1)).min(width)
}

/// A percentage: 100 only for all.
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return String::new();
    }
    format!("{}%", u128::from(part.min(whole)) * 100 / u128::from(whole))
}

/// 99,999, then 123k, 12.3M, 1.23G.
pub(super) fn count(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        1_000..100_000 => format!("{},{:03}", number / 1_000, number % 1_000),
        100_000..1_000_000 => format!("{}k", number / 1_000),
        1_000_000..1_000_000_000 => format!("{}.{}M", number / 1_000_000, number / 100_000 % 10),
        _ => format!("{}.{:02}G", number / 1_000_000_000, number / 10_000_000 % 100),
    }
}

/// Of something per second.
pub(super) fn rate(per_second: f64) -> String {
    if per_second < 0.05 {
        "0".to_owned()
    } else if per_second < 100.0 {
        format!("{per_second:.1}")
    } else {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive; a cast saturates"
        )]
        let whole = per_second.round() as u64;
        count(whole)
    }
}

/// 340ms, 12.3s, 3m20s, 4h05m, 3d04h.
pub(super) fn span(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0 => format!("{ms}ms"),
        1..60 => format!("{seconds}.{}s", ms / 100 % 10),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// The time of day of a moment, in UTC.
pub(super) fn clock(ms: u64) -> String {
    let (seconds, rest) = (ms / 1_000 % 86_400, ms % 1_000);
    format!("{:02}:{:02}:{:02}.{rest:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stay_short() {
        let words = [0, 999, 1_000, 99_999, 100_000, 999_999, 1_250_000, 12_345_678_901].map(count);
        assert_eq!(words, ["0", "999", "1,000", "99,999", "100k", "999k", "1.2M", "12.34G"]);
    }

    #[test]
    fn rates_have_as_many_digits_as_matter() {
        assert_eq!([0.0, 0.04, 0.26, 99.94, 1_234.5].map(rate), ["0", "0", "0.3", "99.9", "1,235"]);
    }

    #[test]
    fn spans_have_two_units() {
        let words = [0, 340, 12_345, 200_000, 14_700_000, 273_600_000].map(span);
        assert_eq!(words, ["0ms", "340ms", "12.3s", "3m20s", "4h05m", "3d04h"]);
        assert_eq!(clock(951_827_696_007), "12:34:56.007");
    }

    #[test]
    fn a_bar_is_full_only_when_all_is_there() {
        let bar = |part, whole| Glyphs::ASCII.bar(part, whole, 4);
        assert_eq!([bar(0, 10), bar(1, 1_000), bar(5, 10)], ["....", "#...", "##.."]);
        assert_eq!([bar(999, 1_000), bar(10, 10), bar(0, 0), bar(3, 2)], ["###.", "####", "....", "####"]);
        assert_eq!([percent(999, 1_000), percent(7, 7), percent(0, 0)], ["99%", "100%", ""]);
    }

    #[test]
    fn the_locale_says_which_letters_there_are() {
        assert_eq!(Glyphs::of_locale("en_GB.UTF-8"), Glyphs::UNICODE);
        assert_eq!(Glyphs::of_locale("C.utf8"), Glyphs::UNICODE);
        assert_eq!(Glyphs::of_locale("C"), Glyphs::ASCII);
    }
}
