//! URLs of members, as etcd's flags give them: a scheme, a host and a port, and nothing else.

use std::{fmt, net::SocketAddr, str::FromStr};

/// Where a member listens or is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberUrl {
    /// `https` rather than `http`.
    pub(crate) tls: bool,
    /// A name or an address; one of IPv6 in brackets.
    pub(crate) host: String,
    /// 0 where the system is to choose.
    pub(crate) port: u16,
}

/// A text that is no such URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not the URL of a member ({reason}): write it like http://127.0.0.1:2379")]
pub(crate) struct NotAUrl {
    text: String,
    reason: &'static str,
}

impl FromStr for MemberUrl {
    type Err = NotAUrl;

    fn from_str(text: &str) -> Result<Self, NotAUrl> {
        let fail = |reason| NotAUrl { text: text.to_owned(), reason };
        if text.starts_with("unix://") || text.starts_with("unixs://") {
            return Err(fail("sockets in the file system are not served"));
        }
        let uri: http::Uri = text.parse().map_err(|_| fail("it cannot be read as a URL"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(fail("it must begin with http:// or https://")),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(fail("it must not have a path"));
        }
        let authority = uri.authority().ok_or_else(|| fail("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(fail("it must not have a user"));
        }
        let port = authority.port_u16().ok_or_else(|| fail("it has no port from 0 to 65535"))?;
        match authority.host() {
            "" => Err(fail("it has no host")),
            host => Ok(Self { tls, host: host.to_owned(), port }),
        }
    }
}

impl fmt::Display for MemberUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(formatter, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl MemberUrl {
    /// Of a socket's address.
    pub(crate) fn of(tls: bool, address: SocketAddr) -> Self {
        let host = if address.is_ipv6() { format!("[{}]", address.ip()) } else { address.ip().to_string() };
        Self { tls, host, port: address.port() }
    }

    /// What to bind to.
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Whether it stands for all addresses of this machine, so that nobody else can use it.
    pub(crate) fn is_unspecified(&self) -> bool {
        matches!(self.host.as_str(), "0.0.0.0" | "[::]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_members_are_read_and_written() {
        for text in ["http://127.0.0.1:2379", "https://node-1.example:2380", "http://[::1]:0", "http://localhost:65535"] {
            assert_eq!(text.parse::<MemberUrl>().expect(text).to_string(), text);
        }
        let url: MemberUrl = "http://[::]:2379/".parse().expect("a slash is no path");
        assert_eq!((url.is_unspecified(), url.address()), (true, "[::]:2379".to_owned()));
    }

    #[test]
    fn others_are_refused_and_told_why() {
        let table = [
            ("", "cannot be read"),
            ("127.0.0.1:2379", "must begin with http"),
            ("localhost", "must begin with http"),
            ("ftp://host:1", "must begin with http"),
            ("http://host", "has no port"),
            ("http://host:1/path", "must not have a path"),
            ("http://host:1?query", "must not have a path"),
            ("http://user@host:1", "must not have a user"),
            ("http://host:99999", "has no port from 0"),
            ("unix://socket:1", "are not served"),
        ];
        for (text, reason) in table {
            let error = text.parse::<MemberUrl>().expect_err(text).to_string();
            assert!(error.contains(reason) && error.contains("write it like"), "{text:?}: {error}");
        }
    }
}
