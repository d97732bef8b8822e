//! Where words go: answers on stdout, everything else on stderr. With `--json` stdout holds JSON and nothing else.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use console::{Style, Term, measure_text_width};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::failure::{Exit, Failure, Result};

/// When to use colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    Always,
    Never,
}

impl Color {
    fn wanted(self, stream_is_terminal: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
                !set("NO_COLOR") && (stream_is_terminal || set("CLICOLOR_FORCE"))
            }
        }
    }
}

/// What a word means; colour only underlines it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tone {
    Good,
    Bad,
    Busy,
    Quiet,
    Strong,
}

/// The two streams, and how to write on them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    stdout_colors: bool,
    stderr_colors: bool,
}

impl Output {
    pub(crate) fn new(json: bool, quiet: bool, color: Color) -> Self {
        Self {
            json,
            quiet,
            stdout_colors: !json && color.wanted(io::stdout().is_terminal()),
            stderr_colors: color.wanted(io::stderr().is_terminal()),
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// The answer as JSON: the one value of a command, or one line of a stream.
    pub(crate) fn value(&self, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(value).map_err(|error| {
            Failure::caused(Exit::Local, "cannot write the answer as JSON", &error)
        })?;
        self.raw(format!("{text}\n").as_bytes())
    }

    /// The answer for people, a line of it.
    pub(crate) fn line(&self, text: impl Display) -> Result<()> {
        self.raw(format!("{text}\n").as_bytes())
    }

    /// Bytes on stdout. A reader that has gone away, such as `head`, ends the program in silence.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<()> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                Err(Failure::new(Exit::ReaderGone, "nobody reads stdout any more"))
            }
            Err(error) => {
                Err(Failure::new(Exit::Local, format!("cannot write to stdout: {error}")))
            }
        }
    }

    /// Bytes on stderr.
    pub(crate) fn raw_err(&self, bytes: &[u8]) {
        let _ = io::stderr().lock().write_all(bytes);
    }

    /// Name and value of each row, aligned.
    pub(crate) fn pairs(&self, rows: &[(&str, String)]) -> Result<()> {
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in rows {
            self.line(format!("{} {value}", self.paint(Tone::Quiet, format!("{name:<width$} "))))?;
        }
        Ok(())
    }

    /// A table; the columns in `numbers` are aligned to the right.
    pub(crate) fn table(
        &self,
        headers: &[&str],
        numbers: &[usize],
        rows: &[Vec<String>],
    ) -> Result<()> {
        let headers: Vec<String> = headers.iter().map(|header| header.to_uppercase()).collect();
        let widths: Vec<usize> = (0..headers.len())
            .map(|column| {
                let cells = std::iter::once(&headers).chain(rows).filter_map(|row| row.get(column));
                cells.map(|cell| measure_text_width(cell)).max().unwrap_or(0)
            })
            .collect();
        let line = |row: &[String]| {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                let padding = " ".repeat(width - measure_text_width(cell));
                if numbers.contains(&column) { padding + cell } else { cell.clone() + &padding }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.line(self.paint(Tone::Quiet, line(&headers)))?;
        rows.iter().try_for_each(|row| self.line(line(row)))
    }

    /// What is happening, for whoever watches.
    pub(crate) fn note(&self, text: impl Display) {
        if !self.quiet {
            eprintln_quietly(&text.to_string());
        }
    }

    /// What to do next.
    pub(crate) fn hint(&self, text: impl Display) {
        if !self.quiet {
            eprintln_quietly(&format!("{} {text}", self.paint_err(Tone::Busy, "hint:")));
        }
    }

    /// What may go wrong. Said even with `--quiet`.
    pub(crate) fn warn(&self, text: impl Display) {
        eprintln_quietly(&format!("{} {text}", self.paint_err(Tone::Bad, "warning:")));
    }

    pub(crate) fn failure(&self, failure: &Failure) {
        if self.json {
            let body = serde_json::json!({ "error": {
                "code": failure.exit.code(),
                "exit": failure.exit as u8,
                "message": failure.message,
                "hint": failure.hint,
                "job": failure.job,
                "problem": failure.problem,
            }});
            eprintln_quietly(&body.to_string());
            return;
        }
        eprintln_quietly(&format!("{} {}", self.paint_err(Tone::Bad, "error:"), failure.message));
        if let Some(job) = failure.job {
            eprintln_quietly(&format!("  job {job}"));
        }
        if let Some(hint) = &failure.hint {
            eprintln_quietly(&format!("{} {hint}", self.paint_err(Tone::Busy, "hint:")));
        }
    }

    /// A bar on a terminal, nothing elsewhere.
    pub(crate) fn bar(&self, total_bytes: u64, what: &str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(total_bytes), self.draw_target());
        let style =
            ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what.to_owned());
        bar
    }

    fn draw_target(&self) -> ProgressDrawTarget {
        if self.quiet || self.json || !io::stderr().is_terminal() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        }
    }

    /// Asks before something that cannot be undone. `yes` is the answer given beforehand.
    pub(crate) fn confirm(&self, question: &str, yes: bool) -> Result<()> {
        if yes {
            return Ok(());
        }
        let term = Term::stderr();
        if !term.is_term() || !io::stdin().is_terminal() {
            return Err(Failure::usage(format!("{question} Nobody can answer here"))
                .hint("add --yes to go on without the question"));
        }
        let ask = || -> io::Result<String> {
            term.write_str(&format!("{question} [y/N] "))?;
            term.read_line()
        };
        match ask() {
            Ok(answer) if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
            Ok(_) => Err(Failure::usage("you said no; nothing was sent")),
            Err(error) => {
                Err(Failure::new(Exit::Local, format!("cannot read the answer: {error}")))
            }
        }
    }

    /// Colours a word on stdout.
    pub(crate) fn paint(&self, tone: Tone, text: impl Display) -> String {
        paint(self.stdout_colors, tone, &text.to_string())
    }

    /// Colours a word on stderr.
    pub(crate) fn paint_err(&self, tone: Tone, text: impl Display) -> String {
        paint(self.stderr_colors, tone, &text.to_string())
    }
}

fn paint(colors: bool, tone: Tone, text: &str) -> String {
    if !colors {
        return text.to_owned();
    }
    let style = Style::new().force_styling(true);
    let style = match tone {
        Tone::Good => style.green(),
        Tone::Bad => style.red(),
        Tone::Busy => style.cyan(),
        Tone::Quiet => style.dim(),
        Tone::Strong => style.bold(),
    };
    style.apply_to(text).to_string()
}

/// Writes to stderr; that it may be closed is no reason to fail.
fn eprintln_quietly(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A stranger's words on one line, without anything that a terminal would obey.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_cannot_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\nc\u{9b}d"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d");
    }

    #[test]
    fn without_colours_there_are_no_escapes() {
        let output = Output::new(true, false, Color::Always);
        assert_eq!(output.paint(Tone::Bad, "refunded"), "refunded");
    }
}
