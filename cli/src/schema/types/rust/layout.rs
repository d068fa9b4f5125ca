//! Where rustfmt breaks lines, for the few forms that generated code has: with `use_small_heuristics = "Max"`, only
//! where a line would be too long.

/// Columns of a line.
const WIDTH: usize = 110;

/// Whether a line has room.
fn fits(line: &str) -> bool {
    line.chars().count() <= WIDTH
}

/// `before` and `after`, on one line with `between` or `after` further in on a line of its own; ended. `free` columns
/// stay free behind it.
pub(super) fn broken(indent: usize, before: &str, between: &str, after: &str, free: usize) -> String {
    let line = format!("{:indent$}{before}{between}{after}", "");
    if fits(&format!("{line}{:free$}", "")) {
        return line + "\n";
    }
    format!("{:indent$}{before}\n{:further$}{after}\n", "", "", further = indent + 4)
}

/// `field: receiver.method()` as it stands in a struct's value, without its comma, for which there is room. For a `?`
/// rustfmt wants room for two more.
pub(super) fn member(indent: usize, field: &str, receiver: &str, call: &str) -> String {
    let free = if call.ends_with('?') { 3 } else { 1 };
    let first = format!("{field}: {receiver}");
    let lines = if fits(&format!("{:indent$}{first} ", "")) {
        broken(indent, &first, "", call, free)
    } else {
        broken(indent, &format!("{field}:"), " ", &format!("{receiver}{call}"), free)
    };
    lines.trim().to_owned()
}

/// A call of a method; where that is too long, the method on a line of its own; where that is, too, an argument a line.
pub(super) fn called(
    indent: usize,
    receiver: &str,
    method: &str,
    arguments: &[String],
    after: &str,
) -> String {
    let call = format!("{method}({}){after}", arguments.join(", "));
    let line = broken(indent, receiver, "", &call, 0);
    if line.lines().all(fits) {
        line
    } else {
        bracketed(indent, &format!("{receiver}{method}"), ("(", ")"), arguments, after)
    }
}

/// A line or, where that is too long, a line an item: `before(item, item)after`, ended.
pub(super) fn bracketed(
    indent: usize,
    before: &str,
    brackets: (&str, &str),
    items: &[String],
    after: &str,
) -> String {
    let (open, close) = brackets;
    let margin = " ".repeat(indent);
    let line = format!("{margin}{before}{open}{}{close}{after}", items.join(", "));
    if fits(&line) {
        return line + "\n";
    }
    let mut lines = format!("{margin}{before}{}\n", open.trim_end());
    for item in items {
        lines.extend([&margin, "    ", item, ",\n"]);
    }
    lines.extend([&margin, close.trim_start(), after, "\n"]);
    lines
}
