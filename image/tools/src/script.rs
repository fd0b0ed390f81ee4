//! Small shell scripts that stand before a program.

/// `text` as one word of a POSIX shell, whatever is in it.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The interpreter and its argument that a script asks for in its first line (`#!`); none for what is no script.
pub(crate) fn interpreter(beginning: &[u8]) -> Option<(&str, Option<&str>)> {
    let line = beginning.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.trim();
    // The kernel passes all behind the first blank as one argument.
    match line.split_once([' ', '\t']) {
        Some((interpreter, argument)) => Some((interpreter, Some(argument.trim_start()))),
        None => Some((line, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_word_is_one_word_for_the_shell() {
        for text in ["plain", "with blank", "it's", "$HOME `id` \\ \" *", ""] {
            let output = std::process::Command::new("/bin/sh").args(["-c", &format!("printf %s {}", quoted(text))]).output().unwrap();
            assert_eq!(output.stdout, text.as_bytes());
        }
    }

    #[test]
    fn the_first_line_names_the_interpreter() {
        assert_eq!(interpreter(b"#!/usr/bin/python3\nimport os"), Some(("/usr/bin/python3", None)));
        assert_eq!(interpreter(b"#! /usr/bin/env python3 -s\n"), Some(("/usr/bin/env", Some("python3 -s"))));
        assert_eq!(interpreter(b"\x7fELF"), None);
    }
}
