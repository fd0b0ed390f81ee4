//! Bad input: each mistake is shown with file, line and column, marks the offending text, and says what to write instead.

mod common;

use common::{MINIMAL, problems, rendered};

/// One mistake in an otherwise valid recipe.
struct Case {
    /// Text to replace in [`MINIMAL`]; empty: append instead.
    old: &'static str,
    new: &'static str,
    /// Line and column that are pointed at.
    at: (usize, usize),
    message: &'static str,
    help: &'static str,
}

const CASES: &[Case] = &[
    Case { old: "name = ", new: "nmae = ", at: (1, 1), message: "unknown key `nmae` in the recipe", help: "did you mean `name`?" },
    Case { old: "name = \"tiny\"\n", new: "", at: (1, 1), message: "the recipe has no `name`", help: "write `name = \"edge\"`" },
    Case { old: "\"tiny\"", new: "5", at: (1, 8), message: "expected a text, found a whole number", help: "write it like `\"...\"`" },
    Case { old: "\"tiny\"", new: "\"Tiny\"", at: (1, 8), message: "`Tiny` is not a name", help: "use lower-case letters" },
    Case { old: "\"1.0.0\"", new: "\"1.0\"", at: (2, 11), message: "`1.0` is not a version", help: "such as \"1.0.0\"" },
    Case {
        old: "2026-11-23T00:00:00Z",
        new: "\"2026-11-23\"",
        at: (3, 9),
        message: "expected a date-time, found a text",
        help: "`2026-11-23T00:00:00Z`, without quotes",
    },
    Case { old: "2026-11-23T00:00:00Z", new: "2026-11-23", at: (3, 9), message: "is not a date-time in UTC", help: "with the Z" },
    Case {
        old: "packages = [\"crun\"]",
        new: "packages = \"crun\"",
        at: (4, 12),
        message: "expected a list of packages, found a text",
        help: "`packages = [\"crun\"]`",
    },
    Case {
        old: "packages = [\"crun\"]",
        new: "packages = [\"crun\", \"crun\"]",
        at: (4, 21),
        message: "package `crun` is there twice",
        help: "the other one is at tiny.toml:4:13",
    },
    Case {
        old: "\"crun\"",
        new: "{ name = \"crun\", archive = \"debain\" }",
        at: (4, 40),
        message: "there is no archive `debain`",
        help: "did you mean `debian`?",
    },
    Case {
        old: "\"crun\"",
        new: "{ name = \"crun\", arch = [\"riscv64\"] }",
        at: (4, 38),
        message: "`riscv64` is not one of the words",
        help: "write one of: \"amd64\", \"arm64\"",
    },
    Case {
        old: "\"crun\"",
        new: "{ name = \"crun\", include = [\"/usr/bin/crun\"] }",
        at: (4, 41),
        message: "`/usr/bin/crun` is not a path to keep",
        help: "without a `/` at the beginning",
    },
    Case {
        old: "suite = \"trixie\"",
        new: "suite = [\"trixie\"]",
        at: (7, 9),
        message: "expected a text, found a list",
        help: "write it like `\"...\"`",
    },
    Case { old: "keys = [\"keys/a.asc\"]", new: "", at: (5, 11), message: "`archives.debian` has no `keys`", help: "write `keys = [" },
    Case { old: "\"keys/a.asc\"", new: "\"/keys/a.asc\"", at: (8, 9), message: "is not a relative path", help: "relative to the recipe" },
    Case {
        old: "[kernel]\npackage = { amd64 = \"linux-image-amd64\" }",
        new: "",
        at: (1, 1),
        message: "the recipe has no `kernel`",
        help: "write `kernel = { package",
    },
    Case {
        old: "amd64 = \"linux-image-amd64\"",
        new: "x86 = \"linux-image-amd64\"",
        at: (10, 13),
        message: "unknown key `x86` in `kernel.package`",
        help: "use one of: amd64, arm64",
    },
    Case {
        old: "",
        new: "[state]\nminimum = \"512 megs\"\n",
        at: (16, 11),
        message: "`512 megs` is not a size",
        help: "such as \"512 MiB\"",
    },
    Case { old: "", new: "[watchdog]\ntimeout = 30\n", at: (16, 11), message: "expected a text, found a whole number", help: "" },
    Case { old: "", new: "[state]\nram-percent = 150\n", at: (16, 15), message: "`150` is not between 1 and 100", help: "from 1 to 100" },
    Case {
        old: "",
        new: "[files.\"/etc/motd\"]\ntext = \"a\"\nurl = \"https://x/y\"\n",
        at: (17, 1),
        message: "the file `/etc/motd` needs exactly one of",
        help: "keep one of them",
    },
    Case {
        old: "",
        new: "[files.\"etc/motd\"]\ntext = \"a\"\n",
        at: (15, 8),
        message: "`etc/motd` is not an absolute path",
        help: "begin it with `/`",
    },
    Case {
        old: "",
        new: "[files.\"/etc/motd\"]\ntext = \"a\"\nmode = \"644\"\n",
        at: (17, 8),
        message: "`644` is not a file mode",
        help: "four octal digits",
    },
    Case {
        old: "",
        new: "[files.\"/bin/x\"]\ngo = \"kube\"\n",
        at: (16, 6),
        message: "there is no Go program `kube`",
        help: "there is no Go program to name",
    },
    Case {
        old: "",
        new: "[files.\"/etc/motd\"]\ntext = \"a\"\n[links]\n\"/etc/motd\" = \"/run/motd\"\n",
        at: (18, 1),
        message: "path `/etc/motd` is there twice",
        help: "the other one is at tiny.toml:15:8",
    },
    Case {
        old: "",
        new: "[links]\n\"/bin\" = \"usr/bin\"\n[files.\"/bin/x\"]\ntext = \"a\"\n",
        at: (17, 8),
        message: "`/bin/x` is not below a directory",
        help: "`/bin` is a link (tiny.toml:16:1)",
    },
    Case {
        old: "",
        new: "[services.a]\nexec = [\"true\"]\n",
        at: (16, 9),
        message: "`true` is not an absolute path",
        help: "begin it with `/`",
    },
    Case {
        old: "",
        new: "[services.a]\nexec = []\n",
        at: (16, 8),
        message: "`[]` is not a list with something in it",
        help: "at least one",
    },
    Case {
        old: "",
        new: "[services.agent]\nexec = [\"/a\"]\n[services.b]\nexec = [\"/b\"]\nafter = [\"agnet\"]\n",
        at: (19, 10),
        message: "there is no service `agnet`",
        help: "did you mean `agent`?",
    },
    Case {
        old: "",
        new: "[services.a]\nexec = [\"/a\"]\nafter = [\"b\"]\n[services.b]\nexec = [\"/b\"]\nafter = [\"a\"]\n[services.c]\nexec = [\"/c\"]\nafter = [\"a\"]\n",
        at: (15, 11),
        message: "these services wait for one another: a, b",
        help: "take one `after` out",
    },
    Case {
        old: "",
        new: "[services.a]\nexec = [\"/a\"]\nready = \"soon\"\n",
        at: (17, 9),
        message: "`soon` is not a way to be ready",
        help: "\"notify\"",
    },
    Case {
        old: "",
        new: "[images.x]\nreference = \"busybox\"\n",
        at: (16, 13),
        message: "`busybox` is not a full reference of an image",
        help: "with registry and tag",
    },
    Case {
        old: "name = ",
        new: "archive = \"debain\"\nname = ",
        at: (1, 11),
        message: "there is no archive `debain`",
        help: "did you mean `debian`?",
    },
    Case { old: "", new: "[outputs]\nformats = [\"vmdk\"]\n", at: (16, 12), message: "`vmdk` is not one of the words", help: "\"qcow2\"" },
    Case {
        old: "",
        new: "[outputs]\nerofs-cluster = \"100 KiB\"\n",
        at: (16, 17),
        message: "`100 KiB` is not a cluster size",
        help: "power of two",
    },
    Case { old: "", new: "inherit = 5\n", at: (15, 1), message: "unknown key `inherit` in `loaders`", help: "use one of" },
    Case { old: "", new: "[state\n", at: (15, 7), message: "this is not TOML", help: "toml.io" },
    Case {
        old: "",
        new: "[network]\nname = \"x\"\nname = \"y\"\n",
        at: (17, 1),
        message: "this is not TOML: duplicate key",
        help: "toml.io",
    },
];

