//! Ioctls of block and loop devices (linux/fs.h, linux/blkpg.h, linux/loop.h).

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::libc::{c_int, c_void};

/// Bytes of a file name in `struct loop_info64`.
const LOOP_NAME_BYTES: usize = 64;
/// `LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR`: never written, and gone with its last user.
const LOOP_FLAGS: u32 = 1 | 4;
/// `BLKPG_ADD_PARTITION`.
const ADD_PARTITION: c_int = 1;
/// Bytes of each name in `struct blkpg_partition`.
const PARTITION_NAME_BYTES: usize = 64;

/// `struct loop_config`, with `struct loop_info64` in it.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; LOOP_NAME_BYTES],
    crypt_name: [u8; LOOP_NAME_BYTES],
    encrypt_key: [u8; 32],
    init: [u64; 2],
    reserved: [u64; 8],
}

/// `struct blkpg_partition`.
#[repr(C)]
struct BlkpgPartition {
    start: i64,
    length: i64,
    number: c_int,
    device_name: [u8; PARTITION_NAME_BYTES],
    volume_name: [u8; PARTITION_NAME_BYTES],
}

/// `struct blkpg_ioctl_arg`.
#[repr(C)]
struct BlkpgArgument {
    operation: c_int,
    flags: c_int,
    data_bytes: c_int,
    data: *mut c_void,
}

nix::ioctl_none_bad!(
    /// LOOP_CTL_GET_FREE
    loop_ctl_get_free,
    0x4C82
);
nix::ioctl_write_ptr_bad!(
    /// LOOP_CONFIGURE
    loop_configure,
    0x4C0A,
    LoopConfig
);
nix::ioctl_none!(
    /// BLKRRPART
    blkrrpart,
    0x12,
    95
);
nix::ioctl_write_ptr_bad!(
    /// BLKPG
    blkpg,
    nix::request_code_none!(0x12, 105),
    BlkpgArgument
);

/// Number of a loop device that nobody uses, from `/dev/loop-control`.
pub(crate) fn free_loop_number(control: &File) -> std::io::Result<c_int> {
    // SAFETY: LOOP_CTL_GET_FREE takes no argument; `control` is open for the duration of the call.
    Ok(unsafe { loop_ctl_get_free(control.as_raw_fd()) }?)
}

/// Makes a loop device show a file, read-only; the device is freed when its last user closes it.
pub(crate) fn configure_loop(device: &File, backing: &File) -> std::io::Result<()> {
    let config = LoopConfig {
        fd: backing.as_raw_fd().cast_unsigned(),
        block_size: 0,
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        size_limit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: LOOP_FLAGS,
        file_name: [0; LOOP_NAME_BYTES],
        crypt_name: [0; LOOP_NAME_BYTES],
        encrypt_key: [0; 32],
        init: [0; 2],
        reserved: [0; 8],
    };
    // SAFETY: `config` has the layout of `struct loop_config`, and the kernel only reads it.
    unsafe { loop_configure(device.as_raw_fd(), &raw const config) }?;
    Ok(())
}

/// Makes the kernel read a disk's partition table again. Fails with EBUSY while one of its partitions is in use.
pub(crate) fn reread_partitions(disk: &File) -> std::io::Result<()> {
    // SAFETY: BLKRRPART takes no argument; `disk` is open for the duration of the call.
    unsafe { blkrrpart(disk.as_raw_fd()) }?;
    Ok(())
}

/// Tells the kernel of one partition; `offset` and `bytes` are multiples of the sector size.
pub(crate) fn add_partition(disk: &File, number: u32, offset: u64, bytes: u64) -> std::io::Result<()> {
    let out_of_range = |_| std::io::ErrorKind::InvalidInput;
    let mut partition = BlkpgPartition {
        start: i64::try_from(offset).map_err(out_of_range)?,
        length: i64::try_from(bytes).map_err(out_of_range)?,
        number: c_int::try_from(number).map_err(out_of_range)?,
        device_name: [0; PARTITION_NAME_BYTES],
        volume_name: [0; PARTITION_NAME_BYTES],
    };
    let argument = BlkpgArgument {
        operation: ADD_PARTITION,
        flags: 0,
        data_bytes: size_of::<BlkpgPartition>() as c_int,
        data: (&raw mut partition).cast(),
    };
    // SAFETY: `argument` has the layout of `struct blkpg_ioctl_arg` and points to a `struct blkpg_partition` that outlives the call.
    unsafe { blkpg(disk.as_raw_fd(), &raw const argument) }?;
    Ok(())
}
