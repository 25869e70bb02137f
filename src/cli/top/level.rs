//! One screen of those that are open: its place, its lists, and where one is in each of them.

use super::place::{Place, Tab, Wanted};
use super::shapes::Seen;
use super::sheet::{Sheet, Sorting};

/// Rows that are asked for at first.
const LIMIT: usize = 200;
/// And at most.
const LIMIT_MAX: usize = 5_000;

/// Where one is in a list.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    pub(super) filter: String,
    pub(super) sorting: Option<Sorting>,
    /// The chosen of the tab's choices.
    choice: usize,
    limit: usize,
    /// The row that is chosen: the first one until something was chosen.
    chosen: Option<String>,
    /// Where it was last, should it go away.
    at: usize,
    /// What was found last.
    pub(super) seen: Option<Seen>,
}

impl Listing {
    fn new() -> Self {
        Self {
            filter: String::new(),
            sorting: None,
            choice: 0,
            limit: LIMIT,
            chosen: None,
            at: 0,
            seen: None,
        }
    }

    /// The index of the chosen row.
    pub(super) fn at(&self, sheet: &Sheet) -> usize {
        let chosen = self.chosen.as_ref();
        let found = chosen.and_then(|name| sheet.rows.iter().position(|row| row.name == *name));
        found.unwrap_or(self.at).min(sheet.rows.len().saturating_sub(1))
    }

    /// Chooses the row at an index, or the last one.
    pub(super) fn choose(&mut self, at: usize, sheet: &Sheet) {
        self.at = at.min(sheet.rows.len().saturating_sub(1));
        self.chosen = sheet.rows.get(self.at).map(|row| row.name.clone());
    }

    /// Notes where the chosen row is now.
    pub(super) fn keep_place(&mut self, sheet: &Sheet) {
        self.at = if self.chosen.is_some() { self.at(sheet) } else { 0 };
    }

    /// Back to the first row.
    pub(super) fn choose_first(&mut self) {
        (self.chosen, self.at) = (None, 0);
    }

    /// Sorts by the next column, or by none after the last one.
    pub(super) fn sort_next(&mut self, columns: usize) {
        let column = self.sorting.map_or(0, |sorting| sorting.column + 1);
        self.sorting = (column < columns).then_some(Sorting { column, is_reversed: false });
    }

    /// The other way round.
    pub(super) fn reverse(&mut self) {
        let sorting = self.sorting.unwrap_or(Sorting { column: 0, is_reversed: false });
        let is_reversed = self.sorting.is_some() && !sorting.is_reversed;
        self.sorting = Some(Sorting { is_reversed, ..sorting });
    }

    /// Asks for the next of the states that can be asked for.
    pub(super) fn choose_next(&mut self, tab: Tab) {
        self.choice = (self.choice + 1) % tab.choices().len().max(1);
        self.seen = None;
        self.choose_first();
    }

    /// The states that are shown, and how they are asked for.
    pub(super) fn choice(&self, tab: Tab) -> (&'static str, &'static str) {
        tab.choices().get(self.choice).copied().unwrap_or(("all", ""))
    }

    /// Asks for more rows; says whether that is possible.
    pub(super) fn want_more(&mut self) -> bool {
        let is_possible = self.limit < LIMIT_MAX;
        self.limit = (self.limit * 5).min(LIMIT_MAX);
        is_possible
    }
}

/// An open screen.
#[derive(Debug, Clone)]
pub(super) struct Level {
    pub(super) place: Place,
    tab: usize,
    listings: Vec<(Tab, Listing)>,
    /// For what can't be: a screen without lists.
    none: (Tab, Listing),
}

impl Level {
    /// At its first tab.
    pub(super) fn new(place: Place) -> Self {
        let listings = place.tabs().iter().map(|tab| (*tab, Listing::new())).collect();
        Self { place, tab: 0, listings, none: (Tab::Timeline, Listing::new()) }
    }

    fn here(&self) -> &(Tab, Listing) {
        self.listings.get(self.tab).unwrap_or(&self.none)
    }

    /// The tab that is shown.
    pub(super) fn tab(&self) -> Tab {
        self.here().0
    }

    /// Its list.
    pub(super) fn listing(&self) -> &Listing {
        &self.here().1
    }

    /// Its list, to change where one is in it.
    pub(super) fn listing_mut(&mut self) -> &mut Listing {
        &mut self.listings.get_mut(self.tab).unwrap_or(&mut self.none).1
    }

    /// Shows a tab, if there is such a one.
    pub(super) fn show_tab(&mut self, tab: usize) {
        if tab < self.listings.len() {
            self.tab = tab;
        }
    }

    /// Shows the next tab, round and round.
    pub(super) fn turn(&mut self) {
        self.tab = (self.tab + 1) % self.listings.len().max(1);
    }

    /// Shows the tab before.
    pub(super) fn turn_back(&mut self) {
        self.tab = self.tab.checked_sub(1).unwrap_or(self.listings.len().saturating_sub(1));
    }

    /// How many tabs there are.
    pub(super) fn tabs(&self) -> usize {
        self.listings.len()
    }

    /// What has to be asked for.
    pub(super) fn wanted(&self) -> Wanted {
        let (tab, listing) = self.here();
        Wanted { place: self.place.clone(), tab: *tab, states: listing.choice(*tab).1, limit: listing.limit }
    }
}
