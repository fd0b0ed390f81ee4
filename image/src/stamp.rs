//! `shoal stamp`: makes an image one of a fleet, or takes it away from one. One sector is written in place; nothing is built anew, and nothing else of the image
//! changes.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use shoal_contract::{CONFIG_BYTES, INITRAMFS_CONFIG_PATH};
use shoal_format::sector;
use shoal_trust::config::{Config, Owner};
use shoal_trust::fleet::{Admission, EXPECT_MAX, Expect};
use shoal_trust::fleet_file::FleetFile;
use zeroize::Zeroizing;

use crate::cli::{AdmissionArg, StampArgs};
use crate::fleet;

/// `shoal stamp`.
///
/// # Errors
/// If the fleet file is of no use, or one of the images is none: all are looked at before the first is written.
pub fn run(args: &StampArgs) -> Result<()> {
    let owner = owner(args)?;
    let expect = match args.expect {
        None => None,
        Some(0) => Some(None),
        Some(nodes) => Some(Some(Expect::new(nodes).with_context(|| format!("--expect takes 1 to {EXPECT_MAX} nodes, or 0 for unknown"))?)),
    };
    let images = args.images.iter().map(|path| Image::open(path).with_context(|| format!("cannot stamp {}", path.display())));
    let images = images.collect::<Result<Vec<_>>>()?;
    for (image, path) in images.into_iter().zip(&args.images) {
        let mut config = image.config;
        config.owner = owner.owner();
        if let Some(expect) = expect {
            config.policy.expect = expect;
        }
        if let Some(admission) = args.admission {
            config.policy.admission = admission.into();
        }
        let sector = config.encode().with_context(|| format!("cannot stamp {}", path.display()))?;
        write(&image.file, image.offset, &sector).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}: {}", path.display(), describe(&config));
    }
    if !matches!(owner, NewOwner::Nobody) {
        println!("Whoever has such an image, or a stick with it, may ask to join the fleet: keep them as you keep a key.");
    }
    Ok(())
}

/// Makes one image that of a fleet, with so many nodes.
pub(crate) fn stamp(path: &Path, fleet: &FleetFile, nodes: u32) -> Result<()> {
    let Image { file, offset, mut config } = Image::open(path).with_context(|| format!("cannot stamp {}", path.display()))?;
    config.owner = Owner::Fleet(fleet.stamp());
    config.policy.expect = Expect::new(nodes);
    let sector = config.encode().with_context(|| format!("cannot stamp {}", path.display()))?;
    write(&file, offset, &sector).with_context(|| format!("cannot write {}", path.display()))
}

/// Whose the images are to be.
enum NewOwner {
    Nobody,
    Fleet(Box<FleetFile>),
}

impl NewOwner {
    fn owner(&self) -> Owner {
        match self {
            Self::Nobody => Owner::Unclaimed,
            Self::Fleet(fleet) => Owner::Fleet(fleet.stamp()),
        }
    }
}

fn owner(args: &StampArgs) -> Result<NewOwner> {
    if args.unclaimed {
        return Ok(NewOwner::Nobody);
    }
    let fleet = match &args.fleet {
        Some(path) => fleet::read(path)?,
        None => {
            let (fleet, path, is_new) = fleet::default()?;
            if is_new {
                println!(
                    "made your default fleet in {}: who has this file administers its clusters; keep it secret, and keep a copy",
                    path.display()
                );
            }
            fleet
        }
    };
    Ok(NewOwner::Fleet(Box::new(fleet)))
}

/// An image whose configuration was found and understood.
struct Image {
    file: File,
    offset: u64,
    config: Config,
}

impl Image {
    fn open(path: &Path) -> Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        // A second `shoal`, or a QEMU that runs the disk, has it.
        if file.try_lock().is_err() {
            bail!("another program has it open and locked; try again when that has ended");
        }
        let place = sector::find(&mut file, INITRAMFS_CONFIG_PATH.trim_start_matches('/'))?;
        let mut bytes = Zeroizing::new([0; CONFIG_BYTES]);
        file.read_exact_at(&mut *bytes, place.offset)?;
        Ok(Self { file, offset: place.offset, config: Config::parse(&*bytes)? })
    }
}

/// Writes the sector and waits until it is on the medium.
fn write(file: &File, offset: u64, sector: &[u8]) -> std::io::Result<()> {
    file.write_all_at(sector, offset)?;
    file.sync_all()
}

/// What an image says of its owner, in a line.
#[must_use]
pub fn describe(config: &Config) -> String {
    let owner = match &config.owner {
        Owner::Unclaimed => "unclaimed".to_owned(),
        Owner::Fleet(stamp) => format!("fleet {}, join secret {}", stamp.fleet, stamp.generation),
    };
    let admission = match config.policy.admission {
        Admission::Open => "open",
        Admission::Guarded => "guarded",
        Admission::Strict => "strict",
    };
    let expect = config.policy.expect.map(|nodes| format!(", expects {} nodes", nodes.get())).unwrap_or_default();
    format!("{owner}, admission {admission}{expect}")
}

impl From<AdmissionArg> for Admission {
    fn from(argument: AdmissionArg) -> Self {
        match argument {
            AdmissionArg::Open => Self::Open,
            AdmissionArg::Guarded => Self::Guarded,
            AdmissionArg::Strict => Self::Strict,
        }
    }
}
