//! Claims about every recipe and about every text.

mod common;

use std::collections::BTreeMap;

use common::{MINIMAL, rendered, resolved, try_resolve};
use proptest::prelude::*;
use shoal_contract::Service;
use shoal_contract::boot::{Arch, Level};
use shoal_contract::service::{GiveUp, GiveUpAction, Kind, Limits, Ready, Restart, Start, StopSignal};
use shoal_recipe::Recipe;
use shoal_recipe::model::{Content, Depends, File, OciImage, Package};

/// A text that is hard to write in TOML: quotes, line ends, control characters, nothing at all.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[\"'\\\\\n\r\t #=\\[\\]]{0,12}"]
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        text().prop_map(Content::Text),
        text().prop_map(Content::Source),
        text().prop_map(Content::Go),
        (text(), text(), text()).prop_map(|(archive, package, path)| Content::Debian { archive, package, path }),
    ]
}

fn file() -> impl Strategy<Value = File> {
    let arch = prop_oneof![Just(Arch::ALL.to_vec()), Just(vec![Arch::Arm64])];
    (text(), any::<u32>(), content(), arch).prop_map(|(path, mode, content, arch)| File { path, mode, content, arch })
}

fn image() -> impl Strategy<Value = OciImage> {
    (text(), prop::collection::vec(file(), 0..3), prop::collection::vec(text(), 0..3)).prop_map(|(reference, files, words)| OciImage {
        path: reference.clone(),
        user: reference.clone(),
        reference,
        files,
        links: Vec::new(),
        entrypoint: words.clone(),
        cmd: Vec::new(),
        env: words,
        arch: Arch::ALL.to_vec(),
    })
}

fn service() -> impl Strategy<Value = Service> {
    let ready = prop_oneof![Just(Ready::Started), Just(Ready::Notify), text().prop_map(Ready::Socket)];
    let give_up = prop::option::of(any::<u32>().prop_map(|failures| GiveUp { failures, within_ms: 1, action: GiveUpAction::Reboot }));
    let limits = (prop::option::of(0..=u64::MAX >> 1), prop::option::of(any::<i16>()));
    (text(), prop::collection::vec(text(), 0..3), ready, give_up, limits, any::<bool>()).prop_map(
        |(name, exec, ready, give_up, (memory_max, oom_score_adjust), flag)| Service {
            environment: BTreeMap::from([(name.clone(), name.clone())]),
            name,
            exec,
            kind: if flag { Kind::Oneshot } else { Kind::Daemon },
            start: if flag { Start::Asked } else { Start::Boot },
            after: Vec::new(),
            ready,
            ready_timeout_ms: 1,
            restart: if flag { Restart::OnFailure } else { Restart::Never },
            give_up,
            limits: Limits { memory_max, oom_score_adjust, ..Limits::default() },
            delegate: flag,
            stop_signal: if flag { StopSignal::Int } else { StopSignal::Term },
            stop_timeout_ms: 2,
            log_level: Level::Debug,
        },
    )
}

fn package() -> impl Strategy<Value = Package> {
    let depends = prop_oneof![Just(Depends::None), prop::collection::vec(text(), 0..3).prop_map(|except| Depends::Closure { except })];
    (text(), depends, prop::collection::vec(text(), 0..3)).prop_map(|(name, depends, include)| Package {
        archive: name.clone(),
        name,
        arch: Arch::ALL.to_vec(),
        depends,
        exclude: include.clone(),
        include,
    })
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let list = |length| 0..length;
    (
        text(),
        0..=i64::MAX,
        prop::collection::vec(package(), list(3)),
        prop::collection::vec(file(), list(3)),
        prop::collection::vec(image(), list(2)),
        prop::collection::vec(service(), list(3)),
    )
        .prop_map(|(summary, epoch, packages, files, images, services)| {
            let mut recipe = resolved(&[("tiny.toml", MINIMAL)]);
            recipe.kernel.cmdline.insert(Arch::Arm64, summary.clone());
            recipe.outputs.formats.clear();
            Recipe { summary, epoch, packages, files, images, services, ..recipe }
        })
}

proptest! {
    #[test]
    fn an_expanded_recipe_reads_back_as_the_same_value(recipe in recipe()) {
        let text = recipe.to_expanded();
        prop_assert_eq!(Recipe::from_expanded(&text).map_err(|error| TestCaseError::fail(format!("{error:?}\n{text}")))?, recipe);
    }

    /// However a recipe is damaged, the answer is a recipe or a message, and the message can be shown.
    #[test]
    fn no_text_makes_the_reader_panic(cut in 0..MINIMAL.len(), length in 0..40_usize, instead in text()) {
        let end = (cut + length).min(MINIMAL.len());
        let damaged = format!("{}{instead}{}", &MINIMAL[..cut], &MINIMAL[end..]);
        if let Err(error) = try_resolve(&[("tiny.toml", &damaged)]) {
            prop_assert!(!rendered(&error).is_empty());
        }
    }
}
