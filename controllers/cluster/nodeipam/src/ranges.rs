//! The books: which ranges are whose. Pure (upstream: ipam/cidrset/cidr_set.go).

use crate::Options;
use ahash::AHashMap;
use objects::cidr::Cidr;
use std::collections::BTreeMap;

/// What of each range of the cluster is taken, and by whom.
#[derive(Clone, Debug)]
pub struct Ranges {
    pools: Vec<Pool>,
    /// By the node's name.
    nodes: AHashMap<String, Vec<Span>>,
}

/// A range of the cluster, cut into pieces of one size.
#[derive(Clone, Debug)]
struct Pool {
    range: Cidr,
    bits: u8,
    /// How many pieces there are.
    pieces: u128,
    /// Where the search begins: a piece that has just come free is handed out last.
    next: u128,
    /// By how many nodes a piece is held.
    taken: BTreeMap<u128, u32>,
    /// What is held of more than one piece: by Services, and by nodes of another size.
    wide: Vec<(u128, u128)>,
}

/// Pieces of a pool, the first and the last.
#[derive(Clone, Copy, Debug)]
struct Span {
    pool: usize,
    first: u128,
    last: u128,
}

impl Ranges {
    /// The books before any node is known.
    pub fn new(options: &Options) -> Self {
        let pools = options.cluster.iter().map(|(range, bits)| {
            let mut pool = Pool {
                range: *range,
                bits: *bits,
                pieces: 1u128
                    .checked_shl((bits - range.prefix()).into())
                    .unwrap_or(u128::MAX),
                next: 0,
                taken: BTreeMap::new(),
                wide: Vec::new(),
            };
            let services = options.services.iter();
            pool.wide = services.filter_map(|cidr| pool.pieces_of(*cidr)).collect();
            pool
        });
        Self {
            pools: pools.collect(),
            nodes: AHashMap::new(),
        }
    }

    /// Ranges for the node of this name, one of each of the cluster's; the same ones again until it shows others or
    /// is forgotten. None if there are no more, and then nothing is taken.
    pub fn reserve(&mut self, node: &str) -> Option<Vec<Cidr>> {
        if !self.nodes.contains_key(node) {
            let free: Option<Vec<u128>> = self.pools.iter().map(Pool::free).collect();
            let spans = free?.into_iter().enumerate().map(|(pool, piece)| {
                self.pools[pool].next = (piece + 1) % self.pools[pool].pieces;
                Span {
                    pool,
                    first: piece,
                    last: piece,
                }
            });
            let spans: Vec<Span> = spans.collect();
            self.take(node, spans);
        }
        let spans = self.nodes.get(node)?;
        Some(
            spans
                .iter()
                .map(|span| self.pools[span.pool].piece(span.first))
                .collect(),
        )
    }

    /// The node of this name has these ranges, and no others; one that could not be read is none. Whether there are
    /// some that are not of the cluster.
    pub fn hold(&mut self, node: &str, ranges: &[Option<Cidr>]) -> bool {
        self.forget(node);
        let mut spans = Vec::new();
        let mut strange = false;
        for range in ranges {
            let pools = self.pools.iter().enumerate();
            let mut found = pools.filter_map(|(pool, books)| {
                let (first, last) = books.pieces_of((*range)?)?;
                Some(Span { pool, first, last })
            });
            match found.next() {
                Some(span) => spans.push(span),
                None => strange = true,
            }
        }
        self.take(node, spans);
        strange
    }

    /// The node of this name is gone. Whether it had something.
    pub fn forget(&mut self, node: &str) -> bool {
        let Some(spans) = self.nodes.remove(node) else {
            return false;
        };
        for span in &spans {
            self.pools[span.pool].release(span.first, span.last);
        }
        !spans.is_empty()
    }

    fn take(&mut self, node: &str, spans: Vec<Span>) {
        for span in &spans {
            self.pools[span.pool].take(span.first, span.last);
        }
        self.nodes.insert(node.to_owned(), spans);
    }
}

impl Pool {
    /// The first free piece from `next` on, round the end.
    fn free(&self) -> Option<u128> {
        let ends = [(self.next, self.pieces), (0, self.next)];
        ends.into_iter().find_map(|(from, end)| {
            let mut piece = from;
            while piece < end {
                let wide = self
                    .wide
                    .iter()
                    .find(|(first, last)| (*first..=*last).contains(&piece));
                match wide {
                    Some((_, last)) => piece = last + 1,
                    None if self.taken.contains_key(&piece) => piece += 1,
                    None => return Some(piece),
                }
            }
            None
        })
    }

    fn take(&mut self, first: u128, last: u128) {
        if first == last {
            *self.taken.entry(first).or_default() += 1;
        } else {
            self.wide.push((first, last));
        }
    }

    fn release(&mut self, first: u128, last: u128) {
        if first != last {
            if let Some(at) = self.wide.iter().position(|wide| *wide == (first, last)) {
                self.wide.swap_remove(at);
            }
        } else if let Some(count) = self.taken.get_mut(&first) {
            *count -= 1;
            if *count == 0 {
                self.taken.remove(&first);
            }
        }
    }

    /// The piece of this number.
    fn piece(&self, number: u128) -> Cidr {
        let shift = u32::from(self.range.width() - self.bits);
        let offset = number.checked_shl(shift).unwrap_or(0);
        Cidr::new(self.range.is_v6(), self.range.first() + offset, self.bits)
    }

    /// The pieces that have an address in common with `cidr`; none if the whole range has not.
    fn pieces_of(&self, cidr: Cidr) -> Option<(u128, u128)> {
        if !self.range.overlaps(cidr) {
            return None;
        }
        let shift = u32::from(self.range.width() - self.bits);
        let number = |address: u128| {
            (address - self.range.first())
                .checked_shr(shift)
                .unwrap_or(0)
        };
        let first = number(cidr.first().max(self.range.first()));
        let last = number(cidr.last().min(self.range.last()));
        Some((first, last))
    }
}

#[cfg(test)]
mod tests;
