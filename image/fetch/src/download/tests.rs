use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::progress::Silent;
use crate::server::{Server, answer, not_found, proper, whole};

/// Longest wait for something that happens at once unless the code under test is broken.
const DEADLINE: Duration = Duration::from_secs(30);

const FILE: &[u8] = b"The quick brown fox jumps over the lazy dog. Pack my box with five dozen liquor jugs.";

struct Fixture {
    directory: tempfile::TempDir,
    cache: Cache,
}

fn fixture() -> Fixture {
    let directory = tempfile::tempdir().expect("temporary directory");
    let cache = Cache::open(directory.path()).expect("cache");
    Fixture { directory, cache }
}

impl Fixture {
    /// A downloader that does not pause before it tries again.
    fn downloader(&self) -> Downloader<'_> {
        Downloader::new(&self.cache, Proxies::default(), false).with_pauses(vec![Duration::ZERO; 2])
    }

    fn fetch(&self, wanted: Wanted) -> Result<Vec<u8>, FetchError> {
        let paths = self.downloader().fetch(&[wanted], &Silent)?;
        Ok(fs::read(&paths[0]).expect("object"))
    }

    /// Leaves the beginning of a file behind, as a killed process would.
    fn begin(&self, of: &[u8], begin: &[u8]) {
        self.cache.partial(&Digest::of(of)).expect("partial").write_all(begin).expect("cache");
    }

    fn begun(&self, of: &[u8]) -> u64 {
        self.cache.partial(&Digest::of(of)).expect("partial").len()
    }
}

fn wanted(file: &[u8], urls: &[String]) -> Wanted {
    Wanted { label: "fox 1.0".to_owned(), urls: urls.to_vec(), sha256: Digest::of(file), size: Some(file.len() as u64) }
}

fn of_unknown_size(wanted: Wanted) -> Wanted {
    Wanted { size: None, ..wanted }
}

/// Why a download failed.
fn failure(result: Result<Vec<u8>, FetchError>) -> DownloadError {
    match result {
        Err(FetchError::Download { label, source }) => {
            assert_eq!(label, "fox 1.0");
            *source
        }
        other => panic!("it should have failed to download: {other:?}"),
    }
}

