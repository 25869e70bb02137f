//! `yardmaster top`: what the grid does, live in a terminal.
//!
//! ```text
//! keys, sizes, signals ─┐
//! answers of servers ───┴─> Input -> Model -> draw      one thread, which never waits for a server
//!                                      └────> Ask ────> fetch: asks again and again, sends orders
//! ```
//!
//! **Invariant:** the model and the drawing do no IO and read no clock; `fetch` is the only one that speaks to servers.

mod draw;
mod draw_head;
mod draw_over;
mod draw_report;
mod draw_sheet;
mod fetch;
mod keys;
mod level;
mod look;
mod model;
mod once;
mod orders;
mod paint;
mod place;
mod press;
mod rates;
mod shapes;
mod sheet;
mod sheet_grid;
mod sheet_pool;
mod sheet_tasks;
mod sixteen;
mod terminal;
#[cfg(test)]
mod tests;
mod words;

use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use clap::Args;

use super::client::{Client, ServerArgs};
use super::failure::{Failure, Outcome};
use super::wait;
use keys::Key;
use model::{Ask, Model, News, Notice};
use paint::Paint;
use terminal::Screen;
use words::Glyphs;

/// How long a server may be silent before it counts as not there.
const SILENCE_MAX: Duration = Duration::from_secs(8);

const EXAMPLES: &str = "\
Examples:
  yardmaster top                                  all pools
  yardmaster top --pool risk --interval 0.5       one pool, twice a second
  yardmaster top --once --pool risk               one frame as plain text, for scripts

Keys: arrows and Enter drill down (pool, queue or job or worker, task), Esc goes back, / filters, s sorts, c cancels,
r requeues, d drains (each asks first), ? shows all keys, q quits.";

/// `yardmaster top`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerArgs,
    /// Begin in this pool; without it all pools are shown.
    #[arg(long, env = "YARDMASTER_POOL")]
    pool: Option<String>,
    /// Look again after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = wait::seconds, allow_negative_numbers = true)]
    interval: Duration,
    /// Print one frame as plain text and end; for scripts, and where there is no terminal.
    #[arg(long)]
    once: bool,
}

/// What happens to the view.
enum Input {
    /// A key.
    Key(Key),
    /// The terminal has another size.
    Resized,
    /// An answer.
    News(Box<News>),
    /// What became of an order.
    Told(Notice),
    /// A signal, or the terminal is gone.
    End,
}

/// Runs it.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let client = Client::new(&arguments.server)?.with_patience(SILENCE_MAX);
    let interval = u64::try_from(arguments.interval.as_millis()).unwrap_or(u64::MAX);
    let paint = Paint {
        has_colours: !arguments.once && std::env::var_os("NO_COLOR").is_none(),
        glyphs: Glyphs::of_locale(&locale()),
        url: client.url().to_owned(),
        interval: words::span(interval),
    };
    let model = Model::new(arguments.pool.as_deref(), paint.glyphs);
    if arguments.once {
        return once::print(&client, model, &paint);
    }
    if !std::io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "`top` draws on a terminal, and stdout is none\n  what helps: --once prints one frame as plain text; \
             `pool list --json` and the others print data"
                .to_owned(),
        ));
    }
    let (sender, inputs) = channel();
    // Before any thread of ours could end the process with the terminal in our hands.
    let mut screen = Screen::take()?;
    terminal::listen(&sender)?;
    let asks = fetch::start(client, arguments.interval, model.wanted(), sender)?;
    let send = |ask: Ask| {
        // The thread is there as long as we are.
        asks.send(ask).ok();
    };
    show(&mut screen, model, &paint, &inputs, send)
}

/// The locale's name, as programs look for it.
fn locale() -> String {
    let names = ["LC_ALL", "LC_CTYPE", "LANG"];
    let set = names.iter().filter_map(|name| std::env::var(name).ok());
    set.into_iter().find(|value| !value.is_empty()).unwrap_or_default()
}

/// Draws after each bundle of inputs, until the end.
fn show(
    screen: &mut Screen,
    mut model: Model,
    paint: &Paint,
    inputs: &Receiver<Input>,
    send: impl Fn(Ask),
) -> Outcome {
    loop {
        screen.draw(|frame| {
            let area = frame.area();
            model.page = usize::from(area.height.saturating_sub(8)).max(1);
            draw::draw(&model, paint, area, frame.buffer_mut());
        })?;
        let Ok(first) = inputs.recv() else {
            return Ok(());
        };
        let mut next = Some(first);
        while let Some(input) = next {
            match input {
                Input::Key(key) => {
                    for ask in model.press(key) {
                        if ask == Ask::Quit {
                            return Ok(());
                        }
                        send(ask);
                    }
                }
                Input::Resized => screen.wipe()?,
                Input::News(news) => model.learn(*news),
                Input::Told(notice) => model.tell(notice),
                Input::End => return Ok(()),
            }
            // What came meanwhile is drawn together: a key that is held down does not pile up frames.
            next = inputs.try_recv().ok();
        }
    }
}
