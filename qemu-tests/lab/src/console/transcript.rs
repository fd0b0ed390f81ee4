//! What a serial console has said, made searchable: the core of [`super::Console`].
//!
//! Firmware and shells paint with escape sequences and carriage returns. The transcript keeps the text alone, so that a promise
//! can be looked for as a person would read it. A search starts where the last match ended: a box that boots twice says
//! everything twice.

/// What the transcript found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The pattern, with the whole line that it is in, as far as the line has come.
    Found(String),
    /// Something that must not be said, with its line.
    Forbidden(String),
}

/// Where a byte stands among escape sequences (ECMA-48).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Text,
    Escape,
    /// After `ESC [`, until a byte from `@` to `~`.
    Control,
    /// After `ESC ]` and the like, until BEL or ESC.
    Command,
}

/// The text so far.
#[derive(Debug)]
pub struct Transcript {
    text: String,
    reading: Reading,
    /// Bytes of a character that is not complete.
    partial: Vec<u8>,
    /// Where the next search starts.
    searched: usize,
    /// Up to where forbidden words were looked for.
    checked: usize,
    /// Forbidden words, each with the place from which on it is watched for.
    forbidden: Vec<(String, usize)>,
    closed: bool,
}

impl Transcript {
    /// An empty transcript that watches for these words.
    pub fn new(forbidden: Vec<String>) -> Self {
        let forbidden = forbidden.into_iter().map(|word| (word, 0)).collect();
        Self { text: String::new(), reading: Reading::Text, partial: Vec::new(), searched: 0, checked: 0, forbidden, closed: false }
    }

