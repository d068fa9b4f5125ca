//! The metrics of this process, which all its worlds share.

/// The value of a metric, its labels summed; 0 before it was first set. To be called once before anything is
/// counted: only then does the process count.
///
/// # Panics
/// When another recorder is installed.
pub fn metric(name: &str) -> f64 {
    metric_of(name, &[])
}

/// The same of those series alone whose labels have these values.
///
/// # Panics
/// When another recorder is installed.
pub fn metric_of(name: &str, labels: &[(&str, &str)]) -> f64 {
    let text = tidelog_runtime::metrics::install().expect("a recorder").render();
    let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    text.lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])))
        .filter(|line| labels.iter().all(|label| line.contains(label.as_str())))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}
