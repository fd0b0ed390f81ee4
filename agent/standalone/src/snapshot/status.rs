//! `snapshot status`: what is in a backup, printed as etcdutl prints it.

use std::{fs::File, path::Path};

use anyhow::Context;
use serde::Serialize;
use shoal_cluster::backup::{self, BackupSummary};
use shoal_etcd::version::STORAGE_VERSION;

use super::Format;

/// etcdutl's `snapshot.Status`, with its names in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    /// The first four bytes of the backup's digest: two backups with the same one are the same. Not comparable with any hash of etcd's.
    hash: u32,
    revision: i64,
    /// Versions of keys, deletions among them.
    total_key: u64,
    /// Bytes, without the digest.
    total_size: u64,
    version: &'static str,
}

impl From<BackupSummary> for Status {
    fn from(summary: BackupSummary) -> Self {
        let [b0, b1, b2, b3, ..] = summary.digest;
        Self {
            hash: u32::from_be_bytes([b0, b1, b2, b3]),
            revision: summary.revision,
            total_key: summary.versions,
            total_size: summary.bytes,
            version: STORAGE_VERSION,
        }
    }
}

/// Prints what is in a backup, after every byte of it was checked.
pub(crate) fn status(file: &Path, format: Format) -> anyhow::Result<()> {
    let context = || file.display().to_string();
    let opened = File::open(file).with_context(context)?;
    let status = Status::from(backup::verify(opened).with_context(context)?);
    println!("{}", text(&status, format));
    Ok(())
}

fn text(status: &Status, format: Format) -> String {
    let Status { hash, revision, total_key, total_size, version } = status;
    let cells = [format!("{hash:x}"), revision.to_string(), total_key.to_string(), size(*total_size), (*version).to_owned()];
    match format {
        Format::Simple => cells.join(", "),
        Format::Fields => {
            format!(
                "\"Hash\" : {hash}\n\"Revision\" : {revision}\n\"Keys\" : {total_key}\n\"Size\" : {total_size}\n\"Version\" : {version}"
            )
        }
        Format::Json => serde_json::to_string(status).expect("numbers and a text can be written"),
        Format::Table => table(["HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE", "VERSION"], &cells),
    }
}

/// Two rows in a frame, with the cells in the middle of their columns.
fn table<const COLUMNS: usize>(head: [&str; COLUMNS], cells: &[String; COLUMNS]) -> String {
    let widths: Vec<usize> = head.iter().zip(cells).map(|(name, cell)| name.len().max(cell.len())).collect();
    let rule: String = widths.iter().map(|width| format!("+{}", "-".repeat(width + 2))).chain(["+".to_owned()]).collect();
    let row = |texts: Vec<&str>| -> String {
        texts.iter().zip(&widths).map(|(text, &width)| format!("| {text:^width$} ")).chain(["|".to_owned()]).collect()
    };
    [rule.clone(), row(head.to_vec()), rule.clone(), row(cells.iter().map(String::as_str).collect()), rule].join("\n")
}

/// Bytes for people, in powers of 1000: two digits, or what is left of the point.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    #[expect(clippy::cast_precision_loss, reason = "two digits are printed")]
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 {
        value /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 9.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: Status = Status { hash: 0xf1_94_39_81, revision: 5, total_key: 12, total_size: 20_480, version: "3.7.0" };

    #[test]
    fn it_is_printed_as_etcdutl_prints_it() {
        assert_eq!(text(&STATUS, Format::Simple), "f1943981, 5, 12, 20 kB, 3.7.0");
        assert_eq!(text(&STATUS, Format::Json), r#"{"hash":4053023105,"revision":5,"totalKey":12,"totalSize":20480,"version":"3.7.0"}"#);
        let fields = "\"Hash\" : 4053023105\n\"Revision\" : 5\n\"Keys\" : 12\n\"Size\" : 20480\n\"Version\" : 3.7.0";
        assert_eq!(text(&STATUS, Format::Fields), fields);
        let table = "\
+----------+----------+------------+------------+---------+
|   HASH   | REVISION | TOTAL KEYS | TOTAL SIZE | VERSION |
+----------+----------+------------+------------+---------+
| f1943981 |    5     |     12     |   20 kB    |  3.7.0  |
+----------+----------+------------+------------+---------+";
        assert_eq!(text(&STATUS, Format::Table), table);
    }

    #[test]
    fn sizes_are_written_for_people() {
        let table = [(0, "0 B"), (999, "999 B"), (1024, "1.0 kB"), (9_949, "9.9 kB"), (20_480, "20 kB"), (2_500_000_000, "2.5 GB")];
        for (bytes, text) in table {
            assert_eq!(size(bytes), text);
        }
    }
}
