//! Boxes, switched on with nothing but their image and a cable, are a Kubernetes cluster: nodes are Ready, a pod runs from an image that was baked in, another
//! reaches it by its Service's address and by its name, and logs come back through the API. Whoever has the fleet file gets in from elsewhere, with kubectl and
//! what `shoal kubeconfig` gives, and nobody else does.
//!
//! Everything is real and unmodified but the store: the words come from kubectl and from a pod, and a box that has them not says none. What is stamped on the
//! image is whose it is, and how many boxes there are, so that nobody is waited for any longer.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemu_tests::boxes::{self, State, settles_state};
use qemu_tests::images::Image;
use qemu_tests::site::{Site, highly_available, with};
use qemu_tests::{full_matrix, hold, hold_in_full, images, owner, words};
use shoal::cli::{FleetArgs, FleetCommand, StampArgs};
use shoal_lab::{Bus, Drive, Lab, Vm};

/// What the pod serves (recipes/kube/web.yaml).
const ANSWER: &str = "a pod answers";

/// What the container of [`TICK`] says.
const TICKED: &str = "it was time";

/// A CronJob that is due each minute, from the image that was baked in.
const TICK: &str = r#"
apiVersion: batch/v1
kind: CronJob
metadata:
  name: tick
spec:
  schedule: "* * * * *"
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      template:
        metadata:
          labels:
            app: tick
        spec:
          restartPolicy: OnFailure
          containers:
            - name: tick
              image: shoal.local/busybox:1.37
              imagePullPolicy: Never
              command: ["/bin/echo", "it was time"]
"#;

/// How long a box may take to the next word: a control plane is much for an emulated processor, and three of them share two real ones.
const DEADLINE: Duration = Duration::from_secs(30 * 60);

/// MiB of a box. The control plane takes some 600.
const MEMORY: u32 = 2048;

/// The first address that a site gives out.
const LEASED: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);

/// The file of a new fleet.
fn fleet(lab: &Lab, name: &str) -> Result<PathBuf> {
    let file = lab.directory().join(format!("{name}.fleet"));
    shoal::fleet::run(&FleetArgs { command: FleetCommand::New { name: name.into(), file: Some(file.clone()) } })?;
    Ok(file)
}

/// A copy of the image that expects so many boxes of a new fleet, and the fleet's file.
fn expecting(lab: &Lab, image: &Image, boxes: u32) -> Result<(PathBuf, PathBuf)> {
    let (copy, fleet) = (lab.directory().join("stamped.img"), fleet(lab, "site1")?);
    std::fs::copy(&image.disk, &copy)?;
    let fleet_of_image = Some(fleet.clone());
    shoal::stamp::run(&StampArgs {
        images: vec![copy.clone()],
        fleet: fleet_of_image,
        unclaimed: false,
        expect: Some(boxes),
        admission: None,
    })?;
    Ok((copy, fleet))
}

/// Waits until the box has said all that a cluster has to say; gives the first node that it named.
async fn answers(vm: &mut Vm) -> Result<String> {
    vm.console().wait_for(words::API_READY, DEADLINE).await?;
    let node = vm.console().wait_for(words::NODE_READY, DEADLINE).await?;
    let node =
        node.split_once(words::NODE_READY).and_then(|(_, node)| node.split_whitespace().next()).context("no node is named")?.to_owned();
    for word in [words::POD_RUNS, words::DNS_READY] {
        vm.console().wait_for(word, DEADLINE).await?;
    }
    let answer = vm.console().wait_for(words::SERVICE_ANSWERS, DEADLINE).await?;
    ensure!(answer.contains(ANSWER), "the Service answered {answer:?} instead of {ANSWER:?}");
    Ok(node)
}

/// Waits until the API has said of so many nodes that they are Ready, on a box that [`answers`].
async fn ready_nodes(vm: &mut Vm, count: usize) -> Result<()> {
    let mut names = BTreeSet::new();
    while names.len() < count {
        let line = vm.console().wait_for(words::A_NODE_IS, DEADLINE).await?;
        let mut columns = line.split_once(words::A_NODE_IS).map(|(_, node)| node).unwrap_or_default().split_whitespace();
        if let (Some(name), Some("Ready")) = (columns.next(), columns.next()) {
            names.insert(name.to_owned());
        }
    }
    Ok(())
}

