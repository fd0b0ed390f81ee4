//! A box that runs: QEMU, its console and its control connection, and the power.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use shoal_teardown::TemporaryDirectory;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use crate::argv::{Places, argv};
use crate::console::{self, Console};
use crate::lab::{Lab, LabError};
use crate::machine::{Firmware, Machine};
use crate::process::Process;
use crate::qemu::MODULE_DIR_VARIABLE;
use crate::qmp::{Qmp, QmpError};
use crate::switch::{PortId, Socket, SwitchError};

/// For QEMU to open its files and to connect: a second, or many when the host is busy with other boxes.
const START_LIMIT: Duration = Duration::from_secs(120);

/// Characters of QEMU's own log that an error shows.
const LOG_TAIL: usize = 2000;

/// Why a box did not start. It is off then; its directory holds QEMU's log.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file of the box cannot be made.
    #[error("cannot prepare {}: is there space, and may it be written?", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A network of the box cannot be started.
    #[error("cannot connect the box to its networks")]
    Network(#[from] LabError),
    /// A network card cannot be plugged in.
    #[error("cannot plug a network card in")]
    Switch(#[from] SwitchError),
    /// The program cannot be run.
    #[error("cannot run {}: are the tools unpacked?", program.display())]
    Program {
        /// QEMU.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// QEMU ended at once.
    #[error("QEMU ended before the box ran ({status}): {log}")]
    Ended {
        /// How.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// QEMU did not connect.
    #[error("QEMU was not ready within {} s: {log}", START_LIMIT.as_secs())]
    Deadline {
        /// The end of its log.
        log: String,
    },
    /// The console's log cannot be written.
    #[error("cannot open the console")]
    Console(#[from] console::OpenError),
    /// QEMU does not take commands.
    #[error("cannot control QEMU")]
    Qmp(#[from] QmpError),
    /// The box is on already.
    #[error("the box is on: cut its power first")]
    On,
}

/// The box did not switch itself off.
#[derive(Debug, thiserror::Error)]
pub enum ExitError {
    /// It runs on.
    #[error("the box was still on after {} s; the last line on its console was {last:?}", within.as_secs())]
    Deadline {
        /// How long.
        within: Duration,
        /// The last line.
        last: String,
    },
    /// The process cannot be waited for.
    #[error("cannot wait for QEMU")]
    Wait(#[from] io::Error),
}

/// A box. Dropping it cuts its power; its disks and logs are the lab's.
#[derive(Debug)]
pub struct Vm {
    // First, because fields are dropped in order: QEMU ends before its directory may go away.
    run: Run,
    machine: Machine,
    lab: Lab,
    directory: PathBuf,
    sockets: TemporaryDirectory,
    ports: Vec<Socket>,
    nics: Vec<(PathBuf, [u8; 6])>,
}

/// One power-on. Console and control stay readable after its end.
#[derive(Debug)]
struct Run {
    process: Process,
    console: Console,
    qmp: Qmp,
    on: bool,
}

impl Vm {
    /// Switches a box on, when the machine has room for it. Returns when QEMU runs it; the guest has hardly begun then.
    pub async fn start(machine: Machine, lab: &Lab) -> Result<Self, StartError> {
        let directory = lab.directory().join(&machine.name);
        let file = |path: &Path| {
            let path = path.to_owned();
            move |source| StartError::File { path, source }
        };
        lab.may_run().await.map_err(file(lab.directory()))?;
        fs::create_dir(&directory).map_err(file(&directory))?;
        // Not in the lab's directory: the path of a unix socket has 107 bytes at most.
        let sockets = TemporaryDirectory::new("shoal-").map_err(file(&directory))?;
        let mut macs = lab.next_macs();
        let (mut ports, mut nics) = (Vec::new(), Vec::new());
        for (number, nic) in machine.nics.iter().enumerate() {
            let path = sockets.path().join(format!("net{number}"));
            ports.push(lab.network(&nic.network)?.listen(&path).await?);
            nics.push((path, nic.mac.unwrap_or_else(|| macs(number))));
        }
        if machine.firmware == Firmware::Uefi {
            let (_, variables) = lab.qemu().uefi(machine.arch);
            let own = variables_of(&directory);
            // Its content alone: the original may be read-only, as everything in a cache.
            fs::read(variables).and_then(|bytes| fs::write(&own, bytes)).map_err(file(&own))?;
        }
        let run = power_on(&machine, lab, &directory, sockets.path(), &nics).await?;
        Ok(Self { machine, lab: lab.clone(), directory, sockets, ports, nics, run })
    }

    /// The serial console of this power-on, or of the last one.
    pub fn console(&mut self) -> &mut Console {
        &mut self.run.console
    }

    /// The control connection of this power-on.
    pub fn qmp(&mut self) -> &mut Qmp {
        &mut self.run.qmp
    }

    /// Where a network card is plugged into its switch; `None` when there is no such card.
    pub fn port(&self, nic: usize) -> Option<PortId> {
        self.ports.get(nic).map(Socket::port)
    }

    /// The hardware address of a network card.
    pub fn mac(&self, nic: usize) -> Option<[u8; 6]> {
        self.nics.get(nic).map(|(_, mac)| *mac)
    }

    /// Its logs.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What it is made of.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Cuts the power: SIGKILL to QEMU. What the guest wrote is on its disks, and of the write under way any part. The console stays
    /// readable.
    pub fn power_cut(&mut self) -> io::Result<()> {
        self.run.on = false;
        self.run.process.kill().map(drop)
    }

    /// Switches the box on again, with the disks and firmware variables as they are now.
    pub async fn power_on(&mut self) -> Result<(), StartError> {
        if self.run.on {
            return Err(StartError::On);
        }
        self.run = power_on(&self.machine, &self.lab, &self.directory, self.sockets.path(), &self.nics).await?;
        Ok(())
    }

    /// Cuts the power and switches the box on again.
    pub async fn restart(&mut self) -> Result<(), StartError> {
        let directory = self.directory.clone();
        self.power_cut().map_err(|source| StartError::File { path: directory, source })?;
        self.power_on().await
    }

    /// Waits until the guest has switched itself off. Status 0 is an orderly power-off.
    pub async fn wait_exit(&mut self, within: Duration) -> Result<ExitStatus, ExitError> {
        match timeout(within, self.run.process.wait()).await {
            Ok(status) => {
                self.run.on = false;
                Ok(status?)
            }
            Err(_) => {
                let last = self.run.console.lines().pop().unwrap_or_default();
                Err(ExitError::Deadline { within, last })
            }
        }
    }
}

async fn power_on(machine: &Machine, lab: &Lab, directory: &Path, sockets: &Path, nics: &[(PathBuf, [u8; 6])]) -> Result<Run, StartError> {
    let places =
        Places { console: sockets.join("console"), qmp: sockets.join("qmp"), nics: nics.to_vec(), variables: variables_of(directory) };
    // We listen before QEMU starts, so it finds us, and not one byte of the console is lost.
    let (console, qmp) = (listen(&places.console)?, listen(&places.qmp)?);
    let program = lab.qemu().system(machine.arch);
    let arguments = argv(machine, lab.qemu(), lab.accelerator(machine.arch).await, &places);
    let argv_path = directory.join("qemu.argv");
    fs::write(&argv_path, command_line(program, &arguments)).map_err(|source| StartError::File { path: argv_path, source })?;
    let log_path = directory.join("qemu.log");
    let log = File::create(&log_path).map_err(|source| StartError::File { path: log_path.clone(), source })?;
    let mut command = Command::new(program);
    command.args(&arguments).env(MODULE_DIR_VARIABLE, &lab.qemu().module_dir);
    let mut process = Process::spawn(&mut command, log).map_err(|source| StartError::Program { program: program.into(), source })?;
    let accept = |listener: UnixListener| async move { listener.accept().await.map(|(stream, _)| stream) };
    let connected = async { tokio::try_join!(accept(console), accept(qmp)) };
    let streams: io::Result<(UnixStream, UnixStream)> = tokio::select! {
        streams = timeout(START_LIMIT, connected) => {
            streams.map_err(|_| StartError::Deadline { log: tail(&log_path) })?
        }
        status = process.wait() => {
            let status = status.map_err(|source| StartError::Program { program: program.into(), source })?;
            return Err(StartError::Ended { status, log: tail(&log_path) });
        }
    };
    let (console, qmp) = streams.map_err(|source| StartError::File { path: places.console, source })?;
    Ok(Run { console: Console::open(console, directory)?, qmp: Qmp::open(qmp).await?, process, on: true })
}

fn listen(path: &Path) -> Result<UnixListener, StartError> {
    // One of an earlier power-on may be there.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => UnixListener::bind(path),
    }
    .map_err(|source| StartError::File { path: path.into(), source })
}

fn variables_of(directory: &Path) -> PathBuf {
    directory.join("uefi-variables.fd")
}

/// What a person pastes into a shell to see the same; the sockets are gone then, and everything else is there.
fn command_line(program: &Path, arguments: &[OsString]) -> String {
    let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"));
    let words: Vec<String> = arguments.iter().map(|argument| quoted(argument)).collect();
    format!("{} \\\n  {}\n", quoted(program.as_os_str()), words.join(" ").replace(" '-", " \\\n  '-"))
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let skip = text.chars().count().saturating_sub(LOG_TAIL);
    text.chars().skip(skip).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_can_be_pasted() {
        let arguments = ["-name", "it's", "-append", "a b"].map(OsString::from);
        let expected = "'qemu' \\\n  '-name' 'it'\\''s' \\\n  '-append' 'a b'\n";
        assert_eq!(command_line(Path::new("qemu"), &arguments), expected);
    }
}
