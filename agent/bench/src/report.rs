//! What etcd's benchmark client prints: one summary for each kind of request.
//!
//! It is run with `--precise`, so that seconds have all their digits.

/// A summary of requests of one kind.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Summary {
    /// Requests a second.
    pub rate: f64,
    /// Mean latency in seconds.
    pub average: f64,
    /// Latency in seconds by percentile (50.0, 99.9), in rising order. The client leaves out those that are zero.
    pub percentiles: Vec<(f64, f64)>,
    /// Requests that failed.
    pub errors: u64,
}

impl Summary {
    /// The latency of a percentile in seconds; zero if the client left it out.
    pub fn percentile(&self, percentile: f64) -> f64 {
        self.percentiles.iter().find(|(known, _)| *known == percentile).map_or(0.0, |(_, seconds)| *seconds)
    }
}

/// All summaries in the output, in its order.
///
/// A client that failed in all requests of a kind prints no summary of it, but errors; they count for the summary before, or stand alone.
pub fn parse(output: &str) -> Vec<Summary> {
    let mut summaries: Vec<Summary> = Vec::new();
    for line in output.lines().map(str::trim) {
        if line == "Summary:" {
            summaries.push(Summary::default());
        } else if let Some((errors, _)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            if summaries.is_empty() {
                summaries.push(Summary::default());
            }
            if let (Some(last), Ok(errors)) = (summaries.last_mut(), errors.parse::<u64>()) {
                last.errors += errors;
            }
        } else if let Some(last) = summaries.last_mut() {
            value(line, last);
        }
    }
    summaries
}

fn value(line: &str, summary: &mut Summary) {
    if let Some(rate) = line.strip_prefix("Requests/sec:").and_then(|rest| rest.trim().parse().ok()) {
        summary.rate = rate;
    } else if let Some(average) = line.strip_prefix("Average:").and_then(seconds) {
        summary.average = average;
    } else if let Some((percentile, rest)) = line.split_once("% in ")
        && let (Ok(percentile), Some(seconds)) = (percentile.parse(), seconds(rest))
    {
        summary.percentiles.push((percentile, seconds));
    }
}

fn seconds(text: &str) -> Option<f64> {
    text.trim().strip_suffix(" secs.")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the client of 3.6 prints it, the bars of its histogram cut.
    const MIXED: &str = "\
Total Read Ops: 2
Details:
Summary:
  Total:	1.5 secs.
  Slowest:	0.002 secs.
  Fastest:	0.001 secs.
  Average:	0.0015 secs.
  Stddev:	0.0005 secs.
  Requests/sec:	120.25

Response time histogram:
  0.001 [1]	|\u{2219}\u{2219}
  0.002 [1]	|

Latency distribution:
  10% in 0.001 secs.
  50% in 0.00125 secs.
  99.9% in 1.5e-05 secs.

Total Write Ops: 3
Details:
Summary:
  Average:	0.0025 secs.
  Requests/sec:	80

Latency distribution:
  99% in 0.004 secs.

Error distribution:
  [7]	etcdserver: too many requests
  [2]	context deadline exceeded
";

    #[test]
    fn every_kind_of_request_has_its_summary() {
        let summaries = parse(MIXED);
        assert_eq!(summaries.len(), 2);
        assert_eq!((summaries[0].rate, summaries[0].average, summaries[0].errors), (120.25, 0.0015, 0));
        assert_eq!((summaries[0].percentile(50.0), summaries[0].percentile(99.9)), (0.00125, 0.000_015));
        assert_eq!((summaries[1].rate, summaries[1].percentile(99.0), summaries[1].errors), (80.0, 0.004, 9));
        assert_eq!(summaries[1].percentile(50.0), 0.0, "the client leaves out what is zero");
    }

    #[test]
    fn a_client_that_only_failed_is_not_taken_for_a_fast_one() {
        let summaries = parse("Error distribution:\n  [10]\tconnection refused\n");
        assert_eq!((summaries[0].rate, summaries[0].errors), (0.0, 10));
    }
}
