//! The grammar. What is wrong is said in the library's words, as these stand in upstream's events.

use super::fields::{Fields, STAR};
use super::{Form, duration, zone};
use jiff::tz::TimeZone;

/// What a field may hold.
struct Bounds {
    min: u64,
    max: u64,
    /// Names for the numbers from `min` on.
    names: &'static [&'static str],
}

const MINUTES: Bounds = Bounds::new(0, 59, &[]);
const HOURS: Bounds = Bounds::new(0, 23, &[]);
const DAYS: Bounds = Bounds::new(1, 31, &[]);
const MONTHS: Bounds = Bounds::new(
    1,
    12,
    &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
);
const WEEKDAYS: Bounds = Bounds::new(0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]);

impl Bounds {
    const fn new(min: u64, max: u64, names: &'static [&'static str]) -> Self {
        Self { min, max, names }
    }
}

pub(super) fn parse(text: &str, default: &TimeZone) -> Result<Form, String> {
    if text.is_empty() {
        return Err("empty spec string".to_owned());
    }
    let prefixed = ["TZ=", "CRON_TZ="];
    let named = prefixed.iter().find_map(|p| text.strip_prefix(p));
    let (zone, text) = match named {
        None => (default.clone(), text),
        Some(rest) => {
            // The library panics here, and upstream says that it did.
            let split = rest
                .split_once(' ')
                .ok_or("invalid schedule format: runtime error: slice bounds out of range [:-1]")?;
            let (name, rest) = split;
            let zone =
                zone::find(name).map_err(|e| format!("provided bad location {name}: {e}"))?;
            (zone, rest.trim())
        }
    };
    if text.starts_with('@') {
        return descriptor(text, zone);
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let [minutes, hours, days, months, weekdays] = words[..] else {
        let (count, words) = (words.len(), words.join(" "));
        return Err(format!(
            "expected exactly 5 fields, found {count}: [{words}]"
        ));
    };
    let fields = Fields {
        minutes: field(minutes, &MINUTES)?,
        hours: field(hours, &HOURS)?,
        days: field(days, &DAYS)?,
        months: field(months, &MONTHS)?,
        weekdays: field(weekdays, &WEEKDAYS)?,
    };
    Ok(Form::Fields(Box::new(fields), zone))
}

fn descriptor(text: &str, zone: TimeZone) -> Result<Form, String> {
    let fields = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => {
            let Some(length) = text.strip_prefix("@every ") else {
                return Err(format!("unrecognized descriptor: {text}"));
            };
            let length = duration::parse(length)
                .map_err(|e| format!("failed to parse duration {text}: {e}"))?;
            return Ok(Form::Every((length / 1_000_000_000).max(1)));
        }
    };
    parse(fields, &zone)
}

/// The bits of a comma-separated list of ranges.
fn field(text: &str, bounds: &Bounds) -> Result<u64, String> {
    let ranges = text.split(',').filter(|range| !range.is_empty());
    ranges
        .map(|r| range(r, bounds))
        .try_fold(0, |all, bits| Ok(all | bits?))
}

/// The bits of `*`, `?`, `5`, `5-10`, each with or without `/2`.
fn range(text: &str, bounds: &Bounds) -> Result<u64, String> {
    let stepped: Vec<&str> = text.split('/').collect();
    let ends: Vec<&str> = stepped[0].split('-').collect();
    let is_single = ends.len() == 1;
    let mut star = 0;
    let (start, mut end) = if ends[0] == "*" || ends[0] == "?" {
        star = STAR;
        (bounds.min, bounds.max)
    } else {
        let start = number_or_name(ends[0], bounds)?;
        match ends[1..] {
            [] => (start, start),
            [end] => (start, number_or_name(end, bounds)?),
            _ => return Err(format!("too many hyphens: {text}")),
        }
    };
    let step = match stepped[1..] {
        [] => 1,
        [step] => {
            let step = number(step)?;
            // "5/10" is "5-59/10".
            if is_single {
                end = bounds.max;
            }
            if step > 1 {
                star = 0;
            }
            step
        }
        _ => return Err(format!("too many slashes: {text}")),
    };
    let (min, max) = (bounds.min, bounds.max);
    if start < min {
        return Err(format!(
            "beginning of range ({start}) below minimum ({min}): {text}"
        ));
    }
    if end > max {
        return Err(format!(
            "end of range ({end}) above maximum ({max}): {text}"
        ));
    }
    if start > end {
        return Err(format!(
            "beginning of range ({start}) beyond end of range ({end}): {text}"
        ));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    let numbers = (start..=end).step_by(usize::try_from(step).unwrap_or(usize::MAX));
    Ok(numbers.fold(star, |bits, n| bits | 1 << n))
}

fn number_or_name(text: &str, bounds: &Bounds) -> Result<u64, String> {
    let lower = text.to_lowercase();
    let name = bounds.names.iter().position(|name| *name == lower);
    match name {
        Some(at) => Ok(bounds.min + at as u64),
        None => number(text),
    }
}

/// Go's `strconv.Atoi`, for numbers that are not negative.
fn number(text: &str) -> Result<u64, String> {
    let failed =
        |why| format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: {why}");
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(failed("invalid syntax"));
    }
    let number: i64 = text.parse().map_err(|_| failed("value out of range"))?;
    u64::try_from(number).map_err(|_| format!("negative number ({number}) not allowed: {text}"))
}
