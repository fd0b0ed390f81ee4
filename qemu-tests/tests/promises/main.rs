//! What a Shoal image promises, one file a promise. Each boots real images in emulated boxes; none has a network that leads anywhere.
//!
//! They want a few GB of disk for the cache and the boxes' disks, and minutes each where there is no KVM. `SHOAL_MATRIX=full` tries more
//! moments and recipes. One promise alone: `cargo test -p qemu-tests --test promises uefi_boots_from_disks`.

mod a_box_knows_whose_it_is;
mod a_container_runs_without_a_boot_medium;
mod a_copied_stick_is_noticed;
mod a_crashing_service_stays_alone;
mod a_hung_init_is_reset;
mod a_link_without_a_cable_is_shown;
mod a_panicked_init_reboots;
mod a_rewritten_stick_forgets;
mod a_stranger_gets_nothing;
mod addresses_come_from_dhcp_and_routers;
mod an_interrupted_first_boot_is_made_good;
mod an_iso_boots_as_cd_and_as_stick;
mod bios_boots_from_a_disk;
mod boxes_are_a_kubernetes_cluster;
mod boxes_become_one_cluster;
mod poor_media_are_reported_and_survived;
mod same_inputs_give_same_bits;
mod tampered_media_are_mended_or_reported;
mod the_cluster_waits_for_its_switch;
mod the_network_boots;
mod the_power_button_switches_off;
mod two_halves_of_a_site_become_one_cluster;
mod uefi_boots_from_disks;
