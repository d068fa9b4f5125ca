//! What the commands print for people: plain lines, coloured where the output is a terminal.

use std::io::IsTerminal;

use owo_colors::{OwoColorize, Style};

/// Whether standard output shows colours: it is a terminal and `NO_COLOR` is not set.
pub(crate) fn shows_colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A line of progress, led by the part that it is about.
pub(crate) fn say(part: &str, line: &str) {
    let part = format!("{part:>10}");
    println!("{}  {line}", styled(&part, Style::new().cyan().bold(), shows_colours()));
}

/// A line of trouble, led by the part that has it.
pub(crate) fn warn(part: &str, line: &str) {
    let part = format!("{part:>10}");
    println!("{}  {line}", styled(&part, Style::new().yellow().bold(), shows_colours()));
}

/// `text` in `style`, if colours are shown.
pub(crate) fn styled(text: &str, style: Style, colours: bool) -> String {
    if colours { text.style(style).to_string() } else { text.to_owned() }
}
