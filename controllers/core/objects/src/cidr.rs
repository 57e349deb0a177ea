//! Ranges of addresses of both families: reading them, and what is in them.
//!
//! Upstream: Go's `net/netip`, and `pkg/api/servicecidr/servicecidr.go`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses, `10.244.3.0/24` or `fd00:10:244::/64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    v6: bool,
    first: u128,
    prefix: u8,
}

/// The text is no range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CidrError;

impl fmt::Display for CidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a range of addresses such as 10.244.0.0/16 or fd00:10:244::/56")
    }
}

impl std::error::Error for CidrError {}

impl Cidr {
    /// The range of this family whose addresses begin with the first `prefix` bits of `address`. A prefix that is
    /// longer than an address is one of all its bits.
    pub fn new(v6: bool, address: u128, prefix: u8) -> Self {
        let bits = width(v6);
        let prefix = prefix.min(bits);
        Self {
            v6,
            first: address & !host_mask(bits - prefix),
            prefix,
        }
    }

    /// Whether it is of IPv6.
    pub fn is_v6(self) -> bool {
        self.v6
    }

    /// The number of bits that all its addresses have in common.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Its first address as a number; those of IPv4 have 32 bits.
    pub fn first(self) -> u128 {
        self.first
    }

    /// Its last address as a number.
    pub fn last(self) -> u128 {
        self.first | host_mask(width(self.v6) - self.prefix)
    }

    /// The number of bits of an address: 32 or 128.
    pub fn width(self) -> u8 {
        width(self.v6)
    }

    /// Whether the address is one of it.
    pub fn contains(self, address: IpAddr) -> bool {
        let (v6, number) = number(address);
        v6 == self.v6 && (self.first..=self.last()).contains(&number)
    }

    /// Whether all of `other` is in it.
    pub fn covers(self, other: Self) -> bool {
        self.overlaps(other) && self.prefix <= other.prefix
    }

    /// Whether they have an address in common; then one covers the other.
    pub fn overlaps(self, other: Self) -> bool {
        self.v6 == other.v6 && self.first <= other.last() && other.first <= self.last()
    }

    /// Whether a Service may get this address out of it: not the first one, nor the last one of IPv4
    /// (`servicecidr.go PrefixContainsIP`).
    pub fn serves(self, address: IpAddr) -> bool {
        let (v6, number) = number(address);
        let is_broadcast = !v6 && number == self.last();
        self.contains(address) && number != self.first && !is_broadcast
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    /// Reads `address/bits`; bits of the address beyond those are forgotten.
    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, prefix) = text.split_once('/').ok_or(CidrError)?;
        let address: IpAddr = address.parse().map_err(|_| CidrError)?;
        let (v6, number) = number(address);
        // A sign or leading zeros are no number to anybody else.
        let digits = prefix.bytes().all(|b| b.is_ascii_digit());
        let plain = digits && (prefix.len() == 1 || !prefix.starts_with('0'));
        let prefix: u8 = prefix.parse().map_err(|_| CidrError)?;
        if !plain || prefix > width(v6) {
            return Err(CidrError);
        }
        Ok(Self::new(v6, number, prefix))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.v6 {
            write!(f, "{}/{}", Ipv6Addr::from(self.first), self.prefix)
        } else {
            write!(f, "{}/{}", Ipv4Addr::from(self.first as u32), self.prefix)
        }
    }
}

fn width(v6: bool) -> u8 {
    if v6 { 128 } else { 32 }
}

/// The low `bits` bits.
fn host_mask(bits: u8) -> u128 {
    1u128
        .checked_shl(bits.into())
        .map_or(u128::MAX, |one| one - 1)
}

/// Whether it is of IPv6, and its number.
fn number(address: IpAddr) -> (bool, u128) {
    match address {
        IpAddr::V4(address) => (false, u32::from(address).into()),
        IpAddr::V6(address) => (true, address.into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_are_read_and_written_as_the_api_does() {
        for (text, read) in [
            ("10.244.3.0/24", Some("10.244.3.0/24")),
            ("10.244.3.7/24", Some("10.244.3.0/24")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("10.0.0.1/32", Some("10.0.0.1/32")),
            ("fd00:10:244::/64", Some("fd00:10:244::/64")),
            ("2001:db8::1/128", Some("2001:db8::1/128")),
            ("::/0", Some("::/0")),
            ("10.0.0.0/33", None),
            ("fd00::/129", None),
            ("10.0.0.0", None),
            ("10.0.0.0/", None),
            ("10.0.0.0/+8", None),
            ("10.0.0.0/08", None),
            ("10.0.0.0/-1", None),
            ("10.0.0/8", None),
            ("", None),
        ] {
            let cidr = text.parse::<Cidr>().ok().map(|cidr| cidr.to_string());
            assert_eq!(cidr.as_deref(), read, "{text}");
        }
    }

    #[test]
    fn one_of_two_that_overlap_covers_the_other() {
        for (one, other, overlaps, covers) in [
            ("10.0.0.0/8", "10.1.0.0/16", true, true),
            ("10.1.0.0/16", "10.0.0.0/8", true, false),
            ("10.1.0.0/16", "10.1.0.0/16", true, true),
            ("10.1.0.0/16", "10.2.0.0/16", false, false),
            ("::/0", "fd00::/8", true, true),
            ("0.0.0.0/0", "fd00::/8", false, false),
        ] {
            assert_eq!(cidr(one).overlaps(cidr(other)), overlaps, "{one} {other}");
            assert_eq!(cidr(one).covers(cidr(other)), covers, "{one} {other}");
        }
    }

    #[test]
    fn services_get_neither_the_first_address_nor_the_broadcast_one() {
        for (range, address, serves) in [
            ("10.0.0.0/24", "10.0.0.0", false),
            ("10.0.0.0/24", "10.0.0.1", true),
            ("10.0.0.0/24", "10.0.0.255", false),
            ("10.0.0.0/24", "10.0.1.1", false),
            ("fd00::/120", "fd00::", false),
            ("fd00::/120", "fd00::ff", true),
            ("fd00::/120", "10.0.0.1", false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(cidr(range).serves(address), serves, "{range} {address}");
        }
    }
}
