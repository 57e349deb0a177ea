//! Values as Go's flag packages spell them.

use std::time::Duration;

/// A truth value as `strconv.ParseBool` takes it.
pub fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

/// A length of time as `time.ParseDuration` takes it, but not below zero: `15s`, `1m30s`, `1.5h`, `0`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a duration like 15s, 1m30s or 500ms".to_owned();
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(end);
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let seconds =
            number.parse::<f64>().map_err(|_| wrong())? * unit_seconds(unit).ok_or_else(wrong)?;
        let part = Duration::try_from_secs_f64(seconds).map_err(|_| "too long".to_owned())?;
        total = total.checked_add(part).ok_or("too long")?;
        rest = tail;
    }
    Ok(total)
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn durations_are_gos() {
        let good = [
            ("15s", 15_000),
            ("0", 0),
            ("0s", 0),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("500ms", 500),
            ("1h2m3s4ms", 3_723_004),
            ("+.5s", 500),
        ];
        for (text, millis) in good {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
        for text in [
            "",
            "15",
            "s",
            "-5s",
            "1 s",
            "1d",
            "1s5",
            ".",
            "1..5s",
            "999999999999999999999h",
        ] {
            parse_duration(text).unwrap_err();
        }
    }

    #[test]
    fn booleans_are_gos() {
        assert_eq!([parse_bool("T"), parse_bool("0")], [Ok(true), Ok(false)]);
        parse_bool("yes").unwrap_err();
    }
}
