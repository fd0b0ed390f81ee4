//! What PID 1 is told (state, network, console, watchdog), and what a build writes. All of it has defaults.

use shoal_contract::boot::{Console, Level, Network, State, Watchdog};

use crate::model::{Format, Outputs};
use crate::problem::{Problem, Report};
use crate::read::{self, Fields};
use crate::scalar;
use crate::tree::Node;

use super::service::LEVELS;

/// Below this, a state partition holds no images beside those of the box itself: 512 MiB.
const STATE_MINIMUM_BYTES: u64 = 512 << 20;
/// Slow USB sticks behind hubs are there after some 10 s; this is twice that, in milliseconds.
const MEDIUM_TIMEOUT_MS: u64 = 20_000;
/// The kernel's own default for a tmpfs, in percent of memory.
const RAM_PERCENT: u8 = 50;
/// Time to read a panic from the screen, in seconds.
const PANIC_REBOOT_SECONDS: u32 = 10;
/// Every watchdog driver of the module sets can do 30 s.
const WATCHDOG_SECONDS: u32 = 30;
/// zstd's level for what people download: beyond 19 it needs more memory to unpack.
const ZSTD_LEVEL: i32 = 19;
/// EROFS clusters in bytes, and the bounds that mkfs.erofs sets (4 KiB blocks, at most 1 MiB).
const EROFS_CLUSTER: u32 = 64 << 10;
const EROFS_CLUSTER_BOUNDS: (u64, u64) = (4 << 10, 1 << 20);

/// The fields of a section that may be left out; `None` also if it is no table, which is reported.
fn section<'r, 't>(fields: &mut Fields<'r, 't>, key: &'static str) -> Option<Fields<'r, 't>> {
    let report = fields.report();
    fields.entry(key).and_then(|entry| Fields::of(report, entry, format!("`{key}`")))
}

pub(super) fn state(fields: &mut Fields<'_, '_>) -> State {
    let mut state =
        State { persistent: true, minimum_bytes: STATE_MINIMUM_BYTES, medium_timeout_ms: MEDIUM_TIMEOUT_MS, ram_percent: RAM_PERCENT };
    if let Some(mut fields) = section(fields, "state") {
        state.persistent = fields.or("persistent", state.persistent, read::boolean);
        state.minimum_bytes = fields.or("minimum", state.minimum_bytes, read::parsed(scalar::size));
        state.medium_timeout_ms = fields.or("medium-timeout", state.medium_timeout_ms, read::parsed(scalar::duration_ms));
        state.ram_percent = fields.or("ram-percent", state.ram_percent, read::integer(1, 100));
        fields.close();
    }
    state
}

pub(super) fn network(fields: &mut Fields<'_, '_>, name: &str) -> Network {
    let mut network = Network { dhcp4: true, ipv6_ra: true, hostname: name.to_owned() };
    if let Some(mut fields) = section(fields, "network") {
        network.dhcp4 = fields.or("dhcp4", network.dhcp4, read::boolean);
        network.ipv6_ra = fields.or("ipv6-ra", network.ipv6_ra, read::boolean);
        network.hostname = fields.or("hostname", network.hostname, read::parsed(scalar::name));
        fields.close();
    }
    network
}

pub(super) fn console(fields: &mut Fields<'_, '_>) -> Console {
    let mut console = Console { devices: vec!["tty0".to_owned()], level: Level::Warning, panic_reboot_seconds: PANIC_REBOOT_SECONDS };
    if let Some(mut fields) = section(fields, "console") {
        console.devices = fields.or("devices", console.devices, read::list(|report, node| read::parsed(device)(report, node)));
        console.level = fields.or("level", console.level, read::choice(&LEVELS));
        console.panic_reboot_seconds = fields.or("panic-reboot", console.panic_reboot_seconds, read::parsed(scalar::duration_seconds));
        fields.close();
    }
    console
}

fn device(text: &str) -> Result<String, Problem> {
    if text.starts_with("tty") && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(text.to_owned());
    }
    let advice = "write its name without /dev and without a speed, such as \"tty0\" or \"ttyS0\"".to_owned();
    Err(Problem::BadValue { text: text.to_owned(), expected: "a console".to_owned(), advice })
}

pub(super) fn watchdog(fields: &mut Fields<'_, '_>) -> Watchdog {
    let mut watchdog = Watchdog { enabled: true, timeout_seconds: WATCHDOG_SECONDS };
    if let Some(mut fields) = section(fields, "watchdog") {
        watchdog.enabled = fields.or("enabled", watchdog.enabled, read::boolean);
        watchdog.timeout_seconds = fields.or("timeout", watchdog.timeout_seconds, read::parsed(scalar::duration_seconds));
        fields.close();
    }
    watchdog
}

const FORMATS: [(&str, Format); 5] =
    [("img", Format::Img), ("iso", Format::Iso), ("qcow2", Format::Qcow2), ("efi", Format::Efi), ("kernel", Format::Kernel)];

pub(super) fn outputs(fields: &mut Fields<'_, '_>) -> Outputs {
    let mut outputs = Outputs {
        formats: FORMATS.map(|(_, format)| format).to_vec(),
        zstd_level: ZSTD_LEVEL,
        erofs_compression: "zstd,level=12".to_owned(),
        erofs_cluster: EROFS_CLUSTER,
    };
    if let Some(mut fields) = section(fields, "outputs") {
        outputs.formats = fields.or("formats", outputs.formats, read::filled_list(format));
        outputs.formats.sort_unstable();
        outputs.formats.dedup();
        outputs.zstd_level = fields.or("zstd-level", outputs.zstd_level, read::integer(1, 22));
        outputs.erofs_compression = fields.or("erofs-compression", outputs.erofs_compression, read::parsed(compression));
        outputs.erofs_cluster = fields.or("erofs-cluster", outputs.erofs_cluster, read::parsed(cluster));
        fields.close();
    }
    outputs
}

fn format(report: &Report, node: &Node) -> Option<Format> {
    read::choice(&FORMATS)(report, node)
}

fn compression(text: &str) -> Result<String, Problem> {
    let algorithm = text.split(',').next().unwrap_or_default();
    if matches!(algorithm, "none" | "lz4" | "lz4hc" | "lzma" | "deflate" | "zstd") && !text.contains(char::is_whitespace) {
        return Ok(text.to_owned());
    }
    let advice = "write it as mkfs.erofs does, such as \"zstd,level=12\" or \"lz4hc,level=12\", or \"none\"".to_owned();
    Err(Problem::BadValue { text: text.to_owned(), expected: "a compression of EROFS".to_owned(), advice })
}

fn cluster(text: &str) -> Result<u32, Problem> {
    let bytes = scalar::size(text)?;
    let (minimum, maximum) = EROFS_CLUSTER_BOUNDS;
    match u32::try_from(bytes) {
        Ok(cluster) if bytes.is_power_of_two() && (minimum..=maximum).contains(&bytes) => Ok(cluster),
        _ => {
            let advice = "write a power of two from \"4 KiB\" to \"1 MiB\"".to_owned();
            Err(Problem::BadValue { text: text.to_owned(), expected: "a cluster size of EROFS".to_owned(), advice })
        }
    }
}
