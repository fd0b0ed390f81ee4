//! What a service printed last, in bounded memory.

use std::collections::VecDeque;

use shoal_contract::boot::Level;

use crate::now::Now;

/// Bytes of log kept for each service: about a thousand lines. When it is hit the oldest lines go.
pub const RING_BYTES: usize = 128 * 1024;

/// The longest line kept, in bytes. A longer one is cut into several.
pub const LINE_BYTES: usize = 4096;

/// What a line costs beyond its text, in bytes, so that empty lines do not fill memory either.
const LINE_OVERHEAD: usize = std::mem::size_of::<Line>();

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it was read.
    pub at: Now,
    /// How severe.
    pub level: Level,
    /// Without its end of line and without control characters.
    pub text: String,
}

/// The last lines of a service.
#[derive(Debug, Default)]
pub struct Ring {
    lines: VecDeque<Line>,
    bytes: usize,
}

impl Ring {
    /// Adds a line and forgets the oldest ones that have no room any more.
    pub fn push(&mut self, line: Line) {
        self.bytes += line.text.len() + LINE_OVERHEAD;
        self.lines.push_back(line);
        while self.bytes > RING_BYTES {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.text.len() + LINE_OVERHEAD;
        }
    }

    /// The last `count` lines, oldest first.
    pub fn last(&self, count: usize) -> impl Iterator<Item = &Line> {
        self.lines.iter().skip(self.lines.len().saturating_sub(count))
    }
}

/// Cuts a stream of bytes into lines of bounded length.
#[derive(Debug, Default)]
pub struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Takes what was read and gives the lines that are complete with it.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut complete = Vec::new();
        for &byte in bytes {
            if byte == b'\n' || self.pending.len() >= LINE_BYTES {
                complete.push(self.take());
            }
            if byte != b'\n' {
                self.pending.push(byte);
            }
        }
        complete
    }

    /// The stream has ended: what is left, if it is not nothing.
    pub fn finish(&mut self) -> Option<String> {
        (!self.pending.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        let bytes = std::mem::take(&mut self.pending);
        printable(&String::from_utf8_lossy(&bytes))
    }
}

/// `text` without control characters: a service must not move the cursor of the console or change its colours.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut characters = text.trim_end().chars();
    while let Some(character) = characters.next() {
        match character {
            '\t' => kept.push(' '),
            // A CSI sequence (ECMA-48): parameters up to its final byte.
            '\u{1b}' => {
                if characters.next() == Some('[') {
                    characters.by_ref().find(|character| ('\u{40}'..='\u{7e}').contains(character));
                }
            }
            character if character.is_control() => {}
            character => kept.push(character),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: String) -> Line {
        Line { at: Now::default(), level: Level::Info, text }
    }

    #[test]
    fn memory_stays_bounded_whatever_is_printed() {
        let mut ring = Ring::default();
        for number in 0..100_000 {
            ring.push(line(if number % 2 == 0 { String::new() } else { "x".repeat(LINE_BYTES) }));
            assert!(ring.bytes <= RING_BYTES);
        }
        assert!(ring.lines.len() * LINE_OVERHEAD <= RING_BYTES);
    }

    #[test]
    fn the_last_lines_are_kept_in_order() {
        let mut ring = Ring::default();
        (0..5).for_each(|number| ring.push(line(number.to_string())));
        let texts: Vec<_> = ring.last(2).map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["3", "4"]);
    }

    #[test]
    fn lines_come_whole_however_the_bytes_are_cut() {
        let text = b"one\ntwo\r\n\nthree";
        for cut in 0..text.len() {
            let mut lines = Lines::default();
            let mut all = lines.feed(&text[..cut]);
            all.extend(lines.feed(&text[cut..]));
            all.extend(lines.finish());
            assert_eq!(all, ["one", "two", "", "three"], "cut at {cut}");
        }
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let mut lines = Lines::default();
        let cut = lines.feed(&vec![b'x'; 3 * LINE_BYTES]);
        assert_eq!(cut.iter().map(String::len).collect::<Vec<_>>(), [LINE_BYTES, LINE_BYTES]);
    }

    #[test]
    fn a_service_cannot_steer_the_console() {
        assert_eq!(printable("\u{1b}[2J\u{1b}[31mred\u{1b}[0m\u{7}\tend\u{1b}"), "red end");
    }
}
