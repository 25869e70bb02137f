//! The terminal as long as it is ours: it is given back at the end, after a panic, and after a signal.

use std::io::{self, Stdout};
use std::sync::mpsc::Sender;
use std::thread;

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{Event, read};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal};

use super::super::failure::Failure;
use super::super::signals::EndOrders;
use super::Input;
use super::keys::Key;
use super::sixteen::Sixteen;

/// The terminal in our hands; given back when it is dropped.
pub(super) struct Screen(Terminal<CrosstermBackend<Sixteen<Stdout>>>);

impl Screen {
    /// Takes it.
    pub(super) fn take() -> Result<Self, Failure> {
        restore_on_panic(give_back);
        let taken = enable_raw_mode().and_then(|()| execute!(io::stdout(), EnterAlternateScreen));
        let taken = taken.and_then(|()| Terminal::new(CrosstermBackend::new(Sixteen::new(io::stdout()))));
        taken.map(Self).map_err(|error| {
            give_back();
            Failure::Usage(format!(
                "this terminal can't be drawn on: {error}\n  what helps: --once prints one frame as plain text"
            ))
        })
    }

    /// Draws; what has not changed is not sent.
    pub(super) fn draw(&mut self, paint: impl FnOnce(&mut Frame<'_>)) -> Result<(), Failure> {
        self.0.draw(paint)?;
        Ok(())
    }

    /// Draws everything anew with the next frame.
    pub(super) fn wipe(&mut self) -> Result<(), Failure> {
        // Not `clear`: that asks the terminal where its cursor is, and the thread of the keys would take the answer.
        let size = self.0.size()?;
        Ok(self.0.resize(Rect::new(0, 0, size.width, size.height))?)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// As it was. Nothing can be done where that fails: the terminal is gone.
fn give_back() {
    disable_raw_mode().ok();
    execute!(io::stdout(), LeaveAlternateScreen, Show).ok();
}

/// A panic ends the process at once (`abort_on_panic`), so that nothing is dropped: its words come after this.
fn restore_on_panic(give_back: fn()) {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        give_back();
        report(panic);
    }));
}

/// Sends what comes from outside from now on: keys, a new size, orders to end.
pub(super) fn listen(out: &Sender<Input>) -> Result<(), Failure> {
    let orders = EndOrders::listen()?;
    let ends = out.clone();
    thread::Builder::new().name("top-end".to_owned()).spawn(move || {
        orders.wait();
        ends.send(Input::End).ok();
    })?;
    let keys = out.clone();
    thread::Builder::new().name("top-keys".to_owned()).spawn(move || {
        loop {
            let input = match read() {
                Ok(Event::Key(event)) => Key::of(&event).map(Input::Key),
                Ok(Event::Resize(..)) => Some(Input::Resized),
                Ok(Event::FocusGained | Event::FocusLost | Event::Mouse(_) | Event::Paste(_)) => None,
                // The terminal is gone.
                Err(_) => Some(Input::End),
            };
            let is_end = matches!(input, Some(Input::End));
            if input.is_some_and(|input| keys.send(input).is_err()) || is_end {
                return;
            }
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    thread_local! {
        /// A hook runs on the thread that panics: others have steps of their own.
        static STEPS: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
    }

    fn note(step: &'static str) {
        STEPS.with_borrow_mut(|steps| steps.push(step));
    }

    #[test]
    fn a_panic_is_reported_on_the_terminal_as_it_was() {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| note("report")));
        restore_on_panic(|| note("give back"));
        let fail: fn() = || panic!("the test says so");
        let caught = std::panic::catch_unwind(fail);
        std::panic::set_hook(usual);
        assert!(caught.is_err());
        STEPS.with_borrow(|steps| assert_eq!(steps[..], ["give back", "report"]));
    }
}
