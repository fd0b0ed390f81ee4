//! Histograms that keep nothing.
//!
//! openraft counts batches and budgets in histograms of the crate `base2histogram`, which only its feature `runtime-stats` can show; Shoal does
//! not enable it. But the first histogram makes that crate's tables for all its resolutions, 27 MB that stay as long as the process
//! (`LOG_SCALES` of base2histogram 0.2.3), on boxes that have two gigabytes for Kubernetes. This crate has as much of its interface as openraft
//! needs to be compiled, and forgets what it is told. What openraft decides does not depend on it.
//!
//! With another openraft this either compiles or is no longer needed.

use std::{fmt, marker::PhantomData};

/// Records values and forgets them. `T` is what the original attaches to a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Histogram<T = ()>(PhantomData<T>);

impl<T> Histogram<T> {
    /// An empty histogram, which it remains.
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }

    /// Forgets a value.
    pub const fn record(&mut self, _value: u64) {}

    /// Forgets a value that came `_count` times.
    pub const fn record_n(&mut self, _value: u64, _count: u64) {}

    /// Statistics of nothing.
    #[must_use]
    pub const fn percentile_stats(&self) -> PercentileStats {
        PercentileStats { samples: 0, p0_1: 0, p1: 0, p5: 0, p10: 0, p50: 0, p90: 0, p99: 0, p99_9: 0 }
    }
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// What a histogram says: the number of values, and percentiles of them.
#[expect(missing_docs, reason = "p0_1 is the 0.1th percentile, and so on")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PercentileStats {
    pub samples: u64,
    pub p0_1: u64,
    pub p1: u64,
    pub p5: u64,
    pub p10: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[not kept]")
    }
}

/// A chart of nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct AsciiChart;

impl AsciiChart {
    /// An empty chart, which it remains.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }

    /// Leaves the chart as it is.
    #[must_use]
    pub fn add<T>(self, _name: impl ToString, _histogram: Histogram<T>) -> Self {
        self
    }
}

impl fmt::Display for AsciiChart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("not kept")
    }
}
