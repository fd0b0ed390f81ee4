//! openraft's own storage suite, on ours: on a directory, and on a disk in memory.

use std::sync::Arc;

use openraft::{
    StorageError,
    testing::log::{StoreBuilder, Suite},
};
use shoal_kv::watch::HubLimits;
use shoal_store_files::{
    checkpoint::CheckpointOptions,
    disk::{Disk, sim::SimDisk},
    log::LogOptions,
};

use super::{Types, log::LogStore, machine::StateMachine};
use crate::{
    replica::Identity,
    storage::{Storage, StorageConfig},
};

const IDENTITY: Identity = Identity { cluster: 1, member: 0 };

fn open(config: &StorageConfig) -> (LogStore, StateMachine) {
    let Storage { log, machine, .. } = Storage::open(config, IDENTITY, 1, HubLimits::default(), 0).expect("it is new");
    (log, StateMachine(machine))
}

/// Small segments, so that the suite is quick.
fn log_options() -> LogOptions {
    LogOptions { segment_bytes: 64 << 10, ..LogOptions::default() }
}

struct OnADirectory;

impl StoreBuilder<Types, LogStore, StateMachine, tempfile::TempDir> for OnADirectory {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, StateMachine), StorageError<Types>> {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let (log, machine) = open(&StorageConfig { log: log_options(), ..StorageConfig::new(directory.path()) });
        Ok((directory, log, machine))
    }
}

struct InMemory;

impl StoreBuilder<Types, LogStore, StateMachine, ()> for InMemory {
    async fn build(&self) -> Result<((), LogStore, StateMachine), StorageError<Types>> {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(7));
        let config = StorageConfig { directory: "/member".into(), disk, log: log_options(), checkpoint: CheckpointOptions::default() };
        let (log, machine) = open(&config);
        Ok(((), log, machine))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_storage_is_what_openraft_asks_for() {
    Suite::test_all(OnADirectory).await.expect("the suite passes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_storage_is_what_openraft_asks_for_on_a_disk_in_memory() {
    Suite::test_all(InMemory).await.expect("the suite passes");
}
