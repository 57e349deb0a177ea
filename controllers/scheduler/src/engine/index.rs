//! The nodes of a class in groups of those that differ in one number only, with the best of each group at hand.

use ahash::AHashMap;
use std::collections::BTreeMap;

/// Where each node is, by slot.
#[derive(Default)]
pub(super) struct Index {
    places: Vec<Place>,
    groups: Vec<Group>,
    by_key: AHashMap<Box<[i64]>, u32>,
    free: Vec<u32>,
    /// Where the last one was put, as the next one is often put there too.
    last: u32,
}

#[derive(Clone, Copy)]
struct Place {
    group: u32,
    at: u32,
    score: i64,
}

const NOWHERE: Place = Place {
    group: u32::MAX,
    at: 0,
    score: 0,
};

/// Nodes with the same key.
pub(super) struct Group {
    /// What they have in common.
    pub(super) key: Box<[i64]>,
    /// How many they are.
    pub(super) len: usize,
    /// Their slots.
    by_score: BTreeMap<i64, Vec<u32>>,
}

impl Group {
    /// The highest score, and the slots of those that have it.
    pub(super) fn best(&self) -> Option<(i64, &[u32])> {
        let (score, slots) = self.by_score.last_key_value()?;
        Some((*score, slots))
    }

    /// All slots, each with its score.
    pub(super) fn slots(&self) -> impl Iterator<Item = (u32, i64)> {
        let each = self.by_score.iter();
        each.flat_map(|(score, slots)| slots.iter().map(|slot| (*slot, *score)))
    }
}

impl Index {
    /// All groups that have any nodes.
    pub(super) fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|group| group.len > 0)
    }

    /// The key and the score of the node in a slot.
    pub(super) fn get(&self, slot: u32) -> Option<(&[i64], i64)> {
        let place = self.places.get(slot as usize)?;
        let group = self.groups.get(place.group as usize)?;
        Some((&group.key, place.score))
    }

    /// Puts the node in a slot where it belongs.
    pub(super) fn put(&mut self, slot: u32, key: &[i64], score: i64) {
        let at = slot as usize;
        if at >= self.places.len() {
            self.places.resize(at + 1, NOWHERE);
        }
        let is_same = |index: u32| {
            let group = self.groups.get(index as usize);
            group.is_some_and(|group| *group.key == *key)
        };
        let old = self.places[at];
        if is_same(old.group) {
            if old.score != score {
                self.remove(slot, old);
                self.insert(slot, old.group, score);
            }
            return;
        }
        self.take(slot);
        let group = if is_same_live(&self.groups, self.last, key) {
            self.last
        } else {
            self.group(key)
        };
        self.last = group;
        self.insert(slot, group, score);
        self.groups[group as usize].len += 1;
    }

    /// The node in a slot is gone.
    pub(super) fn take(&mut self, slot: u32) {
        let Some(place) = self.places.get(slot as usize).copied() else {
            return;
        };
        if place.group == NOWHERE.group {
            return;
        }
        self.remove(slot, place);
        self.places[slot as usize] = NOWHERE;
        let group = &mut self.groups[place.group as usize];
        group.len -= 1;
        if group.len == 0 {
            let key = std::mem::take(&mut group.key);
            self.by_key.remove(&key);
            self.free.push(place.group);
        }
    }

    fn insert(&mut self, slot: u32, group: u32, score: i64) {
        let same = self.groups[group as usize].by_score.entry(score);
        let same = same.or_default();
        let at = same.len() as u32;
        same.push(slot);
        self.places[slot as usize] = Place { group, at, score };
    }

    fn remove(&mut self, slot: u32, place: Place) {
        let by_score = &mut self.groups[place.group as usize].by_score;
        let Some(same) = by_score.get_mut(&place.score) else {
            return;
        };
        debug_assert_eq!(same[place.at as usize], slot);
        same.swap_remove(place.at as usize);
        match same.get(place.at as usize) {
            Some(moved) => self.places[*moved as usize].at = place.at,
            None if same.is_empty() => {
                by_score.remove(&place.score);
            }
            None => {}
        }
    }

    fn group(&mut self, key: &[i64]) -> u32 {
        if let Some(group) = self.by_key.get(key) {
            return *group;
        }
        let group = Group {
            key: key.into(),
            len: 0,
            by_score: BTreeMap::new(),
        };
        let index = self.free.pop().unwrap_or(self.groups.len() as u32);
        match self.groups.get_mut(index as usize) {
            Some(free) => *free = group,
            None => self.groups.push(group),
        }
        self.by_key.insert(key.into(), index);
        index
    }
}

fn is_same_live(groups: &[Group], index: u32, key: &[i64]) -> bool {
    let group = groups.get(index as usize);
    group.is_some_and(|group| group.len > 0 && *group.key == *key)
}

#[cfg(test)]
mod tests {
    use super::Index;
    use crate::kit::Random;
    use std::collections::BTreeMap;

    #[test]
    fn the_best_of_each_group_is_at_hand_however_nodes_move() {
        let (mut index, mut random) = (Index::default(), Random(1));
        let mut plain: BTreeMap<u32, (Vec<i64>, i64)> = BTreeMap::new();
        for _ in 0..20_000 {
            let slot = random.below(40) as u32;
            if random.once_in(4) {
                index.take(slot);
                plain.remove(&slot);
            } else {
                let key = vec![random.below(3) as i64, random.below(2) as i64];
                let score = random.below(5) as i64;
                index.put(slot, &key, score);
                plain.insert(slot, (key, score));
            }
            let mut best: BTreeMap<&[i64], (usize, i64, Vec<u32>)> = BTreeMap::new();
            for (slot, (key, score)) in &plain {
                let (len, most, slots) = best.entry(key).or_default();
                *len += 1;
                if score > most {
                    slots.clear();
                    *most = *score;
                }
                if score == most {
                    slots.push(*slot);
                }
            }
            let mut found = BTreeMap::new();
            for group in index.groups() {
                let (score, slots) = group.best().expect("it has nodes");
                let mut slots = slots.to_vec();
                slots.sort_unstable();
                found.insert(&*group.key, (group.len, score, slots));
            }
            assert_eq!(found, best);
        }
    }
}
