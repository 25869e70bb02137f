//! How far something is: a bar on a terminal, plain lines now and then otherwise.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::say;

/// A bar on a terminal, plain lines now and then otherwise.
pub(crate) struct Progress {
    bar: ProgressBar,
    total: u64,
    said: u64,
}

impl Progress {
    /// Of so many.
    pub(crate) fn new(total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg} {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, total, said: 0 }
    }

    /// How far it is.
    pub(crate) fn show(&mut self, done: u64, total: u64, words: &str) {
        self.total = total.max(self.total);
        self.bar.set_length(self.total);
        self.bar.set_position(done);
        self.bar.set_message(words.to_owned());
        let tenth = (self.total / 10).max(1);
        // What waits for a single one has nothing to count.
        if self.total > 1
            && self.bar.is_hidden()
            && (done >= self.said + tenth || (done == self.total && done > self.said))
        {
            self.said = done;
            say(&format!("{done}/{} {words}", self.total));
        }
    }
}

impl Drop for Progress {
    /// However it ended: what is said next begins on a line of its own.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
