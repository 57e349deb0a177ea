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
    /// What was done since it was last asked for.
    done: Done,
}

/// What was done to a range of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// So many pieces were taken.
    pub taken: u128,
    /// So many came free.
    pub released: u128,
    /// For each piece that was handed out: how many were looked at before it.
    pub tries: Vec<u128>,
}

/// How much of a range of the cluster is in use.
#[derive(Clone, Debug, PartialEq)]
pub struct Usage {
    /// The range.
    pub range: Cidr,
    /// How many pieces there are.
    pub pieces: u128,
    /// How many of them are taken.
    pub taken: u128,
    /// What was done since this was last asked for.
    pub done: Done,
}

/// Pieces of a pool, the first and the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
                done: Done::default(),
            };
            let services = options.services.iter();
            pool.wide = services.filter_map(|cidr| pool.pieces_of(*cidr)).collect();
            pool.done.taken = pool.wide.iter().map(width).sum();
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
                let books = &mut self.pools[pool];
                let passed = piece.checked_sub(books.next);
                let passed = passed.unwrap_or_else(|| books.pieces - books.next + piece);
                books.done.tries.push(passed);
                books.next = (piece + 1) % books.pieces;
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
        if self.nodes.get(node) != Some(&spans) {
            self.forget(node);
            self.take(node, spans);
        }
        strange
    }

    /// How the ranges of the cluster are used. What was done is told once.
    pub fn usage(&mut self) -> Vec<Usage> {
        let usage = |pool: &mut Pool| Usage {
            range: pool.range,
            pieces: pool.pieces,
            taken: pool.taken.len() as u128 + pool.wide.iter().map(width).sum::<u128>(),
            done: std::mem::take(&mut pool.done),
        };
        self.pools.iter_mut().map(usage).collect()
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
            let holders = self.taken.entry(first).or_default();
            *holders += 1;
            self.done.taken += u128::from(*holders == 1);
        } else {
            self.wide.push((first, last));
            self.done.taken += width(&(first, last));
        }
    }

    fn release(&mut self, first: u128, last: u128) {
        if first != last {
            if let Some(at) = self.wide.iter().position(|wide| *wide == (first, last)) {
                self.wide.swap_remove(at);
                self.done.released += width(&(first, last));
            }
        } else if let Some(count) = self.taken.get_mut(&first) {
            *count -= 1;
            if *count == 0 {
                self.taken.remove(&first);
                self.done.released += 1;
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

/// How many pieces lie between, these included.
fn width((first, last): &(u128, u128)) -> u128 {
    last - first + 1
}

#[cfg(test)]
mod tests;
