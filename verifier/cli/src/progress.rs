//! Progress on standard error.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use msgvault_verifier::text::human_bytes;
use msgvault_verifier::{Observer, Phase};

use super::output::{Output, ProgressKind, line};
use super::rate::{Rate, time_for};

const REDRAW: Duration = Duration::from_millis(100);

/// Clears what a bar shows. The cursor rests at the start of its line, where it stays when a terminal that
/// becomes narrower breaks the line in two, so that all of it goes.
const CLEAR: &str = "\r\u{1b}[J";
/// A line longer than the terminal is wide is cut off there; if it went on in the next one, it would stay.
const NO_WRAP: &str = "\u{1b}[?7l";
const WRAP: &str = "\u{1b}[?7h";

/// Draws progress and passes on warnings; stops a run when its flag is set.
pub struct Progress<'a> {
    output: &'a Output,
    kind: ProgressKind,
    stop: &'a AtomicBool,
    began: Instant,
    /// Bytes of the phase. Workers count without waiting for who draws.
    done: AtomicU64,
    state: Mutex<State>,
}

struct State {
    phase: Option<Phase>,
    total: u64,
    rate: Rate,
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
        let state = State { phase: None, total: 0, rate: Rate::new(now), drawn: now, line_open: false };
        Self { output, kind, stop, began: now, done: AtomicU64::new(0), state: Mutex::new(state) }
    }

    /// Says how far the run is, however progress is shown otherwise.
    pub fn tell(&self) {
        self.with(|state| {
            if self.kind == ProgressKind::Json {
                return self.print_json(state);
            }
            self.close_line(state);
            let phase = match state.phase {
                Some(phase) => {
                    bar(phase, self.done(), state.total, state.rate.update(Instant::now(), self.done()))
                }
                None => "begins".to_owned(),
            };
            let so_far = time_for(self.began.elapsed().as_secs(), 1);
            line(&format!("{}: {phase}; {so_far} so far", self.output.program()));
        });
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
            ProgressKind::Bar if state.line_open => print(CLEAR),
            ProgressKind::Json => self.print_json(state),
            _ => {}
        }
        state.line_open = false;
    }

    fn draw(&self, state: &mut State) {
        let Some(phase) = state.phase else { return };
        match self.kind {
            ProgressKind::Bar => {
                let done = self.done();
                let line = bar(phase, done, state.total, state.rate.update(Instant::now(), done));
                // All at once, so that nothing else on the terminal finds it without wrapping.
                print(&format!("{CLEAR}{NO_WRAP}{line}{WRAP}\r"));
                state.line_open = true;
            }
            ProgressKind::Json => self.print_json(state),
            _ => {}
        }
    }

    fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    fn print_json(&self, state: &State) {
        if let Some(phase) = state.phase {
            let (phase, done, total) = (phase.name(), self.done(), state.total);
            print(&format!("{{\"phase\":\"{phase}\",\"done\":{done},\"total\":{total}}}\n"));
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
            let rate = Rate::new(now);
            *state = State { phase: Some(phase), total, rate, drawn: now, line_open: false };
            self.done.store(0, Ordering::Relaxed);
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
        self.done.fetch_add(bytes, Ordering::Relaxed);
        if matches!(self.kind, ProgressKind::None | ProgressKind::Plain) {
            return;
        }
        self.with(|state| {
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

    fn explain(&self, message: &str) {
        if self.output.explains() {
            self.with(|state| {
                self.close_line(state);
                self.output.explain(message);
            });
        }
    }
}

/// What matters most comes first, since a narrow terminal cuts off the end.
fn bar(phase: Phase, done: u64, total: u64, rate: Option<u64>) -> String {
    let mut line = format!("{} {}", phase.name(), human_bytes(done));
    if total > 0 {
        let percent = (u128::from(done) * 100 / u128::from(total)).min(100);
        let _ = write!(line, " of {} ({percent}%)", human_bytes(total));
    }
    if let Some(rate) = rate {
        if let Some(left) = total.checked_sub(done).filter(|left| *left > 0) {
            let _ = write!(line, ", {} left", time_for(left, rate));
        }
        let _ = write!(line, ", {}/s", human_bytes(rate));
    }
    line
}

fn print(text: &str) {
    // Progress that cannot be shown stops nothing.
    let mut error = io::stderr().lock();
    let _ = error.write_all(text.as_bytes()).and_then(|()| error.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_says_how_far_how_long_and_how_fast() {
        const MIB: u64 = 1 << 20;
        let table = [
            (0, 0, None, "verify 0 B"),
            (3 * MIB, 0, Some(MIB), "verify 3.0 MiB, 1.0 MiB/s"),
            (0, 400 * MIB, None, "verify 0 B of 400.0 MiB (0%)"),
            (
                140 * MIB,
                400 * MIB,
                Some(2 * MIB),
                "verify 140.0 MiB of 400.0 MiB (35%), 2 min 10 s left, 2.0 MiB/s",
            ),
            (400 * MIB, 400 * MIB, Some(MIB), "verify 400.0 MiB of 400.0 MiB (100%), 1.0 MiB/s"),
            (500 * MIB, 400 * MIB, Some(MIB), "verify 500.0 MiB of 400.0 MiB (100%), 1.0 MiB/s"),
        ];
        for (done, total, rate, expected) in table {
            assert_eq!(bar(Phase::new("verify"), done, total, rate), expected);
        }
    }
}
