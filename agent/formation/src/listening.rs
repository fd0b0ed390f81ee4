//! A blank node looks around: it joins, waits, or founds. Section 1.4.

use alloc::collections::BTreeMap;

use crate::{
    alarm::Alarm,
    disk::Role,
    ids::{ClusterId, Incarnation, NodeKey, Peer},
    known_bugs::KnownBug,
    machine::{Formation, Phase},
    message::{Hello, Message, Standing},
    now::Now,
    settings::Medium,
    timers,
};

/// What a blank node waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// A usable link.
    Link,
    /// The time in which others are listened for.
    Time,
    /// Somebody to decide between two sealed clusters.
    Conflict(ClusterId, ClusterId),
    /// Members of a cluster that have no leader: a cluster is sleeping.
    Sleepers(ClusterId),
    /// A cluster that others see, and this node does not.
    OutOfReach(ClusterId),
    /// Somebody else founds.
    Founder(NodeKey),
    /// Somebody has begun to found.
    Founding,
    /// It was removed, and never founds.
    Removed,
    /// Promises of others.
    Promises,
    /// More boxes: so many promised, so many are needed.
    Expected(usize, usize),
}

/// A blank node.
#[derive(Debug)]
pub(crate) struct Listening {
    /// Since when.
    since: Now,
    /// To whom it has promised not to found, and until when.
    promised: Option<(Peer, Now)>,
    /// Whom it has asked for promises.
    courting: Option<BTreeMap<NodeKey, Courted>>,
    /// Not before.
    again_at: Now,
    pub(crate) wait: Wait,
}

/// A virgin that is asked for its promise.
#[derive(Debug, Clone, Copy)]
struct Courted {
    peer: Peer,
    tries: u8,
    next: Now,
    answer: Option<Answer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Promised,
    /// It has not answered any of the tries.
    Unreachable,
}

impl Listening {
    pub(crate) const fn new(now: Now) -> Self {
        Self { since: now, promised: None, courting: None, again_at: now, wait: Wait::Link }
    }

    pub(crate) const fn is_conflict(&self) -> bool {
        matches!(self.wait, Wait::Conflict(..))
    }
}

/// How many promises are needed, one's own among them, where the owner has said how many boxes there are.
fn needed(expect: u32) -> usize {
    expect as usize / 2 + 1
}

impl Formation {
    fn alone_after(&self) -> core::time::Duration {
        match self.settings.traits.medium {
            Medium::Disk => timers::ALONE,
            Medium::Memory => timers::ALONE_WITHOUT_DISK,
        }
    }

    pub(crate) fn listening_deadline(&self, listening: &Listening) -> Option<Now> {
        if self.waits_for_link() {
            return None;
        }
        let mut times = [None; 6];
        times[0] = Some(listening.since.plus(timers::LISTEN_MIN));
        times[1] = Some(self.newest_peer.plus(timers::STABLE));
        times[2] = Some(listening.since.plus(timers::LISTEN_MAX));
        times[3] = Some(listening.since.plus(self.alone_after()));
        times[4] = listening.promised.map(|(_, until)| until);
        times[5] = Some(listening.again_at);
        let courted =
            listening.courting.iter().flat_map(BTreeMap::values).filter(|courted| courted.answer.is_none()).map(|courted| courted.next);
        times.into_iter().flatten().chain(courted).filter(|time| *time > self.now).min()
    }

    /// Each tick of a blank node.
    pub(crate) fn look_around(&mut self) {
        let wait = self.decide();
        let Phase::Listening(listening) = &mut self.phase else { return };
        listening.wait = wait;
        if !matches!(wait, Wait::Promises) {
            self.stop_courting();
        }
    }

    /// Whether nothing is decided because there is no link: whoever is expected could not be seen. With `expect = 1` there is nobody to see.
    fn waits_for_link(&self) -> bool {
        self.link.is_none() && self.settings.expect != Some(1) && !self.settings.breaks(KnownBug::TimeWithoutLink)
    }

    /// Rules 1 to 4.
    fn decide(&mut self) -> Wait {
        if self.waits_for_link() {
            return Wait::Link;
        }
        let survey = self.survey();
        if let (Some(first), Some(second)) = (survey.sealed, survey.second_sealed) {
            let (first, second) = (first.min(second), first.max(second));
            self.raise(Alarm::ClusterConflict(first, second));
            return Wait::Conflict(first, second);
        }
        if let Some(cluster) = survey.sealed.or(survey.pristine) {
            return if self.can_ask(cluster) {
                self.join(cluster);
                Wait::Time
            } else {
                Wait::OutOfReach(cluster)
            };
        }
        if let Some(cluster) = survey.dark
            && !self.settings.breaks(KnownBug::FoundBesideSleepers)
        {
            return Wait::Sleepers(cluster);
        }
        if survey.founding {
            return Wait::Founding;
        }
        if matches!(self.role, Role::ExMember(_)) && !self.settings.breaks(KnownBug::RemovedFounds) {
            return Wait::Removed;
        }
        let own = (self.identity.incarnation, self.identity.key);
        if let Some((_, founder)) = survey.lowest.filter(|lowest| *lowest < own) {
            return Wait::Founder(founder);
        }
        self.may_court(survey.lowest)
    }

