//! The proxy that this machine uses: apt's configuration, then the environment.
//!
//! apt's configuration is read in its simple form, `Acquire::http::Proxy "URI";` (apt.conf(5)); blocks in braces and the proxy detection
//! program are not. Of the environment, `http_proxy`, `https_proxy` and `no_proxy` count, the last two in capitals, too; `HTTP_PROXY` does not,
//! because web servers set it from requests.

use std::fs;
use std::path::Path;

/// Proxies by scheme.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Choice,
    https: Choice,
    /// Hosts that are asked directly.
    direct: Vec<String>,
}

/// What is known about a scheme's proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Choice {
    /// Nothing.
    #[default]
    Unsaid,
    /// There is none, and whoever is asked next is not to bring one.
    Direct,
    /// URI of the proxy.
    Proxy(String),
}

impl Proxies {
    /// Proxies of this machine. What cannot be read counts as not said: then there is no proxy, and the download says what failed.
    #[must_use]
    pub fn of_host() -> Self {
        Self::of_directory(Path::new("/etc/apt"), |name| std::env::var(name).ok())
    }

    /// The same for a directory in the place of `/etc/apt`, and another environment.
    #[must_use]
    pub fn of_directory(apt: &Path, environment: impl Fn(&str) -> Option<String>) -> Self {
        let mut files: Vec<_> = fs::read_dir(apt.join("apt.conf.d")).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        files.sort();
        // apt reads this one last, so it wins.
        files.push(apt.join("apt.conf"));
        let texts: Vec<_> =
            files.iter().filter_map(|path| fs::read(path).ok()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect();
        Self::from_texts(&texts, environment)
    }

    /// Proxies from the texts of apt's configuration, later ones winning, and from the environment for what apt does not say.
    #[must_use]
    pub fn from_texts(configuration: &[String], environment: impl Fn(&str) -> Option<String>) -> Self {
        let environment = |names: &[&str]| names.iter().find_map(|name| environment(name)).filter(|value| !value.is_empty());
        let mut proxies = Self::default();
        for (key, value) in configuration.iter().flat_map(|text| settings(text)) {
            let choice = match value {
                "DIRECT" | "false" | "" => Choice::Direct,
                uri => Choice::Proxy(uri.to_owned()),
            };
            if key.eq_ignore_ascii_case("Acquire::http::Proxy") {
                proxies.http = choice;
            } else if key.eq_ignore_ascii_case("Acquire::https::Proxy") {
                proxies.https = choice;
            } else if let Some(host) = strip_prefix_ignoring_case(key, "Acquire::http::Proxy::").filter(|_| choice == Choice::Direct) {
                proxies.direct.push(host.to_owned());
            }
        }
        if let (Choice::Unsaid, Some(uri)) = (&proxies.http, environment(&["http_proxy"])) {
            proxies.http = Choice::Proxy(uri);
        }
        if let (Choice::Unsaid, Some(uri)) = (&proxies.https, environment(&["https_proxy", "HTTPS_PROXY"])) {
            proxies.https = Choice::Proxy(uri);
        }
        if let Some(hosts) = environment(&["no_proxy", "NO_PROXY"]) {
            proxies.direct.extend(hosts.split(',').map(|host| host.trim().to_owned()).filter(|host| !host.is_empty()));
        }
        proxies
    }

    /// Proxy for a URL; none: it is asked directly.
    #[must_use]
    pub fn of_url(&self, url: &str) -> Option<&str> {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = match host.strip_prefix('[') {
            Some(address) => address.split(']').next()?,
            None => host.split(':').next()?,
        };
        if self.direct.iter().any(|pattern| covers(pattern, host)) {
            return None;
        }
        match if scheme.eq_ignore_ascii_case("https") { &self.https } else { &self.http } {
            Choice::Proxy(uri) => Some(uri),
            Choice::Direct | Choice::Unsaid => None,
        }
    }
}

/// Whether a host is one of `no_proxy`: `*`, the host itself, or a domain it is in, with or without a leading `.` or `*.`.
fn covers(pattern: &str, host: &str) -> bool {
    let domain = pattern.trim_start_matches('*').trim_start_matches('.');
    pattern == "*"
        || host.eq_ignore_ascii_case(domain)
        || (!domain.is_empty()
            && host.len() > domain.len()
            && host.is_char_boundary(host.len() - domain.len())
            && host[..host.len() - domain.len()].ends_with('.')
            && host[host.len() - domain.len()..].eq_ignore_ascii_case(domain))
}

fn strip_prefix_ignoring_case<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    text.get(..prefix.len()).filter(|start| start.eq_ignore_ascii_case(prefix)).map(|_| &text[prefix.len()..])
}

/// Settings of the form `key "value";` in a file of apt's configuration.
fn settings(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        if line.starts_with("//") || line.starts_with('#') {
            return None;
        }
        let (key, rest) = line.split_once('"')?;
        let (value, _) = rest.split_once('"')?;
        Some((key.trim(), value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(configuration: &[&str], environment: &[(&str, &str)]) -> Proxies {
        let texts: Vec<_> = configuration.iter().map(ToString::to_string).collect();
        Proxies::from_texts(&texts, |name| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn without_settings_everything_is_direct() {
        assert_eq!(proxies(&[], &[]).of_url("http://mirror.test/debian"), None);
    }

    #[test]
    fn apt_wins_over_the_environment_for_each_scheme() {
        let found = proxies(
            &["// Acquire::http::Proxy \"http://no.test\";\nAcquire::http::Proxy \"http://apt.test:3142\";\n"],
            &[("http_proxy", "http://environment.test"), ("HTTPS_PROXY", "http://secure.test")],
        );
        assert_eq!(found.of_url("http://mirror.test/debian"), Some("http://apt.test:3142"));
        assert_eq!(found.of_url("https://mirror.test/debian"), Some("http://secure.test"));
    }

    #[test]
    fn later_files_win_and_direct_means_none() {
        let found = proxies(
            &["Acquire::http::Proxy \"http://one.test\";", "acquire::HTTP::proxy \"DIRECT\";"],
            &[("http_proxy", "http://environment.test")],
        );
        assert_eq!(found.of_url("http://mirror.test/debian"), None);
    }

    #[test]
    fn http_proxy_in_capitals_is_not_trusted() {
        assert_eq!(proxies(&[], &[("HTTP_PROXY", "http://request.test")]).of_url("http://mirror.test"), None);
    }

    #[test]
    fn hosts_are_excepted_by_name_domain_and_by_apt() {
        let found = proxies(
            &["Acquire::http::Proxy \"http://p.test\";\nAcquire::http::Proxy::local.test \"DIRECT\";"],
            &[("no_proxy", "a.test, .b.test,*.c.test,::1")],
        );
        for direct in [
            "http://a.test/x",
            "http://x.a.test",
            "http://user@B.test:80/",
            "http://x.b.test",
            "http://x.c.test",
            "http://[::1]:8080/x",
            "http://local.test/",
        ] {
            assert_eq!(found.of_url(direct), None, "{direct}");
        }
        for proxied in ["http://aa.test/a.test", "http://test", "http://c.tests"] {
            assert_eq!(found.of_url(proxied), Some("http://p.test"), "{proxied}");
        }
        assert_eq!(proxies(&[], &[("no_proxy", "*"), ("http_proxy", "http://p.test")]).of_url("http://a.test"), None);
    }
}
