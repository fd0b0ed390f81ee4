//! A box of another owner on the same switch is let into nothing, and what goes over the wire tells nobody a secret.

use anyhow::{Context, Result, ensure};
use qemu_tests::site::{Membership, Site, highly_available, with};
use qemu_tests::{boxes, hold, images, words};
use shoal::cli::{FleetArgs, FleetCommand, StampArgs};
use shoal_contract::{Arch, INITRAMFS_CONFIG_PATH};
use shoal_format::sector;
use shoal_lab::{Lab, Vm};

/// Where the join secret lies in the configuration (`shoal_trust::config`).
const SECRET: std::ops::Range<usize> = 104..136;

/// An image of a new fleet, and its join secret.
fn of_fleet(lab: &Lab, disk: &std::path::Path, name: &str) -> Result<(std::path::PathBuf, Vec<u8>)> {
    let (file, image) = (lab.directory().join(format!("{name}.fleet")), lab.directory().join(format!("{name}.img")));
    std::fs::copy(disk, &image)?;
    shoal::fleet::run(&FleetArgs { command: FleetCommand::New { name: name.into(), file: Some(file.clone()) } })?;
    shoal::stamp::run(&StampArgs { images: vec![image.clone()], fleet: Some(file), unclaimed: false, expect: None, admission: None })?;
    let mut stamped = std::fs::File::open(&image)?;
    let place = sector::find(&mut stamped, INITRAMFS_CONFIG_PATH.trim_start_matches('/')).context("it was stamped")?;
    let sector = shoal_lab::Disk::at(&image, shoal_lab::Format::Raw).peek(place.offset, shoal_contract::CONFIG_BYTES)?;
    Ok((image, sector[SECRET].to_vec()))
}

#[test]
fn not_even_a_sight_of_a_secret() {
    hold("stranger", async |lab| {
        let image = images::bare(Arch::Amd64)?;
        lab.boxes(4);
        let _site = Site::new(lab).await?;
        let (ours, our_secret) = of_fleet(lab, &image.disk, "ours")?;
        let (theirs, their_secret) = of_fleet(lab, &image.disk, "theirs")?;
        let mut vms = Vec::new();
        for number in 1..=3 {
            vms.push(Vm::start(with(lab, image, &format!("box{number}"), &ours).await?, lab).await?);
        }
        let mut stranger = Vm::start(with(lab, image, "stranger", &theirs).await?, lab).await?;
        for vm in &mut vms {
            vm.console().forbid(words::FOUR_MEMBERS);
        }
        stranger.console().forbid(words::FOUR_MEMBERS);
        let mut clusters = Vec::new();
        for vm in &mut vms {
            clusters.push(highly_available(vm, 3, 3).await?.cluster);
        }
        let alone = Membership::parse(&stranger.console().wait_for(words::ALONE, boxes::DEADLINE).await?)?;
        ensure!(clusters.iter().all(|cluster| *cluster == clusters[0]) && alone.cluster != clusters[0], "{clusters:?} {alone:?}");

        let switch = lab.network(boxes::NOWHERE)?;
        switch.flush().await?;
        let wire = std::fs::read(lab.directory().join(format!("{}.pcap", boxes::NOWHERE)))?;
        ensure!(wire.windows(MDNS.len()).any(|window| window == MDNS), "nothing was captured of what boxes announce");
        for secret in [our_secret, their_secret] {
            ensure!(secret.iter().any(|byte| *byte != 0), "that is no secret");
            ensure!(!wire.windows(secret.len()).any(|window| window == secret), "a join secret went over the wire");
        }
        Ok(())
    });
}

/// What boxes announce themselves as, the first label of a DNS name.
const MDNS: &[u8] = b"\x06_shoal\x04_tcp";
