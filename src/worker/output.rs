//! Reads what a program prints while it runs.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::control::Control;
use super::log_file::{LogEnding, LogFile};
use super::tail::Capture;

/// A program that ended can have left its pipe to somebody else: this long is waited for the rest.
pub(crate) const REST_TIMEOUT: Duration = Duration::from_secs(1);
/// A pipe that nobody wants to read any more is closed after this at the latest.
const LOOK_INTERVAL_MS: u16 = 1_000;

/// One stream of a program, being read.
#[derive(Debug)]
pub(crate) struct Reading {
    shared: Arc<Shared>,
    log: Option<LogEnding>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    capture: Capture,
    is_read: bool,
    is_given_up: bool,
}

impl Reading {
    /// Reads on a thread of its own until the end, and wakes `control` then.
    pub(crate) fn start(
        stream: Option<impl Read + AsFd + Send + 'static>,
        capture: Capture,
        log: Option<LogFile>,
        control: Control,
    ) -> io::Result<Self> {
        let state = State { capture, is_read: false, is_given_up: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let ending = log.as_ref().map(LogFile::ending);
        let read = move || {
            if let Some(stream) = stream {
                theirs.read_all(stream, log.as_ref());
            }
            control.wake();
        };
        thread::Builder::new().name("task-output".to_owned()).stack_size(128 * 1024).spawn(read)?;
        Ok(Self { shared, log: ending })
    }

    /// Whether everybody who could write has closed it.
    pub(crate) fn is_read(&self) -> bool {
        self.shared.lock().is_read
    }

    /// Waits for the end of the stream, though not for long, and looks at what came and whether that is all of it.
    pub(crate) fn finish<T>(self, look: impl FnOnce(&Capture, bool) -> T) -> T {
        let deadline = Instant::now() + REST_TIMEOUT;
        let seen = {
            let (mut state, _) = self
                .shared
                .changed
                .wait_timeout_while(self.shared.lock(), REST_TIMEOUT, |state| !state.is_read)
                .unwrap_or_else(PoisonError::into_inner);
            state.is_given_up = true;
            look(&state.capture, state.is_read)
        };
        if let Some(log) = self.log {
            log.wait(deadline);
        }
        seen
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_all(&self, mut stream: impl Read + AsFd, log: Option<&LogFile>) {
        let mut buffer = [0_u8; 16 * 1024];
        loop {
            if !self.await_bytes(&stream) {
                return;
            }
            match stream.read(&mut buffer) {
                Ok(count @ 1..) => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    self.lock().capture.push(bytes);
                    if let Some(log) = log {
                        log.write(bytes);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => {
                    self.lock().is_read = true;
                    self.changed.notify_all();
                    return;
                }
            }
        }
    }

    /// False when nobody waits for more: somebody outside of the program's group may hold the pipe for ever.
    fn await_bytes(&self, stream: &impl AsFd) -> bool {
        loop {
            let mut wanted = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
            match poll(&mut wanted, PollTimeout::from(LOOK_INTERVAL_MS)) {
                Ok(0) if self.lock().is_given_up => return false,
                Ok(0) | Err(nix::errno::Errno::EINTR) => {}
                Ok(_) | Err(_) => return true,
            }
        }
    }
}
