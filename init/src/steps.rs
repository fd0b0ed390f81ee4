//! What each step of [`shoal_init_core::boot`] does. Runs on a thread of its own, which waits for devices, media and programs.

use std::path::Path;

use anyhow::{Context, Result, bail};
use shoal_contract::{BOOT_PATH, Boot, SERVICES_PATH, Services};
use shoal_init_core::boot::Step;
use shoal_init_core::cmdline::Arguments;
use shoal_init_core::shutdown::Cause;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::fault::Fault;
use crate::handoff::{Handoff, StateMedium};
use crate::interrupt::Interrupt;
use crate::modules::{Modules, Refused};
use crate::network::NetworkEvent;
use crate::power::buttons;
use crate::uevent::Uevents;
use crate::watchdog::Watchdog;
use crate::{clock, finish, identity, mounts, network, root, say, state};

/// Events that may wait for the supervisor; more than a box has links, and senders wait when it is full.
const NETWORK_EVENTS: usize = 64;

/// Takes the steps, and keeps what they have found out.
pub(crate) struct Steps {
    runtime: Handle,
    causes: mpsc::Sender<Cause>,
    interrupt: Interrupt,
    boot: Option<Boot>,
    /// This box's own.
    hostname: Option<String>,
    arguments: Arguments,
    watchdog: Option<Watchdog>,
    /// Heard from before the first look at devices, so that none falls between.
    disks: Option<Uevents>,
    state: StateMedium,
    services: Services,
    network: mpsc::Receiver<NetworkEvent>,
    network_sender: mpsc::Sender<NetworkEvent>,
    notes: Vec<String>,
    fault: Option<Fault>,
}

impl Steps {
    /// Nothing is done yet. Tasks run on `runtime`; whoever ends the box is told to `causes`; `interrupt` ends long steps early.
    pub(crate) fn new(runtime: Handle, causes: mpsc::Sender<Cause>, interrupt: Interrupt) -> Self {
        let (network_sender, network) = mpsc::channel(NETWORK_EVENTS);
        Self {
            runtime,
            causes,
            interrupt,
            boot: None,
            hostname: None,
            arguments: Arguments::default(),
            watchdog: None,
            disks: None,
            state: StateMedium::Ram { reason: "the boot did not come to it".into() },
            services: Services::default(),
            network,
            network_sender,
            notes: Vec::new(),
            fault: None,
        }
    }

    /// Where state lies.
    pub(crate) fn state(self) -> StateMedium {
        self.state
    }

    fn note(&mut self, words: String) {
        say::line(&words);
        self.notes.push(words);
    }

    fn boot(&self) -> Result<&Boot> {
        self.boot.as_ref().context("the settings of the image are not known")
    }

