//! What is on the screen, and what an answer makes of it. Nothing here reads a clock, asks or draws.

use super::level::Level;
use super::orders::Order;
use super::place::{Place, Tab, Wanted};
use super::rates::Rates;
use super::shapes::{Head, Rows, Seen};
use super::sheet::{Row, Sheet};
use super::words::Glyphs;
use super::{sheet_grid, sheet_pool, sheet_tasks};

/// What is to be done outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    /// Look for this from now on, at once and again and again.
    Look(Wanted),
    /// Send this.
    Do(Order),
    /// End.
    Quit,
}

/// What was found out.
#[derive(Debug, Clone)]
pub(super) struct News {
    /// What was asked for.
    pub(super) wanted: Wanted,
    /// When the answer came, since 1970.
    pub(super) at_ms: u64,
    /// What there is, or why nobody says.
    pub(super) found: Result<Seen, Miss>,
}

/// Why there is nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Miss {
    pub(super) text: String,
    /// Nobody answered; else the answer was no.
    pub(super) is_silence: bool,
}

/// What lies over the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Over {
    /// The keys.
    Help,
    /// A question.
    Confirm(Order),
}

/// A line about what was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) text: String,
    pub(super) is_bad: bool,
}

/// What is on the screen is not what is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) miss: Miss,
    pub(super) since_ms: u64,
}

/// The state of the view.
#[derive(Debug)]
pub(super) struct Model {
    first: Level,
    deeper: Vec<Level>,
    pub(super) rates: Rates,
    pub(super) over: Option<Over>,
    /// Letters go into the filter.
    pub(super) is_typing: bool,
    pub(super) notice: Option<Notice>,
    pub(super) trouble: Option<Trouble>,
    /// When the last answer came, good or bad.
    pub(super) now_ms: u64,
    /// When the last good one came.
    pub(super) seen_ms: Option<u64>,
    pub(super) glyphs: Glyphs,
    /// Rows of a screen.
    pub(super) page: usize,
}

impl Model {
    /// At the grid, or in a pool.
    pub(super) fn new(pool: Option<&str>, glyphs: Glyphs) -> Self {
        let deeper = pool.map(|pool| Level::new(Place::Pool { pool: pool.to_owned() }));
        Self {
            first: Level::new(Place::Grid),
            deeper: deeper.into_iter().collect(),
            rates: Rates::default(),
            over: None,
            is_typing: false,
            notice: None,
            trouble: None,
            now_ms: 0,
            seen_ms: None,
            glyphs,
            page: 10,
        }
    }

    /// The screen that is shown.
    pub(super) fn here(&self) -> &Level {
        self.deeper.last().unwrap_or(&self.first)
    }

    /// The screen that is shown, to change it.
    pub(super) fn here_mut(&mut self) -> &mut Level {
        self.deeper.last_mut().unwrap_or(&mut self.first)
    }

    /// The places that lead here.
    pub(super) fn path(&self) -> impl Iterator<Item = &Place> {
        std::iter::once(&self.first).chain(&self.deeper).map(|level| &level.place)
    }

    /// What has to be asked for.
    pub(super) fn wanted(&self) -> Wanted {
        self.here().wanted()
    }

    /// The table that is shown, sorted and filtered.
    pub(super) fn sheet(&self) -> Sheet {
        let listing = self.here().listing();
        let mut sheet = self.whole_sheet();
        if let Some(sorting) = listing.sorting {
            sheet.sort(sorting);
        }
        if !listing.filter.is_empty() {
            sheet.filter(&listing.filter);
            sheet.nothing = format!("nothing here has `{}` in its name", listing.filter);
        }
        sheet
    }