#[test]
fn a_download_is_kept_and_not_repeated() {
    let fixture = fixture();
    let server = Server::new(|asked| proper(asked, FILE));
    for _ in 0..2 {
        assert_eq!(fixture.fetch(wanted(FILE, &[server.url("/fox")])).expect("download"), FILE);
    }
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn an_interrupted_download_goes_on_where_it_stopped() {
    for size in [Some(FILE.len() as u64), None] {
        let fixture = fixture();
        fixture.begin(FILE, &FILE[..30]);
        let server = Server::new(|asked| proper(asked, FILE));
        let wanted = Wanted { size, ..wanted(FILE, &[server.url("/fox")]) };
        assert_eq!(fixture.fetch(wanted).expect("download"), FILE);
        assert_eq!(server.asked().iter().map(|asked| asked.from).collect::<Vec<_>>(), [Some(30)]);
    }
}

#[test]
fn a_server_that_cannot_resume_makes_it_begin_anew() {
    let fixture = fixture();
    fixture.begin(FILE, &FILE[..30]);
    let server = Server::new(|_| whole(FILE));
    assert_eq!(fixture.fetch(wanted(FILE, &[server.url("/fox")])).expect("download"), FILE);
}

#[test]
fn a_range_that_was_not_asked_for_is_not_used() {
    let fixture = fixture();
    fixture.begin(FILE, &FILE[..30]);
    let server = Server::new(|asked| match asked.from {
        Some(_) => answer("206 Partial Content", &[format!("Content-Range: bytes 0-84/{}", FILE.len())], FILE),
        None => whole(FILE),
    });
    assert_eq!(fixture.fetch(wanted(FILE, &[server.url("/fox")])).expect("download"), FILE);
}

#[test]
fn the_beginning_of_another_file_is_thrown_away() {
    for (begin, size) in
        [(&b"another"[..], Some(FILE.len() as u64)), (b"another", None), (&[b'x'; 200], Some(FILE.len() as u64)), (&[b'x'; 200], None)]
    {
        let fixture = fixture();
        fixture.begin(FILE, begin);
        let server = Server::new(|asked| proper(asked, FILE));
        let wanted = Wanted { size, ..wanted(FILE, &[server.url("/fox")]) };
        assert_eq!(fixture.fetch(wanted).expect("download"), FILE);
    }
}

#[test]
fn a_download_that_was_complete_only_needs_its_digest_checked() {
    for (size, requests) in [(Some(FILE.len() as u64), 0), (None, 1)] {
        let fixture = fixture();
        fixture.begin(FILE, FILE);
        let server = Server::new(|asked| proper(asked, FILE));
        let wanted = Wanted { size, ..wanted(FILE, &[server.url("/fox")]) };
        assert_eq!(fixture.fetch(wanted).expect("download"), FILE);
        assert_eq!(server.asked().len(), requests);
    }
}

/// Every byte at which the connection can be cut, in the head and in the body: the next attempt gets the rest.
#[test]
fn a_connection_that_is_cut_anywhere_is_taken_up_again() {
    let fixture = fixture();
    let tried: Mutex<HashMap<String, usize>> = Mutex::new(HashMap::new());
    let server = Server::new(move |asked| {
        let mut tried = tried.lock().expect("no panic");
        let attempts = tried.entry(asked.target.clone()).or_default();
        *attempts += 1;
        let cut: usize = asked.target[1..].parse().expect("number");
        let mut answer = proper(asked, &file_of(cut));
        if *attempts == 1 {
            answer.truncate(cut);
        }
        answer
    });
    let length = whole(&file_of(0)).len();
    for cut in (0..length).filter(|cut| cut % 7 == 0 || cut + 90 > length) {
        let file = file_of(cut);
        let wanted = wanted(&file, &[server.url(&format!("/{cut}"))]);
        assert_eq!(fixture.fetch(wanted).expect("download"), file, "cut after {cut} bytes");
    }
    let resumed = server.asked().iter().filter(|asked| asked.from.is_some()).count();
    assert!(resumed >= 60, "only {resumed} downloads were resumed");
}

/// A file of its own for each test of a cut: what is once in the cache is not downloaded again.
fn file_of(cut: usize) -> Vec<u8> {
    format!("{cut:04} {}", String::from_utf8_lossy(FILE)).into_bytes()
}

#[test]
fn a_connection_that_is_always_cut_fails_and_keeps_what_came() {
    let fixture = fixture();
    let server = Server::new(|_| answer("200 OK", &[format!("Content-Length: {}", FILE.len())], &FILE[..40]));
    let url = server.url("/fox");
    let error = failure(fixture.fetch(wanted(FILE, std::slice::from_ref(&url))));
    assert!(matches!(&error, DownloadError::Request { url: found, source: RequestError::Body(_) } if *found == url), "{error:?}");
    assert_eq!((server.asked().len(), fixture.begun(FILE)), (3, 40));
}

#[test]
fn a_body_without_a_length_that_ends_early_is_cut_off() {
    let fixture = fixture();
    let server = Server::new(|asked| answer("200 OK", &[], if asked.from.is_some() { FILE } else { &FILE[..40] }));
    assert_eq!(fixture.fetch(wanted(FILE, &[server.url("/fox")])).expect("the second attempt has the whole file"), FILE);
    let short = Server::new(|_| answer("200 OK", &[], &FILE[..40]));
    let other = b"The quick brown fox jumps over the lazy dog, and nobody minds.";
    let error = failure(fixture.fetch(wanted(other, &[short.url("/fox")])));
    assert!(matches!(error, DownloadError::CutOff { received: 40, expected: 62, .. }), "{error:?}");
}

#[test]
fn a_content_length_that_lies_is_found_out() {
    for (length, size) in [(40, Some(FILE.len() as u64)), (40, None), (500, Some(FILE.len() as u64)), (500, None)] {
        let fixture = fixture();
        let server = Server::new(move |_| answer("200 OK", &[format!("Content-Length: {length}")], FILE));
        let error = failure(fixture.fetch(Wanted { size, ..wanted(FILE, &[server.url("/fox")]) }));
        let fits = match (length, size) {
            (_, Some(_)) => matches!(error, DownloadError::Size { expected: 85, found, .. } if found == length),
            (40, None) => matches!(error, DownloadError::Digest { .. }),
            (_, None) => matches!(error, DownloadError::Request { source: RequestError::Body(_), .. }),
        };
        assert!(fits, "{length} {size:?}: {error:?}");
    }
}

#[test]
fn a_server_that_sends_without_end_is_stopped_at_the_size() {
    let fixture = fixture();
    let server = Server::new(|_| answer("200 OK", &[], &vec![b'x'; 1 << 20]));
    let error = failure(fixture.fetch(wanted(FILE, &[server.url("/fox")])));
    assert!(matches!(error, DownloadError::Size { expected: 85, .. }), "{error:?}");
    assert_eq!(fixture.begun(FILE), 0);
}

#[test]
fn a_file_that_is_gone_is_not_tried_again_and_is_named() {
    let fixture = fixture();
    let server = Server::new(|_| not_found());
    let url = server.url("/gone");
    let error = fixture.fetch(wanted(FILE, std::slice::from_ref(&url))).expect_err("404");
    assert_eq!(error.to_string(), "cannot download fox 1.0");
    let error = failure(Err(error));
    assert!(error.to_string().contains(&url), "{error}");
    assert!(matches!(error, DownloadError::Request { source: RequestError::Status(404), .. }), "{error:?}");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn the_next_url_is_tried_when_one_fails_for_good() {
    let fixture = fixture();
    let server = Server::new(|asked| match asked.target.as_str() {
        "/gone" => not_found(),
        "/wrong" => whole(&[b'w'; FILE.len()]),
        _ => proper(asked, FILE),
    });
    let urls = ["/gone", "/wrong", "/right"].map(|path| server.url(path));
    assert_eq!(fixture.fetch(wanted(FILE, &urls)).expect("download"), FILE);
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn a_wrong_digest_names_both_and_keeps_nothing() {
    let fixture = fixture();
    let server = Server::new(|_| whole(&[b'w'; FILE.len()]));
    let error = failure(fixture.fetch(wanted(FILE, &[server.url("/wrong")])));
    let text = error.to_string();
    assert!(text.contains(&Digest::of(FILE).to_string()) && text.contains(&Digest::of(&[b'w'; FILE.len()]).to_string()), "{text}");
    assert_eq!((fixture.begun(FILE), fixture.cache.object(&Digest::of(FILE))), (0, None));
}

#[test]
fn a_busy_server_is_asked_again() {
    let fixture = fixture();
    let count = AtomicUsize::new(0);
    let server = Server::new(move |asked| match count.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => answer("503 Service Unavailable", &["Content-Length: 0".to_owned()], b""),
        _ => proper(asked, FILE),
    });
    assert_eq!(fixture.fetch(wanted(FILE, &[server.url("/fox")])).expect("download"), FILE);
}

#[test]
fn redirects_are_followed() {
    let fixture = fixture();
    let server = Server::new(|asked| match asked.target.as_str() {
        "/from" => answer("302 Found", &["Location: /to".to_owned(), "Content-Length: 0".to_owned()], b""),
        _ => proper(asked, FILE),
    });
    assert_eq!(fixture.fetch(wanted(FILE, &[server.url("/from")])).expect("download"), FILE);
}

#[test]
fn nobody_listening_is_an_error_that_names_the_url() {
    let fixture = fixture();
    let url = Server::new(|_| Vec::new()).url("/fox");
    let error = failure(fixture.fetch(wanted(FILE, std::slice::from_ref(&url))));
    assert!(matches!(&error, DownloadError::Request { url: found, source: RequestError::Transport(_) } if *found == url), "{error:?}");
}

#[test]
fn downloads_run_in_parallel_and_keep_their_order() {
    let fixture = fixture();
    // Nobody is answered before as many ask as may run at once.
    let asking = Arc::new((Mutex::new(0), Condvar::new()));
    let server = Server::new({
        let asking = Arc::clone(&asking);
        move |asked| {
            let (count, changed) = &*asking;
            let mut count = count.lock().expect("no panic");
            *count += 1;
            changed.notify_all();
            let timeout = changed.wait_timeout_while(count, DEADLINE, |count| *count < PARALLEL).expect("no panic").1;
            if timeout.timed_out() { not_found() } else { proper(asked, asked.target.as_bytes()) }
        }
    });
    let paths: Vec<_> = (0..3 * PARALLEL).map(|number| format!("/{number}")).collect();
    let all: Vec<_> = paths.iter().map(|path| wanted(path.as_bytes(), &[server.url(path)])).collect();
    let files = fixture.downloader().fetch(&all, &Silent).expect("downloads");
    let contents: Vec<_> = files.iter().map(|file| fs::read_to_string(file).expect("object")).collect();
    assert_eq!(contents, paths);
}

#[test]
fn one_failure_gives_up_the_others_and_is_the_one_that_is_told() {
    let fixture = fixture();
    let server = Server::new(|asked| if asked.target == "/7" { not_found() } else { proper(asked, asked.target.as_bytes()) });
    let all: Vec<_> = (0..200)
        .map(|number| format!("/{number}"))
        .map(|path| Wanted { label: path.clone(), ..wanted(path.as_bytes(), &[server.url(&path)]) })
        .collect();
    let error = fixture.downloader().fetch(&all, &Silent).expect_err("one is gone");
    assert!(matches!(&error, FetchError::Download { label, .. } if label == "/7"), "{error:?}");
    assert!(server.asked().len() < 100, "the others went on");
}

#[test]
fn the_same_file_twice_is_downloaded_once() {
    let fixture = fixture();
    let server = Server::new(|asked| proper(asked, FILE));
    let twice = vec![wanted(FILE, &[server.url("/fox")]); 2];
    let files = fixture.downloader().fetch(&twice, &Silent).expect("downloads");
    assert_eq!((files[0] == files[1], server.asked().len()), (true, 1));
}

#[test]
fn offline_names_all_that_is_missing_and_what_to_do() {
    let fixture = fixture();
    fixture.cache.insert_bytes(FILE).expect("cache");
    let labelled = |label: &str, file: &[u8]| Wanted { label: label.to_owned(), ..wanted(file, &[]) };
    let offline = Downloader::new(&fixture.cache, Proxies::default(), true);
    assert!(offline.fetch(&[labelled("there", FILE)], &Silent).is_ok());
    let error =
        offline.fetch(&[labelled("one", b"1"), labelled("there", FILE), labelled("two", b"2")], &Silent).expect_err("two are missing");
    let text = error.to_string();
    assert!(text.contains("one, two") && text.contains("without `--offline`") && !text.contains("there,"), "{text}");
    assert!(matches!(offline.fetch_unpinned("three", &[], 9), Err(FetchError::Offline { missing }) if missing == ["three"]));
}

/// A downloader with these proxies for `http` and `https`, by the settings of apt.
fn proxied<'f>(fixture: &'f Fixture, http: &str, https: &str) -> Downloader<'f> {
    let configuration = format!("Acquire::http::Proxy \"{http}\";\nAcquire::https::Proxy \"{https}\";\n");
    Downloader::new(&fixture.cache, Proxies::from_texts(&[configuration], |_| None), false).with_pauses(Vec::new())
}

