//! Another client, which must not notice anything.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::{task::JoinHandle, time};

use crate::{Member, harness::DEADLINE, harness::client::Client};

/// Answers that show that it is still served.
const SOME: u64 = 20;

/// Writes and reads all the time.
pub(crate) struct Witness {
    answered: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Witness {
    pub(crate) fn of(member: &Member) -> Self {
        let client = Client::new(&format!("http://{}", member.process.address));
        let answered = Arc::new(AtomicU64::new(0));
        let count = answered.clone();
        let task = tokio::spawn(async move {
            loop {
                let value = count.load(Ordering::SeqCst).to_string();
                client.put("witness", &value).await.expect("others are not hindered");
                assert_eq!(client.get("witness").await.expect("others are not hindered"), Some(value));
                count.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        });
        Self { answered, task }
    }

    /// Holds that it was never refused, and goes on being answered.
    pub(crate) async fn goes_on(&self) {
        let enough = self.answered.load(Ordering::SeqCst) + SOME;
        let waiting = async {
            while self.answered.load(Ordering::SeqCst) < enough {
                assert!(!self.task.is_finished(), "another client was hindered");
                time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        time::timeout(DEADLINE, waiting).await.expect("another client waits for ever");
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.task.abort();
    }
}
