//! Addresses: of nodes, of their pod ranges, and of pods out of the range of their node.
//!
//! All pure; what is taken is told by whoever reads the API objects, so a restarted agent hands out no
//! address twice.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// How many /24 there are for nodes: 10.244 to 10.255, then 10.128 to 10.243, then 10.0 to 10.95. So service
/// addresses (10.96.0.0/12 and whatever is carved out of it) never collide.
pub const RANGES: u32 = (12 + 116 + 96) * 256;

/// A range of addresses, `10.244.3.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    first: u32,
    prefix: u32,
}

impl Cidr {
    /// The pod range of the node of this number; numbers from [`RANGES`] on begin again.
    pub fn of_node(index: u32) -> Self {
        let index = index % RANGES;
        let (second, third) = (index / 256, index % 256);
        let second = match second {
            0..12 => 244 + second,
            12..128 => 128 + second - 12,
            _ => second - 128,
        };
        Self {
            first: u32::from(Ipv4Addr::new(10, second as u8, third as u8, 0)),
            prefix: 24,
        }
    }

    fn size(self) -> u32 {
        1u32.checked_shl(32 - self.prefix).unwrap_or(u32::MAX)
    }

    /// The `n`th address of the range, which is in it only where `n` is less than its size.
    fn nth(self, n: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.first.wrapping_add(n))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.first), self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = ();

    /// Reads an IPv4 range; a range of IPv6 is no range of ours.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, prefix) = text.split_once('/').ok_or(())?;
        let address: Ipv4Addr = address.parse().map_err(|_| ())?;
        let prefix: u32 = prefix.parse().map_err(|_| ())?;
        if !(8..=30).contains(&prefix) {
            return Err(());
        }
        let mask = u32::MAX << (32 - prefix);
        Ok(Self {
            first: u32::from(address) & mask,
            prefix,
        })
    }
}

/// The address of the node of this number, out of 172.16.0.0/12.
pub fn of_node(index: u32) -> Ipv4Addr {
    // Room for a million; .0 and .255 are avoided because some tools take them for networks.
    let (high, low) = (index / 254, index % 254 + 1);
    Ipv4Addr::from(u32::from(Ipv4Addr::new(172, 16, 0, 0)) + (high % 4096) * 256 + low)
}

/// The addresses of a range that pods have.
#[derive(Clone, Debug)]
pub struct Addresses {
    cidr: Cidr,
    taken: BTreeSet<u32>,
    /// Where the search begins: an address that has just become free is handed out last, as CNI's
    /// host-local does, for others may still send to it.
    next: u32,
}

impl Addresses {
    /// A range with all addresses free.
    pub fn new(cidr: Cidr) -> Self {
        Self {
            cidr,
            taken: BTreeSet::new(),
            next: FIRST,
        }
    }

    /// Without any address: the node has no range yet.
    pub fn none() -> Self {
        Self::new(Cidr {
            first: 0,
            prefix: 32,
        })
    }

    /// Shared by all nodes, for pods that their node's own range has no address for (100.64.0.0/10).
    pub fn overflow() -> Self {
        Self::new(Cidr {
            first: u32::from(Ipv4Addr::new(100, 64, 0, 0)),
            prefix: 10,
        })
    }

    /// The range.
    pub fn cidr(&self) -> Cidr {
        self.cidr
    }

    /// Takes a free address; none when all are taken.
    pub fn take(&mut self) -> Option<Ipv4Addr> {
        let last = self.cidr.size().saturating_sub(1);
        let room = last.saturating_sub(FIRST);
        if self.taken.len() as u32 >= room {
            return None;
        }
        while self.taken.contains(&self.next) || self.next >= last {
            self.next = if self.next >= last {
                FIRST
            } else {
                self.next + 1
            };
        }
        let n = self.next;
        self.taken.insert(n);
        self.next = n + 1;
        Some(self.cidr.nth(n))
    }

    /// Marks an address as taken; false when it is not of this range.
    pub fn hold(&mut self, address: Ipv4Addr) -> bool {
        let Some(n) = self.offset(address) else {
            return false;
        };
        self.taken.insert(n);
        true
    }

    /// Gives an address back; one of another range changes nothing.
    pub fn release(&mut self, address: Ipv4Addr) {
        if let Some(n) = self.offset(address) {
            self.taken.remove(&n);
        }
    }

    fn offset(&self, address: Ipv4Addr) -> Option<u32> {
        let n = u32::from(address).checked_sub(self.cidr.first)?;
        (n < self.cidr.size()).then_some(n)
    }
}

/// .0 is the network and .1 the bridge.
const FIRST: u32 = 2;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_node_has_a_range_of_its_own_beside_the_services() {
        for (index, cidr) in [
            (0, "10.244.0.0/24"),
            (1, "10.244.1.0/24"),
            (256, "10.245.0.0/24"),
            (3071, "10.255.255.0/24"),
            (3072, "10.128.0.0/24"),
            (12 * 256 + 116 * 256, "10.0.0.0/24"),
            (RANGES - 1, "10.95.255.0/24"),
        ] {
            assert_eq!(Cidr::of_node(index).to_string(), cidr);
        }
        let all: BTreeSet<Cidr> = (0..RANGES).map(Cidr::of_node).collect();
        assert_eq!(all.len(), RANGES as usize);
    }

    #[test]
    fn nodes_have_different_addresses() {
        assert_eq!(of_node(0).to_string(), "172.16.0.1");
        assert_eq!(of_node(254).to_string(), "172.16.1.1");
        let all: BTreeSet<Ipv4Addr> = (0..10_000).map(of_node).collect();
        assert_eq!(all.len(), 10_000);
    }

    #[test]
    fn an_address_is_handed_out_once_and_again_only_last() {
        let mut addresses = Addresses::new("10.244.0.0/29".parse().unwrap());
        assert!(addresses.hold("10.244.0.3".parse().unwrap()));
        assert!(!addresses.hold("10.245.0.3".parse().unwrap()));
        let mut take = || addresses.take().map(|a| a.to_string());
        assert_eq!(take().as_deref(), Some("10.244.0.2"));
        assert_eq!(take().as_deref(), Some("10.244.0.4"));
        addresses.release("10.244.0.2".parse().unwrap());
        let mut take = || addresses.take().map(|a| a.to_string());
        assert_eq!(take().as_deref(), Some("10.244.0.5"));
        assert_eq!(take().as_deref(), Some("10.244.0.6"));
        assert_eq!(take().as_deref(), Some("10.244.0.2"));
        assert_eq!(take(), None);
    }

    #[test]
    fn ranges_are_read_as_the_api_writes_them() {
        for (text, read) in [
            ("10.244.3.0/24", Some("10.244.3.0/24")),
            ("10.244.3.7/24", Some("10.244.3.0/24")),
            ("fd00::/64", None),
            ("10.244.3.0", None),
            ("10.244.3.0/33", None),
        ] {
            let cidr = text.parse::<Cidr>().ok().map(|c| c.to_string());
            assert_eq!(cidr.as_deref(), read, "{text}");
        }
    }
}
