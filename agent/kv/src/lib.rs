//! The state machine of a store that speaks etcd v3. No socket, clock, file, thread or randomness lives here.

pub mod checkpoint;
pub mod error;
pub mod event;
mod index;
#[cfg(feature = "known-bugs")]
#[doc(hidden)]
pub mod known_bugs;
pub mod lessor;
pub mod limits;
pub mod now;
pub mod range;
pub mod request;
pub mod response;
mod store;
mod validate;
pub mod watch;

pub use error::{CompactionError, DeleteRangeError, HashKvError, LeaseGrantError, LeaseRevokeError, PutError, RangeError, TxnError};
pub use event::{Event, EventKind, KeyValue, Revision, RevisionBatch, WatchEvent};
pub use limits::Limits;
pub use now::Now;
pub use range::KeyRange;
pub use request::{
    Alarm, AlarmAction, AlarmRequest, Command, CompactionRequest, Compare, CompareResult, CompareTarget, DeleteRangeRequest,
    LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RangeRequest, RequestOp, SortOrder, SortTarget, TxnRequest,
};
pub use response::{
    AlarmMember, AlarmResponse, Applied, CompactionResponse, DeleteRangeResponse, HashKvResponse, LeaseGrantResponse, LeaseRevokeResponse,
    LeaseStatus, Outcome, PutResponse, RangeResponse, ResponseOp, TxnResponse,
};
pub use store::{CompactStep, KEY_BYTES, Store, Usage, VERSION_BYTES};
