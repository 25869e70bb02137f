//! What a key makes of the view: another state, and what is to be asked for.

use super::keys::Key;
use super::model::{Ask, Model, Notice, Over};
use super::orders::{Kind, Order};
use super::place::{Of, Place, Tab};
use super::shapes::Seen;

impl Model {
    /// What a key does.
    pub(super) fn press(&mut self, key: Key) -> Vec<Ask> {
        self.notice = None;
        if key == Key::Interrupt {
            return vec![Ask::Quit];
        }
        match self.over.take() {
            Some(Over::Help) => Vec::new(),
            Some(Over::Confirm(order)) => self.answer(order, key),
            None if self.is_typing => self.type_key(key),
            None => self.command(key),
        }
    }

    /// Only a plain yes is one.
    fn answer(&mut self, order: Order, key: Key) -> Vec<Ask> {
        if matches!(key, Key::Char('y' | 'Y')) {
            self.notice = Some(Notice { text: format!("{}: sent ...", order.words()), is_bad: false });
            return vec![Ask::Do(order)];
        }
        if !matches!(key, Key::Char('n' | 'N') | Key::Escape) {
            self.over = Some(Over::Confirm(order));
        }
        Vec::new()
    }

    fn type_key(&mut self, key: Key) -> Vec<Ask> {
        let listing = self.here_mut().listing_mut();
        match key {
            Key::Char(letter) => listing.filter.push(letter),
            Key::Backspace => drop(listing.filter.pop()),
            Key::Escape => {
                listing.filter.clear();
                self.is_typing = false;
                return Vec::new();
            }
            Key::Enter => {
                self.is_typing = false;
                return Vec::new();
            }
            Key::Up | Key::Down | Key::PageUp | Key::PageDown | Key::Home | Key::End => {
                self.step(key);
                return Vec::new();
            }
            Key::Left | Key::Right | Key::Interrupt => return Vec::new(),
        }
        listing.choose_first();
        Vec::new()
    }

    fn command(&mut self, key: Key) -> Vec<Ask> {
        match key {
            Key::Up | Key::Down | Key::PageUp | Key::PageDown | Key::Home | Key::End => self.step(key),
            Key::Enter => return self.open(),
            Key::Escape | Key::Backspace => return self.back(),
            Key::Left => self.here_mut().turn_back(),
            Key::Right => self.here_mut().turn(),
            Key::Char(letter) => return self.letter(letter),
            Key::Interrupt => return vec![Ask::Quit],
        }
        self.look_if(matches!(key, Key::Left | Key::Right))
    }

    /// Another screen, another question: what the last one was refused is not of this one.
    fn look_if(&mut self, is_other: bool) -> Vec<Ask> {
        if !is_other {
            return Vec::new();
        }
        self.trouble = self.trouble.take().filter(|trouble| trouble.miss.is_silence);
        vec![Ask::Look(self.wanted())]
    }

    fn step(&mut self, key: Key) {
        let sheet = self.sheet();
        let (page, listing) = (self.page, self.here_mut().listing_mut());
        let at = listing.at(&sheet);
        let to = match key {
            Key::Up => at.saturating_sub(1),
            Key::Down => at + 1,
            Key::PageUp => at.saturating_sub(page),
            Key::PageDown => at + page,
            Key::Home => 0,
            Key::End => usize::MAX,
            Key::Enter
            | Key::Escape
            | Key::Backspace
            | Key::Left
            | Key::Right
            | Key::Interrupt
            | Key::Char(_) => return,
        };
        listing.choose(to, &sheet);
    }

    fn letter(&mut self, letter: char) -> Vec<Ask> {
        let tab = self.here().tab();
        match letter {
            'q' | 'Q' => return vec![Ask::Quit],
            'j' => self.step(Key::Down),
            'k' => self.step(Key::Up),
            'g' => self.step(Key::Home),
            'G' => self.step(Key::End),
            'l' => return self.open(),
            'h' => return self.back(),
            '?' => self.over = Some(Over::Help),
            '/' => self.is_typing = true,
            's' => {
                let columns = self.whole_sheet().columns.len();
                self.here_mut().listing_mut().sort_next(columns);
            }
            'o' => self.here_mut().listing_mut().reverse(),
            'f' if tab.choices().len() > 1 => {
                self.here_mut().listing_mut().choose_next(tab);
                return self.look_if(true);
            }
            'm' => return self.more(),
            'c' | 'r' | 'd' => self.confirm(letter),
            '1'..='9' => {
                let number = letter.to_digit(10).and_then(|digit| usize::try_from(digit).ok());
                self.here_mut().show_tab(number.unwrap_or(1).saturating_sub(1));
                return self.look_if(true);
            }
            _ => {}
        }
        Vec::new()
    }

