//! Paths of recipe files and of what lies beside them, as texts: this crate opens nothing, so it follows no link either.

use crate::problem::Problem;

/// A path relative to the recipe that says it.
pub(crate) fn relative(text: &str) -> Result<String, Problem> {
    if !text.is_empty() && !text.starts_with('/') && !text.contains('\0') {
        return Ok(text.to_owned());
    }
    Err(Problem::BadValue {
        text: text.to_owned(),
        expected: "a relative path".to_owned(),
        advice: "write it relative to the recipe it stands in, such as \"files/motd\"".to_owned(),
    })
}

/// The directory of a file: empty for a bare file name.
pub(crate) fn directory(file: &str) -> &str {
    match file.rfind('/') {
        Some(0) => "/",
        Some(slash) => &file[..slash],
        None => "",
    }
}

/// What `relative` means in the file `file`.
pub(crate) fn join(file: &str, relative: &str) -> String {
    normalise(&format!("{}/{relative}", directory(file)), file.starts_with('/'))
}

/// `path` as seen from `directory`; both relative to the same place, or both absolute.
pub(crate) fn seen_from(directory: &str, path: &str) -> String {
    let directory = normalise(directory, directory.starts_with('/'));
    let from: Vec<_> = segments(&directory).collect();
    let to: Vec<_> = segments(path).collect();
    let common = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
    let up = from[common..].iter().map(|_| "..");
    up.chain(to[common..].iter().copied()).collect::<Vec<_>>().join("/")
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !matches!(*segment, "" | "."))
}

fn normalise(path: &str, absolute: bool) -> String {
    let mut clean: Vec<&str> = Vec::new();
    for segment in segments(path) {
        match (segment, clean.last()) {
            ("..", Some(last)) if *last != ".." => drop(clean.pop()),
            ("..", None) if absolute => {}
            _ => clean.push(segment),
        }
    }
    let root = if absolute { "/" } else { "" };
    format!("{root}{}", clean.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_recipe_names_lies_beside_it() {
        for (file, relative, expected) in [
            ("base.toml", "keys/a.asc", "keys/a.asc"),
            ("recipes/dev.toml", "base.toml", "recipes/base.toml"),
            ("recipes/site/a.toml", "../base.toml", "recipes/base.toml"),
            ("a.toml", "../b.toml", "../b.toml"),
            ("../../a.toml", "../b.toml", "../../../b.toml"),
            ("/srv/a.toml", "./x/./y", "/srv/x/y"),
            ("/a.toml", "../b", "/b"),
        ] {
            assert_eq!(join(file, relative), expected, "{file} {relative}");
        }
    }

    #[test]
    fn paths_are_given_as_seen_from_the_recipes_directory() {
        for (directory, path, expected) in [
            ("recipes", "recipes/keys/a.asc", "keys/a.asc"),
            ("recipes/site", "recipes/keys/a.asc", "../keys/a.asc"),
            ("", "keys/a.asc", "keys/a.asc"),
            ("./recipes", "recipes/kubernetes", "kubernetes"),
            ("/srv/recipes", "/srv/other/x", "../other/x"),
        ] {
            assert_eq!(seen_from(directory, path), expected, "{directory} {path}");
        }
    }
}
