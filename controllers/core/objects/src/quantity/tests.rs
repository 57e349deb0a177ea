#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::{NANO, Quantity};

fn parse(text: &str) -> Quantity {
    text.parse().unwrap()
}

/// Text, its canonical form, whole units, milli-units; made with upstream's `resource.ParseQuantity`.
const VECTORS: [(&str, &str, i64, i64); 41] = [
    ("0", "0", 0, 0),
    ("0Ki", "0", 0, 0),
    ("1", "1", 1, 1000),
    ("+1", "1", 1, 1000),
    ("-1", "-1", -1, -1000),
    ("007", "7", 7, 7000),
    ("1.0", "1", 1, 1000),
    ("1.", "1", 1, 1000),
    ("0.5", "500m", 1, 500),
    (".5", "500m", 1, 500),
    ("100m", "100m", 1, 100),
    ("1000m", "1", 1, 1000),
    ("1500m", "1500m", 2, 1500),
    ("0.1m", "100u", 1, 1),
    ("0.0001m", "100n", 1, 1),
    ("1n", "1n", 1, 1),
    ("0.1n", "1n", 1, 1),
    ("1u", "1u", 1, 1),
    ("1k", "1k", 1000, 1_000_000),
    ("1.5k", "1500", 1500, 1_500_000),
    ("12e6", "12e6", 12_000_000, 12_000_000_000),
    ("1E3", "1e3", 1000, 1_000_000),
    ("1e-3", "1e-3", 1, 1),
    ("1.5e3", "1500", 1500, 1_500_000),
    ("-2e2", "-200", -200, -200_000),
    ("1P", "1P", 1_000_000_000_000_000, 1_000_000_000_000_000_000),
    ("1Ki", "1Ki", 1024, 1_024_000),
    ("1023Ki", "1023Ki", 1_047_552, 1_047_552_000),
    ("1024Ki", "1Mi", 1_048_576, 1_048_576_000),
    ("1.5Gi", "1536Mi", 1_610_612_736, 1_610_612_736_000),
    ("0.5Mi", "512Ki", 524_288, 524_288_000),
    ("0.1Ki", "102400m", 103, 102_400),
    ("0.0005Ki", "512m", 1, 512),
    ("1Mi", "1Mi", 1_048_576, 1_048_576_000),
    ("1536Mi", "1536Mi", 1_610_612_736, 1_610_612_736_000),
    ("-1Gi", "-1Gi", -1_073_741_824, -1_073_741_824_000),
    ("512", "512", 512, 512_000),
    ("123456789", "123456789", 123_456_789, 123_456_789_000),
    ("1000000", "1M", 1_000_000, 1_000_000_000),
    (
        "4040404040404",
        "4040404040404",
        4_040_404_040_404,
        4_040_404_040_404_000,
    ),
    ("1.1Gi", "1181116006400m", 1_181_116_007, 1_181_116_006_400),
];

#[test]
fn upstreams_vectors() {
    for (text, canonical, value, milli) in VECTORS {
        let quantity = parse(text);
        assert_eq!(quantity.to_string(), canonical, "{text}");
        assert_eq!(quantity.value(), value, "{text}");
        assert_eq!(quantity.milli_value(), milli, "{text}");
    }
}

