//! One HTTP request: the agent, its time limits, redirects, and what is told apart in answers.

use std::io::{self, Read};
use std::time::Duration;

use fluent_uri::{Uri, UriRef};
use ureq::http::Response;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, RustlsConnector, TcpConnector};
use ureq::{Agent, Body};

use crate::absolute_form::AbsoluteFormConnector;
use crate::proxy::Proxies;

/// Longest wait for a name to be resolved and for a connection. A mirror that is further away than this is of no use.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Longest wait for the head of an answer, and for each piece of its body. Caching proxies fetch the first bytes from afar meanwhile.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Most redirects that are followed; Debian's own redirectors need one or two.
const MAX_REDIRECTS: usize = 5;

/// Asks servers, through the proxies of this machine.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    proxies: Proxies,
}

/// The answer to a request for the rest of a file.
pub(crate) struct Answer {
    /// Position of the first byte of the body in the file.
    pub(crate) start: u64,
    /// Size of the whole file, when the server says it.
    pub(crate) total: Option<u64>,
    /// The rest of the file.
    pub(crate) body: Box<dyn Read>,
}

/// Why a request got no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The server answered with this status.
    #[error("the server answers {}", status_text(*.0))]
    Status(u16),
    /// The server has no bytes after those that are there already; its file's size, when it says it.
    #[error("the server's file ends before what is already there")]
    NothingLeft(Option<u64>),
    /// The proxy's URI is unusable.
    #[error("the proxy `{0}` is no usable URI; correct apt's `Acquire::http::Proxy` or the environment's `http_proxy`")]
    Proxy(String),
    /// The proxy refuses a tunnel to an `https` server.
    #[error("the proxy refuses a tunnel ({0}); have it allow CONNECT to port 443 of this server, or name an http mirror with `--mirror`")]
    ProxyRefuses(String),
    /// The server sends us elsewhere, and nobody knows where.
    #[error("the server redirects to `{0}`, which is no URI to follow; try another mirror")]
    Redirect(String),
    /// The server sends us elsewhere, again and again.
    #[error("the server redirects more than {MAX_REDIRECTS} times; try another mirror")]
    Redirects,
    /// No answer came: no connection, a timeout, or an answer that is no HTTP.
    #[error("there is no usable answer")]
    Transport(#[source] Box<ureq::Error>),
    /// The connection broke while the body was read.
    #[error("the connection was cut; what has arrived is kept, so run the same command again, or try another mirror")]
    Body(#[source] io::Error),
}

fn status_text(status: u16) -> String {
    let hint = match status {
        404 | 410 => " (the file is gone, or was never there)",
        407 => " (the proxy wants a user name and a password: write them into its URI)",
        _ => "",
    };
    format!("{status}{hint}")
}

impl RequestError {
    /// Whether the same request may succeed a little later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Status(status) => matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504),
            Self::Body(_) => true,
            Self::Transport(error) => matches!(
                **error,
                ureq::Error::Io(_)
                    | ureq::Error::Timeout(_)
                    | ureq::Error::HostNotFound
                    | ureq::Error::ConnectionFailed
                    | ureq::Error::Protocol(_)
            ),
            Self::NothingLeft(_) | Self::Proxy(_) | Self::ProxyRefuses(_) | Self::Redirect(_) | Self::Redirects => false,
        }
    }
}

