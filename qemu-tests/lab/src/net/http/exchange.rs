//! One request and what is said to it: RFC 9110 and 9112, as far as firmware and small clients go.

/// Longest head of a request, bytes; a longer one is refused. The usual limit of servers is 8 KiB.
pub(crate) const HEAD_LIMIT: usize = 8 * 1024;

/// A request's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path, percent-decoded, without query.
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) keep_alive: bool,
}

/// What comes of reading so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// More bytes are needed.
    Partial,
    /// A request, and how many bytes its head took.
    Request(Request, usize),
    /// Not HTTP.
    Malformed,
}

/// The answer: its head, and the bytes of the file that follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Offset and length of the body; HEAD and errors have an empty one.
    pub(crate) body: (u64, u64),
    pub(crate) head: String,
}

pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if bytes.len() < HEAD_LIMIT { Parsed::Partial } else { Parsed::Malformed };
    };
    let Ok(head) = std::str::from_utf8(&bytes[..end]) else { return Parsed::Malformed };
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next()) else {
        return Parsed::Malformed;
    };
    if !version.starts_with("HTTP/1.") {
        return Parsed::Malformed;
    }
    let headers: Vec<(String, &str)> =
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_ascii_lowercase(), value.trim())).collect();
    let header = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
    let keep_alive = match header("connection").map(str::to_ascii_lowercase) {
        Some(connection) => connection.contains("keep-alive") || (version != "HTTP/1.0" && !connection.contains("close")),
        None => version != "HTTP/1.0",
    };
    let request = Request {
        method: method.to_owned(),
        path: path_of(target),
        range: header("range").map(str::to_owned),
        // We read no bodies: after one, the connection cannot go on.
        keep_alive: keep_alive && header("content-length").is_none_or(|length| length == "0") && header("transfer-encoding").is_none(),
    };
    Parsed::Request(request, end + 4)
}

/// Decides the answer for a file of `length` bytes, or for none.
pub(crate) fn respond(request: &Request, length: Option<u64>) -> Response {
    let (status, body, extra) = match (request.method.as_str(), length) {
        ("GET" | "HEAD", None) => (404, (0, 0), String::new()),
        ("GET" | "HEAD", Some(length)) => match request.range.as_deref().map(|range| range_of(range, length)) {
            None | Some(Range::Ignored) => (200, (0, length), "Accept-Ranges: bytes\r\n".to_owned()),
            Some(Range::Part(first, last)) => (206, (first, last - first + 1), format!("Content-Range: bytes {first}-{last}/{length}\r\n")),
            Some(Range::Outside) => (416, (0, 0), format!("Content-Range: bytes */{length}\r\n")),
        },
        _ => (405, (0, 0), "Allow: GET, HEAD\r\n".to_owned()),
    };
    let connection = if request.keep_alive { "keep-alive" } else { "close" };
    let head = format!(
        "HTTP/1.1 {status} {}\r\nContent-Length: {}\r\nContent-Type: application/octet-stream\r\n{extra}Connection: {connection}\r\n\r\n",
        reason(status),
        body.1
    );
    let body = if request.method == "HEAD" { (0, 0) } else { body };
    Response { status, body, head }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        404 => "Not Found",
        405 => "Method Not Allowed",
        416 => "Range Not Satisfiable",
        _ => "Error",
    }
}

