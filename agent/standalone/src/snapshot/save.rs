//! `snapshot save`: what a member has, in a file.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};
use shoal_cluster::backup::DIGEST_BYTES;
use shoal_etcd::wire::etcdserverpb::{SnapshotRequest, maintenance_client::MaintenanceClient};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint as Target, Identity};

use super::Endpoint;

/// Mode of a backup: as little anybody else's business as what it was made from.
const MODE: u32 = 0o600;

/// Writes a backup to `file`: under another name first, so that a file of this name is always complete.
pub(crate) async fn save(file: &Path, from: &Endpoint) -> anyhow::Result<()> {
    let channel = connect(from).await?;
    let part = part(file);
    let mut open = OpenOptions::new();
    open.write(true).create(true).truncate(true).mode(MODE);
    let mut output = open.open(&part).with_context(|| format!("cannot write {}", part.display()))?;
    let size = receive(channel, &mut output).await.inspect_err(|_| {
        // Of no use to anybody, and the error is what matters.
        let _ = fs::remove_file(&part);
    })?;
    let context = || format!("cannot write {}", file.display());
    output.sync_all().with_context(context)?;
    fs::rename(&part, file).with_context(context)?;
    folder(file).and_then(|folder| File::open(folder)?.sync_all()).with_context(context)?;
    println!("{} holds everything up to now ({size} bytes)", file.display());
    Ok(())
}

fn part(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(".part");
    name.into()
}

fn folder(file: &Path) -> std::io::Result<PathBuf> {
    let absolute = std::path::absolute(file)?;
    Ok(absolute.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf))
}

async fn connect(from: &Endpoint) -> anyhow::Result<Channel> {
    let mut target = Target::from_shared(from.url.to_string()).with_context(|| format!("{} cannot be used", from.url))?;
    if from.url.tls {
        let read = |path: &PathBuf| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let mut tls = ClientTlsConfig::new();
        if let Some(authorities) = &from.cacert {
            tls = tls.ca_certificate(Certificate::from_pem(read(authorities)?));
        }
        if let (Some(certificate), Some(key)) = (&from.cert, &from.key) {
            tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
        }
        target = target.tls_config(tls).context("the certificates cannot be used")?;
    }
    target
        .connect()
        .await
        .with_context(|| format!("cannot reach {}: is a member serving clients there? Say where with --endpoints", from.url))
}

/// Writes what the member sends, and holds it to the digest that comes last. Returns the number of bytes.
async fn receive(channel: Channel, output: &mut File) -> anyhow::Result<u64> {
    let mut client = MaintenanceClient::new(channel).max_decoding_message_size(usize::MAX);
    let mut parts = client.snapshot(SnapshotRequest {}).await.context("the member refuses")?.into_inner();
    let (mut digest, mut last, mut size) = (Sha256::new(), None, 0);
    while let Some(part) = parts.message().await.context("the member has stopped in the middle")? {
        if let Some(before) = last.replace(part.blob) {
            digest.update(&before);
            output.write_all(&before).context("cannot write the backup")?;
            size += before.len() as u64;
        }
    }
    let told = last.context("the member has sent nothing")?;
    ensure!(told.len() == DIGEST_BYTES && told[..] == digest.finalize()[..], "the backup was damaged on its way: try again");
    output.write_all(&told).context("cannot write the backup")?;
    Ok(size + told.len() as u64)
}