/// Method and target of what a server was asked for.
fn lines(server: &Server) -> Vec<String> {
    server.asked().into_iter().map(|asked| format!("{} {}", asked.method, asked.target)).collect()
}

/// RFC 9112, 3.2.2. The name of the mirror means nothing here: the proxy resolves it.
#[test]
fn a_proxy_is_asked_for_http_in_absolute_form() {
    let fixture = fixture();
    fixture.begin(FILE, &FILE[..30]);
    let proxy = Server::proxy(|asked| proper(asked, FILE));
    let downloader = proxied(&fixture, &proxy.url(""), "DIRECT");
    let paths = downloader.fetch(&[wanted(FILE, &["http://mirror.invalid:8080/debian/fox?x=y".to_owned()])], &Silent).expect("download");
    assert_eq!(fs::read(&paths[0]).expect("object"), FILE);
    assert_eq!(lines(&proxy), ["GET http://mirror.invalid:8080/debian/fox?x=y"]);
    let asked = &proxy.asked()[0];
    assert_eq!(asked.from, Some(30));
    assert_eq!(asked.headers.iter().filter(|line| line.eq_ignore_ascii_case("host: mirror.invalid:8080")).count(), 1, "{asked:?}");
    assert!(!asked.headers.iter().any(|line| line.to_ascii_lowercase().starts_with("proxy-authorization")), "{asked:?}");
}

