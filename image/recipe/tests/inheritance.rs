//! `inherit` and `remove`.

mod common;

use common::{MINIMAL, problems, rendered, resolved};
use shoal_recipe::model::{Content, Depends};

const PARENT: &str = r#"
[kernel.cmdline]
all = "quiet"
amd64 = "console=ttyS0"
[files."/etc/motd"]
text = "parent"
mode = "0600"
[files."/etc/issue"]
source = "issue"
[services.agent]
exec = ["/bin/agent", "--slow"]
stop-timeout = "7s"
environment = { A = "1", B = "2" }
[services.other]
exec = ["/bin/other"]
"#;

fn family(child: &str) -> [(String, String); 2] {
    let parent = MINIMAL.replace("packages = [\"crun\"]", "packages = [\"crun\", { name = \"mount\", depends = false }, \"nftables\"]");
    [("site/child.toml".to_owned(), child.to_owned()), ("base.toml".to_owned(), parent + PARENT)]
}

fn child(text: &str) -> shoal_recipe::Recipe {
    let family = family(&format!("inherit = \"../base.toml\"\n{text}"));
    resolved(&[(&family[0].0, &family[0].1), (&family[1].0, &family[1].1)])
}

fn refused(text: &str) -> shoal_recipe::ResolveError {
    let family = family(&format!("inherit = \"../base.toml\"\n{text}"));
    problems(&[(&family[0].0, &family[0].1), (&family[1].0, &family[1].1)])
}

#[test]
fn what_a_child_does_not_say_is_the_parents() {
    let recipe = child("name = \"child\"\n");
    assert_eq!((recipe.name.as_str(), recipe.version.as_str()), ("child", "1.0.0"));
    assert_eq!(recipe.packages.len(), 3);
}

#[test]
fn tables_merge_key_by_key_and_other_values_are_replaced() {
    let recipe = child("[services.agent]\nexec = [\"/bin/agent\"]\nenvironment = { B = \"3\" }\n[kernel.cmdline]\nall = \"debug\"\n");
    let agent = &recipe.services[0];
    assert_eq!(agent.exec, ["/bin/agent"], "lists such as exec are replaced, not joined");
    assert_eq!(agent.stop_timeout_ms, 7_000);
    assert_eq!((agent.environment["A"].as_str(), agent.environment["B"].as_str()), ("1", "3"));
    assert_eq!(recipe.kernel.cmdline.values().collect::<Vec<_>>(), ["debug console=ttyS0"]);
}

#[test]
fn a_package_of_the_same_name_is_replaced_in_its_place_and_others_follow() {
    let recipe = child("packages = [\"conntrack\", { name = \"mount\", except = [\"libc6\"] }]\n");
    let names: Vec<_> = recipe.packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(names, ["crun", "mount", "nftables", "conntrack"]);
    assert_eq!(recipe.packages[1].depends, Depends::Closure { except: vec!["libc6".to_owned()] });
}

#[test]
fn a_module_replaces_its_optional_form() {
    let recipe = child("[kernel]\nmodules = [\"e1000e\", \"igb?\"]\n");
    assert_eq!(recipe.kernel.modules, ["e1000e", "igb?"]);
    let grandparent = format!("{MINIMAL}[x]\n").replace("[x]\n", "").replace("[loaders]", "modules = [\"e1000e?\", \"igc\"]\n[loaders]");
    let recipe = resolved(&[("a.toml", "inherit = \"b.toml\"\n[kernel]\nmodules = [\"e1000e\"]\n"), ("b.toml", &grandparent)]);
    assert_eq!(recipe.kernel.modules, ["e1000e", "igc"]);
}

#[test]
fn a_file_is_replaced_as_a_whole() {
    let recipe = child("[files.\"/etc/motd\"]\nsource = \"motd\"\n");
    let motd = recipe.files.iter().find(|file| file.path == "/etc/motd").unwrap();
    assert_eq!(motd.content, Content::Source("motd".to_owned()));
    assert_eq!(motd.mode, 0o644, "the mode belonged to the parent's file");
}

#[test]
fn paths_are_relative_to_the_file_that_says_them() {
    let recipe = child("[files.\"/etc/motd\"]\nsource = \"motd\"\n");
    let issue = recipe.files.iter().find(|file| file.path == "/etc/issue").unwrap();
    assert_eq!(issue.content, Content::Source("../issue".to_owned()));
    assert_eq!(recipe.archives["debian"].keys, ["../keys/a.asc"]);
}

#[test]
fn what_is_removed_is_gone() {
    let recipe = child("remove = { packages = [\"mount\"], services = [\"other\"], files = [\"/etc/issue\"] }\n");
    assert_eq!(recipe.packages.iter().map(|package| package.name.as_str()).collect::<Vec<_>>(), ["crun", "nftables"]);
    assert_eq!((recipe.services.len(), recipe.files.len()), (1, 1));
}

#[test]
fn something_removed_can_be_added_anew_at_the_end() {
    let recipe = child("packages = [\"crun\"]\nremove = { packages = [\"crun\"] }\n");
    assert_eq!(recipe.packages.iter().map(|package| package.name.as_str()).collect::<Vec<_>>(), ["mount", "nftables", "crun"]);
}

#[test]
fn removing_what_is_not_there_is_a_mistake() {
    let error = refused("[remove]\npackages = [\"nftable\"]\nservices = [\"ssh\"]\nshells = []\n");
    let shown = rendered(&error);
    assert_eq!(error.problems.len(), 3, "{shown}");
    for part in [
        "no `nftable` in `packages`",
        "did you mean `nftables`?",
        "site/child.toml:3:13",
        "use one of: agent, other",
        "unknown key `shells`",
    ] {
        assert!(shown.contains(part), "{part:?} is missing:\n{shown}");
    }
}

#[test]
fn a_mistake_is_shown_in_the_file_it_is_in() {
    let parent = MINIMAL.replace("\"1.0.0\"", "\"one\"");
    let error = problems(&[("a.toml", "inherit = \"b.toml\"\nname = \"A\"\n"), ("b.toml", &parent)]);
    let positions: Vec<_> = error.problems.iter().map(|problem| problem.position().unwrap()).collect();
    assert_eq!(positions, [("a.toml", 2, 8), ("b.toml", 2, 11)]);
}

#[test]
fn a_missing_parent_is_shown_where_it_is_named() {
    let error = problems(&[("recipes/a.toml", "inherit = \"bsae.toml\"\n")]);
    assert_eq!(error.problems[0].position(), Some(("recipes/a.toml", 1, 11)));
    assert_eq!(error.problems[0].to_string(), "cannot read recipes/bsae.toml: no such file");
}

#[test]
fn a_missing_recipe_has_no_place() {
    let error = shoal_recipe::resolve("a.toml", |_| Err::<String, _>("no such file")).unwrap_err();
    assert_eq!(error.problems[0].position(), None);
    assert_eq!(error.problems[0].to_string(), "cannot read a.toml: no such file");
}

#[test]
fn a_circle_of_parents_is_named() {
    let error = problems(&[("x/a.toml", "inherit = \"../y/b.toml\"\n"), ("y/b.toml", "inherit = \"../x/../x/a.toml\"\n")]);
    assert_eq!(error.problems[0].position(), Some(("y/b.toml", 1, 11)));
    assert_eq!(error.problems[0].to_string(), "this recipe inherits itself: x/a.toml -> y/b.toml -> x/a.toml");
}
