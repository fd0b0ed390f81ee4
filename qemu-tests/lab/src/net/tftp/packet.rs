//! TFTP packets: RFC 1350, and options of RFC 2347.

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    Read { file: String, mode: String, options: Vec<(String, String)> },
    Write,
    Acknowledge(u16),
    Error,
}

/// Error codes of RFC 1350, 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorCode {
    NotDefined = 0,
    FileNotFound = 1,
    AccessViolation = 2,
    IllegalOperation = 4,
}

impl Request {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (operation, rest) = bytes.split_first_chunk()?;
        match u16::from_be_bytes(*operation) {
            1 => {
                let mut words = rest.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
                let (file, mode) = (words.next()?, words.next()?.to_ascii_lowercase());
                let mut options = Vec::new();
                while let (Some(name), Some(value)) = (words.next(), words.next()) {
                    options.push((name.to_ascii_lowercase(), value));
                }
                Some(Self::Read { file, mode, options })
            }
            2 => Some(Self::Write),
            4 => Some(Self::Acknowledge(u16::from_be_bytes(*rest.first_chunk()?))),
            5 => Some(Self::Error),
            _ => None,
        }
    }
}

pub(crate) fn data(block: u16, bytes: &[u8]) -> Vec<u8> {
    [&3u16.to_be_bytes(), &block.to_be_bytes(), bytes].concat()
}

pub(crate) fn error(code: ErrorCode, text: &str) -> Vec<u8> {
    [&5u16.to_be_bytes(), &(code as u16).to_be_bytes(), text.as_bytes(), &[0]].concat()
}

pub(crate) fn option_acknowledgement(options: &[(&str, u64)]) -> Vec<u8> {
    let mut bytes = 6u16.to_be_bytes().to_vec();
    for (name, value) in options {
        bytes.extend(format!("{name}\0{value}\0").bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_request_has_a_name_a_mode_and_options() {
        let expected = Request::Read {
            file: "boot.efi".into(),
            mode: "octet".into(),
            options: vec![("tsize".into(), "0".into()), ("blksize".into(), "1468".into())],
        };
        assert_eq!(Request::parse(b"\0\x01boot.efi\0OCTET\0tsize\x000\0blkSize\x001468\0"), Some(expected));
    }

    #[test]
    fn what_is_cut_off_or_unknown_is_no_request() {
        for bytes in [&b""[..], b"\0", b"\0\x01name", b"\0\x04\0", b"\0\x09xx"] {
            assert_eq!(Request::parse(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn an_option_acknowledgement_is_names_and_numbers() {
        assert_eq!(option_acknowledgement(&[("blksize", 1468), ("tsize", 9)]), b"\0\x06blksize\x001468\0tsize\x009\0");
    }
}
