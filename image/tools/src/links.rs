//! Where symbolic links of a package lead when the package lies in a tool root.

/// What a link at `path` that says `target` must say to lead to the same file in the root, wherever the root lies. `path` is relative to the
/// root and clean. The way up ends at the root, as it does in a system of its own.
pub(crate) fn relative_target(path: &str, target: &str) -> String {
    let depth = path.matches('/').count();
    let absolute = target.starts_with('/');
    let mut height = if absolute { 0 } else { depth };
    let mut parts = Vec::new();
    for part in target.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part != ".." {
            height += 1;
        } else if height == 0 {
            continue;
        } else {
            height -= 1;
        }
        parts.push(part);
    }
    let up = if absolute { depth } else { 0 };
    let all: Vec<_> = std::iter::repeat_n("..", up).chain(parts).collect();
    if all.is_empty() { ".".to_owned() } else { all.join("/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_same_file_in_the_root() {
        for (path, target, expected) in [
            ("usr/bin/ld", "x86_64-linux-gnu-ld", "x86_64-linux-gnu-ld"),
            ("usr/lib64/ld-linux-x86-64.so.2", "../lib/x86_64-linux-gnu/ld", "../lib/x86_64-linux-gnu/ld"),
            ("usr/bin/awk", "/etc/alternatives/awk", "../../etc/alternatives/awk"),
            ("lib", "/usr/lib", "usr/lib"),
            ("usr/share/self", "/", "../.."),
            ("self", "/", "."),
            ("usr/share/doc", ".", "."),
        ] {
            assert_eq!(relative_target(path, target), expected, "{path} -> {target}");
        }
    }

    #[test]
    fn no_link_leads_out_of_the_root() {
        for (path, target, expected) in [
            ("a", "../../etc/passwd", "etc/passwd"),
            ("usr/bin/a", "../../../../etc/passwd", "../../etc/passwd"),
            ("usr/bin/a", "/../etc/passwd", "../../etc/passwd"),
            ("usr/bin/a", "b/../../../../../etc", "b/../../../etc"),
        ] {
            assert_eq!(relative_target(path, target), expected, "{path} -> {target}");
        }
    }
}