    /// Rule 3, for the lowest of those in sight.
    fn may_court(&mut self, others: Option<(Incarnation, NodeKey)>) -> Wait {
        let (now, alone_after, newest) = (self.now, self.alone_after(), self.newest_peer);
        let at_once = self.settings.expect == Some(1);
        let Phase::Listening(listening) = &mut self.phase else { return Wait::Time };
        if listening.courting.is_some() {
            return self.court();
        }
        let after = |duration| listening.since.plus(duration) <= now;
        let quiet = after(timers::LISTEN_MIN) && (newest.plus(timers::STABLE) <= now || after(timers::LISTEN_MAX));
        let ready = at_once || (others.is_some() && quiet) || (others.is_none() && after(alone_after));
        if !ready {
            return Wait::Time;
        }
        if let Some((founder, _)) = listening.promised.filter(|(_, until)| *until > now) {
            return Wait::Founder(founder.key);
        }
        if listening.again_at > now {
            return listening.wait;
        }
        listening.courting = Some(BTreeMap::new());
        self.court()
    }

    /// Asks everybody for a promise, and founds when nobody is left to ask.
    fn court(&mut self) -> Wait {
        let now = self.now;
        let Phase::Listening(listening) = &mut self.phase else { return Wait::Time };
        let mut courting = listening.courting.take().unwrap_or_default();
        let mut seen = 0;
        for sighting in self.sightings().filter(|sighting| sighting.standing == Standing::Virgin) {
            let fresh = Courted { peer: sighting.peer, tries: 0, next: now, answer: None };
            let courted = courting.entry(sighting.peer.key).or_insert(fresh);
            if courted.peer != sighting.peer {
                *courted = fresh;
            }
            seen += 1;
        }
        if seen < courting.len() {
            courting.retain(|key, _| self.sightings().any(|sighting| sighting.peer.key == *key && sighting.standing == Standing::Virgin));
        }
        for courted in courting.values_mut().filter(|courted| courted.answer.is_none() && courted.next <= now) {
            if courted.tries == timers::SOLICIT_TRIES {
                courted.answer = Some(Answer::Unreachable);
                continue;
            }
            courted.tries += 1;
            courted.next = now.plus(timers::SOLICIT_RETRY);
            let hello = self.hello();
            self.send(courted.peer, Message::Solicit(hello));
        }
        let waiting = courting.values().any(|courted| courted.answer.is_none());
        let promises = 1 + courting.values().filter(|courted| courted.answer == Some(Answer::Promised)).count();
        let Phase::Listening(listening) = &mut self.phase else { return Wait::Time };
        listening.courting = Some(courting);
        if waiting {
            return Wait::Promises;
        }
        if let Some(expect) = self.settings.expect.filter(|expect| promises < needed(*expect)) {
            listening.again_at = now.plus(timers::COURT_AGAIN);
            return Wait::Expected(promises, needed(expect));
        }
        self.begin_founding();
        Wait::Time
    }

    /// Gives the promises back.
    fn stop_courting(&mut self) {
        let Phase::Listening(listening) = &mut self.phase else { return };
        for (_, courted) in listening.courting.take().unwrap_or_default() {
            self.send(courted.peer, Message::Release);
        }
    }

    /// Somebody would found.
    pub(crate) fn solicited(&mut self, from: Peer, hello: &Hello) {
        let (now, own) = (self.now, (self.identity.incarnation, self.identity.key));
        let may = match &mut self.phase {
            Phase::Listening(listening) if (hello.incarnation, from.key) < own && self.link.is_some() => {
                let free = listening.promised.is_none_or(|(to, until)| to == from || until <= now);
                if free {
                    listening.promised = Some((from, now.plus(timers::PROMISE)));
                }
                free
            }
            _ => false,
        };
        if may {
            self.stop_courting();
        }
        let hello = self.hello();
        self.send(from, if may { Message::Promise(hello) } else { Message::Decline(hello) });
    }

    /// Somebody has promised, or not. What it sees is taken in already.
    pub(crate) fn answered(&mut self, from: Peer, promised: bool) {
        let now = self.now;
        let Phase::Listening(Listening { courting: Some(courting), .. }) = &mut self.phase else {
            if promised {
                self.send(from, Message::Release);
            }
            return;
        };
        let Some(courted) = courting.get_mut(&from.key).filter(|courted| courted.peer == from) else { return };
        if promised {
            courted.answer = Some(Answer::Promised);
        } else {
            // It is there, and will have changed its mind, or its standing, soon.
            courted.tries = 0;
            courted.next = now.plus(timers::SOLICIT_RETRY);
        }
    }

    /// Somebody does not found after all.
    pub(crate) fn released(&mut self, from: Peer) {
        if let Phase::Listening(listening) = &mut self.phase {
            listening.promised.take_if(|(to, _)| *to == from);
        }
    }
}