    fn more(&mut self) -> Vec<Ask> {
        let can_more = self.whole_sheet().has_more && self.here_mut().listing_mut().want_more();
        if !can_more {
            let text = "there are no more rows, or too many: a filter of states (f) narrows the list";
            self.notice = Some(Notice { text: text.to_owned(), is_bad: false });
        }
        self.look_if(can_more)
    }

    fn confirm(&mut self, letter: char) {
        match self.order(letter) {
            Some(order) => self.over = Some(Over::Confirm(order)),
            None => {
                let text = match letter {
                    'c' => "choose a task or a job to cancel it",
                    'r' => "choose a task that has ended to requeue it",
                    _ => "choose a worker to drain it",
                };
                self.notice = Some(Notice { text: text.to_owned(), is_bad: true });
            }
        }
    }

    /// The order that a letter stands for, about what is chosen.
    fn order(&self, letter: char) -> Option<Order> {
        let level = self.here();
        let pool = level.place.pool()?.to_owned();
        if let Place::Task { id, .. } = &level.place {
            let kind = [('c', Kind::CancelTask), ('r', Kind::Requeue)];
            let (_, kind) = kind.into_iter().find(|(key, _)| *key == letter)?;
            let state = match &level.listing().seen {
                Some(Seen::Task(task)) => task.task.state.clone(),
                Some(Seen::Grid(_) | Seen::Pool(..)) | None => String::new(),
            };
            return Some(Order { kind, pool, name: id.clone(), state });
        }
        let row = self.chosen()?;
        let kind = match (level.tab(), letter) {
            (Tab::Tasks, 'c') => Kind::CancelTask,
            (Tab::Tasks, 'r') => Kind::Requeue,
            (Tab::Jobs, 'c') => Kind::CancelJob,
            (Tab::Workers, 'd') if row.state == "DRAINED" => Kind::Undrain,
            (Tab::Workers, 'd') => Kind::Drain,
            _ => return None,
        };
        Some(Order { kind, pool, name: row.name, state: row.state })
    }

    /// Opens what is chosen.
    fn open(&mut self) -> Vec<Ask> {
        let (tab, pool) = (self.here().tab(), self.here().place.pool().unwrap_or_default().to_owned());
        let Some(row) = self.chosen() else {
            return self.open_typed(tab, pool);
        };
        let tasks = |of| Place::Tasks { pool: pool.clone(), of };
        let place = match tab {
            Tab::Pools => Place::Pool { pool: row.name },
            Tab::Queues => tasks(Of::Queue(row.name)),
            Tab::Jobs => tasks(Of::Job(row.name)),
            Tab::Workers => tasks(Of::Worker(row.name)),
            Tab::Tasks => Place::Task { pool, id: row.name },
            Tab::Processors | Tab::Timeline => return Vec::new(),
        };
        self.enter(place);
        self.look_if(true)
    }

    /// A filter that nothing passes may be the whole name of a task that is not among the rows that were fetched.
    fn open_typed(&mut self, tab: Tab, pool: String) -> Vec<Ask> {
        let id = self.here().listing().filter.clone();
        if tab != Tab::Tasks || id.is_empty() {
            return Vec::new();
        }
        self.enter(Place::Task { pool, id });
        self.look_if(true)
    }

    /// Clears the filter, or closes the screen.
    fn back(&mut self) -> Vec<Ask> {
        let listing = self.here_mut().listing_mut();
        if !listing.filter.is_empty() {
            listing.filter.clear();
            return Vec::new();
        }
        let is_closed = self.leave();
        self.look_if(is_closed)
    }
}
