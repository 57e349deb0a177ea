//! Resource amounts such as `100m`, `1.5Gi` and `12e6`.
//!
//! Upstream: `apimachinery/pkg/api/resource/quantity.go`. An amount is held exactly, as a whole number of nano-units;
//! finer fractions are rounded away from zero ("if you want some resources, you should get some"), as upstream does.
//! Numbers beyond the range (about 1.7e29) are held at its end instead of failing: they still mean "more than there
//! is".

use std::cmp::Ordering;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

const NANO: i128 = 1_000_000_000;

/// An exact amount and the notation that it was written in. Comparison looks at the amount only: `1Gi` equals
/// `1073741824`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// How an amount is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Format {
    /// `n u m k M G T P E`
    #[default]
    DecimalSi,
    /// `Ki Mi Gi Ti Pi Ei`
    BinarySi,
    /// `12e6`
    DecimalExponent,
}

const DECIMAL: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];
const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// A text that is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantityError {
    text: String,
    what: &'static str,
}

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a quantity: {}", self.text, self.what)
    }
}

impl std::error::Error for QuantityError {}

// === impl Quantity ===

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self::from_nanos(0);

    /// An amount of nano-units (10⁻⁹), written in decimal SI.
    pub const fn from_nanos(nanos: i128) -> Self {
        Self {
            nanos,
            format: Format::DecimalSi,
        }
    }

    /// An amount of milli-units, as CPU is counted, written in decimal SI.
    pub const fn from_milli(milli: i64) -> Self {
        Self::from_nanos(milli as i128 * (NANO / 1000))
    }

    /// An amount of whole units, written in decimal SI.
    pub const fn from_units(units: i64) -> Self {
        Self::from_nanos(units as i128 * NANO)
    }

    /// An amount of bytes, written in powers of 1024.
    pub const fn from_bytes(bytes: i64) -> Self {
        Self {
            nanos: bytes as i128 * NANO,
            format: Format::BinarySi,
        }
    }

    /// The exact amount in nano-units.
    pub const fn nanos(self) -> i128 {
        self.nanos
    }

    /// Whole units; a fraction is rounded away from zero, what does not fit is held at the end of the range.
    pub fn value(self) -> i64 {
        self.scaled(NANO)
    }

    /// Milli-units, rounded likewise.
    pub fn milli_value(self) -> i64 {
        self.scaled(NANO / 1000)
    }

    /// The same amount without a fraction, rounded away from zero.
    #[must_use]
    pub const fn rounded_up(self) -> Self {
        Self {
            nanos: round_away(self.nanos, NANO) * NANO,
            ..self
        }
    }

    /// Whether this is nothing.
    pub const fn is_zero(self) -> bool {
        self.nanos == 0
    }

    fn scaled(self, unit: i128) -> i64 {
        let whole = round_away(self.nanos, unit);
        i64::try_from(whole).unwrap_or(if whole < 0 { i64::MIN } else { i64::MAX })
    }
}

/// `amount / unit`, rounded away from zero.
const fn round_away(amount: i128, unit: i128) -> i128 {
    let whole = amount / unit;
    if amount % unit == 0 {
        whole
    } else {
        whole + amount.signum()
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    /// Reads `<sign><digits>.<digits><suffix>`. Stricter than upstream in one point: at least one digit is needed
    /// (upstream takes `-` and `Mi` for 0).
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let error = |what| QuantityError {
            text: text.to_owned(),
            what,
        };
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = unsigned
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') {
            return Err(error("more than one decimal point"));
        }
        if whole.is_empty() && fraction.is_empty() {
            return Err(error("it must begin with a number"));
        }

        let (mut format, decimal, binary) = suffix_of(suffix).ok_or_else(|| {
            error("the suffix must be one of n u m k M G T P E, Ki Mi Gi Ti Pi Ei, or an exponent such as e3")
        })?;
        let mut nanos = scale(whole, fraction, decimal, binary);
        if format == Format::BinarySi {
            // quantity.go maxAllowed: binary amounts end at the largest int64
            nanos = nanos.min(i128::from(i64::MAX) * NANO);
            if nanos < NANO {
                format = Format::DecimalSi;
            }
        }
        Ok(Self {
            nanos: if negative { -nanos } else { nanos },
            format,
        })
    }
}

