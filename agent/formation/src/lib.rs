//! How identical boxes become one cluster. No socket, clock, file, thread or randomness lives here.
#![no_std]

extern crate alloc;

pub mod alarm;
pub mod control;
pub mod disk;
pub mod effect;
pub mod facts;
mod founding;
pub mod ids;
pub mod input;
mod joining;
#[doc(hidden)]
pub mod known_bugs;
mod leading;
mod leaving;
mod listening;
mod machine;
mod member;
pub mod message;
pub mod now;
mod peers;
pub mod settings;
pub mod statement;
mod survey;
pub mod timers;
pub mod voters;

pub use alarm::Alarm;
pub use control::{Control, ControlEntry};
pub use disk::{Disk, Record, Role};
pub use effect::Effect;
pub use facts::{Configuration, RaftFacts};
pub use ids::{BootId, ClusterId, HardwareHint, Identity, Incarnation, NodeId, NodeKey, Peer};
pub use input::Input;
pub use machine::{Formation, State};
pub use message::{Message, Standing};
pub use now::Now;
pub use settings::Settings;
