//! `snapshot restore`: the data directory of a member, made from a backup.
//!
//! The backup is read twice: before anything is made all of it is checked, so that a damaged one leaves nothing, and its digest is known, from which
//! follows who this member is. What is then written is checked once more on its way.

use std::{
    fs::File,
    io::{Seek, SeekFrom},
    path::PathBuf,
};

use anyhow::{Context, bail, ensure};
use shoal_cluster::{
    Begin, backup, bootstrap,
    restore::{RestoreConfig, restore as restore_files},
};

use super::RestoreFlags;
use crate::{
    data_dir::{Draft, MemberFile},
    settings::{by_name, cluster_of},
};

/// Makes a data directory from a backup.
pub(super) fn restore(flags: RestoreFlags) -> anyhow::Result<()> {
    let RestoreFlags { file, name, bump_revision: bump, .. } = &flags;
    if flags.skip_hash_check {
        bail!(
            "--skip-hash-check is refused: etcd needs it for database files copied from a data directory, which have no hash. A backup of this store \
             always has one, and without it a damaged one could not be told from a good one. Take backups with `snapshot save`"
        );
    }
    ensure!(
        (*bump > 0) == flags.mark_compacted,
        "--bump-revision and --mark-compacted go together: without the second, clients would not notice that revisions are missing, and there is \
         nothing to mark without the first. Give both, or none"
    );
    let list = cluster_of(name, flags.initial_cluster.as_deref(), &flags.initial_advertise_peer_urls)?;
    let path = flags.data_dir.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.etcd")));
    let context = || file.display().to_string();
    let mut backup = File::open(file).with_context(context)?;
    let checked = backup::verify(&backup).with_context(context)?;
    let (identity, begin) = bootstrap::restored(name, &by_name(&list), &flags.initial_cluster_token, &checked.digest, *bump)?;
    let Begin::Found(voters) = &begin else { bail!("a restored member is always one that its cluster begins with") };

    let draft = Draft::begin(&path)?;
    backup.seek(SeekFrom::Start(0)).with_context(context)?;
    let config = RestoreConfig { storage: draft.storage(), identity, voters: voters.clone(), bump: *bump };
    let restored = restore_files(&backup, &config).with_context(context)?;
    ensure!(restored == checked, "{} was changed while it was read: restore it again when nobody writes to it", file.display());
    draft.finish(&MemberFile::started(identity, &begin, name))?;

    println!(
        "{} is member {:x} of cluster {:x}, with everything up to revision {} ({} versions of keys)",
        path.display(),
        identity.member,
        identity.cluster,
        restored.revision,
        restored.versions
    );
    if list.iter().any(|(other, _)| other != name) {
        println!(
            "Restore the other members from the same file, with the same flags but --name, \
             --initial-advertise-peer-urls and --data-dir; then start all of them"
        );
    }
    Ok(())
}