/// Notation, power of ten and power of two that a suffix stands for.
fn suffix_of(suffix: &str) -> Option<(Format, i32, u32)> {
    if let Some((_, exponent)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Some((Format::DecimalSi, *exponent, 0));
    }
    if let Some(power) = BINARY.iter().position(|name| *name == suffix) {
        return Some((Format::BinarySi, 0, 10 * (power as u32 + 1)));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Whatever does not fit an i32 is as far outside the range as the end of it.
    let power = digits.parse().unwrap_or(i32::MAX);
    Some((
        Format::DecimalExponent,
        if exponent.starts_with('-') {
            -power
        } else {
            power
        },
        0,
    ))
}

/// `whole.fraction × 10^decimal × 2^binary` in nano-units, rounded up and held at the end of the range.
fn scale(whole: &str, fraction: &str, decimal: i32, binary: u32) -> i128 {
    // Digits below one nano-unit can matter after the multiplication by 2^binary, so nine more places are kept, unless
    // the amount is so large that they would not fit.
    scale_with(9, whole, fraction, decimal, binary)
        .or_else(|| scale_with(0, whole, fraction, decimal, binary))
        .unwrap_or(i128::MAX)
}

/// The same with some guard places; nothing if it does not fit.
fn scale_with(guard: u32, whole: &str, fraction: &str, decimal: i32, binary: u32) -> Option<i128> {
    let mut amount: i128 = 0;
    let mut rest = false;
    // The power of ten of the digit at hand, counted from the last guard place.
    let mut position = i64::from(guard) + 9 + i64::from(decimal) + whole.len() as i64;
    for digit in whole
        .bytes()
        .chain(fraction.bytes())
        .map(|b| i128::from(b - b'0'))
    {
        position -= 1;
        match u32::try_from(position) {
            _ if digit == 0 => {}
            Ok(position) => {
                amount = 10_i128
                    .checked_pow(position)?
                    .checked_mul(digit)?
                    .checked_add(amount)?;
            }
            Err(_) if position < 0 => rest = true,
            Err(_) => return None,
        }
    }
    let (amount, unit) = (amount.checked_mul(1 << binary)?, 10_i128.pow(guard));
    round_away(amount, unit).checked_add(i128::from(rest && amount % unit == 0))
}

/// The canonical form: no fraction, the largest suffix that keeps the amount exact.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let binary = self.format == Format::BinarySi
            && self.nanos.abs() >= 1024 * NANO
            && self.nanos % NANO == 0;
        if binary {
            let mut number = self.nanos / NANO;
            let mut power = 0;
            while number % 1024 == 0 && power < BINARY.len() {
                number /= 1024;
                power += 1;
            }
            return write!(
                f,
                "{number}{}",
                if power == 0 { "" } else { BINARY[power - 1] }
            );
        }
        let mut number = self.nanos;
        let mut step = 0;
        while number % 1000 == 0
            && (step + 1 < DECIMAL.len() || self.format == Format::DecimalExponent)
        {
            number /= 1000;
            step += 1;
        }
        match (self.format, 3 * step as i32 - 9) {
            (Format::DecimalExponent, 0) => write!(f, "{number}"),
            (Format::DecimalExponent, exponent) => write!(f, "{number}e{exponent}"),
            _ => write!(f, "{number}{}", DECIMAL[step].0),
        }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

/// The sum is written as the left side was; if that is zero, as the right side was.
impl Add for Quantity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let format = if self.is_zero() {
            other.format
        } else {
            self.format
        };
        Self {
            nanos: self.nanos.saturating_add(other.nanos),
            format,
        }
    }
}

impl Neg for Quantity {
    type Output = Self;

    fn neg(self) -> Self {
        Self {
            nanos: self.nanos.saturating_neg(),
            ..self
        }
    }
}

impl Sub for Quantity {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Quantity {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl TryFrom<&ApiQuantity> for Quantity {
    type Error = QuantityError;

    fn try_from(api: &ApiQuantity) -> Result<Self, QuantityError> {
        api.0.parse()
    }
}

impl From<Quantity> for ApiQuantity {
    fn from(quantity: Quantity) -> Self {
        Self(quantity.to_string())
    }
}

#[cfg(test)]
mod tests;