#[test]
fn a_proxy_that_wants_a_password_gets_it_and_the_server_does_not() {
    let fixture = fixture();
    let server = Server::new(|asked| proper(asked, FILE));
    let direct = server.url("/fox");
    let proxy = Server::proxy(move |asked| {
        let known = asked.headers.iter().any(|line| line == "Proxy-Authorization: Basic dXNlcjp3b3Jk");
        let elsewhere = [format!("Location: {direct}"), "Content-Length: 0".to_owned()];
        if known { answer("302 Found", &elsewhere, b"") } else { answer("407 Proxy Authentication Required", &[], b"") }
    });
    let secret = proxy.url("").replace("http://", "http://user:word@");
    let proxies =
        Proxies::from_texts(&[format!("Acquire::http::Proxy \"{secret}\";")], |name| (name == "no_proxy").then(|| "127.0.0.1".into()));
    let downloader = Downloader::new(&fixture.cache, proxies, false).with_pauses(Vec::new());
    downloader.fetch(&[wanted(FILE, &["http://mirror.invalid/fox".to_owned()])], &Silent).expect("download");
    assert_eq!(
        (lines(&proxy).as_slice(), lines(&server).as_slice()),
        (&["GET http://mirror.invalid/fox".to_owned()][..], &["GET /fox".to_owned()][..])
    );
    let heard = server.asked().remove(0).headers;
    assert!(!heard.iter().any(|line| line.to_ascii_lowercase().starts_with("proxy-")), "{heard:?}");

    let without = proxied(&fixture, &proxy.url(""), "DIRECT");
    let error = failure(without.fetch(&[wanted(b"other", &["http://mirror.invalid/other".to_owned()])], &Silent).map(|_| Vec::new()));
    assert!(matches!(error, DownloadError::Request { source: RequestError::Status(407), .. }), "{error:?}");
}