impl Client {
    pub(crate) fn new(proxies: Proxies) -> Self {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .user_agent(concat!("shoal/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            // They are followed here, because each server has its own proxy.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(Some(CONNECT_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(IDLE_TIMEOUT))
            .timeout_per_read(Some(IDLE_TIMEOUT))
            // Each request names its own proxy.
            .proxy(None)
            .build();
        let connector = ().chain(AbsoluteFormConnector::new(config.clone()));
        let connector = connector.chain(ConnectProxyConnector::default()).chain(TcpConnector::default()).chain(RustlsConnector::default());
        Self { agent: Agent::with_parts(config, connector, DefaultResolver::default()), proxies }
    }

    /// Asks for a file from a position on. A server may answer with the whole file instead: see [`Answer::start`].
    pub(crate) fn get(&self, url: &str, position: u64) -> Result<Answer, RequestError> {
        let mut url = url.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.ask(&url, position)?;
            match location(&url, &response)? {
                Some(elsewhere) => url = elsewhere,
                None => return answer(response, position),
            }
        }
        Err(RequestError::Redirects)
    }

    /// Asks one server, through its proxy if it has one.
    fn ask(&self, url: &str, position: u64) -> Result<Response<Body>, RequestError> {
        let proxy = match self.proxies.of_url(url) {
            Some(uri) => Some(ureq::Proxy::new(uri).map_err(|_| RequestError::Proxy(uri.to_owned()))?),
            None => None,
        };
        // A file that a server packs on the way has another digest and other positions.
        let mut request = self.agent.get(url).config().proxy(proxy).build().header("Accept-Encoding", "identity");
        if position > 0 {
            request = request.header("Range", format!("bytes={position}-"));
        }
        request.call().map_err(|error| match error {
            ureq::Error::ConnectProxyFailed(why) => RequestError::ProxyRefuses(why),
            error => RequestError::Transport(Box::new(error)),
        })
    }
}

/// Where an answer sends us (RFC 9110, 15.4), if it does.
fn location(url: &str, response: &Response<Body>) -> Result<Option<String>, RequestError> {
    match header(response, "Location") {
        Some(reference) if matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) => {
            let elsewhere = resolve(url, reference).ok_or_else(|| RequestError::Redirect(reference.to_owned()))?;
            Ok(Some(elsewhere))
        }
        _ => Ok(None),
    }
}

/// The `http` or `https` URI that a reference means (RFC 3986, 5).
fn resolve(base: &str, reference: &str) -> Option<String> {
    let uri = UriRef::parse(reference).ok()?.resolve_against(&Uri::parse(base).ok()?).ok()?;
    matches!(uri.scheme().as_str(), "http" | "https").then(|| uri.strip_fragment().to_string())
}

fn answer(response: Response<Body>, position: u64) -> Result<Answer, RequestError> {
    let range = header(&response, "Content-Range").and_then(content_range);
    let length = header(&response, "Content-Length").and_then(|length| length.parse::<u64>().ok());
    let (start, total) = match (response.status().as_u16(), range) {
        (200, _) => (0, length),
        // RFC 9110, 15.3.7: a part that is not the one that was asked for is useless.
        (206, Some((Some(start), total))) if start == position => (start, total.or(length.map(|length| start + length))),
        (206, _) => return Err(RequestError::NothingLeft(None)),
        (416, range) => return Err(RequestError::NothingLeft(range.and_then(|(_, total)| total))),
        (status, _) => return Err(RequestError::Status(status)),
    };
    Ok(Answer { start, total, body: Box::new(response.into_body().into_reader()) })
}

fn header<'r>(response: &'r Response<Body>, name: &str) -> Option<&'r str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

/// Reads `bytes 5-9/10`, `bytes 5-9/*` and `bytes */10` (RFC 9110, 14.4): first byte and total size.
fn content_range(value: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let start = match range {
        "*" => None,
        range => Some(range.split_once('-')?.0.parse().ok()?),
    };
    Some((start, total.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read() {
        for (value, expected) in [
            ("bytes 5-9/10", Some((Some(5), Some(10)))),
            ("bytes 5-9/*", Some((Some(5), None))),
            ("bytes */10", Some((None, Some(10)))),
            ("items 5-9/10", None),
            ("bytes 5/10", None),
        ] {
            assert_eq!(content_range(value), expected, "{value}");
        }
    }

    #[test]
    fn redirects_are_relative_to_what_was_asked_for() {
        let base = "http://m.test:8080/debian/dists/file?x";
        for (reference, expected) in [
            ("https://other.test/file", Some("https://other.test/file")),
            ("//other.test/file", Some("http://other.test/file")),
            ("/file?y", Some("http://m.test:8080/file?y")),
            ("../pool/file", Some("http://m.test:8080/debian/pool/file")),
            ("file#part", Some("http://m.test:8080/debian/dists/file")),
            ("ftp://other.test/file", None),
            ("http://other.test/a file", None),
        ] {
            assert_eq!(resolve(base, reference).as_deref(), expected, "{reference}");
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        assert!([503, 429, 500].iter().all(|status| RequestError::Status(*status).is_transient()));
        assert!(![400, 401, 403, 404, 407, 410, 501].iter().any(|status| RequestError::Status(*status).is_transient()));
    }
}
