//! fnmatch(3) without flags, as depmod and modprobe use it for modaliases: `*`, `?`, `[…]`, and `\` as escape.

/// Whether `text` matches `pattern`. Works on bytes: modaliases are ASCII. Time is at most the product of both lengths.
#[must_use]
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at_pattern, mut at_text) = (0, 0);
    // Where to resume after a mismatch: behind the last `*`, one byte of text further. Earlier stars need no second try.
    let mut resume: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at_pattern) == Some(&b'*') {
            at_pattern += 1;
            resume = Some((at_pattern, at_text));
            continue;
        }
        match text.get(at_text) {
            None if at_pattern == pattern.len() => return true,
            // What is left of the pattern is not only stars, and there is no text left to give it.
            None => return false,
            Some(byte) => {
                if let Some(next) = one(pattern, at_pattern, *byte) {
                    at_pattern = next;
                    at_text += 1;
                } else if let Some((star, from)) = resume {
                    at_pattern = star;
                    at_text = from + 1;
                    resume = Some((star, from + 1));
                } else {
                    return false;
                }
            }
        }
    }
}

/// Matches one byte against the element at `at`; gives the position behind the element.
fn one(pattern: &[u8], at: usize, byte: u8) -> Option<usize> {
    match *pattern.get(at)? {
        b'?' => Some(at + 1),
        b'[' => bracket(pattern, at, byte),
        b'\\' if at + 1 < pattern.len() => (pattern[at + 1] == byte).then_some(at + 2),
        literal => (literal == byte).then_some(at + 1),
    }
}

/// Matches one byte against a bracket expression that opens at `at`. An expression that never closes is a literal `[`.
fn bracket(pattern: &[u8], at: usize, byte: u8) -> Option<usize> {
    let mut index = at + 1;
    let negated = matches!(pattern.get(index), Some(b'!' | b'^'));
    if negated {
        index += 1;
    }
    let first = index;
    let mut found = false;
    loop {
        let Some(&low) = pattern.get(index) else {
            return (byte == b'[').then_some(at + 1);
        };
        if low == b']' && index > first {
            return (found != negated).then_some(index + 1);
        }
        match (pattern.get(index + 1), pattern.get(index + 2)) {
            (Some(b'-'), Some(&high)) if high != b']' => {
                found |= (low..=high).contains(&byte);
                index += 3;
            }
            _ => {
                found |= low == byte;
                index += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    fn matches(pattern: &str, text: &str) -> bool {
        super::matches(pattern.as_bytes(), text.as_bytes())
    }

    #[test]
    fn real_aliases_match_real_devices() {
        let virtio = "pci:v00001AF4d00001041sv00001AF4sd00001100bc02sc00i00";
        assert!(matches("pci:v00001AF4d*sv*sd*bc*sc*i*", virtio));
        assert!(!matches("pci:v00008086d*sv*sd*bc*sc*i*", virtio));
        assert!(matches("usb:v*p*d*dc*dsc*dp*ic08isc06ip50in*", "usb:v46F4p0001d0000dc00dsc00dp00ic08isc06ip50in00"));
        assert!(matches("usb:v0BDAp815[2-5]d*dc*", "usb:v0BDAp8153d3000dc00"));
        assert!(matches("cpu:type:x86,ven*fam*mod*:feature:*0094*", "cpu:type:x86,ven0000fam0006mod000F:feature:,0001,0094,00C0"));
    }

    #[test]
    fn brackets_negate_range_and_hold_a_closing_bracket() {
        assert!(matches("[!a-c]x", "dx"));
        assert!(!matches("[^a-c]x", "bx"));
        assert!(matches("[]]", "]"));
        assert!(matches("[a-]", "-"));
        assert!(matches("[a", "[a"), "an unclosed bracket is itself");
    }

    #[test]
    fn stars_may_match_nothing_and_must_not_hide_what_follows() {
        assert!(matches("a*", "a"));
        assert!(matches("*", ""));
        assert!(!matches("a*b", "ac"));
        assert!(matches("a*b*c", "axbxbxc"));
        assert!(matches("\\*", "*"));
        assert!(!matches("\\*", "x"));
    }

    /// The definition, with no care for time.
    fn slow(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.first() {
            None => text.is_empty(),
            Some(b'*') => (0..=text.len()).any(|skip| slow(&pattern[1..], &text[skip..])),
            Some(b'?') => !text.is_empty() && slow(&pattern[1..], &text[1..]),
            Some(byte) => text.first() == Some(byte) && slow(&pattern[1..], &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn backtracking_agrees_with_the_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(matches(&pattern, &text), slow(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
