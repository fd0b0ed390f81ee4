//! Which packages a list of packages needs: a greedy closure over `Pre-Depends` and `Depends`.
//!
//! It does not search. Each dependency takes the first of these that meets it, version included:
//!
//! 1. a package that is already chosen (and not excepted);
//! 2. nothing, when an excepted package would meet it: to except a package is to say that something else does its work;
//! 3. its alternatives in the order they are written, each as a real package (the newest version that fits) or else as what a package
//!    provides (the package a system needs most by `Priority`, then the first by name).
//!
//! All named packages are chosen before any dependency is looked at, so naming a package decides an alternative. A choice is never taken
//! back: what the closure is can be told by reading, and when it is not what was meant, naming or excepting one package puts it right. A
//! lock keeps the result.
//!
//! `Conflicts` and `Breaks` are not looked at, and essential packages that nothing names are not added: the closure is what gets unpacked
//! into an image or a tool's root, not an installation.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::packages::{Index, MultiArch, Package, PackageId};
use crate::relation::{self, Relation, RelationError};

/// A package that is asked for by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Name of a real package.
    pub name: String,
    /// Architecture; packages for all architectures serve it, too.
    pub architecture: String,
    /// What comes with it.
    pub follow: Follow,
}

/// What comes with a package that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Follow {
    /// Nothing.
    Nothing,
    /// What it depends on, transitively.
    Depends {
        /// Names of packages neither taken nor followed. What they would meet counts as met.
        except: BTreeSet<String>,
    },
}

/// Why there is no closure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClosureError {
    /// A package that was asked for does not exist.
    #[error("package `{name}` for {architecture} is not in the archive{}", provided_by(.providers))]
    NoSuchPackage {
        /// Name.
        name: String,
        /// Architecture.
        architecture: String,
        /// Packages that provide the name.
        providers: Vec<String>,
    },
    /// A dependency cannot be met.
    #[error("{}: no package of the archive meets this{}; correct the package list, or except the dependency if it is not needed", chain.join(" -> "), instead(.found))]
    Unmet {
        /// From the package that was asked for to the dependency as it is written, with all its alternatives.
        chain: Vec<String>,
        /// What has the right name but another version or architecture, as `name version architecture`.
        found: Vec<String>,
    },
    /// A relationship field of a package cannot be read.
    #[error("{}: its dependencies cannot be read", chain.join(" -> "))]
    Unreadable {
        /// From the package that was asked for to the package.
        chain: Vec<String>,
        /// What is wrong.
        source: RelationError,
    },
}

fn provided_by(providers: &[String]) -> String {
    if providers.is_empty() { String::new() } else { format!("; name one of the packages that provide it: {}", providers.join(", ")) }
}

fn instead(found: &[String]) -> String {
    if found.is_empty() { String::new() } else { format!(" (it has {})", found.join(", ")) }
}

/// Packages that the roots consist of, dependencies before what depends on them, otherwise by name and architecture. Where packages depend on
/// each other in a circle, the one that is first by name comes after the others of the circle that it reaches.
///
/// `native` is the architecture of the system that the packages are for: it decides what packages for all architectures depend on, and which
/// package serves where several architectures could.
///
/// # Errors
/// When a root does not exist, or a dependency cannot be met.
pub fn closure<'i>(index: &'i Index, native: &str, roots: &[Root]) -> Result<Vec<Package<'i>>, ClosureError> {
    let mut choice = Choice { index, native, chosen: BTreeMap::new() };
    let mut asked = Vec::new();
    for root in roots {
        let package = choice.root(root)?;
        asked.push((key(&package), &root.follow));
    }
    for (root, follow) in asked {
        if let Follow::Depends { except } = follow {
            choice.follow(root, except)?;
        }
    }
    Ok(choice.ordered())
}

/// Name and architecture. An image holds at most one version of each.
type Key<'i> = (&'i str, &'i str);

/// What has been chosen so far.
struct Choice<'i, 'n> {
    index: &'i Index,
    native: &'n str,
    chosen: BTreeMap<Key<'i>, Chosen<'i>>,
}

/// A chosen package.
struct Chosen<'i> {
    package: Package<'i>,
    /// What it was chosen for; none: it was asked for.
    parent: Option<Key<'i>>,
    /// What meets its dependencies.
    needs: BTreeSet<Key<'i>>,
}