/// Plugs somebody in who gives addresses, and lets the owner of the box come by the one that it was given. It starts its API anew for that.
async fn owner_comes(lab: &Lab, image: &Image, vm: &mut Vm, fleet_file: &Path, node: &str) -> Result<()> {
    let site = Site::new(lab).await?;
    vm.console().wait_for(&format!("{}{LEASED} ", words::ADDRESS), DEADLINE).await?;
    vm.console().wait_for(words::API_IS_STARTED, DEADLINE).await?;
    let api = owner::Api::of(&site.net, LEASED).await?;
    let kubeconfig = lab.directory().join("site1.kubeconfig");
    api.kubeconfig(fleet_file, kubeconfig.clone(), DEADLINE).await?;
    let nodes = owner::kubectl(image, &kubeconfig, &["get", "nodes", "--no-headers"], DEADLINE).await?;
    ensure!(nodes.starts_with(node), "the owner sees {nodes:?}, and the node is {node:?}");
    let may = owner::kubectl(image, &kubeconfig, &["auth", "can-i", "*", "*"], DEADLINE).await?;
    ensure!(may.trim() == "yes", "may the owner do everything? {may:?}");

    works(lab, image, &kubeconfig).await?;

    let theirs = lab.directory().join("site2.kubeconfig");
    let refused = api.kubeconfig(&fleet(lab, "site2")?, theirs.clone(), DEADLINE).await;
    let refused = format!("{:#}", refused.err().context("the owner of another fleet has a kubeconfig")?);
    ensure!(refused.contains("not of this fleet") && !theirs.exists(), "{refused}");
    Ok(())
}

/// What a user does with a cluster beside reading: a command in a container, a port of a pod on his own machine, and work at set times, for which one has to wait.
async fn works(lab: &Lab, image: &Image, kubeconfig: &Path) -> Result<()> {
    let page = owner::kubectl(image, kubeconfig, &["exec", "deployment/web", "--", "cat", "/tmp/www/index.html"], DEADLINE).await?;
    ensure!(page.trim() == ANSWER, "a command in the pod said {page:?}");
    let page = owner::forwarded(image, kubeconfig, "service/web", 80, DEADLINE).await?;
    ensure!(page.contains(ANSWER), "behind the port that was passed on: {page:?}");
    if !full_matrix() {
        return Ok(());
    }
    let tick = lab.directory().join("tick.yaml");
    std::fs::write(&tick, TICK)?;
    let tick = tick.to_str().context("the lab's directory is text")?;
    owner::kubectl(image, kubeconfig, &["apply", "--server-side", "--validate=ignore", "--filename", tick], DEADLINE).await?;
    owner::says(image, kubeconfig, &["logs", "--selector=app=tick"], TICKED, DEADLINE).await
}

#[test]
fn one_with_nothing_from_outside_and_then_with_its_owner() {
    hold("one_box_is_a_cluster", async |lab| {
        let image = images::cluster()?;
        let (stamped, fleet) = expecting(lab, image, 1)?;
        let disk = boxes::written(lab, &stamped).await?;
        let machine = boxes::machine(image).memory(MEMORY).cpus(2).firmware(boxes::kernel(image, "")).drive(Drive::new(disk, Bus::Virtio));
        let mut vm = Vm::start(machine, lab).await?;
        vm.console().forbid(words::REBOOTING);
        settles_state(&mut vm, State::OnMedium).await?;
        let node = answers(&mut vm).await?;
        if full_matrix() {
            vm.restart().await?;
            settles_state(&mut vm, State::OnMedium).await?;
            let again = answers(&mut vm).await?;
            ensure!(node == again, "the node was {node:?} and is {again:?}");
        }
        owner_comes(lab, image, &mut vm, &fleet, &node).await
    });
}

#[test]
fn three_each_with_a_control_plane() {
    hold_in_full("three_boxes_are_a_cluster", async |lab| {
        let image = images::cluster()?;
        lab.boxes(3);
        let _site = Site::new(lab).await?;
        let (stamped, _) = expecting(lab, image, 3)?;
        let mut vms = Vec::new();
        for number in 1..=3 {
            vms.push(Vm::start(with(lab, image, &format!("box{number}"), &stamped).await?.memory(MEMORY), lab).await?);
        }
        for vm in &mut vms {
            highly_available(vm, 3, 3).await?;
            vm.console().wait_for(words::CONTROL_PLANE, DEADLINE).await?;
        }
        for vm in &mut vms {
            answers(vm).await?;
        }
        ready_nodes(&mut vms[0], 3).await?;
        Ok(())
    });
}
