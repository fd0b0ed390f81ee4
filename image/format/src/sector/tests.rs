use std::io::Cursor;

use uuid::Uuid;

use super::*;
use crate::{
    gpt::{self, Partition},
    pe::sample,
    qcow2,
    sparse::SparseImage,
    tree::Tree,
    uki::{self, Parts},
};

const NAME: &str = "shoal.config";
const SECTOR: [u8; BYTES] = [0xc0; BYTES];
const EPOCH: Epoch = Epoch::from_seconds(1);

/// A disk with the sector in a partition that begins at `first_sector`, of `sectors`.
fn disk_with(first_sector: u64, sectors: u64) -> SparseImage {
    let id = Uuid::from_u128(7);
    let partition = |type_guid, name: &str, first_sector, sectors| Partition {
        type_guid,
        unique_guid: Uuid::new_v5(&id, name.as_bytes()),
        name: name.into(),
        first_sector,
        sectors,
        attributes: 0,
    };
    let mut image = SparseImage::new(8 << 20);
    let esp = partition(gpt::TYPE_ESP, "esp", 4096, 64);
    gpt::write(&mut image, id, &[esp, partition(gpt::TYPE_CONFIG, PARTITION, first_sector, sectors)]).unwrap();
    image.write_at(first_sector * gpt::SECTOR, &SECTOR).unwrap();
    image
}

fn initrd() -> Vec<u8> {
    let mut tree = Tree::new();
    tree.insert_file("/init", 0o755, *b"pid 1").unwrap();
    let mut initrd = archive(NAME, &SECTOR, EPOCH);
    cpio::write(&tree, EPOCH, &mut initrd).unwrap();
    initrd
}

fn uki(initrd: &[u8]) -> Vec<u8> {
    let (stub, linux) = (sample::image_with_header_room(0x8664, 8), sample::image(0x8664));
    let parts = Parts { stub: &stub, os_release: "ID=x\n", command_line: "", kernel_release: "6", initrd, linux: &linux };
    uki::build(&parts).unwrap().bytes
}

fn qcow2(image: &SparseImage) -> Vec<u8> {
    let mut file = Vec::new();
    qcow2::write(image, &mut file).unwrap();
    file
}

#[test]
fn it_is_found_in_every_form() {
    let disk = disk_with(2040, 8);
    for (form, bytes) in
        [(Form::Disk, disk.to_vec()), (Form::Qcow2, qcow2(&disk)), (Form::Initramfs, initrd()), (Form::Uki, uki(&initrd()))]
    {
        let place = find(&mut Cursor::new(&bytes), NAME).unwrap_or_else(|error| panic!("{form:?}: {error}"));
        assert_eq!(place.form, form);
        assert_eq!(bytes[place.offset as usize..][..BYTES], SECTOR, "{form:?}");
    }
}

#[test]
fn the_kernel_unpacks_the_archive_with_what_follows() {
    let tree = cpio::read(&initrd()).unwrap();
    assert_eq!(tree.read("/shoal.config").unwrap().as_ref(), SECTOR);
    assert_eq!(tree.read("/init").unwrap().as_ref(), b"pid 1");
}

#[test]
fn an_image_without_a_place_for_it_says_so() {
    let mut plain = Vec::new();
    cpio::write(&Tree::new(), EPOCH, &mut plain).unwrap();
    let empty = SparseImage::new(8 << 20);
    let mut without = empty.clone();
    gpt::write(&mut without, Uuid::from_u128(7), &[]).unwrap();
    let table = [
        ("a table without the partition", without.to_vec()),
        ("a partition that is too short", disk_with(2040, 7).to_vec()),
        ("one that no sector of a medium begins at", disk_with(2041, 8).to_vec()),
        ("the same in qcow2", qcow2(&without)),
        ("an archive that begins with another file", plain.clone()),
        ("one with a file of another length", {
            let mut archive = Vec::new();
            cpio::write_file(NAME, 0o400, &[1; 100], EPOCH, &mut archive).unwrap();
            archive
        }),
        ("a UKI with another initramfs", uki(&plain)),
    ];
    for (what, bytes) in table {
        assert!(matches!(find(&mut Cursor::new(&bytes), NAME), Err(FindError::NoPlace)), "{what}");
    }
}

#[test]
fn what_is_no_image_of_ours_says_so() {
    let packed = [0x28, 0xb5, 0x2f, 0xfd, 0, 0];
    assert!(matches!(find(&mut Cursor::new(&packed), NAME), Err(FindError::Packed)));
    let mut torn = disk_with(2040, 8);
    torn.write_at(512 + 16, &[9; 4]).unwrap();
    torn.write_at((8 << 20) - 512, &[0; 512]).unwrap();
    for bytes in [Vec::new(), vec![0; 4096], b"#!/bin/sh\n".to_vec(), torn.to_vec()] {
        assert!(matches!(find(&mut Cursor::new(&bytes), NAME), Err(FindError::Unknown)));
    }
    assert!(matches!(find(&mut Cursor::new(&b"MZ and no more"), NAME), Err(FindError::Uki(_))));
    let cut = qcow2(&disk_with(2040, 8));
    assert!(find(&mut Cursor::new(&cut[..cut.len() / 2]), NAME).is_err());
}