#[test]
fn where_upstream_overflows_the_end_of_the_range_is_held() {
    // Upstream's MilliValue gives 0 for 1E, a negative number for 1Ei and -1000 for 100Ei.
    for (text, canonical, value, milli) in [
        ("1E", "1E", 1_000_000_000_000_000_000, i64::MAX),
        ("7Ei", "7Ei", 7 << 60, i64::MAX),
        ("100Ei", "9223372036854775807", i64::MAX, i64::MAX),
        ("-100Ei", "-9223372036854775807", -i64::MAX, i64::MIN),
        ("-0.1n", "-1n", -1, -1), // upstream's Value gives 1
    ] {
        let quantity = parse(text);
        assert_eq!(quantity.to_string(), canonical, "{text}");
        assert_eq!(
            (quantity.value(), quantity.milli_value()),
            (value, milli),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_quantity_says_what_would_be() {
    for text in [
        "", "-", "+", ".", "Mi", "e3", "1.2.3", "1 Gi", "1gi", "1KI", "1K", "1e", "1e+", "1e1.5",
        "--1", "0x10", "1ĸ",
    ] {
        assert!(text.parse::<Quantity>().is_err(), "{text}");
    }
    assert_eq!(
        "5Gib".parse::<Quantity>().unwrap_err().to_string(),
        "\"5Gib\" is not a quantity: the suffix must be one of n u m k M G T P E, Ki Mi Gi Ti Pi Ei, or an exponent \
         such as e3"
    );
}

#[test]
fn beyond_the_range_is_held_at_its_end() {
    for text in ["1e400", "9e99999999999", &"9".repeat(1000)] {
        assert_eq!(parse(text).value(), i64::MAX, "{text}");
        assert_eq!(parse(&format!("-{text}")).value(), i64::MIN, "{text}");
    }
    assert_eq!(parse("1e-400"), Quantity::from_nanos(1));
    assert_eq!(parse("0e99999999999"), Quantity::ZERO);
    let most = Quantity::from_nanos(i128::MAX);
    assert_eq!(most + most, most);
}

#[test]
fn sums_keep_the_notation() {
    for (a, b, sum, difference) in [
        ("1Gi", "512Mi", "1536Mi", "512Mi"),
        ("0", "1Gi", "1Gi", "-1Gi"),
        ("1", "500m", "1500m", "500m"),
        ("1Ki", "1m", "1024001m", "1023999m"),
    ] {
        assert_eq!((parse(a) + parse(b)).to_string(), sum);
        assert_eq!((parse(a) - parse(b)).to_string(), difference);
    }
    assert_eq!(
        ["1", "2", "3"].map(parse).into_iter().sum::<Quantity>(),
        Quantity::from_units(6)
    );
}

#[test]
fn amounts_are_equal_in_any_notation() {
    for (a, b) in [
        ("1Gi", "1073741824"),
        ("1", "1000m"),
        ("1e3", "1k"),
        ("0", "0Ki"),
        ("1.5", "1500m"),
    ] {
        assert_eq!(parse(a), parse(b));
    }
    assert!(parse("1G") < parse("1Gi"));
    assert!(parse("-1") < parse("1n"));
}

fn any_text() -> impl Strategy<Value = String> {
    let suffix = prop::sample::select(vec![
        "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3",
        "E-6", "e+2", "e0",
    ]);
    (
        any::<bool>(),
        0u64..10_000_000,
        prop::option::of(0u32..100_000),
        suffix,
    )
        .prop_map(|(negative, whole, fraction, suffix)| {
            let sign = if negative { "-" } else { "" };
            let fraction = fraction
                .map(|fraction| format!(".{fraction}"))
                .unwrap_or_default();
            format!("{sign}{whole}{fraction}{suffix}")
        })
}

proptest! {
    #[test]
    fn the_canonical_form_is_the_same_amount_and_its_own_canonical_form(text in any_text()) {
        let quantity = parse(&text);
        let canonical = quantity.to_string();
        prop_assert_eq!(parse(&canonical), quantity);
        prop_assert_eq!(parse(&canonical).to_string(), canonical);
    }

    #[test]
    fn any_amount_can_be_written_and_read(nanos in -(1i128 << 100)..(1i128 << 100)) {
        let quantity = Quantity::from_nanos(nanos);
        prop_assert_eq!(parse(&quantity.to_string()).nanos(), nanos);
    }

    #[test]
    fn bytes_can_be_written_and_read(bytes in any::<i64>()) {
        prop_assume!(bytes != i64::MIN); // upstream's range is symmetric
        prop_assert_eq!(parse(&Quantity::from_bytes(bytes).to_string()).value(), bytes);
    }

    #[test]
    fn whole_units_enclose_the_amount(nanos in -(1i128 << 90)..(1i128 << 90)) {
        let value = i128::from(Quantity::from_nanos(nanos).value());
        prop_assert!((value * NANO).abs() >= nanos.abs());
        prop_assert!((value * NANO).abs() - nanos.abs() < NANO);
    }

    #[test]
    fn order_and_sums_are_those_of_numbers(a in -(1i128 << 100)..(1i128 << 100), b in -(1i128 << 100)..(1i128 << 100)) {
        let (x, y) = (Quantity::from_nanos(a), Quantity::from_nanos(b));
        prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        prop_assert_eq!((x + y).nanos(), a + b);
        prop_assert_eq!((x - y) + y, x);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,12}") {
        let _ = text.parse::<Quantity>();
    }
}
