//! Lengths of time as Go's `time.ParseDuration` reads them: in nanoseconds, negative ones too.

/// The nanoseconds of `1h30m`, `-1.5h`, `0`.
pub(super) fn parse(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    // Go sums the absolute value, of which one more is allowed below zero than above.
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (whole, after_whole) = digits(rest);
        let (part, after_part) = match after_whole.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after_whole),
        };
        if whole.is_empty() && part.is_empty() {
            return Err(invalid());
        }
        let end = after_part.find(|c: char| c == '.' || c.is_ascii_digit());
        let (unit, tail) = after_part.split_at(end.unwrap_or(after_part.len()));
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let scale = nanoseconds(unit)
            .ok_or_else(|| format!("time: unknown unit {unit:?} in duration {text:?}"))?;
        let number = match whole {
            "" => 0,
            whole => whole.parse::<u64>().map_err(|_| invalid())?,
        };
        let fraction = format!("0.{part}0").parse::<f64>().unwrap_or_default();
        let sum = number
            .checked_mul(scale)
            .and_then(|n| n.checked_add((fraction * scale as f64) as u64))
            .and_then(|n| n.checked_add(total));
        total = sum.filter(|n| *n <= 1 << 63).ok_or_else(invalid)?;
        rest = tail;
    }
    match (negative, i64::try_from(total)) {
        (true, _) => Ok(0_i64.wrapping_sub_unsigned(total)),
        (false, Ok(total)) => Ok(total),
        (false, Err(_)) => Err(invalid()),
    }
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

fn nanoseconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}
