//! Counts the events in a watch response without decoding them (Protobuf's wire format; fields of `etcdserverpb.WatchResponse`). A client that
//! decoded what a thousand watchers receive would be measured in place of the server.

/// Field `created` of `WatchResponse`.
const CREATED: u64 = 3;

/// Field `canceled` of `WatchResponse`.
const CANCELED: u64 = 4;

/// Field `events` of `WatchResponse`.
const EVENTS: u64 = 11;

/// What is in a watch response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// It says that a watcher has been created.
    pub created: bool,
    /// It says that a watcher has ended.
    pub canceled: bool,
    /// Events in it.
    pub events: u64,
}

/// Looks through an encoded `WatchResponse`; `None` if it is none.
pub fn count(mut message: &[u8]) -> Option<Seen> {
    let mut seen = Seen::default();
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        match (tag >> 3, tag & 7) {
            (field, 0) => {
                let value = varint(&mut message)?;
                seen.created |= field == CREATED && value != 0;
                seen.canceled |= field == CANCELED && value != 0;
            }
            (field, 2) => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                message = message.get(length..)?;
                seen.events += u64::from(field == EVENTS);
            }
            // The message has no fixed-size fields and no groups.
            _ => return None,
        }
    }
    Some(seen)
}

/// Bytes of the longest varint.
const VARINT_BYTES: usize = 10;

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for at in 0..VARINT_BYTES {
        let byte = *message.get(at)?;
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            *message = &message[at + 1..];
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_and_their_contents_are_not_looked_at() {
        // A header of two bytes, watch_id 300, and two events of three bytes that look like tags themselves.
        let message = [0x0a, 2, 0x5a, 0x5a, 0x10, 0xac, 0x02, 0x5a, 3, 0x5a, 0x5a, 0x5a, 0x5a, 3, 0x18, 1, 0];
        assert_eq!(count(&message), Some(Seen { created: false, canceled: false, events: 2 }));
    }

    #[test]
    fn creations_and_ends_are_told_apart() {
        assert_eq!(count(&[0x18, 1]), Some(Seen { created: true, ..Seen::default() }));
        assert_eq!(count(&[0x20, 1]), Some(Seen { canceled: true, ..Seen::default() }));
        assert_eq!(count(&[]), Some(Seen::default()));
    }

    #[test]
    fn what_is_cut_off_is_no_response() {
        for message in [&[0x5a][..], &[0x5a, 3, 1], &[0x18], &[0x80], &[0xff; 11], &[0x1d, 0, 0, 0, 0]] {
            assert_eq!(count(message), None, "{message:?}");
        }
    }
}
