//! Around every call: it is counted when it begins and when it ends, and a request that is too large is refused with etcd's error.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use crate::{
    metrics::{Method, ServiceMetrics},
    shared::CLIENT_API_VERSION,
    status,
};

/// The methods that stream; all others are unary.
const STREAMS: [(&str, &str, &str); 5] = [
    ("etcdserverpb.KV", "RangeStream", "server_stream"),
    ("etcdserverpb.Lease", "LeaseKeepAlive", "bidi_stream"),
    ("etcdserverpb.Maintenance", "Snapshot", "server_stream"),
    ("etcdserverpb.Watch", "Watch", "bidi_stream"),
    ("grpc.health.v1.Health", "Watch", "server_stream"),
];

/// Makes [`Observed`].
#[derive(Debug, Clone)]
pub(crate) struct Observe(pub(crate) Arc<ServiceMetrics>);

impl<S> Layer<S> for Observe {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed { inner, metrics: self.0.clone() }
    }
}

/// A service whose calls are counted.
#[derive(Debug, Clone)]
pub(crate) struct Observed<S> {
    inner: S,
    metrics: Arc<ServiceMetrics>,
}

impl<S, B> Service<Request<B>> for Observed<S>
where
    S: Service<Request<B>, Response = Response<axum::body::Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path().to_owned();
        let client_version = request.headers().get(CLIENT_API_VERSION).and_then(|version| version.to_str().ok()).map(str::to_owned);
        let response = self.inner.call(request);
        let metrics = self.metrics.clone();
        Box::pin(async move {
            let mut call = CallMetrics { metrics, path, client_version, started: false };
            let mut response = response.await?;
            refuse_large(response.headers_mut());
            // A path that no service has gets no line of its own: whoever calls could make up any number of them.
            if let Some(code) = code(response.headers()) {
                if code != Code::Unimplemented {
                    call.start();
                    call.end(code);
                }
                return Ok(response.map(Body::new));
            }
            call.start();
            Ok(response.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    if let Some(code) = frame.trailers_ref().and_then(code) {
                        call.end(code);
                    }
                    frame
                }))
            }))
        })
    }
}

/// One call. Dropped before its end, it has been given up by the client.
struct CallMetrics {
    metrics: Arc<ServiceMetrics>,
    path: String,
    client_version: Option<String>,
    /// Begun, and not ended yet.
    started: bool,
}

impl CallMetrics {
    fn method(&self) -> Option<Method<'_>> {
        let (service, name) = self.path.strip_prefix('/')?.split_once('/')?;
        let streams = STREAMS.iter().find(|(of, called, _)| (*of, *called) == (service, name));
        Some(Method { service, name, kind: streams.map_or("unary", |(_, _, kind)| kind) })
    }

    fn start(&mut self) {
        if let Some(method) = self.method() {
            self.metrics.started(method, self.client_version.as_deref());
            self.started = true;
        }
    }

    fn end(&mut self, code: Code) {
        if let Some(method) = self.method().filter(|_| self.started) {
            self.metrics.handled(method, name(code));
            self.started = false;
        }
    }
}

impl Drop for CallMetrics {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes()))
}

fn refuse_large(headers: &mut HeaderMap) {
    if let Some(status) = Status::from_header_map(headers).and_then(|status| status::too_large(&status)) {
        // The headers were made from a status, so that another one fits.
        let _ = status.add_header(headers);
    }
}

/// A code in the spelling of grpc-go, which differs from that of its standard in one.
const fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}