    /// Takes one step.
    ///
    /// # Errors
    /// It has failed. What follows is not for this thread to decide.
    pub(crate) fn take(&mut self, step: Step) -> Result<()> {
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.keep_alive();
        }
        match step {
            Step::Mounts => {
                for missing in mounts::kernel_file_systems()? {
                    self.note(missing);
                }
            }
            Step::Settings => self.read_settings()?,
            Step::EarlyModules => {
                let boot = self.boot()?;
                let mut modules = Modules::open(&boot.kernel_release)?;
                let wanted = boot.modules.early.clone();
                self.load(&mut modules, &wanted);
            }
            Step::Watchdog => self.arm_watchdog()?,
            Step::Root => {
                root::enter()?;
                mounts::temporary().context("cannot mount /tmp")?;
                say::line("root mounted");
            }
            Step::Modules => self.load_all_modules()?,
            Step::State => {
                if self.fault == Some(Fault::HangBoot) {
                    hang();
                }
                let settled = self.settle_state();
                mounts::share().context("cannot share mounts with containers")?;
                settled?;
            }
            Step::Clock => {
                clock::settle(self.boot()?.image.epoch)?;
                if matches!(self.state, StateMedium::Persistent { .. }) {
                    clock::remember().context("cannot remember the time")?;
                    self.runtime.spawn(clock::keep_remembering());
                }
            }
            Step::Identity => {
                let name = identity::settle(&self.boot()?.network.hostname)?;
                say::line(&format!("this box is {name}"));
                self.hostname = Some(name);
            }
            Step::Network => {
                let mut settings = self.boot()?.network.clone();
                settings.hostname = self.hostname.clone().unwrap_or(settings.hostname);
                let _inside = self.runtime.enter();
                network::start(settings, self.network_sender.clone())?;
            }
            Step::Services => {
                let text = std::fs::read_to_string(SERVICES_PATH).with_context(|| format!("cannot read {SERVICES_PATH}"))?;
                self.services = Services::parse(&text)?;
            }
        }
        Ok(())
    }

    fn read_settings(&mut self) -> Result<()> {
        let text = std::fs::read_to_string(BOOT_PATH).with_context(|| format!("cannot read {BOOT_PATH}"))?;
        let boot = Boot::parse(&text)?;
        say::line(&format!("{} {} ({})", boot.image.name, boot.image.version, boot.image.arch));
        finish::set_panic_reboot_seconds(boot.console.panic_reboot_seconds);
        self.arguments = Arguments::parse(&std::fs::read_to_string("/proc/cmdline").unwrap_or_default());
        for unknown in std::mem::take(&mut self.arguments.unknown) {
            self.note(format!("the kernel argument {unknown} is not known and was passed over"));
        }
        if let Some(text) = &self.arguments.fault {
            match Fault::parse(text) {
                Some(fault) if boot.faults => self.fault = Some(fault),
                Some(_) => say::line("shoal.fault= is not honoured by this image"),
                None => say::line(&format!("shoal.fault={text} is not known")),
            }
        }
        // A kernel panic must end in a reboot too.
        if let Err(error) = std::fs::write("/proc/sys/kernel/panic", boot.console.panic_reboot_seconds.to_string()) {
            self.note(format!("a kernel panic will not reboot the box: {error}"));
        }
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        if release != boot.kernel_release {
            bail!("the kernel is {release} and the image's modules are for {}; build the image again", boot.kernel_release);
        }
        self.boot = Some(boot);
        Ok(())
    }

    /// Loads modules by name, then drivers for the devices that are there, in rounds: a bus driver's devices want drivers in turn.
    fn load(&mut self, modules: &mut Modules, wanted: &[String]) {
        for name in wanted {
            if modules.knows(name) {
                self.tell(modules.load(name));
            } else {
                self.note(format!("the image has no module {name}; take it out of the recipe or add its package"));
            }
        }
        const ROUNDS: usize = 3;
        for _ in 0..ROUNDS {
            self.tell(modules.coldplug());
            if let Some(watchdog) = &mut self.watchdog {
                watchdog.keep_alive();
            }
        }
    }

    fn tell(&mut self, refused: Vec<Refused>) {
        for one in refused {
            self.note(format!("module {} was refused: {}", one.name, one.error));
        }
    }

    fn load_all_modules(&mut self) -> Result<()> {
        let boot = self.boot()?;
        let (release, wanted) = (boot.kernel_release.clone(), boot.modules.always.clone());
        // Both sockets are open before the first look, so that a device that appears meanwhile is heard of.
        let devices = Uevents::open().context("cannot hear of new devices")?;
        self.disks = Some(Uevents::open().context("cannot hear of new disks")?);
        // Nor does a press of a button that gets its driver now. Without inotify the box has no power button; everything else works.
        let causes = self.causes.clone();
        self.runtime.spawn(async move { drop(buttons::watch(buttons::DIRECTORY.into(), causes).await) });
        let mut modules = Modules::open(&release)?;
        self.load(&mut modules, &wanted);
        modules.follow(devices).context("cannot follow new devices")?;
        mounts::efi_variables();
        // Most drivers of watchdogs lie in the root, not in the initramfs.
        self.arm_watchdog()
    }

    fn arm_watchdog(&mut self) -> Result<()> {
        let settings = self.boot()?.watchdog.clone();
        if settings.enabled && self.watchdog.is_none() {
            self.watchdog = Watchdog::open(settings.timeout_seconds).context("cannot open the watchdog")?;
            if self.watchdog.is_some() {
                say::line("watchdog armed");
            }
        }
        Ok(())
    }

    fn settle_state(&mut self) -> Result<()> {
        let boot = self.boot.as_ref().context("the settings of the image are not known")?;
        let disks = match self.disks.take() {
            Some(disks) => disks,
            None => Uevents::open().context("cannot hear of new disks")?,
        };
        let settled = state::settle(boot, self.arguments.state_in_ram, &disks, &mut self.watchdog, &self.interrupt)?;
        self.state = settled.medium;
        self.notes.extend(settled.notes);
        Ok(())
    }

    /// What the supervisor needs, `notes` with what this thread has noted, and `causes` that nobody has heard yet.
    ///
    /// # Errors
    /// The boot has not come so far.
    pub(crate) fn hand_over(self, notes: Vec<String>, causes: mpsc::Receiver<Cause>) -> Result<Handoff> {
        let mut boot = self.boot.context("the settings of the image are not known")?;
        for console in self.arguments.consoles {
            if !boot.console.devices.contains(&console) && Path::new("/dev").join(&console).exists() {
                boot.console.devices.push(console);
            }
        }
        Ok(Handoff {
            boot,
            services: self.services,
            state: self.state,
            watchdog: self.watchdog,
            causes,
            network: self.network,
            notes: [notes, self.notes].concat(),
            fault: self.fault,
        })
    }
}

/// Acts out a hang: only the watchdog ends it.
fn hang() -> ! {
    say::line("hanging, as shoal.fault= asks");
    loop {
        std::thread::park();
    }
}
