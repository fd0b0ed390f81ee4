//! deb822, the syntax of Debian's control files: paragraphs of `Name: value` lines, separated by blank lines. See deb822(5).

/// Paragraphs of a control file, in order. Paragraphs that hold only comments are left out.
pub fn paragraphs(text: &str) -> impl Iterator<Item = Paragraph<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (paragraph, behind) = split_paragraph(rest);
            rest = behind;
            let paragraph = Paragraph { text: paragraph };
            if paragraph.fields().next().is_some() {
                return Some(paragraph);
            }
        }
        None
    })
}

/// The first paragraph, and what is behind the blank line that ends it.
fn split_paragraph(text: &str) -> (&str, &str) {
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        let next = end + line.len();
        if line.trim().is_empty() {
            return (&text[..end], &text[next..]);
        }
        end = next;
    }
    (text, "")
}

/// One paragraph of a control file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paragraph<'a> {
    text: &'a str,
}

impl<'a> Paragraph<'a> {
    /// A paragraph that is known to be only one: no blank line is looked for.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text }
    }

    /// Fields with their values, in order. A value of several lines keeps its line breaks and the blanks its lines begin with; blanks around
    /// the whole value are cut off. Comments between its lines (lines that begin with `#`) are kept. Lines that are no field (no colon) are skipped.
    #[must_use]
    pub fn fields(&self) -> Fields<'a> {
        Fields { rest: self.text }
    }

    /// Value of a field. Names are compared without regard to case, as deb822 demands.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a str> {
        self.fields().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Iterator over the fields of a [`Paragraph`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let mut end = line_end(self.rest);
            let mut next = end;
            loop {
                match self.rest.as_bytes().get(next) {
                    Some(b' ' | b'\t') => {
                        next += line_end(&self.rest[next..]);
                        end = next;
                    }
                    // A comment belongs to a value only when the value goes on behind it.
                    Some(b'#') => next += line_end(&self.rest[next..]),
                    _ => break,
                }
            }
            let (field, behind) = self.rest.split_at(end);
            self.rest = behind;
            if field.starts_with('#') {
                continue;
            }
            if let Some((name, value)) = field.split_once(':') {
                return Some((name.trim_end(), value.trim()));
            }
        }
    }
}

/// Length of the first line with its line break.
fn line_end(text: &str) -> usize {
    text.find('\n').map_or(text.len(), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_separated_by_blank_lines() {
        let names: Vec<_> = paragraphs("\nA: 1\n\n \n# only a comment\n\nB: 2\n").map(|paragraph| paragraph.fields().next()).collect();
        assert_eq!(names, [Some(("A", "1")), Some(("B", "2"))]);
    }

    #[test]
    fn a_value_of_several_lines_is_kept_whole() {
        let paragraph = Paragraph::new("Description: short\n long\n .\n more\nSection: net\n");
        assert_eq!(paragraph.field("Description"), Some("short\n long\n .\n more"));
        assert_eq!(paragraph.field("section"), Some("net"));
    }

    #[test]
    fn comments_and_lines_without_a_colon_are_no_fields() {
        let paragraph = Paragraph::new("# Types: rpm\nTypes: deb\nnonsense\nSuites: trixie");
        assert_eq!(paragraph.fields().collect::<Vec<_>>(), [("Types", "deb"), ("Suites", "trixie")]);
    }

    #[test]
    fn a_comment_does_not_end_a_value_that_goes_on() {
        let paragraph = Paragraph::new("URIs: one\n# why\n two\n# Types: rpm\nTypes: deb\n");
        assert_eq!(paragraph.fields().collect::<Vec<_>>(), [("URIs", "one\n# why\n two"), ("Types", "deb")]);
    }

    #[test]
    fn an_empty_first_line_leaves_the_continuation() {
        assert_eq!(Paragraph::new("SHA256:\n aa 1 x\n bb 2 y\n").field("SHA256"), Some("aa 1 x\n bb 2 y"));
    }
}