#[test]
fn a_redirect_is_followed_through_the_proxy_of_where_it_leads() {
    let fixture = fixture();
    let secure = Server::proxy(|_| not_found());
    let proxy = Server::proxy(|asked| match asked.target.as_str() {
        "http://mirror.invalid/pool/fox" => answer("302 Found", &["Location: ../other/fox".to_owned()], b""),
        _ => answer("301 Moved Permanently", &["Location: https://secure.invalid/fox".to_owned()], b""),
    });
    let downloader = proxied(&fixture, &proxy.url(""), &secure.url(""));
    let error = failure(downloader.fetch(&[wanted(FILE, &["http://mirror.invalid/pool/fox".to_owned()])], &Silent).map(|_| Vec::new()));
    // The tunnel leads nowhere: the first word in it, which is TLS's, has no answer.
    let DownloadError::Request { source: RequestError::Transport(transport), .. } = error else { panic!("{error:?}") };
    assert!(matches!(*transport, ureq::Error::Io(_)), "{transport:?}");
    assert_eq!(lines(&proxy), ["GET http://mirror.invalid/pool/fox", "GET http://mirror.invalid/other/fox"]);
    assert_eq!(lines(&secure), ["CONNECT secure.invalid:443"]);
}

#[test]
fn a_proxy_that_refuses_a_tunnel_is_told_of_with_what_to_do() {
    let fixture = fixture();
    let proxy = Server::proxy(|_| not_found());
    let downloader = proxied(&fixture, "DIRECT", &proxy.url(""));
    let error = failure(downloader.fetch(&[wanted(FILE, &["https://mirror.invalid:8443/fox".to_owned()])], &Silent).map(|_| Vec::new()));
    let DownloadError::Request { source, .. } = error else { panic!("{error:?}") };
    assert!(matches!(source, RequestError::ProxyRefuses(_)) && source.to_string().contains("CONNECT"), "{source:?}");
    assert_eq!(lines(&proxy), ["CONNECT mirror.invalid:8443"]);
}