#[test]
fn each_mistake_points_at_its_place_and_says_what_to_write() {
    for case in CASES {
        let text = if case.old.is_empty() { format!("{MINIMAL}{}", case.new) } else { MINIMAL.replacen(case.old, case.new, 1) };
        assert_ne!(text, MINIMAL, "{:?} is not in the recipe", case.old);
        let error = problems(&[("tiny.toml", &text)]);
        let shown = rendered(&error);
        let found = error.problems.iter().find(|problem| problem.to_string().contains(case.message));
        let found = found.unwrap_or_else(|| panic!("{:?} is not reported:\n{shown}", case.message));
        let (line, column) = case.at;
        assert_eq!(found.position(), Some(("tiny.toml", line, column)), "{shown}");
        assert!(shown.contains(&format!("tiny.toml:{line}:{column}")), "{shown}");
        let help = miette::Diagnostic::help(found).map(|help| help.to_string()).unwrap_or_default();
        assert!(help.contains(case.help), "{help:?} lacks {:?}", case.help);
    }
}

#[test]
fn a_mistake_is_reported_once() {
    // A name with a typo is an unknown key and a missing one; every other case is one mistake.
    for case in CASES.iter().filter(|case| !case.message.starts_with("unknown key") && case.at != (15, 7)) {
        let text = if case.old.is_empty() { format!("{MINIMAL}{}", case.new) } else { MINIMAL.replacen(case.old, case.new, 1) };
        let error = problems(&[("tiny.toml", &text)]);
        assert_eq!(error.problems.len(), 1, "{}", rendered(&error));
    }
}

#[test]
fn all_mistakes_are_reported_at_once_in_the_order_of_the_file() {
    let text = MINIMAL.replace("\"1.0.0\"", "1").replace("\"crun\"", "7") + "[services.a]\nexce = [\"/a\"]\n";
    let error = problems(&[("tiny.toml", &text)]);
    let lines: Vec<usize> = error.problems.iter().map(|problem| problem.position().unwrap().1).collect();
    assert_eq!(lines, [2, 4, 15, 16], "{}", rendered(&error));
    assert_eq!(error.to_string(), "tiny.toml has 4 mistakes");
}

#[test]
fn the_whole_message_reads_like_this() {
    let text = MINIMAL.replace("packages", "pakages");
    let expected = "  × tiny.toml has a mistake

Error: 
  × unknown key `pakages` in the recipe
   ╭─[tiny.toml:4:1]
 3 │ epoch = 2026-11-23T00:00:00Z
 4 │ pakages = [\"crun\"]
   · ───┬───
   ·    ╰── not a key of this table
 5 │ [archives.debian]
   ╰────
  help: did you mean `packages`?
";
    assert_eq!(rendered(&problems(&[("tiny.toml", &text)])), expected);
}