/// The path of a target in origin form, or of an absolute one, which some firmware sends.
fn path_of(target: &str) -> String {
    let target = target.strip_prefix("http://").map_or(target, |rest| rest.find('/').map_or("/", |slash| &rest[slash..]));
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after.get(..2).filter(|_| *first == b'%');
        let decoded = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

enum Range {
    /// First and last byte, both served.
    Part(u64, u64),
    Outside,
    /// Not understood, or several at once: the whole file is a right answer (RFC 9110, 14.2).
    Ignored,
}

fn range_of(range: &str, length: u64) -> Range {
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|spec| spec.split_once('-')) else { return Range::Ignored };
    let (first, last) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.min(length.saturating_sub(1))),
        (Ok(first), Err(_)) if last.is_empty() => (first, length.saturating_sub(1)),
        // The last so many bytes.
        (Err(_), Ok(0)) if first.is_empty() => return Range::Outside,
        (Err(_), Ok(count)) if first.is_empty() => (length.saturating_sub(count), length.saturating_sub(1)),
        _ => return Range::Ignored,
    };
    if first < length { Range::Part(first, last) } else { Range::Outside }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Request {
        match parse(text.as_bytes()) {
            Parsed::Request(request, taken) => {
                assert_eq!(taken, text.len());
                request
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let text = "GET /a%20b?x=1 HTTP/1.1\r\nHost: lab\r\nRANGE: bytes=1-2\r\n\r\n";
        assert_eq!(parse(&text.as_bytes()[..text.len() - 1]), Parsed::Partial);
        let expected = Request { method: "GET".into(), path: "/a b".into(), range: Some("bytes=1-2".into()), keep_alive: true };
        assert_eq!(request(text), expected);
        assert_eq!(request("GET http://lab/boot HTTP/1.1\r\n\r\n").path, "/boot");
    }

    #[test]
    fn what_is_not_http_is_refused_and_so_is_an_endless_head() {
        assert_eq!(parse(b"hello\r\n\r\n"), Parsed::Malformed);
        assert_eq!(parse(b"GET / SPDY/3\r\n\r\n"), Parsed::Malformed);
        assert_eq!(parse(&[b'a'; HEAD_LIMIT]), Parsed::Malformed);
    }

    #[test]
    fn a_connection_stays_open_as_its_version_and_header_say() {
        let cases =
            [("1.1", "", true), ("1.0", "", false), ("1.1", "Connection: close\r\n", false), ("1.0", "Connection: Keep-Alive\r\n", true)];
        for (version, header, expected) in cases {
            assert_eq!(request(&format!("GET / HTTP/{version}\r\n{header}\r\n")).keep_alive, expected, "{version} {header}");
        }
    }

    #[test]
    fn each_range_gives_its_status_and_bytes() {
        let cases = [
            ("", 200, (0, 10)),
            ("bytes=0-3", 206, (0, 4)),
            ("bytes=8-99", 206, (8, 2)),
            ("bytes=4-", 206, (4, 6)),
            ("bytes=-3", 206, (7, 3)),
            ("bytes=-99", 206, (0, 10)),
            ("bytes=10-", 416, (0, 0)),
            ("bytes=-0", 416, (0, 0)),
            ("bytes=0-1,3-4", 200, (0, 10)),
            ("bytes=3-1", 200, (0, 10)),
            ("lines=1-2", 200, (0, 10)),
        ];
        for (range, status, body) in cases {
            let header = if range.is_empty() { String::new() } else { format!("Range: {range}\r\n") };
            let response = respond(&request(&format!("GET / HTTP/1.1\r\n{header}\r\n")), Some(10));
            assert_eq!((response.status, response.body), (status, body), "{range}");
            assert!(response.head.contains(&format!("Content-Length: {}\r\n", body.1)), "{}", response.head);
        }
    }

    #[test]
    fn a_head_request_tells_the_length_and_sends_nothing() {
        let response = respond(&request("HEAD / HTTP/1.1\r\n\r\n"), Some(10));
        assert!(response.head.contains("Content-Length: 10\r\n"));
        assert_eq!(response.body, (0, 0));
    }

    #[test]
    fn other_methods_and_missing_files_have_their_status() {
        assert_eq!(respond(&request("PUT / HTTP/1.1\r\n\r\n"), Some(10)).status, 405);
        assert_eq!(respond(&request("GET / HTTP/1.1\r\n\r\n"), None).status, 404);
    }
}