#[test]
fn redirects_without_end_and_to_nowhere_are_errors() {
    for (elsewhere, said) in
        [("/again", "more than 5 times"), ("ftp://mirror.invalid/fox", "`ftp://mirror.invalid/fox`, which is no URI to follow")]
    {
        let fixture = fixture();
        let server = Server::new(move |_| answer("302 Found", &[format!("Location: {elsewhere}"), "Content-Length: 0".to_owned()], b""));
        let error = failure(fixture.fetch(wanted(FILE, &[server.url("/fox")])));
        let DownloadError::Request { source, .. } = error else { panic!("{error:?}") };
        assert!(source.to_string().contains(said) && server.asked().len() < 10, "{source}");
    }
}

#[test]
fn a_file_that_is_not_pinned_is_limited_in_size() {
    let fixture = fixture();
    let server = Server::new(|asked| proper(asked, FILE));
    let urls = [server.url("/fox")];
    assert_eq!(fixture.downloader().fetch_unpinned("fox 1.0", &urls, FILE.len() as u64).expect("download"), FILE);
    let error = failure(fixture.downloader().fetch_unpinned("fox 1.0", &urls, FILE.len() as u64 - 1));
    assert!(matches!(error, DownloadError::TooLarge { limit: 84, .. }), "{error:?}");
}

/// Writes down what it is told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Progress for Told {
    fn started(&self, label: &str, total: Option<u64>) {
        self.0.lock().expect("no panic").push(format!("{label} of {total:?}"));
    }

    fn advanced(&self, label: &str, bytes: u64) {
        self.0.lock().expect("no panic").push(format!("{label} at {bytes}"));
    }

    fn finished(&self, label: &str, outcome: Outcome) {
        self.0.lock().expect("no panic").push(format!("{label} {outcome:?}"));
    }
}

#[test]
fn progress_begins_at_what_is_there_and_ends_once() {
    let fixture = fixture();
    fixture.begin(FILE, &FILE[..30]);
    let server = Server::new(|asked| proper(asked, FILE));
    let told = Told::default();
    let all = [of_unknown_size(wanted(FILE, &[server.url("/fox")])), wanted(b"gone", &[])];
    fixture.downloader().fetch(&all[..1], &told).expect("download");
    fixture.downloader().fetch(&all, &told).expect_err("no URL");
    let lines = told.0.into_inner().expect("no panic");
    assert_eq!(lines.first().map(String::as_str), Some("fox 1.0 of None"));
    assert_eq!(lines[1], "fox 1.0 at 30");
    assert_eq!(lines[lines.len() - 4..], ["fox 1.0 at 85", "fox 1.0 Fetched", "fox 1.0 of Some(4)", "fox 1.0 Failed"]);
    assert!(fixture.directory.path().exists());
}
