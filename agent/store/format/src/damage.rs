//! Damage, and how to tell people about it.

use std::fmt;

use crate::record::LogId;

/// Something that was durable is not readable any more. Cutting it off would make raft forget what it promised, so the log is not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The number of the segment.
    pub segment: u64,
    /// Where in it, in bytes.
    pub offset: u64,
    /// What is wrong there.
    pub what: What,
    /// The last entry that is readable before it.
    pub last_readable: Option<LogId>,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A batch is not readable, but something that was written after it is.
    Batch {
        /// Its sequence.
        sequence: u64,
        /// What proves that it was durable: a position in the same segment, or the beginning of another one.
        proof: Proof,
    },
    /// The segment's header is not readable.
    Header,
    /// The file is not as long as its header says.
    Length {
        /// What it says.
        expected: u64,
        /// What it is.
        actual: u64,
    },
    /// The file belongs to another log, or to another place in this one.
    Misplaced,
    /// The log goes on in a segment whose file is not there.
    Successor,
    /// Entries that are not purged were in segments whose files are not there any more.
    Predecessors {
        /// The first missing entry.
        from: u64,
        /// The last missing entry.
        to: u64,
    },
    /// A whole batch says something that does not follow from what was before.
    Contradiction {
        /// Its sequence.
        sequence: u64,
    },
    /// The segment begins with a state that does not follow from its predecessor.
    State,
}

/// What was written after a batch, and so proves that it was durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A batch or a mark further on in the segment.
    Later {
        /// Where, in bytes.
        offset: u64,
        /// Which sequence it has.
        sequence: u64,
    },
    /// The next segment begins after it.
    NextSegment {
        /// With this sequence.
        first_sequence: u64,
    },
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch { sequence, proof: Proof::Later { offset, sequence: later } } => {
                write!(f, "batch {sequence} is not readable, though what byte {offset} says about batch {later} was written after it")
            }
            Self::Batch { sequence, proof: Proof::NextSegment { first_sequence } } => {
                write!(
                    f,
                    "batch {sequence} is not readable, though the next segment, which begins with batch {first_sequence}, was written after it"
                )
            }
            Self::Header => f.write_str("the header is not readable"),
            Self::Length { expected, actual } => write!(f, "the file has {actual} bytes instead of {expected}"),
            Self::Misplaced => f.write_str("the file belongs to another log, or has the name of another segment"),
            Self::Successor => f.write_str("the log goes on in a further segment, whose file is missing"),
            Self::Predecessors { from, to } => write!(f, "the files of earlier segments, with entries {from} to {to}, are missing"),
            Self::Contradiction { sequence } => write!(f, "batch {sequence} contradicts what was before it"),
            Self::State => f.write_str("the header's state is not what the segment before ends with"),
        }
    }
}

impl Damage {
    /// What is lost by it, as a sentence.
    #[must_use]
    pub fn affected(&self) -> String {
        if let What::Predecessors { from, to } = self.what {
            return format!("Entries {from} to {to} are lost.");
        }
        match self.last_readable {
            Some(LogId { term, index }) => {
                format!("Entries after {index} (term {term}), and votes saved after it, are lost or in doubt; those up to it are readable.")
            }
            None => "All entries, and the vote, are lost or in doubt.".to_owned(),
        }
    }
}
