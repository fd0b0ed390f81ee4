//! One box, switched on with nothing but its image and a cable that leads nowhere, is a Kubernetes cluster: its node is Ready, a pod runs from an image
//! that was baked in, another reaches it by its Service's address and by its name, and logs come back through the API. After the power was cut it is
//! the same cluster: what it was told is still there, and it answers again.
//!
//! Everything is real and unmodified but the store: the words come from kubectl and from a pod, and a box that has them not says none.

use anyhow::{Result, ensure};
use qemu_tests::boxes::{self, DEADLINE, State, settles_state};
use qemu_tests::{hold, images, words};
use shoal_lab::{Bus, Drive, Vm};

/// What the pod serves (recipes/kube/web.yaml).
const ANSWER: &str = "a pod answers";

/// Waits until the box has said all that a cluster has to say; gives the line about its node.
async fn answers(vm: &mut Vm) -> Result<String> {
    vm.console().wait_for(words::API_READY, DEADLINE).await?;
    let node = vm.console().wait_for(words::NODE_READY, DEADLINE).await?;
    ensure!(node.contains(" Ready "), "the node is not Ready: {node:?}");
    for word in [words::POD_RUNS, words::DNS_READY] {
        vm.console().wait_for(word, DEADLINE).await?;
    }
    let answer = vm.console().wait_for(words::SERVICE_ANSWERS, DEADLINE).await?;
    ensure!(answer.contains(ANSWER), "the Service answered {answer:?} instead of {ANSWER:?}");
    Ok(node)
}

#[test]
#[ignore = "not kept yet in an emulated box: kube-apiserver runs, but answers too slowly for its clients (docs/design/0015)"]
fn with_nothing_from_outside_and_again_after_a_power_cut() {
    hold("one_box_is_a_cluster", async |lab| {
        let image = images::cluster()?;
        let disk = boxes::disk(lab, image).await?;
        let machine = boxes::machine(image).firmware(boxes::kernel(image, "")).drive(Drive::new(disk, Bus::Virtio));
        let mut vm = Vm::start(machine, lab).await?;
        vm.console().forbid(words::REBOOTING);
        settles_state(&mut vm, State::OnMedium).await?;
        let node = answers(&mut vm).await?;

        vm.restart().await?;
        settles_state(&mut vm, State::OnMedium).await?;
        let again = answers(&mut vm).await?;
        let name = |line: &str| line.split_once(words::NODE_READY).and_then(|(_, node)| node.split_whitespace().next().map(str::to_owned));
        ensure!(name(&node).is_some() && name(&node) == name(&again), "the node was {node:?} and is {again:?}");
        Ok(())
    });
}