/// How a dependency is met.
enum Met<'i> {
    Chosen(Key<'i>),
    Excepted,
    New(Package<'i>),
}

impl<'i> Choice<'i, '_> {
    /// Chooses a package that is asked for.
    fn root(&mut self, root: &Root) -> Result<Package<'i>, ClosureError> {
        let package = self.index.newest(&root.name, &root.architecture).ok_or_else(|| {
            let providers: BTreeSet<_> =
                self.index.ids_providing(&root.name).iter().map(|id| self.index.package(*id).name.to_owned()).collect();
            ClosureError::NoSuchPackage {
                name: root.name.clone(),
                architecture: root.architecture.clone(),
                providers: providers.into_iter().collect(),
            }
        })?;
        self.choose(package, None);
        Ok(package)
    }

    fn choose(&mut self, package: Package<'i>, parent: Option<Key<'i>>) {
        self.chosen.entry(key(&package)).or_insert(Chosen { package, parent, needs: BTreeSet::new() });
    }

    /// Chooses what a package depends on, transitively, nearest first.
    fn follow(&mut self, root: Key<'i>, except: &BTreeSet<String>) -> Result<(), ClosureError> {
        let mut seen = BTreeSet::from([root]);
        let mut queue = VecDeque::from([root]);
        while let Some(dependant) = queue.pop_front() {
            let package = self.chosen[&dependant].package;
            for field in [package.pre_depends, package.depends] {
                let groups = relation::groups(field).map_err(|source| ClosureError::Unreadable { chain: self.chain(dependant), source })?;
                for group in groups {
                    let need = match self.meet(&package, &group, except) {
                        Some(Met::Chosen(key)) => key,
                        Some(Met::Excepted) => continue,
                        Some(Met::New(found)) => {
                            self.choose(found, Some(dependant));
                            key(&found)
                        }
                        None => return Err(self.unmet(dependant, &group)),
                    };
                    self.chosen.get_mut(&dependant).expect("it is being followed").needs.insert(need);
                    if seen.insert(need) {
                        queue.push_back(need);
                    }
                }
            }
        }
        Ok(())
    }

    /// What meets a dependency, by the rules at the top of this module.
    fn meet(&self, dependant: &Package<'_>, group: &[Relation<'_>], except: &BTreeSet<String>) -> Option<Met<'i>> {
        let candidates = |relation: &Relation<'_>| {
            let ids = self.index.ids_named(relation.name).iter().chain(self.index.ids_providing(relation.name));
            ids.map(|id| self.index.package(*id)).collect::<Vec<_>>()
        };
        for relation in group {
            let chosen = candidates(relation).into_iter().find(|package| {
                self.chosen.get(&key(package)).is_some_and(|chosen| chosen.package == *package)
                    && !except.contains(package.name)
                    && self.meets(package, relation, dependant)
            });
            if let Some(package) = chosen {
                return Some(Met::Chosen(key(&package)));
            }
        }
        // Versions and architectures of what stands in for an excepted package are not known, so they are not compared.
        let excepted = |relation: &Relation<'_>| {
            except.contains(relation.name)
                || self.index.ids_providing(relation.name).iter().any(|id| except.contains(self.index.package(*id).name))
        };
        if group.iter().any(excepted) {
            return Some(Met::Excepted);
        }
        group
            .iter()
            .find_map(|relation| {
                self.first(relation, dependant, self.index.ids_named(relation.name))
                    .or_else(|| self.first(relation, dependant, self.index.ids_providing(relation.name)))
            })
            .map(Met::New)
    }

    /// The best of several packages that meet a dependency.
    fn first(&self, relation: &Relation<'_>, dependant: &Package<'_>, candidates: &[PackageId]) -> Option<Package<'i>> {
        candidates
            .iter()
            .map(|id| self.index.package(*id))
            // Another version of it is chosen, and there can be only one.
            .filter(|package| !self.chosen.contains_key(&key(package)))
            .filter(|package| self.meets(package, relation, dependant))
            .min_by(|left, right| {
                let rank = |package: &Package<'i>| (self.distance(package, dependant), package.priority, package.name);
                rank(left)
                    .cmp(&rank(right))
                    .then_with(|| right.parsed_version().cmp(&left.parsed_version()))
                    .then_with(|| left.architecture.cmp(right.architecture))
            })
    }

    /// How far an architecture is away: what runs on the system is best, then what the dependant is made for.
    fn distance(&self, package: &Package<'_>, dependant: &Package<'_>) -> u8 {
        if package.architecture == self.native || package.architecture == "all" {
            0
        } else if package.architecture == dependant.architecture {
            1
        } else {
            2
        }
    }

    /// Whether a package, as itself or by what it provides, meets one alternative of a dependency.
    fn meets(&self, package: &Package<'_>, relation: &Relation<'_>, dependant: &Package<'_>) -> bool {
        self.serves(package, relation.qualifier, dependant) && (is_it(package, relation) || provides(package, relation))
    }

    /// Whether a package may serve a dependant as far as architectures go.
    fn serves(&self, package: &Package<'_>, qualifier: Option<&str>, dependant: &Package<'_>) -> bool {
        if package.architecture == "all" {
            // dpkg counts these as native, and refuses them to foreign dependants unless they are `Multi-Arch: foreign`. That guards
            // maintainer scripts, which do not run here.
            return true;
        }
        let wanted = if dependant.architecture == "all" { self.native } else { dependant.architecture };
        match qualifier {
            None => package.architecture == wanted || package.multi_arch == MultiArch::Foreign,
            Some("any") => package.architecture == wanted || matches!(package.multi_arch, MultiArch::Foreign | MultiArch::Allowed),
            Some("native") => package.architecture == self.native,
            Some(architecture) => package.architecture == architecture,
        }
    }

    fn unmet(&self, dependant: Key<'i>, group: &[Relation<'_>]) -> ClosureError {
        let mut chain = self.chain(dependant);
        chain.push(group.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | "));
        let found: BTreeSet<_> = group
            .iter()
            .flat_map(|relation| self.index.named(relation.name))
            .map(|package| format!("{} {} {}", package.name, package.version, package.architecture))
            .collect();
        ClosureError::Unmet { chain, found: found.into_iter().collect() }
    }

    /// Names from the package that was asked for to this one.
    fn chain(&self, last: Key<'i>) -> Vec<String> {
        let mut chain: Vec<_> = std::iter::successors(Some(last), |key| self.chosen[key].parent).map(|(name, _)| name.to_owned()).collect();
        chain.reverse();
        chain
    }

    /// Chosen packages, dependencies first: depth first from the names in order.
    fn ordered(&self) -> Vec<Package<'i>> {
        let mut ordered = Vec::with_capacity(self.chosen.len());
        let mut entered = BTreeSet::new();
        for key in self.chosen.keys() {
            if !entered.insert(*key) {
                continue;
            }
            let mut path = vec![(*key, self.chosen[key].needs.iter())];
            while let Some((key, needs)) = path.last_mut() {
                match needs.next() {
                    Some(need) if entered.insert(*need) => path.push((*need, self.chosen[need].needs.iter())),
                    Some(_) => {}
                    None => {
                        ordered.push(self.chosen[key].package);
                        path.pop();
                    }
                }
            }
        }
        ordered
    }
}

fn key<'i>(package: &Package<'i>) -> Key<'i> {
    (package.name, package.architecture)
}

/// Whether a package is the real package that a dependency names, in the right version.
fn is_it(package: &Package<'_>, relation: &Relation<'_>) -> bool {
    package.name == relation.name && relation.constraint.as_ref().is_none_or(|constraint| constraint.allows(&package.parsed_version()))
}

/// Whether a package provides what a dependency names. A dependency with a version is met only by what is provided with a version: policy 7.5.
fn provides(package: &Package<'_>, relation: &Relation<'_>) -> bool {
    let Ok(provided) = relation::groups(package.provides) else {
        return false;
    };
    provided.iter().flatten().any(|provided| {
        provided.name == relation.name
            && relation
                .constraint
                .as_ref()
                .is_none_or(|constraint| provided.constraint.as_ref().is_some_and(|provided| constraint.allows(&provided.version)))
    })
}

#[cfg(test)]
mod tests;
