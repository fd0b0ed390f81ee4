//! What is measured.

mod failover;
mod fan_out;
mod idle;
mod objects;
mod requests;

use std::fmt;

use clap::ValueEnum;
use shoal_store_bench::figures::Figure;

use crate::{programs::Programs, server::Launch};

/// A case: one start of a server, one or more figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    /// Puts of one client, by etcd's benchmark client.
    #[value(name = "put-1")]
    Put1,
    /// Puts of 100 clients, by etcd's benchmark client.
    #[value(name = "put-100")]
    Put100,
    /// Puts of 1,000 clients, by etcd's benchmark client.
    #[value(name = "put-1000")]
    Put1000,
    /// Linearizable reads of one key, by etcd's benchmark client.
    Range,
    /// Transactions that read or write, by etcd's benchmark client.
    TxnMixed,
    /// From a put to its events, by etcd's benchmark client.
    WatchLatency,
    /// 1,000 watchers of one key, with prev_kv.
    FanOut,
    /// 100,000 objects of 1 KiB: paged lists with count, memory, restart.
    Objects,
    /// What is written in an hour while a cluster of Kubernetes is idle.
    Idle,
    /// From kill -9 of the leader of three to the next acknowledged write.
    Failover,
}

impl Case {
    pub(crate) const ALL: [Self; 10] = [
        Self::Put1,
        Self::Put100,
        Self::Put1000,
        Self::Range,
        Self::TxnMixed,
        Self::WatchLatency,
        Self::FanOut,
        Self::Objects,
        Self::Idle,
        Self::Failover,
    ];

    /// How many pairs are measured: fewer of what takes long and hardly varies.
    pub(crate) const fn pairs(self) -> usize {
        match self {
            Self::Idle => 1,
            Self::Objects => 2,
            Self::WatchLatency => 3,
            Self::Failover => 5,
            _ => 4,
        }
    }

    /// What [`Case::run`] returns, in its order.
    pub(crate) const fn figures(self) -> &'static [Figure] {
        match self {
            Self::Put1 => requests::PUT_1,
            Self::Put100 => requests::PUT_100,
            Self::Put1000 => requests::PUT_1000,
            Self::Range => requests::RANGE,
            Self::TxnMixed => requests::TXN_MIXED,
            Self::WatchLatency => requests::WATCH_LATENCY,
            Self::FanOut => fan_out::FIGURES,
            Self::Objects => objects::FIGURES,
            Self::Idle => idle::FIGURES,
            Self::Failover => failover::FIGURES,
        }
    }

    /// Measures one server.
    pub(crate) async fn run(self, launch: &Launch<'_>, programs: &Programs, sizes: &Sizes) -> anyhow::Result<Vec<f64>> {
        match self {
            Self::Put1 => requests::put(launch, programs, 1, sizes.puts_of_one).await,
            Self::Put100 => requests::put(launch, programs, 100, sizes.puts).await,
            Self::Put1000 => requests::put(launch, programs, 1000, sizes.puts).await,
            Self::Range => requests::range(launch, programs, sizes.reads).await,
            Self::TxnMixed => requests::txn_mixed(launch, programs, sizes.txns).await,
            Self::WatchLatency => requests::watch_latency(launch, programs, sizes.watched_puts).await,
            Self::FanOut => fan_out::run(launch, sizes.fan_out_puts).await,
            Self::Objects => objects::run(launch, sizes.objects).await,
            Self::Idle => idle::run(launch, sizes.hour_seconds).await,
            Self::Failover => failover::run(launch).await,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.to_possible_value().as_ref().map_or("?", |value| value.get_name()))
    }
}

/// How much of each is done for one sample.
#[derive(Debug)]
pub(crate) struct Sizes {
    pub(crate) puts_of_one: usize,
    pub(crate) puts: usize,
    pub(crate) reads: usize,
    pub(crate) txns: usize,
    pub(crate) watched_puts: usize,
    pub(crate) fan_out_puts: usize,
    pub(crate) objects: usize,
    /// Seconds in which the writes of an idle hour are made.
    pub(crate) hour_seconds: u64,
}

impl Sizes {
    /// All cases in about an hour, of which the idle one takes forty minutes: with a write every 150 ms, few of them share a commit of etcd.
    pub(crate) const FULL: Self = Self {
        puts_of_one: 1_500,
        puts: 40_000,
        reads: 40_000,
        txns: 10_000,
        watched_puts: 300,
        fan_out_puts: 200,
        objects: 100_000,
        hour_seconds: 1200,
    };

    /// All cases in two minutes.
    pub(crate) const QUICK: Self = Self {
        puts_of_one: 200,
        puts: 5_000,
        reads: 5_000,
        txns: 1_000,
        watched_puts: 100,
        fan_out_puts: 20,
        objects: 10_000,
        hour_seconds: 10,
    };
}