    /// The same as it came.
    pub(super) fn whole_sheet(&self) -> Sheet {
        let level = self.here();
        let pool = level.place.pool().unwrap_or_default();
        let (now_ms, glyphs) = (self.now_ms, self.glyphs);
        match &level.listing().seen {
            None => Sheet { nothing: "asking ...".to_owned(), ..Sheet::default() },
            Some(Seen::Grid(grid)) if level.tab() == Tab::Processors => {
                sheet_grid::processors(grid, &self.rates)
            }
            Some(Seen::Grid(grid)) => sheet_grid::pools(grid, &self.rates, glyphs),
            Some(Seen::Pool(_, Rows::Queues(list))) => sheet_pool::queues(pool, list, &self.rates),
            Some(Seen::Pool(_, Rows::Jobs(list))) => {
                sheet_pool::jobs(pool, list, &self.rates, now_ms, glyphs)
            }
            Some(Seen::Pool(_, Rows::Workers(list))) => sheet_pool::workers(list, now_ms, glyphs),
            Some(Seen::Pool(_, Rows::Tasks(list))) => sheet_tasks::tasks(list, now_ms),
            Some(Seen::Task(task)) => sheet_tasks::timeline(task),
        }
    }

    /// The row that is chosen.
    pub(super) fn chosen(&self) -> Option<Row> {
        let sheet = self.sheet();
        let at = self.here().listing().at(&sheet);
        sheet.rows.get(at).cloned()
    }

    /// Takes in an answer.
    pub(super) fn learn(&mut self, news: News) {
        self.now_ms = news.at_ms;
        let seen = match news.found {
            Ok(seen) => seen,
            // What does not exist on a screen that was left is no trouble on this one.
            Err(miss) if !miss.is_silence && news.wanted != self.wanted() => return,
            Err(miss) => {
                let before = self.trouble.take().filter(|before| before.miss.is_silence == miss.is_silence);
                let since_ms = before.map_or(news.at_ms, |before| before.since_ms);
                self.trouble = Some(Trouble { miss, since_ms });
                return;
            }
        };
        self.trouble = None;
        self.seen_ms = Some(news.at_ms);
        self.count(&seen, &news.wanted.place);
        // An answer to a question of before belongs to no list that is shown.
        if news.wanted != self.wanted() {
            return;
        }
        self.here_mut().listing_mut().seen = Some(seen);
        let sheet = self.sheet();
        self.here_mut().listing_mut().keep_place(&sheet);
    }

    /// Notes the figures that rates are made of.
    fn count(&mut self, seen: &Seen, place: &Place) {
        let (rates, at_ms) = (&mut self.rates, self.now_ms);
        let pool = place.pool().unwrap_or_default();
        let name = place.of();
        match seen {
            Seen::Grid(grid) => {
                for one in &grid.pools.rows {
                    rates.see(&sheet_grid::pool_rate(&one.pool), at_ms, &one.numbers);
                }
                for one in grid.processors.iter().filter(|one| one.is_served) {
                    let grown = [one.sequence, one.tasks, one.status];
                    rates.see_all(&sheet_grid::processor_rate(one), at_ms, grown);
                }
            }
            Seen::Pool(head, rows) => {
                match head {
                    Head::Pool(stats, _) => rates.see(&sheet_grid::pool_rate(pool), at_ms, &stats.numbers),
                    Head::Queue(numbers, _) => rates.see(&sheet_pool::queue_rate(pool, name), at_ms, numbers),
                    Head::Job(job) => rates.see(&sheet_pool::job_rate(pool, name), at_ms, &job.numbers),
                    Head::Worker(_) => {}
                }
                match rows {
                    Rows::Queues(list) => list.rows.iter().for_each(|queue| {
                        rates.see(&sheet_pool::queue_rate(pool, &queue.queue), at_ms, &queue.numbers);
                    }),
                    Rows::Jobs(list) => list.rows.iter().for_each(|job| {
                        rates.see(&sheet_pool::job_rate(pool, &job.job), at_ms, &job.numbers);
                    }),
                    Rows::Workers(_) | Rows::Tasks(_) => {}
                }
            }
            Seen::Task(_) => {}
        }
        rates.forget(at_ms);
    }

    /// What became of an order.
    pub(super) fn tell(&mut self, notice: Notice) {
        self.notice = Some(notice);
    }

    /// Opens a screen over this one.
    pub(super) fn enter(&mut self, place: Place) {
        self.deeper.push(Level::new(place));
    }

    /// Closes this screen, unless it is the first one; says whether it did.
    pub(super) fn leave(&mut self) -> bool {
        self.deeper.pop().is_some()
    }
}
