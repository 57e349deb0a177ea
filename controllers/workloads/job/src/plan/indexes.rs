//! Sets of completion indexes, kept and printed as intervals: `0-2,4,5`
//! (upstream: indexed_job_utils.go, `orderedIntervals`).

use std::fmt;

/// A set of indexes. It takes memory by its gaps and not by its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Indexes(Vec<(i32, i32)>);

impl Indexes {
    /// Reads what stands in a status or a policy. What is not a number or an interval is passed over, and so is
    /// what is not below `completions`.
    pub(crate) fn parse(text: &str, completions: i32) -> Self {
        let intervals = text.split(',').filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (i32, i32) = (first.parse().ok()?, last.parse().ok()?);
            let last = last.min(completions - 1);
            (0 <= first && first <= last).then_some((first, last))
        });
        Self::merge(intervals.collect())
    }

    /// The set of these.
    pub(crate) fn of(indexes: impl IntoIterator<Item = i32>) -> Self {
        Self::merge(indexes.into_iter().map(|index| (index, index)).collect())
    }

    /// What is in one or the other.
    pub(crate) fn union(&self, other: &Self) -> Self {
        Self::merge(self.0.iter().chain(&other.0).copied().collect())
    }

    /// How many there are.
    pub(crate) fn total(&self) -> i64 {
        self.0
            .iter()
            .map(|(first, last)| i64::from(*last) - i64::from(*first) + 1)
            .sum()
    }

    /// Whether this one is among them.
    pub(crate) fn has(&self, index: i32) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < index);
        self.0.get(at).is_some_and(|(first, _)| *first <= index)
    }

    /// How many are in both.
    pub(crate) fn shared(&self, other: &Self) -> i64 {
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut shared = 0;
        while let (Some(one), Some(two)) = (a.peek(), b.peek()) {
            let (first, last) = (one.0.max(two.0), one.1.min(two.1));
            shared += (i64::from(last) - i64::from(first) + 1).max(0);
            if one.1 < two.1 {
                a.next();
            } else {
                b.next();
            }
        }
        shared
    }

    /// The first `count` below `completions` that are not among them.
    pub(crate) fn missing(&self, completions: i32, count: usize) -> Vec<i32> {
        let mut missing = Vec::new();
        let mut next = 0;
        for (first, last) in self.0.iter().copied().chain([(completions, completions)]) {
            let room = count - missing.len();
            missing.extend((next..first.min(completions)).take(room));
            next = next.max(last.saturating_add(1));
        }
        missing
    }

    fn merge(mut intervals: Vec<(i32, i32)>) -> Self {
        intervals.sort_unstable();
        let mut merged: Vec<(i32, i32)> = Vec::with_capacity(intervals.len());
        for (first, last) in intervals {
            match merged.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (first, last)) in self.0.iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                1 => write!(f, "{comma}{first},{last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Indexes;

    #[test]
    fn what_is_printed_is_read_again() {
        for (text, completions, wanted) in [
            ("", 9, ""),
            ("0-2,4", 9, "0-2,4"),
            ("0,1,2,4,5", 9, "0-2,4,5"),
            ("1", 9, "1"),
            ("0-4", 3, "0-2"),
            ("5-7", 3, ""),
            ("x,1,2-y,-3,4-3,,7", 9, "1,7"),
            ("4,0", 9, "0,4"),
            ("2147483646", i32::MAX, "2147483646"),
        ] {
            let read = Indexes::parse(text, completions);
            assert_eq!(read.to_string(), wanted, "{text}");
        }
    }

    #[test]
    fn sets_are_joined_compared_and_completed() {
        let evens = Indexes::of([4, 0, 2, 2]);
        let all = evens.union(&Indexes::of([1, 5]));
        assert_eq!(all.to_string(), "0-2,4,5");
        assert_eq!((all.total(), evens.total()), (5, 3));
        assert_eq!(all.shared(&evens), 3);
        assert_eq!(all.shared(&Indexes::parse("2-9", 10)), 3);
        assert!(all.has(5) && !all.has(3) && !all.has(6) && !Indexes::default().has(0));
        assert_eq!(all.missing(9, 9), [3, 6, 7, 8]);
        assert_eq!(all.missing(9, 2), [3, 6]);
        assert_eq!(all.missing(4, 9), [3]);
        assert_eq!(Indexes::default().missing(3, 2), [0, 1]);
        assert_eq!(Indexes::default().missing(i32::MAX, 2), [0, 1]);
        assert_eq!(Indexes::parse("0-8", 9).missing(9, 5), [0; 0]);
    }
}
