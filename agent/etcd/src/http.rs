//! What is answered without gRPC, on the same port: `/health`, `/livez`, `/readyz`, `/version` and `/metrics`, as etcd 3.7 does
//! (`etcdhttp/health.go`, `etcdhttp/version.go`).

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, RawQuery, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header::CONTENT_TYPE};

use crate::{
    health::{Health, Probe},
    metrics::ServiceMetrics,
    shared::Shared,
    version::{CLUSTER_VERSION, SERVER_VERSION, STORAGE_VERSION},
};

#[derive(Debug, Clone)]
struct Http {
    shared: Shared,
    metrics: Arc<ServiceMetrics>,
}

/// The paths, for a router that knows nothing else but the gRPC services.
pub(crate) fn routes(shared: Shared, metrics: Arc<ServiceMetrics>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/livez", get(|state: State<Http>, query: RawQuery| probes(state, query, &Probe::LIVEZ)))
        .route("/livez/{probe}", get(|state: State<Http>, path: Path<String>| probe(state, path, &Probe::LIVEZ)))
        .route("/readyz", get(|state: State<Http>, query: RawQuery| probes(state, query, &Probe::READYZ)))
        .route("/readyz/{probe}", get(|state: State<Http>, path: Path<String>| probe(state, path, &Probe::READYZ)))
        .route("/version", get(version))
        .route("/metrics", get(figures))
        .with_state(Http { shared, metrics })
}

/// `/health?exclude=NOSPACE&serializable=true`: both parameters are optional, the first may be repeated.
async fn health(State(http): State<Http>, RawQuery(query): RawQuery) -> Response {
    let query = Query(query.unwrap_or_default());
    let excluded: Vec<&str> = query.all("exclude").collect();
    let health = crate::health::health(&http.shared, &excluded, query.all("serializable").any(|value| value == "true")).await;
    if health == Health::Well {
        http.metrics.health_success.inc();
    } else {
        http.metrics.health_failures.inc();
    }
    match health {
        Health::Well => (StatusCode::OK, r#"{"health":"true","reason":""}"#.to_owned()).into_response(),
        Health::Ill(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{{\"health\":\"false\",\"reason\":{}}}\n", json(&reason))).into_response()
        }
    }
}

/// `/livez?exclude=NAME&verbose`.
async fn probes(State(http): State<Http>, RawQuery(query): RawQuery, all: &[Probe]) -> Response {
    let query = Query(query.unwrap_or_default());
    let excluded: Vec<&str> = query.all("exclude").collect();
    let wanted: Vec<Probe> = all.iter().copied().filter(|probe| !excluded.contains(&probe.name())).collect();
    report(&http.shared, &wanted, query.has("verbose")).await
}

async fn probe(State(http): State<Http>, Path(name): Path<String>, all: &[Probe]) -> Response {
    match all.iter().find(|probe| probe.name() == name) {
        Some(probe) => report(&http.shared, &[*probe], false).await,
        None => not_found(),
    }
}

/// As Go says it.
pub(crate) fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

async fn report(shared: &Shared, probes: &[Probe], verbose: bool) -> Response {
    let mut lines = String::new();
    let mut failed = false;
    for probe in probes {
        match probe.run(shared).await {
            Ok(()) => lines.push_str(&format!("[+]{} ok\n", probe.name())),
            Err(reason) => {
                failed = true;
                lines.push_str(&format!("[-]{} failed: {reason}\n", probe.name()));
            }
        }
    }
    match (failed, verbose) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, format!("{lines}\n")).into_response(),
        (false, true) => (StatusCode::OK, format!("{lines}ok\n")).into_response(),
        (false, false) => (StatusCode::OK, "ok\n").into_response(),
    }
}

async fn version() -> Response {
    let text = format!(r#"{{"etcdserver":"{SERVER_VERSION}","etcdcluster":"{CLUSTER_VERSION}","storage":"{STORAGE_VERSION}"}}"#);
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

async fn figures(State(http): State<Http>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], http.metrics.text(&*http.shared.replica)).into_response()
}

/// The part of a URL after `?`. The few values that these paths know need no percent-encoding.
struct Query(String);

impl Query {
    fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.split('&').filter_map(move |pair| pair.split_once('=')).filter(move |(key, _)| *key == name).map(|(_, value)| value)
    }

    fn has(&self, name: &str) -> bool {
        self.0.split('&').any(|pair| pair.split('=').next() == Some(name))
    }
}

/// A text as a string of JSON.
fn json(text: &str) -> String {
    serde_json::to_string(text).expect("a string has a form in JSON")
}
