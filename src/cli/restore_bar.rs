//! How far the restores of a server are, as a bar on a terminal; elsewhere the log says it.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::runtime::RestoreProgress;

/// A bar that is there while something is restored.
#[derive(Default)]
pub(crate) struct RestoreBar(Option<ProgressBar>);

impl RestoreBar {
    /// Shows these.
    pub(crate) fn show(&mut self, restores: &[RestoreProgress]) {
        if restores.is_empty() {
            if let Some(bar) = self.0.take() {
                bar.finish_and_clear();
            }
            return;
        }
        let bar = self.0.get_or_insert_with(bar);
        let (done, total) = sum(restores);
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(words(restores));
    }
}

impl Drop for RestoreBar {
    /// What is said next begins on a line of its own.
    fn drop(&mut self) {
        self.show(&[]);
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("restoring {bar:40} {pos}/{len} {per_sec}, {eta} left: {msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn sum(restores: &[RestoreProgress]) -> (u64, u64) {
    restores.iter().fold((0, 0), |(done, total), one| (done + one.done, total + one.total))
}

fn words(restores: &[RestoreProgress]) -> String {
    let waiting = restores.iter().filter(|restore| restore.waits_for.is_some()).count();
    match (restores, waiting) {
        ([one], 0) => format!("partition {}", one.partition),
        (_, 0) => format!("{} partitions", restores.len()),
        _ => format!("{waiting} of {} partitions wait, see the log", restores.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restores_are_shown_together() {
        let one = |partition, waits_for: Option<&str>| RestoreProgress {
            partition,
            done: 10,
            total: 40,
            waits_for: waits_for.map(str::to_owned),
        };
        assert_eq!(words(&[one(3, None)]), "partition 3");
        assert_eq!(sum(&[one(3, None), one(4, None)]), (20, 80));
        assert_eq!(words(&[one(3, None), one(4, None)]), "2 partitions");
        assert_eq!(words(&[one(3, None), one(4, Some("x"))]), "1 of 2 partitions wait, see the log");
    }
}
