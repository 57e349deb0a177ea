//! The walk to the next time that matches five fields.
//!
//! It goes as the library's does, field by field and back to the start when one wraps around, because what it does
//! where clocks are turned follows from the way it goes: a time that is skipped is not made up for, but
//! `0 * * * *` runs in each hour that passes; of an hour that comes twice, both count. In a zone whose clocks are
//! turned at midnight a daily job of 00:00 is left out that day.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// Set where a field says `*` or `?`: then days and weekdays must both match, and not one of them.
pub(super) const STAR: u64 = 1 << 63;
/// So many years ahead is never.
const YEARS: i16 = 5;
/// So many steps are too many: five years by the day are 2000. The library takes them without end where a zone
/// left out a whole day (Samoa, 2011-12-30).
const STEPS: u32 = 20_000;

/// Which minutes, hours… match: a bit each.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    pub(super) minutes: u64,
    pub(super) hours: u64,
    pub(super) days: u64,
    pub(super) months: u64,
    pub(super) weekdays: u64,
}

impl Fields {
    /// The first time after `after` whose second is 0 and that matches.
    pub(super) fn next(&self, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        let begin = after.as_second().checked_add(1)?;
        let mut walk = Walk {
            zone,
            at: begin,
            // Whether a field has been moved on, and those below it begin at zero.
            moved: false,
            steps: 0,
        };
        let last_year = walk.local()?.year() + YEARS;
        while walk.local()?.year() <= last_year {
            if walk.round(self)? {
                return Timestamp::from_second(walk.at).ok();
            }
        }
        None
    }

    fn has_day(&self, local: DateTime) -> bool {
        let day = self.days & 1 << local.day() != 0;
        let weekday = self.weekdays & 1 << local.weekday().to_sunday_zero_offset() != 0;
        match (self.days | self.weekdays) & STAR {
            0 => day || weekday,
            _ => day && weekday,
        }
    }
}

/// A time on its way.
struct Walk<'a> {
    zone: &'a TimeZone,
    /// Seconds since 1970.
    at: i64,
    moved: bool,
    steps: u32,
}

impl Walk<'_> {
    /// Goes on until all fields match (true) or one of them has wrapped around (false).
    fn round(&mut self, fields: &Fields) -> Option<bool> {
        while fields.months & 1 << self.local()?.month() == 0 {
            let local = self.step()?;
            if !self.begins() {
                self.at = self.instant(local.year(), local.month(), 1, 0)?;
            }
            let local = self.local()?;
            let (year, month) = match local.month() {
                12 => (local.year() + 1, 1),
                month => (local.year(), month + 1),
            };
            let within = i64::from(local.hour()) * 3600
                + i64::from(local.minute()) * 60
                + i64::from(local.second());
            self.at = self.instant(year, month, local.day(), within)?;
            if self.local()?.month() == 1 {
                return Some(false);
            }
        }
        while !fields.has_day(self.local()?) {
            let local = self.step()?;
            if !self.begins() {
                self.at = self.instant(local.year(), local.month(), local.day(), 0)?;
            }
            let local = self.local()?;
            let within = i64::from(local.hour()) * 3600
                + i64::from(local.minute()) * 60
                + i64::from(local.second());
            self.at = self.instant(local.year(), local.month(), local.day() + 1, within)?;
            // Where clocks are turned at midnight.
            let hour = i64::from(self.local()?.hour());
            self.at += match hour {
                13.. => 24 - hour,
                _ => -hour,
            } * 3600;
            if self.local()?.day() == 1 {
                return Some(false);
            }
        }
        while fields.hours & 1 << self.local()?.hour() == 0 {
            let local = self.step()?;
            if !self.begins() {
                let hour = i64::from(local.hour()) * 3600;
                self.at = self.instant(local.year(), local.month(), local.day(), hour)?;
            }
            self.at += 3600;
            if self.local()?.hour() == 0 {
                return Some(false);
            }
        }
        while fields.minutes & 1 << self.local()?.minute() == 0 {
            self.step()?;
            if !self.begins() {
                self.at -= self.at.rem_euclid(60);
            }
            self.at += 60;
            if self.local()?.minute() == 0 {
                return Some(false);
            }
        }
        // The seconds field is always 0.
        while self.local()?.second() != 0 {
            self.step()?;
            self.begins();
            self.at += 1;
            if self.local()?.second() == 0 {
                return Some(false);
            }
        }
        Some(true)
    }

    /// What the clocks show.
    fn local(&self) -> Option<DateTime> {
        Some(self.zone.to_datetime(Timestamp::from_second(self.at).ok()?))
    }

    /// What the clocks show, unless there have been too many steps.
    fn step(&mut self) -> Option<DateTime> {
        self.steps += 1;
        self.local().filter(|_| self.steps < STEPS)
    }

    /// Says that a field is being moved on; true if one was before.
    fn begins(&mut self) -> bool {
        std::mem::replace(&mut self.moved, true)
    }

    /// When clocks show the second `within` of a day, which may be one of the next month. Of two such times the
    /// one, and for none the other, that Go's `time.Date` takes: it looks up the offset of the time read as UTC,
    /// then that of the time which this offset makes of it.
    fn instant(&self, year: i16, month: i8, day: i8, within: i64) -> Option<i64> {
        let first = Date::new(year, month, 1)
            .ok()?
            .to_zoned(TimeZone::UTC)
            .ok()?;
        let utc = first.timestamp().as_second() + i64::from(day - 1) * 86_400 + within;
        let offset = |second| {
            let at = Timestamp::from_second(second).ok()?;
            Some(i64::from(self.zone.to_offset(at).seconds()))
        };
        match offset(utc)? {
            0 => Some(utc),
            guess => Some(utc - offset(utc - guess)?),
        }
    }
}
