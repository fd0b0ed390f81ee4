//! What can be said of a request without knowing the state: the checks before a write takes a place in the log.

use self::changes::{Changes, relies_on_deleted};
use crate::{
    error::{DeleteRangeError, PutError, RangeError, TxnError},
    limits::Limits,
    request::{DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest},
};

mod changes;

impl RangeRequest {
    /// Checks what can be checked without the state.
    ///
    /// # Errors
    /// [`RangeError::EmptyKey`].
    pub fn validate(&self) -> Result<(), RangeError> {
        if self.key.is_empty() { Err(RangeError::EmptyKey) } else { Ok(()) }
    }
}

impl PutRequest {
    /// Checks what can be checked without the state. `encoded_bytes` is the size of the write in the log.
    ///
    /// # Errors
    /// [`PutError`], but for those of its variants that depend on the state.
    pub fn validate(&self, encoded_bytes: usize, limits: &Limits) -> Result<(), PutError> {
        self.validate_fields()?;
        if encoded_bytes > limits.request_bytes { Err(PutError::RequestTooLarge) } else { Ok(()) }
    }

    fn validate_fields(&self) -> Result<(), PutError> {
        if self.key.is_empty() {
            Err(PutError::EmptyKey)
        } else if self.ignore_value && !self.value.is_empty() {
            Err(PutError::ValueProvided)
        } else if self.ignore_lease && self.lease != 0 {
            Err(PutError::LeaseProvided)
        } else {
            Ok(())
        }
    }
}

impl DeleteRangeRequest {
    /// Checks what can be checked without the state. `encoded_bytes` is the size of the write in the log.
    ///
    /// # Errors
    /// [`DeleteRangeError`].
    pub fn validate(&self, encoded_bytes: usize, limits: &Limits) -> Result<(), DeleteRangeError> {
        self.validate_fields()?;
        if encoded_bytes > limits.request_bytes { Err(DeleteRangeError::RequestTooLarge) } else { Ok(()) }
    }

    fn validate_fields(&self) -> Result<(), DeleteRangeError> {
        if self.key.is_empty() { Err(DeleteRangeError::EmptyKey) } else { Ok(()) }
    }
}

impl TxnRequest {
    /// Checks what can be checked without the state. `encoded_bytes` is the size of the write in the log.
    ///
    /// No branch may change a key twice. The two branches of one transaction exclude each other, so a key may be in both. As in etcd, a deletion
    /// [from a key on](crate::range::FROM_KEY) may delete keys that the same branch puts, and so may a nested transaction those of an earlier sibling; requests are
    /// carried out in their order then. But a put may not keep the value or the lease (`ignore_value`, `ignore_lease`) of a key deleted like that
    /// before: etcd lets such a request pass, and crashes when it applies it.
    ///
    /// # Errors
    /// [`TxnError`], but for those of its variants that depend on the state.
    pub fn validate(&self, encoded_bytes: usize, limits: &Limits) -> Result<(), TxnError> {
        self.validate_fields(limits.txn_operations)?;
        // After the check of the number of operations, which bounds how deep transactions are nested.
        for branch in [&self.success, &self.failure] {
            Changes::of(branch)?;
            relies_on_deleted(branch, None)?;
        }
        if encoded_bytes > limits.request_bytes { Err(TxnError::RequestTooLarge) } else { Ok(()) }
    }

    fn validate_fields(&self, operations: usize) -> Result<(), TxnError> {
        let most = self.compare.len().max(self.success.len()).max(self.failure.len());
        let left = operations.checked_sub(most).ok_or(TxnError::TooManyOperations)?;
        if self.compare.iter().any(|compare| compare.key.is_empty()) {
            return Err(TxnError::EmptyKey);
        }
        self.success.iter().chain(&self.failure).try_for_each(|op| match op {
            RequestOp::Range(range) => range.validate().map_err(TxnError::from),
            RequestOp::Put(put) => put.validate_fields().map_err(TxnError::from),
            RequestOp::DeleteRange(delete) => delete.validate_fields().map_err(TxnError::from),
            RequestOp::Txn(txn) => txn.validate_fields(left),
        })
    }
}

#[cfg(test)]
mod tests;
