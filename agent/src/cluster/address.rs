//! An address on the loopback link, for a node that has no other.

use std::net::{IpAddr, Ipv4Addr};

use rtnetlink::Error;

/// Index of the loopback link: the kernel makes it first in every network namespace.
const LOOPBACK: u32 = 1;
/// Bits of an address that stands for itself.
const HOST_PREFIX: u8 = 32;
/// The kernel's number for "it is there already" (errno(3)).
const EXISTS: i32 = 17;

/// Gives the node an address, which it may have already.
///
/// # Errors
/// If the kernel refuses.
pub(crate) async fn hold(address: Ipv4Addr) -> anyhow::Result<()> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let connection = tokio::spawn(connection);
    let added = handle.address().add(LOOPBACK, IpAddr::V4(address), HOST_PREFIX).execute().await;
    connection.abort();
    match added {
        Err(Error::NetlinkError(message)) if message.raw_code().abs() == EXISTS => Ok(()),
        added => Ok(added?),
    }
}