    /// Takes bytes as they come, cut anywhere.
    pub fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.reading = match (self.reading, byte) {
                (Reading::Text, 0x1b) | (Reading::Command, 0x1b) => Reading::Escape,
                (Reading::Text, byte) => {
                    self.text_byte(*byte);
                    Reading::Text
                }
                (Reading::Escape, b'[') => Reading::Control,
                (Reading::Escape, b']' | b'P' | b'X' | b'^' | b'_') => Reading::Command,
                // Two-byte sequences, and the intermediate bytes of longer ones.
                (Reading::Escape, 0x20..=0x2f) => Reading::Escape,
                (Reading::Escape, _) => Reading::Text,
                (Reading::Control, 0x40..=0x7e) => Reading::Text,
                (Reading::Control, _) => Reading::Control,
                (Reading::Command, 0x07) => Reading::Text,
                (Reading::Command, _) => Reading::Command,
            };
        }
    }

    /// Everything said, without escape sequences.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Lines that are complete, and the one that is being said.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines()
    }

    /// Watches for a word from the last match on.
    pub fn forbid(&mut self, word: &str) {
        self.forbidden.push((word.to_owned(), self.searched));
    }

    /// Watches for a word no more: a test that wants the panic.
    pub fn allow(&mut self, word: &str) {
        self.forbidden.retain(|(forbidden, _)| forbidden != word);
    }

    /// Nothing more will be said: the last line is complete as it is.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Looks for the first of these patterns to be said since the last match; says which it was by its place in the list. A forbidden
    /// word that was said before the pattern, or without it, is found instead, each once. Only complete lines are looked at: whoever
    /// is told of a line reads the rest of it, which a slow console brings later.
    pub fn find(&mut self, patterns: &[&str]) -> Option<(usize, Finding)> {
        let new = &self.text[self.searched..self.complete().max(self.searched)];
        let found = patterns
            .iter()
            .enumerate()
            .filter_map(|(index, pattern)| Some((self.searched + new.find(pattern)?, index, pattern.len())))
            .min();
        if let Some((at, length)) = self.first_forbidden()
            && found.is_none_or(|(found, ..)| at < found)
        {
            self.checked = at + length;
            return Some((0, Finding::Forbidden(self.line_at(at))));
        }
        let (at, index, length) = found?;
        let line = self.line_at(at);
        self.searched = at + length;
        Some((index, Finding::Found(line)))
    }

    fn first_forbidden(&self) -> Option<(usize, usize)> {
        let complete = self.complete();
        let place = |(word, from): &(String, usize)| {
            let start = self.checked.max(*from).min(complete);
            Some((start + self.text[start..complete].find(word)?, word.len()))
        };
        self.forbidden.iter().filter_map(place).min()
    }

    /// How much of the text is complete lines, in bytes.
    fn complete(&self) -> usize {
        if self.closed { self.text.len() } else { self.text.rfind('\n').map_or(0, |newline| newline + 1) }
    }

    fn line_at(&self, at: usize) -> String {
        let start = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let end = self.text[at..].find('\n').map_or(self.text.len(), |newline| at + newline);
        self.text[start..end].to_owned()
    }

    fn text_byte(&mut self, byte: u8) {
        match byte {
            b'\n' | b'\t' => self.character(char::from(byte)),
            // Carriage returns, bells and NULs are not text.
            0x00..=0x1f | 0x7f => {}
            0x20..=0x7e => self.character(char::from(byte)),
            _ => {
                // A byte that starts a character ends a broken one before it.
                if byte & 0xc0 == 0xc0 {
                    self.broken();
                }
                self.partial.push(byte);
                match std::str::from_utf8(&self.partial) {
                    Ok(character) => {
                        self.text.push_str(character);
                        self.partial.clear();
                    }
                    Err(error) if error.error_len().is_some() => self.broken(),
                    Err(_) => {}
                }
            }
        }
    }

    fn character(&mut self, character: char) {
        self.broken();
        self.text.push(character);
    }

    fn broken(&mut self) {
        if !self.partial.is_empty() {
            self.partial.clear();
            self.text.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn transcript(text: &str) -> Transcript {
        let mut transcript = Transcript::new(vec!["Kernel panic".into()]);
        transcript.push(text.as_bytes());
        transcript
    }

    fn found(line: &str) -> Option<(usize, Finding)> {
        Some((0, Finding::Found(line.into())))
    }

    #[test]
    fn a_match_gives_its_line_and_the_next_search_starts_after_it() {
        let mut transcript = transcript("one\nready: 1\ntwo\nready: 2\n");
        assert_eq!(transcript.find(&["ready"]), found("ready: 1"));
        assert_eq!(transcript.find(&["ready"]), found("ready: 2"));
        assert_eq!(transcript.find(&["ready"]), None);
        assert_eq!(transcript.find(&["one"]), None, "what was said before a match is over");
    }

    #[test]
    fn a_line_is_told_when_it_is_complete_and_the_last_one_when_nothing_more_comes() {
        let mut transcript = transcript("state in RAM: ");
        assert_eq!(transcript.find(&["state in RAM"]), None);
        transcript.push(b"no room\n");
        assert_eq!(transcript.find(&["state in RAM"]), found("state in RAM: no room"));
        transcript.push(b"last");
        assert_eq!(transcript.find(&["last"]), None);
        transcript.close();
        assert_eq!(transcript.find(&["last"]), found("last"));
    }

    #[test]
    fn the_earliest_of_several_patterns_wins() {
        assert_eq!(transcript("a\nb\n").find(&["b", "a"]), Some((1, Finding::Found("a".into()))));
    }

    #[test]
    fn a_forbidden_word_is_found_before_the_pattern_after_it_and_not_instead_of_the_one_before() {
        let forbidden = Some((0, Finding::Forbidden("Kernel panic - not syncing".into())));
        assert_eq!(transcript("Kernel panic - not syncing\nlogin:\n").find(&["login:"]), forbidden);
        let mut late = transcript("login:\nKernel panic - not syncing\n");
        assert_eq!(late.find(&["login:"]), found("login:"));
        assert_eq!(late.find(&["more"]), forbidden);
        assert_eq!(late.find(&["more"]), None, "each one is told once");
    }

    #[test]
    fn a_word_that_is_forbidden_late_may_have_been_said_before() {
        let mut transcript = transcript("root mounted\nworking\n");
        assert_eq!(transcript.find(&["working"]), found("working"));
        transcript.forbid("root mounted");
        assert_eq!(transcript.find(&["done"]), None);
        transcript.push(b"root mounted\ndone\n");
        assert_eq!(transcript.find(&["done"]), Some((0, Finding::Forbidden("root mounted".into()))));
    }

    #[test]
    fn an_allowed_word_is_no_failure() {
        let mut transcript = transcript("Kernel panic\nlogin:\n");
        transcript.allow("Kernel panic");
        assert_eq!(transcript.find(&["login:"]), found("login:"));
    }

    #[test]
    fn paint_is_not_text() {
        let painted = "\x1b[2J\x1b[01;31mBoot\x1b[0m\r\0ing\x1b]0;title\x07 \x1b(B\x1b=v\u{e9}rit\u{e9}\x1b]x\x1b\\.\r\n";
        assert_eq!(transcript(painted).text(), "Booting v\u{e9}rit\u{e9}.\n");
    }

    #[test]
    fn broken_characters_are_marked_and_lose_nothing_else() {
        let mut transcript = Transcript::new(Vec::new());
        transcript.push(b"a\xffb\xc3c\xc3\xa9");
        assert_eq!(transcript.text(), "a\u{fffd}b\u{fffd}c\u{e9}");
    }

    proptest! {
        #[test]
        fn where_the_bytes_are_cut_does_not_matter(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..200) {
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            let mut whole = Transcript::new(Vec::new());
            whole.push(&bytes);
            let mut parts = Transcript::new(Vec::new());
            parts.push(first);
            parts.push(second);
            prop_assert_eq!(whole.text(), parts.text());
        }
    }
}
