//! What is measured, and what pairs of measurements say.
//!
//! The disk and the processors of a shared machine change by the minute, so two servers are only compared with what was measured right before or
//! after: a ratio is taken for each pair, and the median of the ratios is told with the least and the greatest.

/// One thing that a case measures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// What it is, as a row of the table: "puts, 1,000 clients".
    pub name: &'static str,
    /// What it is counted in: "1/s", "ms", "MiB".
    pub unit: &'static str,
    /// What it should be.
    pub aim: Option<Aim>,
}

/// What a figure should be. Ratios are Shoal's figure divided by etcd's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aim {
    /// The ratio is at least this.
    RatioAtLeast(f64),
    /// The ratio is at most this.
    RatioAtMost(f64),
    /// Shoal's own figure is at most this, in the figure's unit.
    AtMost(f64),
}

/// The same figure of both servers, measured one right after the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Of etcd.
    pub etcd: f64,
    /// Of the store of Shoal.
    pub shoal: f64,
}

/// What the pairs of a figure say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// What was measured.
    pub figure: Figure,
    /// Median of etcd.
    pub etcd: f64,
    /// Median of the store of Shoal.
    pub shoal: f64,
    /// Median of the ratios, Shoal's divided by etcd's.
    pub ratio: f64,
    /// The least and the greatest ratio.
    pub spread: (f64, f64),
    /// How many pairs there are.
    pub pairs: usize,
}

impl Row {
    /// What `pairs` say of `figure`; `None` if there are none.
    pub fn new(figure: Figure, pairs: &[Pair]) -> Option<Self> {
        let mut ratios: Vec<f64> = pairs.iter().map(|pair| pair.shoal / pair.etcd).collect();
        ratios.sort_by(f64::total_cmp);
        Some(Self {
            figure,
            etcd: median(pairs.iter().map(|pair| pair.etcd))?,
            shoal: median(pairs.iter().map(|pair| pair.shoal))?,
            ratio: median(ratios.iter().copied())?,
            spread: (*ratios.first()?, *ratios.last()?),
            pairs: pairs.len(),
        })
    }

    /// Whether the aim is met; `None` if there is none.
    pub fn meets_aim(&self) -> Option<bool> {
        Some(match self.figure.aim? {
            Aim::RatioAtLeast(least) => self.ratio >= least,
            Aim::RatioAtMost(most) => self.ratio <= most,
            Aim::AtMost(most) => self.shoal <= most,
        })
    }
}

/// The middle of the values, or the mean of the two in the middle; `None` of nothing.
pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    Some(if values.len() % 2 == 1 { upper } else { values[values.len() / 2 - 1].midpoint(upper) })
}

/// The value that a part of the values is not above: 0.99 for the 99th percentile, by nearest rank. `None` of nothing.
pub fn quantile(values: impl Iterator<Item = f64>, part: f64) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * part).ceil() as usize;
    values.get(rank.saturating_sub(1).min(values.len().saturating_sub(1))).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(aim: Option<Aim>, pairs: &[(f64, f64)]) -> Row {
        let pairs: Vec<Pair> = pairs.iter().map(|&(etcd, shoal)| Pair { etcd, shoal }).collect();
        Row::new(Figure { name: "puts", unit: "1/s", aim }, &pairs).expect("there are pairs")
    }

    #[test]
    fn a_slow_minute_of_the_disk_does_not_change_the_ratio() {
        // The second pair was measured while both were ten times slower.
        let row = row(None, &[(100.0, 200.0), (10.0, 20.0), (100.0, 210.0)]);
        assert_eq!((row.etcd, row.shoal, row.ratio, row.spread), (100.0, 200.0, 2.0, (2.0, 2.1)));
    }

    #[test]
    fn aims_hold_at_their_very_edge_and_not_beyond() {
        for (aim, pair, met) in [
            (Aim::RatioAtLeast(1.5), (2.0, 3.0), true),
            (Aim::RatioAtLeast(1.5), (2.0, 2.9), false),
            (Aim::RatioAtMost(0.5), (2.0, 1.0), true),
            (Aim::RatioAtMost(0.5), (2.0, 1.1), false),
            (Aim::AtMost(2.0), (9.0, 2.0), true),
            (Aim::AtMost(2.0), (1.0, 2.1), false),
        ] {
            assert_eq!(row(Some(aim), &[pair]).meets_aim(), Some(met), "{aim:?} {pair:?}");
        }
        assert_eq!(row(None, &[(1.0, 1.0)]).meets_aim(), None);
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_in_the_middle() {
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[test]
    fn a_quantile_is_a_value_that_was_measured() {
        let values = || (1..=100).rev().map(f64::from);
        assert_eq!(quantile(values(), 0.5), Some(50.0));
        assert_eq!(quantile(values(), 0.99), Some(99.0));
        assert_eq!(quantile(values(), 1.0), Some(100.0));
        assert_eq!(quantile(values(), 0.0), Some(1.0));
        assert_eq!(quantile(std::iter::empty(), 0.5), None);
    }

    #[test]
    fn nothing_measured_is_no_row() {
        assert_eq!(Row::new(Figure { name: "puts", unit: "1/s", aim: None }, &[]), None);
    }
}
