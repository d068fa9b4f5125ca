//! Latencies, kept one by one: microseconds of which any quantile is exact.

use std::time::Duration;

use serde::Serialize;

/// Some latencies.
#[derive(Debug, Clone, Default)]
pub(super) struct Latencies {
    micros: Vec<u32>,
}

/// The quantiles that are reported, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Quantiles {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

impl Latencies {
    /// Adds one.
    pub(super) fn add(&mut self, latency: Duration) {
        self.micros.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    /// Adds another's.
    pub(super) fn extend(&mut self, others: Self) {
        self.micros.extend(others.micros);
    }

    /// `None` where there are none.
    pub(super) fn quantiles(&self) -> Option<Quantiles> {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        // The nearest rank: the least latency that so many are not above.
        let at = |share: f64| {
            f64::from(sorted[((share * sorted.len() as f64).ceil() as usize).clamp(1, last + 1) - 1])
        };
        Some(Quantiles { p50: at(0.5) / 1000.0, p99: at(0.99) / 1000.0, max: at(1.0) / 1000.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_by_nearest_rank_and_none_without_latencies() {
        let of = |millis: &[u64]| {
            let mut latencies = Latencies::default();
            for ms in millis {
                latencies.add(Duration::from_millis(*ms));
            }
            latencies.quantiles()
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[3]), Some(Quantiles { p50: 3.0, p99: 3.0, max: 3.0 }));
        let hundred: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(of(&hundred), Some(Quantiles { p50: 50.0, p99: 99.0, max: 100.0 }));
    }
}
