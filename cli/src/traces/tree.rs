//! A trace as text: each span below the one that it belongs to, with when it began and how long it took.

use std::collections::BTreeSet;

use super::TraceSpan;

/// How deep spans are indented at most: what nobody checks may have any shape.
const DEPTH_MAX: usize = 32;

/// The spans of a trace as a tree. Times are milliseconds since its beginning.
pub fn tree(spans: &[TraceSpan]) -> String {
    let begun_ns = spans.iter().map(|span| span.begun_ns).min().unwrap_or_default();
    let ended_ns = spans.iter().map(|span| span.ended_ns).max().unwrap_or_default();
    let ids: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    let mut text = format!(
        "trace {}: {} spans, {:.1} ms\n   begun    took\n",
        spans.first().map_or("", |span| span.trace_id.as_str()),
        spans.len(),
        ms(begun_ns, ended_ns),
    );
    let roots = spans.iter().filter(|span| !ids.contains(span.parent_id.as_str()));
    let mut left: Vec<(usize, &TraceSpan)> = in_order(roots).map(|span| (0, span)).collect();
    while let Some((depth, span)) = left.pop() {
        line(&mut text, span, depth, begun_ns);
        let below = spans.iter().filter(|other| other.parent_id == span.id && other.id != span.id);
        if depth < DEPTH_MAX {
            left.extend(in_order(below).map(|span| (depth + 1, span)));
        }
    }
    text
}

/// The last to begin first: a stack gives them back in order.
fn in_order<'a>(spans: impl Iterator<Item = &'a TraceSpan>) -> impl Iterator<Item = &'a TraceSpan> {
    let mut spans: Vec<_> = spans.collect();
    spans.sort_by_key(|span| (span.begun_ns, span.ended_ns));
    spans.into_iter().rev()
}

fn line(text: &mut String, span: &TraceSpan, depth: usize, begun_ns: u64) {
    let (begun, took) = (ms(begun_ns, span.begun_ns), ms(span.begun_ns, span.ended_ns));
    let name = format!("{}{}", "  ".repeat(depth), span.name);
    let failed = if span.failed { " FAILED" } else { "" };
    let service = span.service.strip_prefix("tidelog-").unwrap_or(&span.service);
    let attributes: Vec<_> = span.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let attributes = attributes.join(" ");
    let line = format!("{begun:>8.2}{took:>8.2}  {name:<36} {service:<9}{failed} {attributes}");
    text.push_str(line.trim_end());
    text.push('\n');
}

fn ms(from_ns: u64, to_ns: u64) -> f64 {
    to_ns.saturating_sub(from_ns) as f64 / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, parent: &str, begun_ms: u64, ended_ms: u64) -> TraceSpan {
        TraceSpan {
            trace_id: "0af7".to_owned(),
            id: id.to_owned(),
            parent_id: parent.to_owned(),
            service: "tidelog-ingest".to_owned(),
            name: format!("span-{id}"),
            kind: 1,
            begun_ns: begun_ms * 1_000_000,
            ended_ns: ended_ms * 1_000_000,
            failed: id == "d",
            attributes: [("key".to_owned(), id.to_owned())].into(),
        }
    }

    fn lines(spans: &[TraceSpan]) -> Vec<String> {
        tree(spans).lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn spans_stand_below_those_that_they_belong_to_in_the_order_in_which_they_began() {
        let spans = [
            span("d", "a", 1007, 1009),
            span("c", "b", 1003, 1004),
            span("b", "a", 1002, 1005),
            span("a", "away", 1000, 1010),
        ];
        assert_eq!(
            lines(&spans),
            [
                "trace 0af7: 4 spans, 10.0 ms",
                "begun took",
                "0.00 10.00 span-a ingest key=a",
                "2.00 3.00 span-b ingest key=b",
                "3.00 1.00 span-c ingest key=c",
                "7.00 2.00 span-d ingest FAILED key=d",
            ]
        );
        assert!(tree(&spans).contains("    span-c"), "indented by its depth");
    }

    #[test]
    fn nonsense_ends() {
        assert_eq!(lines(&[]), ["trace : 0 spans, 0.0 ms", "begun took"]);
        let own = [span("a", "a", 0, 1), span("b", "c", 0, 1), span("c", "b", 0, 1), span("d", "", 5, 0)];
        assert_eq!(lines(&own).last().unwrap(), "5.00 0.00 span-d ingest FAILED key=d");
    }
}
