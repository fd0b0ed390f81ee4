//! All that follows from a node's seed, which is minted on the node when its state partition is made and never taken from the hardware.
//!
//! `HKDF-SHA256` without salt and with the seed as key material:
//!
//! | what | label | |
//! |---|---|---|
//! | Ed25519 key | `shoal node ed25519 v1` | TLS and statements; its hash is the node's name |
//! | X25519 key | `shoal node x25519 v1` | keys are wrapped to it |
//! | machine id | `shoal machine id v1` | `/etc/machine-id` |
//! | DUID | `shoal dhcp duid v1` | DHCP |
//!
//! Machine id and DUID are shown to the world. They follow from the seed by a one-way function, and from nothing that two boxes can share: five
//! sticks that were written from one image have five.

use core::fmt;

use alloc::{string::String, vec::Vec};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use x25519_dalek::{PublicKey as X25519PublicKey, StaticSecret};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::{
    codec::Put,
    key::{NodeKey, NodeSecret},
    schedule::expand,
    secret::{NotRandom, SECRET_BYTES, Secret},
    text::{base32, hexadecimal},
};

/// What a node's identity is made of.
#[derive(Debug, PartialEq, Eq)]
pub struct NodeSeed(Secret);

impl ZeroizeOnDrop for NodeSeed {}

impl NodeSeed {
    /// A new one.
    ///
    /// `random` comes from `getrandom(2)`, which waits until the kernel has enough entropy. `uncredited` is whatever else the box has (TPM, MAC
    /// addresses, serial numbers, the time): it cannot make the seed worse, and keeps boxes apart whose kernels were wrong about their entropy.
    ///
    /// # Errors
    /// If `random` is all zeros.
    pub fn mint(random: [u8; SECRET_BYTES], uncredited: &[&[u8]]) -> Result<Self, NotRandom> {
        let random = Secret::random(random)?;
        let mut material =
            Zeroizing::new(Vec::with_capacity(SECRET_BYTES + uncredited.iter().map(|source| 8 + source.len()).sum::<usize>()));
        material.put(random.expose());
        for source in uncredited {
            material.put_u64(source.len() as u64);
            material.put(source);
        }
        let (mut seed, _) = Hkdf::<Sha256>::extract(Some(b"shoal node seed v1"), &material);
        let secret = Secret::new(seed.into());
        zeroize::Zeroize::zeroize(seed.as_mut_slice());
        Ok(Self(secret))
    }

    /// One that was minted before, as it was kept.
    ///
    /// # Errors
    /// If all bytes are zero.
    pub fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Result<Self, NotRandom> {
        Secret::random(bytes).map(Self)
    }

    /// The bytes, for whoever keeps them.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<[u8; SECRET_BYTES]> {
        Zeroizing::new(*self.0.expose())
    }

    fn derive<const N: usize>(&self, label: &[u8]) -> [u8; N] {
        expand(&Hkdf::<Sha256>::new(None, self.0.expose()), label)
    }

    /// The key that the node shows in TLS and signs with.
    #[must_use]
    pub fn signing(&self) -> NodeSecret {
        NodeSecret::new(Secret::new(self.derive(b"shoal node ed25519 v1")))
    }

    /// The key to which others wrap keys for it.
    #[must_use]
    pub fn unwrapping(&self) -> UnwrapSecret {
        let secret = StaticSecret::from(self.derive::<32>(b"shoal node x25519 v1"));
        UnwrapSecret { public: UnwrapKey(X25519PublicKey::from(&secret).to_bytes()), secret }
    }

    /// Its `/etc/machine-id`.
    #[must_use]
    pub fn machine_id(&self) -> MachineId {
        MachineId(uuid(self.derive(b"shoal machine id v1")))
    }

    /// Its DHCP client id on one of its interfaces.
    #[must_use]
    pub fn dhcp_client_id(&self, permanent_mac: [u8; 6]) -> DhcpClientId {
        let hash: [u8; 32] = Sha256::new_with_prefix(b"shoal dhcp iaid v1").chain_update(permanent_mac).finalize().into();
        let mut id = [0; DhcpClientId::BYTES];
        id[0] = 255;
        id[1..5].copy_from_slice(&hash[..4]);
        id[5..7].copy_from_slice(&4_u16.to_be_bytes());
        id[7..].copy_from_slice(&uuid(self.derive(b"shoal dhcp duid v1")));
        DhcpClientId(id)
    }
}

/// A random UUID (RFC 9562 §5.4) from 16 random bytes.
const fn uuid(mut bytes: [u8; 16]) -> [u8; 16] {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}

/// The X25519 public key to which keys are wrapped for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnwrapKey(pub [u8; 32]);

/// The secret half of [`UnwrapKey`].
pub struct UnwrapSecret {
    secret: StaticSecret,
    public: UnwrapKey,
}

impl UnwrapSecret {
    /// The public half.
    #[must_use]
    pub const fn public(&self) -> UnwrapKey {
        self.public
    }

    /// The 32 bytes, for whoever unwraps.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<[u8; SECRET_BYTES]> {
        Zeroizing::new(self.secret.to_bytes())
    }
}

impl ZeroizeOnDrop for UnwrapSecret {}

impl fmt::Debug for UnwrapSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("UnwrapSecret").field("public", &self.public).finish_non_exhaustive()
    }
}

/// What a node is called, in Kubernetes too: `e-` and 10 characters of base32, 50 bits of the hash of its public key. A node that takes another's place
/// has another name, and of a thousand nodes two have the same once in two thousand million fleets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(String);

/// Characters after `e-`.
const NAME_CHARACTERS: usize = 10;

impl NodeName {
    /// That of the node with this key.
    #[must_use]
    pub fn of(key: &NodeKey) -> Self {
        let hash = Sha256::new_with_prefix(b"shoal node name v1").chain_update(key.to_bytes()).finalize();
        let mut name = String::from("e-");
        name.push_str(&base32().encode(&hash)[..NAME_CHARACTERS]);
        Self(name)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What systemd calls a machine id (machine-id(5)): a random UUID, shown as 32 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineId([u8; 16]);

impl fmt::Display for MachineId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal(&self.0, formatter)
    }
}

/// What a DHCPv4 server knows an interface by (RFC 4361 §6.1): 255, four bytes for the interface, and a DUID made of a UUID (RFC 6355 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DhcpClientId([u8; Self::BYTES]);

impl DhcpClientId {
    /// Bytes: type, IAID, DUID type, UUID.
    pub const BYTES: usize = 1 + 4 + 2 + 16;

    /// As it stands in option 61.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// The DUID in it, which DHCPv6 uses.
    #[must_use]
    pub fn duid(&self) -> &[u8] {
        &self.0[5..]
    }
}
