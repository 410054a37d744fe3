//! Progress on standard error.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use msgvault_verifier::text::human_bytes;
use msgvault_verifier::{Observer, Phase};

use super::output::{Output, ProgressKind};

const REDRAW: Duration = Duration::from_millis(100);

/// Draws progress and passes on warnings; stops a run when its flag is set.
pub struct Progress<'a> {
    output: &'a Output,
    kind: ProgressKind,
    stop: &'a AtomicBool,
    state: Mutex<State>,
}

struct State {
    phase: Option<Phase>,
    total: u64,
    done: u64,
    began: Instant,
    drawn: Instant,
    line_open: bool,
}

impl<'a> Progress<'a> {
    /// Draws as the options of `output` say, and asks `stop` whether to go on.
    pub fn new(output: &'a Output, stop: &'a AtomicBool) -> Self {
        let kind = match output.args().progress {
            _ if output.args().quiet => ProgressKind::None,
            ProgressKind::Auto if io::stderr().is_terminal() => ProgressKind::Bar,
            ProgressKind::Auto => ProgressKind::None,
            chosen => chosen,
        };
        let now = Instant::now();
        let state = State { phase: None, total: 0, done: 0, began: now, drawn: now, line_open: false };
        Self { output, kind, stop, state: Mutex::new(state) }
    }

    /// Ends the line that a bar left open.
    pub fn finish(&self) {
        self.with(|state| self.close_line(state));
    }

    fn with(&self, change: impl FnOnce(&mut State)) {
        // A panic elsewhere must not silence the progress of the others.
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut state);
    }

    fn close_line(&self, state: &mut State) {
        match self.kind {
            ProgressKind::Bar if state.line_open => print("\r\u{1b}[K"),
            ProgressKind::Json if state.phase.is_some() => print_json(state),
            _ => {}
        }
        state.line_open = false;
    }

    fn draw(&self, state: &mut State) {
        let Some(phase) = state.phase else { return };
        match self.kind {
            ProgressKind::Bar => {
                print(&format!("\r\u{1b}[K{}", bar(phase, state)));
                state.line_open = true;
            }
            ProgressKind::Json => print_json(state),
            _ => {}
        }
    }
}

impl Observer for Progress<'_> {
    fn cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn begin(&self, phase: Phase, total: u64) {
        self.with(|state| {
            self.close_line(state);
            let now = Instant::now();
            *state = State { phase: Some(phase), total, done: 0, began: now, drawn: now, line_open: false };
            match self.kind {
                ProgressKind::Plain if total > 0 => {
                    print(&format!("{}: {}\n", phase.name(), human_bytes(total)));
                }
                ProgressKind::Plain => print(&format!("{}\n", phase.name())),
                _ => self.draw(state),
            }
        });
    }

    fn advance(&self, bytes: u64) {
        if matches!(self.kind, ProgressKind::None | ProgressKind::Plain) {
            return;
        }
        self.with(|state| {
            state.done = state.done.saturating_add(bytes);
            if state.drawn.elapsed() >= REDRAW {
                state.drawn = Instant::now();
                self.draw(state);
            }
        });
    }

    fn warn(&self, message: &str) {
        self.with(|state| {
            self.close_line(state);
            self.output.warn(message);
        });
    }
}

fn bar(phase: Phase, state: &State) -> String {
    let millis = state.began.elapsed().as_millis().max(1);
    let rate = u64::try_from(u128::from(state.done) * 1000 / millis).unwrap_or(u64::MAX);
    let mut line = format!("{} {}", phase.name(), human_bytes(state.done));
    if state.total > 0 {
        let percent = (u128::from(state.done) * 100 / u128::from(state.total)).min(100);
        let _ = write!(line, " of {} ({percent}%)", human_bytes(state.total));
    }
    if rate > 0 {
        let _ = write!(line, ", {}/s", human_bytes(rate));
        if let Some(left) = state.total.checked_sub(state.done).filter(|_| state.total > 0) {
            let _ = write!(line, ", {} s left", left / rate);
        }
    }
    line
}

fn print_json(state: &State) {
    let phase = state.phase.map_or("", Phase::name);
    print(&format!("{{\"phase\":\"{phase}\",\"done\":{},\"total\":{}}}\n", state.done, state.total));
}

fn print(text: &str) {
    // Progress that cannot be shown stops nothing.
    let mut error = io::stderr().lock();
    let _ = error.write_all(text.as_bytes()).and_then(|()| error.flush());
}
