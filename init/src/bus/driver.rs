//! `org.freedesktop.DBus`: what a client expects of a bus itself (D-Bus Specification, "Message Bus Messages").

use std::collections::HashMap;

use zbus::fdo;
use zbus::wire::Variant;
use zbus::{MatchRule, OwnedMatchRule};

use super::{Caller, OUR_NAME, Rules, WELL_KNOWN_NAMES, lock};

/// The name of the bus itself.
const BUS_NAME: &str = "org.freedesktop.DBus";

/// Match rules of one client; the number that dbus-daemon allows by default.
const RULES_MAX: usize = 512;

/// `DBUS_START_REPLY_ALREADY_RUNNING`.
const ALREADY_RUNNING: u32 = 2;

/// `DBUS_RELEASE_NAME_REPLY_NON_EXISTENT`.
const NAME_NON_EXISTENT: u32 = 2;

/// The bus, as one client sees it.
#[derive(Debug)]
pub(crate) struct Driver {
    /// The client's unique name.
    pub(crate) name: String,
    /// Who the client is.
    pub(crate) caller: Caller,
    /// Identifies this bus until the next boot.
    pub(crate) guid: String,
    /// The signals it wants.
    pub(crate) rules: Rules,
}

impl Driver {
    fn owner(&self, name: &str) -> Option<&str> {
        if name == BUS_NAME {
            Some(BUS_NAME)
        } else if name == OUR_NAME || WELL_KNOWN_NAMES.contains(&name) {
            Some(OUR_NAME)
        } else {
            (name == self.name).then_some(self.name.as_str())
        }
    }

    /// The credentials of the owner of a name; only PID 1 and the caller itself can be asked about.
    fn credentials(&self, name: &str) -> fdo::Result<Caller> {
        match self.owner(name) {
            Some(owner) if owner == self.name => Ok(self.caller),
            Some(_) => Ok(Caller { uid: rustix::process::geteuid().as_raw(), pid: std::process::id() }),
            None => Err(no_owner(name)),
        }
    }
}

fn no_owner(name: &str) -> fdo::Error {
    fdo::Error::NameHasNoOwner(format!("nobody owns {name}; this bus knows only {} and {}", WELL_KNOWN_NAMES[0], WELL_KNOWN_NAMES[1]))
}

fn rule(text: &str) -> fdo::Result<OwnedMatchRule> {
    MatchRule::try_from(text).map(OwnedMatchRule::from).map_err(|error| fdo::Error::MatchRuleInvalid(error.to_string()))
}

#[zbus::interface(name = "org.freedesktop.DBus")]
impl Driver {
    /// Gives the client its unique name.
    fn hello(&self) -> &str {
        &self.name
    }

    /// Sends the client signals that match from now on.
    fn add_match(&self, text: &str) -> fdo::Result<()> {
        let rule = rule(text)?;
        let mut rules = lock(&self.rules);
        if rules.len() >= RULES_MAX {
            return Err(fdo::Error::LimitsExceeded(format!("a client may have {RULES_MAX} match rules; remove some")));
        }
        rules.push(rule);
        Ok(())
    }

    /// Takes back one rule.
    fn remove_match(&self, text: &str) -> fdo::Result<()> {
        let rule = rule(text)?;
        let mut rules = lock(&self.rules);
        let place = rules.iter().position(|held| *held == rule);
        let place = place.ok_or_else(|| fdo::Error::MatchRuleNotFound(format!("there is no rule {text}")))?;
        rules.swap_remove(place);
        Ok(())
    }

    /// Refused: clients cannot be reached here, so a name would be of no use.
    fn request_name(&self, name: &str, _flags: u32) -> fdo::Result<u32> {
        Err(fdo::Error::AccessDenied(format!("{name} cannot be owned: this bus carries PID 1's own services only")))
    }

    /// No client owns a name.
    fn release_name(&self, _name: &str) -> u32 {
        NAME_NON_EXISTENT
    }

    /// The unique name of the owner.
    fn get_name_owner(&self, name: &str) -> fdo::Result<&str> {
        self.owner(name).ok_or_else(|| no_owner(name))
    }

    /// Whether a name is owned.
    fn name_has_owner(&self, name: &str) -> bool {
        self.owner(name).is_some()
    }

    /// All names that the client can see.
    fn list_names(&self) -> Vec<&str> {
        [BUS_NAME, OUR_NAME, &self.name].into_iter().chain(WELL_KNOWN_NAMES).collect()
    }

    /// Names that would be started on demand: all run already.
    fn list_activatable_names(&self) -> Vec<&str> {
        vec![BUS_NAME]
    }

    /// There is nothing to start: a name is there, or does not exist.
    fn start_service_by_name(&self, name: &str, _flags: u32) -> fdo::Result<u32> {
        match self.owner(name) {
            Some(_) => Ok(ALREADY_RUNNING),
            None => Err(fdo::Error::ServiceUnknown(format!("there is no service {name} on this bus"))),
        }
    }

    /// Who waits for a name.
    fn list_queued_owners(&self, name: &str) -> fdo::Result<Vec<&str>> {
        self.owner(name).map(|owner| vec![owner]).ok_or_else(|| no_owner(name))
    }

    /// User id of the owner.
    fn get_connection_unix_user(&self, name: &str) -> fdo::Result<u32> {
        Ok(self.credentials(name)?.uid)
    }

    /// Process id of the owner.
    #[zbus(name = "GetConnectionUnixProcessID")]
    fn get_connection_unix_process_id(&self, name: &str) -> fdo::Result<u32> {
        Ok(self.credentials(name)?.pid)
    }

    /// Both.
    fn get_connection_credentials(&self, name: &str) -> fdo::Result<HashMap<&str, Variant<'_>>> {
        let caller = self.credentials(name)?;
        Ok(HashMap::from([("UnixUserID", Variant::from(caller.uid)), ("ProcessID", Variant::from(caller.pid))]))
    }

    /// Identifies this bus.
    fn get_id(&self) -> &str {
        &self.guid
    }

    /// Nothing beyond the basics.
    #[zbus(property)]
    fn features(&self) -> Vec<String> {
        Vec::new()
    }

    /// No further interfaces.
    #[zbus(property)]
    fn interfaces(&self) -> Vec<String> {
        Vec::new()
    }
}
