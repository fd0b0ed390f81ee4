//! Requests for `http` URIs to a proxy: in absolute form, `GET http://mirror/file` (RFC 9112, 3.2.2), on a connection to the proxy itself.
//!
//! ureq opens a tunnel by `CONNECT` for `http`, too, which proxies for packages (apt-cacher-ng) and most others (squid, as it comes) allow to port 443 only, and which leaves
//! a caching proxy nothing to cache. So this connector stands before ureq's own: it takes `http` with a proxy, and leaves `https`, where a tunnel is right, and
//! what goes without a proxy to those behind it.

use std::io;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};
use ureq::{Error, Proxy, ProxyProtocol};

/// What a request ends in that has no body, as all of ours.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// Connects to a proxy that is to be asked in absolute form.
#[derive(Debug)]
pub(crate) struct AbsoluteFormConnector {
    direct: Config,
}

impl AbsoluteFormConnector {
    /// `direct` is how the proxy itself is reached: it names no proxy.
    pub(crate) fn new(direct: Config) -> Self {
        Self { direct }
    }
}

impl Connector for AbsoluteFormConnector {
    type Out = AbsoluteForm;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<AbsoluteForm>, Error> {
        let is_http = |proxy: &&Proxy| matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https);
        let Some(proxy) = details.config.proxy().filter(is_http).filter(|_| !details.needs_tls()) else { return Ok(None) };
        let to_proxy = ConnectionDetails {
            uri: proxy.uri(),
            addrs: details.resolver.resolve(proxy.uri(), &self.direct, details.timeout)?,
            config: &self.direct,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        };
        let transport = (details.run_connector)(&to_proxy)?;
        Ok(Some(AbsoluteForm { transport, origin: origin(details.uri)?, authorization: authorization(proxy), begins: true }))
    }
}

/// The beginning of all URIs of a server, without the user's name and password (RFC 9110, 4.2.4).
fn origin(uri: &Uri) -> Result<String, Error> {
    let host = uri.host().ok_or_else(|| Error::BadUri(uri.to_string()))?;
    Ok(uri.port().map_or_else(|| format!("http://{host}"), |port| format!("http://{host}:{port}")))
}

/// The header line for a proxy that wants a name and a password (RFC 7617). No server behind it gets to see it.
fn authorization(proxy: &Proxy) -> Option<String> {
    let (user, password) = (proxy.username(), proxy.password());
    let credentials = format!("{}:{}", user.unwrap_or_default(), password.unwrap_or_default());
    (user.is_some() || password.is_some()).then(|| format!("Proxy-Authorization: Basic {}\r\n", BASE64_STANDARD.encode(credentials)))
}

/// A connection to a proxy. What is written to it is requests in origin form, without bodies; what goes out is the same in absolute form.
#[derive(Debug)]
pub(crate) struct AbsoluteForm {
    transport: Box<dyn Transport>,
    /// `http://mirror:8080`.
    origin: String,
    authorization: Option<String>,
    /// What is written next is the beginning of a request.
    begins: bool,
}

impl Transport for AbsoluteForm {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.transport.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let output = self.transport.buffers().output();
        let ends = output[..amount].ends_with(HEAD_END);
        let mut sent = amount;
        if self.begins {
            let head = absolute(&output[..amount], &self.origin, self.authorization.as_deref().unwrap_or_default());
            let head = head.filter(|head| head.len() <= output.len()).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
            output[..head.len()].copy_from_slice(&head);
            sent = head.len();
        }
        self.begins = ends;
        self.transport.transmit_output(sent, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.transport.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.transport.is_open()
    }
}

/// The beginning of a request, `GET /file HTTP/1.1` and whole header lines behind it, in absolute form and with a further header line. None: it is something else.
fn absolute(head: &[u8], origin: &str, header: &str) -> Option<Vec<u8>> {
    let path = head.iter().position(|byte| *byte == b' ')? + 1;
    let headers = head.windows(2).position(|bytes| bytes == b"\r\n")? + 2;
    let line = head.get(path..headers).filter(|line| line.starts_with(b"/"))?;
    Some([&head[..path], origin.as_bytes(), line, header.as_bytes(), &head[headers..]].concat())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use ureq::unversioned::transport::LazyBuffers;

    /// Keeps what is sent.
    #[derive(Debug)]
    struct Sent {
        buffers: LazyBuffers,
        sent: Arc<Mutex<Vec<u8>>>,
    }

    impl Transport for Sent {
        fn buffers(&mut self) -> &mut dyn Buffers {
            &mut self.buffers
        }

        fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
            self.sent.lock().expect("no panic").extend_from_slice(&self.buffers.output()[..amount]);
            Ok(())
        }

        fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
            Ok(false)
        }

        fn is_open(&mut self) -> bool {
            true
        }
    }

    const OUTPUT_BYTES: usize = 128;

    fn connection(authorization: Option<&str>) -> (AbsoluteForm, Arc<Mutex<Vec<u8>>>) {
        let sent = Arc::default();
        let transport = Box::new(Sent { buffers: LazyBuffers::new(1, OUTPUT_BYTES), sent: Arc::clone(&sent) });
        (AbsoluteForm { transport, origin: "http://m.test".into(), authorization: authorization.map(Into::into), begins: true }, sent)
    }

    fn write(connection: &mut AbsoluteForm, text: &str) -> Result<(), Error> {
        connection.buffers().output()[..text.len()].copy_from_slice(text.as_bytes());
        connection.transmit_output(text.len(), NextTimeout::default())
    }

    #[test]
    fn every_request_of_a_connection_is_in_absolute_form() {
        let (mut connection, sent) = connection(Some("Proxy-Authorization: x\r\n"));
        write(&mut connection, "GET /a HTTP/1.1\r\nhost: m.test\r\n\r\n").expect("it fits");
        // A head that is written in two goes.
        write(&mut connection, "GET /c HTTP/1.1\r\n").expect("it fits");
        write(&mut connection, "host: m.test\r\n\r\n").expect("it fits");
        let expected = "GET http://m.test/a HTTP/1.1\r\nProxy-Authorization: x\r\nhost: m.test\r\n\r\n\
                        GET http://m.test/c HTTP/1.1\r\nProxy-Authorization: x\r\nhost: m.test\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&sent.lock().expect("no panic")), expected);
    }

    #[test]
    fn what_does_not_fit_or_is_no_request_is_an_error_and_not_sent() {
        let (mut connection, sent) = connection(None);
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(OUTPUT_BYTES - 20));
        for bad in [long.as_str(), "OPTIONS * HTTP/1.1\r\n\r\n", "GET /"] {
            assert!(write(&mut connection, bad).is_err(), "{bad}");
        }
        assert!(sent.lock().expect("no panic").is_empty());
    }

    #[test]
    fn a_server_is_named_without_the_user() {
        let origin = |uri: &str| origin(&uri.parse().expect("it is a URI")).expect("it has a host");
        assert_eq!(origin("http://user:word@m.test/file?x"), "http://m.test");
        assert_eq!(origin("http://[::1]:8080/"), "http://[::1]:8080");
    }

    #[test]
    fn a_proxy_gets_the_name_and_the_password_of_its_uri() {
        let of = |uri| authorization(&Proxy::new(uri).expect("it is a URI"));
        assert_eq!(of("http://p.test:3128"), None);
        // RFC 7617, 2.
        assert_eq!(
            of("http://Aladdin:open%20sesame@p.test").as_deref(),
            Some("Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n")
        );
    }
}
