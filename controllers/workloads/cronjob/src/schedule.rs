//! When a CronJob is due: the schedules of `spec.schedule`, read and computed exactly as upstream's library does
//! (github.com/robfig/cron v3.0.1, `parser.go`, `spec.go`, `constantdelay.go`), turned clocks included.
//!
//! Pure: no clock, no files; the zones are part of the program. Start reading at [`Schedule`].

mod duration;
mod fields;
mod parse;
#[cfg(test)]
mod tests;
pub mod zone;

use fields::Fields;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A schedule that can be read.
#[derive(Clone, Debug)]
pub struct Schedule(Form);

#[derive(Clone, Debug)]
enum Form {
    /// The times that match, on the clocks of a zone.
    Fields(Box<Fields>, TimeZone),
    /// So many seconds after the time before.
    Every(i64),
}

impl Schedule {
    /// Reads `text` (`*/5 * * * *`, `@daily`, `@every 1h30m`) for the clocks of `zone`, unless it begins with
    /// `TZ=ZONE ` or `CRON_TZ=ZONE `, which the API server lets nobody write any more.
    ///
    /// # Errors
    /// What is wrong with it, in the library's words.
    pub fn parse(text: &str, zone: &TimeZone) -> Result<Self, String> {
        parse::parse(text, zone).map(Self)
    }

    /// The first time after `after`; none if there is none within five years.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Form::Fields(fields, zone) => fields.next(zone, after),
            Form::Every(seconds) => {
                Timestamp::from_second(after.as_second().checked_add(*seconds)?).ok()
            }
        }
    }

    /// The last time after `after` and not after `until`.
    ///
    /// Upstream guesses it from the distance of the first two times, and finds none for a schedule that is not
    /// even (`* 0 * * *`, looked at at noon).
    pub fn last(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let first = self.next(after).filter(|first| *first <= until)?;
        match &self.0 {
            Form::Every(seconds) => {
                let more = (until.as_second() - first.as_second()) / seconds;
                Timestamp::from_second(first.as_second() + more * seconds).ok()
            }
            Form::Fields(..) => {
                // Whether a time's next is still within `until` is true up to the one that is looked for, and
                // false from there on.
                let is_within = |second| {
                    let next = Timestamp::from_second(second).ok();
                    next.and_then(|at| self.next(at)).filter(|at| *at <= until)
                };
                let (mut low, mut high) = (after.as_second(), until.as_second());
                let mut last = first;
                while high - low > 1 {
                    let middle = low + (high - low) / 2;
                    match is_within(middle) {
                        Some(next) => (low, last) = (middle, last.max(next)),
                        None => high = middle,
                    }
                }
                Some(last)
            }
        }
    }

    /// How many times there are after `after` and not after `until`, counted up to `most`.
    pub fn count(&self, after: Timestamp, until: Timestamp, most: usize) -> usize {
        let times = std::iter::successors(self.next(after), |at| self.next(*at));
        times.take_while(|at| *at <= until).take(most).count()
    }
}
