//! Where results and messages go: results to standard output, everything else to standard error.

use std::io::{self, IsTerminal, Write};

use clap::{Args, ValueEnum};
use msgvault_verifier::verify::Verdict;
use serde::Serialize;

use super::Exit;

/// Options on output that every command has.
#[derive(Debug, Clone, Args)]
pub struct OutputArgs {
    /// Print exactly one JSON document on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// How to show progress on standard error
    #[arg(long, global = true, value_enum, default_value_t = ProgressKind::Auto, value_name = "KIND")]
    pub progress: ProgressKind,
    /// Print nothing when all is well, and on standard error what is wrong
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say on standard error what is being done and why
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressKind {
    /// A bar on a terminal, nothing elsewhere
    Auto,
    /// One line that changes
    Bar,
    /// A line a phase
    Plain,
    /// A JSON object a line
    Json,
    /// Nothing
    None,
}

/// When colour is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The document of a command that has no result.
#[derive(Serialize)]
struct FailureDocument {
    error: Failed,
}

#[derive(Serialize)]
struct Failed {
    exit_code: u8,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Verdict>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<serde_json::Value>,
}

/// What was asked for is done, and nobody could be told.
#[derive(Debug, thiserror::Error)]
#[error("the work is done, but its report cannot be written to standard output: {0}")]
pub struct Unreported(#[from] io::Error);

/// The two streams of a program.
#[derive(Debug, Clone)]
pub struct Output {
    args: OutputArgs,
    program: &'static str,
    no_color: bool,
}

impl Output {
    /// `no_color` says whether the environment forbids colour.
    pub fn new(program: &'static str, args: OutputArgs, no_color: bool) -> Self {
        Self { args, program, no_color }
    }

    /// The options.
    pub fn args(&self) -> &OutputArgs {
        &self.args
    }

    /// Prints the result of a run that went well: the document with `--json`, else the text, unless quiet.
    pub fn result<T: Serialize>(
        &self,
        document: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Unreported> {
        if self.args.quiet && !self.args.json {
            return Ok(());
        }
        self.print(document, text)
    }

    /// Prints the result of a run that found something wrong. Quiet, it is told on standard error instead: `wrong`
    /// is a sentence, and then the particulars, line by line.
    pub fn problems<T: Serialize>(
        &self,
        document: &T,
        text: impl FnOnce() -> String,
        wrong: impl FnOnce() -> Vec<String>,
    ) -> Result<(), Unreported> {
        if self.args.quiet {
            self.complain(&wrong());
        }
        self.result(document, text)
    }

    /// A sentence after the program's name, and particulars below it.
    fn complain(&self, lines: &[String]) {
        let Some((sentence, particulars)) = lines.split_first() else { return };
        line(&format!("{}: {}", self.program, msgvault_verifier::text::escape(sentence)));
        for particular in particulars {
            line(&format!("  {}", msgvault_verifier::text::escape(particular)));
        }
    }

    /// A reader that went away ends it quietly.
    fn print<T: Serialize>(&self, document: &T, text: impl FnOnce() -> String) -> Result<(), Unreported> {
        let mut out = io::stdout().lock();
        let printed = if self.args.json {
            serde_json::to_string_pretty(document)
                .map_err(io::Error::from)
                .and_then(|json| writeln!(out, "{}", msgvault_verifier::text::escape_json(&json)))
        } else {
            writeln!(out, "{}", text())
        };
        match printed.and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }

    /// Tells why there is no result: a line on standard error, and the document of a failure with `--json`.
    pub fn failure(&self, exit: Exit, error: &dyn std::fmt::Display) -> Exit {
        self.failure_of::<&str>(exit, error, None, &[])
    }

    /// [`Output::failure`] with a verdict on the snapshot, or about several attachments: each on a line, and in the
    /// document.
    pub fn failure_of<T: Serialize + std::fmt::Display>(
        &self,
        exit: Exit,
        error: &dyn std::fmt::Display,
        verdict: Option<Verdict>,
        attachments: &[T],
    ) -> Exit {
        let message = error.to_string();
        let mut lines = vec![message.clone()];
        if attachments.len() > 1 {
            lines.extend(attachments.iter().map(ToString::to_string));
        }
        self.complain(&lines);
        // They are plain texts and numbers, which always become JSON.
        let attachments = attachments.iter().filter_map(|one| serde_json::to_value(one).ok()).collect();
        self.print_failure(Failed { exit_code: exit.code(), message, verdict, attachments });
        exit
    }

    /// Prints the document of a failure that standard error has been told of, with `--json`.
    pub(crate) fn failure_document(&self, exit: Exit, message: String) {
        self.print_failure(Failed {
            exit_code: exit.code(),
            message,
            verdict: None,
            attachments: Vec::new(),
        });
    }

    fn print_failure(&self, error: Failed) {
        if self.args.json {
            let document = FailureDocument { error };
            // What cannot be printed was said already.
            let _ = self.print(&document, String::new);
        }
    }

    /// The name that begins every line on standard error.
    pub(crate) fn program(&self) -> &'static str {
        self.program
    }

    /// Prints a warning, unless quiet.
    pub fn warn(&self, message: &str) {
        if !self.args.quiet {
            line(&format!("{}: warning: {}", self.program, msgvault_verifier::text::escape(message)));
        }
    }

    /// Says what is being done and why, if `--verbose` asks for it.
    pub fn explain(&self, message: &str) {
        if self.explains() {
            line(&format!("{}: {}", self.program, msgvault_verifier::text::escape(message)));
        }
    }

    /// Whether `--verbose` asks for explanations.
    pub fn explains(&self) -> bool {
        self.args.verbose && !self.args.quiet
    }

    /// Wraps a text of the result in a colour, where colour is used.
    pub fn colored(&self, text: &str, good: bool) -> String {
        let used = match self.args.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => !self.no_color && io::stdout().is_terminal(),
        };
        let code = if good { 32 } else { 31 };
        if used { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

pub(crate) fn line(text: &str) {
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
