//! The metrics of this process, which all its worlds share.

/// The value of a metric, its labels summed; 0 before it was first set. To be called once before anything is
/// counted: only then does the process count.
///
/// # Panics
/// When another recorder is installed.
pub fn metric(name: &str) -> f64 {
    let text = tidelog_runtime::metrics::install().expect("a recorder").render();
    text.lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}
