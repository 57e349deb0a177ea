//! `$((…))`: whole numbers of 64 bits, with C's operators but assignment.

use super::NotUnderstood;

/// The binary operators, from weak to strong; of those that begin alike the longer first.
const LEVELS: [&[&str]; 10] = [
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<=", ">=", "<", ">"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];
/// What an operator of one level must not be the beginning of.
const LONGER: [&str; 6] = ["||", "&&", "<<", ">>", "<=", ">="];
/// How deep parentheses and signs may be nested.
const DEEPEST: usize = 64;

/// The value of an expression in which variables have the values that `value` gives.
///
/// # Errors
/// What is no expression, and a division by zero.
pub fn evaluate(text: &str, value: &dyn Fn(&str) -> String) -> Result<i64, NotUnderstood> {
    let mut sum = Sum {
        rest: text.trim_start(),
        value,
        depth: 0,
    };
    if sum.rest.is_empty() {
        return Ok(0);
    }
    let result = sum.choice()?;
    if sum.rest.is_empty() {
        Ok(result)
    } else {
        Err(sum.error())
    }
}

struct Sum<'a> {
    rest: &'a str,
    value: &'a dyn Fn(&str) -> String,
    depth: usize,
}

impl Sum<'_> {
    fn error(&self) -> NotUnderstood {
        NotUnderstood(format!("$(( {}", self.rest))
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.rest.starts_with(sign);
        if found {
            self.rest = self.rest[sign.len()..].trim_start();
        }
        found
    }

    fn choice(&mut self) -> Result<i64, NotUnderstood> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error());
        }
        let condition = self.level(0)?;
        let result = if self.take("?") {
            let yes = self.choice()?;
            if !self.take(":") {
                return Err(self.error());
            }
            let no = self.choice()?;
            if condition == 0 { no } else { yes }
        } else {
            condition
        };
        self.depth -= 1;
        Ok(result)
    }

    fn level(&mut self, level: usize) -> Result<i64, NotUnderstood> {
        let Some(signs) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.level(level + 1)?;
        loop {
            let fits = |sign: &&&str| {
                self.rest.starts_with(**sign)
                    && !LONGER
                        .iter()
                        .any(|long| long.len() > sign.len() && self.rest.starts_with(long))
            };
            let Some(sign) = signs.iter().find(fits) else {
                return Ok(left);
            };
            self.rest = self.rest[sign.len()..].trim_start();
            let right = self.level(level + 1)?;
            left = match *sign {
                "||" => i64::from(left != 0 || right != 0),
                "&&" => i64::from(left != 0 && right != 0),
                "|" => left | right,
                "^" => left ^ right,
                "&" => left & right,
                "==" => i64::from(left == right),
                "!=" => i64::from(left != right),
                "<=" => i64::from(left <= right),
                ">=" => i64::from(left >= right),
                "<" => i64::from(left < right),
                ">" => i64::from(left > right),
                "<<" => left.wrapping_shl(right as u32),
                ">>" => left.wrapping_shr(right as u32),
                "+" => left.wrapping_add(right),
                "-" => left.wrapping_sub(right),
                "*" => left.wrapping_mul(right),
                "/" | "%" if right == 0 => {
                    return Err(NotUnderstood("a division by zero".to_owned()));
                }
                "/" => left.wrapping_div(right),
                _ => left.wrapping_rem(right),
            };
        }
    }

    fn unary(&mut self) -> Result<i64, NotUnderstood> {
        self.depth += 1;
        if self.depth > DEEPEST || self.rest.starts_with("++") || self.rest.starts_with("--") {
            return Err(self.error());
        }
        let result = if self.take("!") {
            i64::from(self.unary()? == 0)
        } else if self.take("~") {
            !self.unary()?
        } else if self.take("-") {
            self.unary()?.wrapping_neg()
        } else if self.take("+") {
            self.unary()?
        } else if self.take("(") {
            let inner = self.choice()?;
            if !self.take(")") {
                return Err(self.error());
            }
            inner
        } else {
            self.atom()?
        };
        self.depth -= 1;
        Ok(result)
    }

    fn atom(&mut self) -> Result<i64, NotUnderstood> {
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let (atom, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let number = if atom.starts_with(|c: char| c.is_ascii_digit()) {
            number(atom)
        } else if atom.is_empty() {
            None
        } else {
            let value = (self.value)(atom);
            if value.trim().is_empty() {
                Some(0)
            } else {
                number(value.trim())
            }
        };
        let number = number.ok_or_else(|| self.error())?;
        self.rest = rest.trim_start();
        Ok(number)
    }
}

/// A number in base 10, with `0x` in base 16, with `0` in base 8.
fn number(text: &str) -> Option<i64> {
    let (sign, digits) = text
        .strip_prefix('-')
        .map_or((1, text), |digits| (-1, digits));
    let read = if let Some(hex) = digits.strip_prefix("0x") {
        i64::from_str_radix(hex, 16)
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(digits, 8)
    } else {
        digits.parse()
    };
    read.ok().map(|number| sign * number)
}
