//! One file on its way to one client: RFC 1350 with block size (2348), transfer size (2349) and window size (7440).
//!
//! | state | client acknowledges | then |
//! |---|---|---|
//! | options sent | block 0 | the first window |
//! | window sent | its end | the next window, or done after the last block |
//! | | a block inside it | the window from there: the client missed one |
//! | any | nothing until the deadline | the same again; given up after the last try |

use std::time::Duration;

/// Bytes of a block when the client does not say (RFC 1350).
const DEFAULT_BLOCK_BYTES: u64 = 512;

/// Largest block that is agreed to, bytes: what fits one frame; IP fragments would only be lost.
const LARGEST_BLOCK_BYTES: u64 = 1468;

/// Largest window that is agreed to, blocks: well inside the send queue of a socket, so that it never blocks on itself.
const LARGEST_WINDOW: u64 = 64;

/// Before a window is sent again. Longer than a loaded, emulated firmware is deaf; the network itself takes microseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// Then the client is taken for dead.
const TRIES: u32 = 10;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Send the options as agreed.
    AcknowledgeOptions(Vec<(&'static str, u64)>),
    /// Send this block: its number on the wire and its bytes in the file.
    Block { number: u16, offset: u64, bytes: usize },
    /// The client has everything, or is gone.
    End,
}

/// The state of a transfer.
#[derive(Debug)]
pub(crate) struct Transfer {
    length: u64,
    block_bytes: u64,
    window: u64,
    agreed: Vec<(&'static str, u64)>,
    negotiating: bool,
    /// Blocks that the client has; counted without the wire's wrap at 65536.
    acknowledged: u64,
    sent: u64,
    tries: u32,
    deadline: Duration,
}

impl Transfer {
    /// Agrees on options. A value that makes no sense is passed over, as RFC 2347 wants.
    pub(crate) fn new(now: Duration, length: u64, options: &[(String, String)]) -> (Self, Vec<Effect>) {
        let (mut block_bytes, mut window, mut agreed) = (DEFAULT_BLOCK_BYTES, 1, Vec::new());
        for (name, value) in options {
            let Ok(value) = value.parse::<u64>() else { continue };
            match name.as_str() {
                "blksize" if value >= 8 => {
                    block_bytes = value.min(LARGEST_BLOCK_BYTES);
                    agreed.push(("blksize", block_bytes));
                }
                "windowsize" if value >= 1 => {
                    window = value.min(LARGEST_WINDOW);
                    agreed.push(("windowsize", window));
                }
                "tsize" => agreed.push(("tsize", length)),
                _ => {}
            }
        }
        let negotiating = !agreed.is_empty();
        let mut transfer = Self { length, block_bytes, window, agreed, negotiating, acknowledged: 0, sent: 0, tries: 0, deadline: now };
        let effects = transfer.send(now);
        (transfer, effects)
    }

    /// The client has the blocks up to this number.
    pub(crate) fn acknowledge(&mut self, now: Duration, number: u16) -> Vec<Effect> {
        if self.negotiating {
            if number != 0 {
                return Vec::new();
            }
            self.negotiating = false;
            self.tries = 0;
            return self.send(now);
        }
        let advance = u64::from(number.wrapping_sub(self.acknowledged as u16));
        let repeated = advance == 0;
        // An old acknowledgement must not double every block from here on (RFC 1123, 4.2.3.1). In a window it says what is missing.
        if self.acknowledged + advance > self.sent || (repeated && self.window == 1) {
            return Vec::new();
        }
        if !repeated {
            self.tries = 0;
        }
        self.acknowledged += advance;
        if self.acknowledged == self.last_block() {
            return vec![Effect::End];
        }
        self.send(now)
    }

    /// When [`Transfer::expire`] is due.
    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The client was silent.
    pub(crate) fn expire(&mut self, now: Duration) -> Vec<Effect> {
        self.tries += 1;
        if self.tries == TRIES { vec![Effect::End] } else { self.send(now) }
    }

    fn send(&mut self, now: Duration) -> Vec<Effect> {
        self.deadline = now + PATIENCE;
        if self.negotiating {
            return vec![Effect::AcknowledgeOptions(self.agreed.clone())];
        }
        self.sent = (self.acknowledged + self.window).min(self.last_block());
        (self.acknowledged + 1..=self.sent)
            .map(|block| {
                let offset = (block - 1) * self.block_bytes;
                let bytes = self.block_bytes.min(self.length - offset) as usize;
                Effect::Block { number: block as u16, offset, bytes }
            })
            .collect()
    }

    /// A block shorter than the rest ends the file, an empty one if need be.
    fn last_block(&self) -> u64 {
        self.length / self.block_bytes + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Duration = Duration::ZERO;

    fn options(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn without_options_blocks_of_512_go_one_by_one_and_a_short_one_ends() {
        let (mut transfer, effects) = Transfer::new(NOW, 512, &[]);
        assert_eq!(effects, [Effect::Block { number: 1, offset: 0, bytes: 512 }]);
        assert_eq!(transfer.acknowledge(NOW, 1), [Effect::Block { number: 2, offset: 512, bytes: 0 }]);
        assert_eq!(transfer.acknowledge(NOW, 2), [Effect::End]);
    }

    #[test]
    fn options_are_bounded_and_senseless_ones_passed_over() {
        let asked = options(&[("blksize", "65464"), ("windowsize", "0"), ("tsize", "0"), ("timeout", "1"), ("blksize", "x")]);
        let (mut transfer, effects) = Transfer::new(NOW, 2000, &asked);
        assert_eq!(effects, [Effect::AcknowledgeOptions(vec![("blksize", 1468), ("tsize", 2000)])]);
        assert_eq!(transfer.acknowledge(NOW, 0), [Effect::Block { number: 1, offset: 0, bytes: 1468 }]);
    }

    #[test]
    fn an_old_acknowledgement_sends_nothing_twice() {
        let (mut transfer, _) = Transfer::new(NOW, 2000, &[]);
        transfer.acknowledge(NOW, 1);
        assert_eq!(transfer.acknowledge(NOW, 1), []);
        assert_eq!(transfer.acknowledge(NOW, 0), []);
        assert_eq!(transfer.acknowledge(NOW, 7), [], "nor one that was never sent");
    }

    #[test]
    fn a_window_starts_again_after_the_block_that_arrived() {
        let (mut transfer, _) = Transfer::new(NOW, 5000, &options(&[("windowsize", "4")]));
        assert_eq!(transfer.acknowledge(NOW, 0).len(), 4);
        let numbers: Vec<u16> = transfer
            .acknowledge(NOW, 2)
            .iter()
            .filter_map(|effect| if let Effect::Block { number, .. } = effect { Some(*number) } else { None })
            .collect();
        assert_eq!(numbers, [3, 4, 5, 6]);
    }

    #[test]
    fn a_silent_client_is_asked_again_and_then_given_up() {
        let (mut transfer, first) = Transfer::new(NOW, 10, &[]);
        for _ in 1..TRIES {
            let now = transfer.deadline();
            assert_eq!(transfer.expire(now), first);
        }
        assert_eq!(transfer.expire(transfer.deadline()), [Effect::End]);
    }

    #[test]
    fn block_numbers_wrap_and_the_file_goes_on() {
        let (mut transfer, mut effects) = Transfer::new(NOW, 70_000 * 512, &[]);
        let mut received = 0;
        while let [Effect::Block { number, bytes, .. }] = effects[..] {
            received += bytes;
            effects = transfer.acknowledge(NOW, number);
        }
        assert_eq!((received, effects), (70_000 * 512, vec![Effect::End]));
    }

    proptest! {
        #[test]
        fn every_byte_arrives_in_order_over_a_lossy_network(
            length in 0u64..20_000, window in 1u64..20, losses in prop::collection::vec(any::<bool>(), 0..60)
        ) {
            let (mut transfer, mut effects) = Transfer::new(NOW, length, &options(&[("windowsize", &window.to_string())]));
            let (mut received, mut expected, mut losses) = (0, 1u16, losses.into_iter());
            while effects != [Effect::End] {
                let arrived: Vec<_> = effects.drain(..).filter(|_| !losses.next().unwrap_or(false)).collect();
                let mut answer = None;
                for effect in arrived {
                    match effect {
                        Effect::AcknowledgeOptions(_) => answer = Some(0),
                        Effect::Block { number, offset, bytes } => {
                            if number == expected {
                                prop_assert_eq!(offset, received);
                                received += bytes as u64;
                                expected += 1;
                            }
                            answer = Some(expected - 1);
                        }
                        Effect::End => {}
                    }
                }
                effects = match answer {
                    Some(number) if !losses.next().unwrap_or(false) => transfer.acknowledge(NOW, number),
                    _ => Vec::new(),
                };
                if effects.is_empty() {
                    transfer.tries = 0;
                    effects = transfer.expire(NOW);
                }
            }
            prop_assert_eq!(received, length);
        }
    }
}
