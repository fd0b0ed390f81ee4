//! `Maintenance.Downgrade`: refused. What is stored is our own format, which no older etcd reads.

use crate::{
    shared::Shared,
    status::Error,
    version::CLUSTER_VERSION,
    wire::etcdserverpb::{DowngradeRequest, DowngradeResponse, downgrade_request::DowngradeAction},
};

pub(crate) fn downgrade(shared: &Shared, request: &DowngradeRequest) -> Result<DowngradeResponse, Error> {
    match DowngradeAction::try_from(request.action) {
        // As in etcd, there is nothing wrong with stopping what does not run.
        Ok(DowngradeAction::Cancel) => {
            Ok(DowngradeResponse { header: Some(shared.header_now()), version: major_minor(CLUSTER_VERSION).to_owned() })
        }
        _ if !is_version(&request.version) => Err(Error::WrongDowngradeVersionFormat),
        _ => Err(Error::InvalidDowngradeTargetVersion),
    }
}

fn major_minor(version: &str) -> &str {
    version.rsplit_once('.').map_or(version, |(major_minor, _)| major_minor)
}

/// Whether it is `3.6` or `3.6.0`.
fn is_version(text: &str) -> bool {
    let numbers = text.split('.');
    matches!(numbers.clone().count(), 2 | 3) && numbers.into_iter().all(|number| number.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_from_other_words() {
        for (text, is) in [("3.6", true), ("3.6.0", true), ("3", false), ("3.6.0.1", false), ("", false), ("3.x", false)] {
            assert_eq!(is_version(text), is, "{text:?}");
        }
        assert_eq!(major_minor(CLUSTER_VERSION), "3.7");
    }
}
