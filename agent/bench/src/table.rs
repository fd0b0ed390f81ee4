//! Rows of figures as a table in Markdown.

use crate::figures::{Aim, Row};

/// The table, with a line break at its end.
pub fn markdown(rows: &[Row]) -> String {
    let mut table =
        String::from("| | etcd | Shoal | Shoal ÷ etcd | least … greatest | pairs | aim |\n|---|---:|---:|---:|---:|---:|---|\n");
    table.extend(rows.iter().map(line));
    table
}

/// One row of the table, with a line break at its end.
pub fn line(row: &Row) -> String {
    let unit = row.figure.unit;
    let (low, high) = row.spread;
    format!(
        "| {} | {} {unit} | {} {unit} | **{}** | {} … {} | {} | {} |\n",
        row.figure.name,
        number(row.etcd),
        number(row.shoal),
        number(row.ratio),
        number(low),
        number(high),
        row.pairs,
        aim(row)
    )
}

fn aim(row: &Row) -> String {
    let Some(aim) = row.figure.aim else { return String::new() };
    let text = match aim {
        Aim::RatioAtLeast(least) => format!("≥ {}", number(least)),
        Aim::RatioAtMost(most) => format!("≤ {}", number(most)),
        Aim::AtMost(most) => format!("≤ {} {}", number(most), row.figure.unit),
    };
    match row.meets_aim() {
        Some(true) => format!("{text}: met"),
        _ => format!("{text}: **missed**"),
    }
}

/// Three digits that mean something, thousands apart.
fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    match value.abs() {
        size if size >= 100.0 => thousands(value.round() as i64),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size == 0.0 || size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn thousands(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{Figure, Pair};

    #[test]
    fn numbers_show_three_digits() {
        for (value, text) in [
            (0.0, "0.00"),
            (0.01234, "0.012"),
            (0.333, "0.33"),
            (2.0, "2.00"),
            (12.34, "12.3"),
            (123.4, "123"),
            (1234.5, "1,235"),
            (12_345_678.0, "12,345,678"),
            (-1234.0, "-1,234"),
            (f64::NAN, "–"),
            (f64::INFINITY, "–"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_row_tells_ratio_spread_and_whether_the_aim_is_met() {
        let figure = Figure { name: "puts", unit: "1/s", aim: Some(Aim::RatioAtLeast(1.5)) };
        let rows = [
            Row::new(figure, &[Pair { etcd: 1000.0, shoal: 2000.0 }]).expect("a pair"),
            Row::new(Figure { aim: Some(Aim::AtMost(1.5)), ..figure }, &[Pair { etcd: 1.0, shoal: 2.0 }]).expect("a pair"),
        ];
        let table = markdown(&rows);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[2], "| puts | 1,000 1/s | 2,000 1/s | **2.00** | 2.00 … 2.00 | 1 | ≥ 1.50: met |");
        assert_eq!(lines[3], "| puts | 1.00 1/s | 2.00 1/s | **2.00** | 2.00 … 2.00 | 1 | ≤ 1.50 1/s: **missed** |");
        // Every line has the columns of the head.
        assert!(lines.iter().all(|line| line.matches('|').count() == 8), "{table}");
    }
}
