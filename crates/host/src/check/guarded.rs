//! Arrays for functions that are not trusted: with marks on both sides, and outputs full of a number that no
//! computation gives.

/// Numbers on each side that nobody may touch; odd, so that arrays are aligned to 8 bytes and to no more.
const GUARD: usize = 33;
/// What stands there.
const MARK: u64 = 0xc5a3_5ac3_c5a3_5ac3;
/// A signalling NaN, what outputs are filled with.
const EMPTY: u64 = 0x7ff4_5247_454d_5054;
/// What becomes of it when it is computed with: the quiet one.
const TOUCHED: u64 = EMPTY | 0x0008_0000_0000_0000;

/// Whether it is what outputs are filled with.
pub(crate) fn untouched(value: f64) -> bool {
    value.to_bits() == EMPTY
}

/// An array between marks.
pub(crate) struct Guarded {
    bits: Vec<u64>,
    /// Of an input: what it held.
    given: Option<Vec<u64>>,
}

impl Guarded {
    fn with(middle: impl Iterator<Item = u64>) -> Vec<u64> {
        let side = || std::iter::repeat_n(MARK, GUARD);
        side().chain(middle).chain(side()).collect()
    }

    /// An input with these values.
    pub(crate) fn input(values: &[f64]) -> Self {
        let bits = Self::with(values.iter().map(|v| v.to_bits()));
        Self {
            given: Some(bits.clone()),
            bits,
        }
    }

    /// An output of `len` numbers.
    pub(crate) fn output(len: usize) -> Self {
        Self {
            bits: Self::with(std::iter::repeat_n(EMPTY, len)),
            given: None,
        }
    }

    pub(crate) fn pointer(&mut self) -> *mut f64 {
        // Mutable for inputs as well: that they stay as they are is what is looked at.
        self.bits.as_mut_ptr().wrapping_add(GUARD).cast()
    }

    fn middle(&self) -> &[u64] {
        &self.bits[GUARD..self.bits.len() - GUARD]
    }

    pub(crate) fn values(&self) -> Vec<f64> {
        self.middle().iter().map(|b| f64::from_bits(*b)).collect()
    }

    /// What is wrong with it after a call, of an array called `name` with `columns` numbers a row.
    pub(crate) fn faults(&self, name: &str, columns: usize, faults: &mut Faults) {
        let end = self.bits.len() - GUARD;
        let after = self.bits[end..].iter().filter(|b| **b != MARK).count();
        let before = self.bits[..GUARD].iter().filter(|b| **b != MARK).count();
        if after > 0 {
            faults
                .guard
                .push(format!("wrote {} past the end of `{name}`", numbers(after)));
        }
        if before > 0 {
            faults.guard.push(format!(
                "wrote {} before the start of `{name}`",
                numbers(before)
            ));
        }
        match &self.given {
            Some(given) => {
                let changed = |i: &usize| given[*i] != self.bits[*i];
                let mut places = (GUARD..end).filter(changed);
                if let Some(first) = places.next() {
                    faults.input.push(format!(
                        "changed {} of its input `{name}`, the first in row {}",
                        numbers(1 + places.count()),
                        (first - GUARD) / columns.max(1)
                    ));
                }
            }
            None => {
                let all = self.middle();
                let empty = all.iter().filter(|b| **b == EMPTY).count();
                if let Some(first) = all.iter().position(|b| *b == EMPTY) {
                    faults.unwritten.push(format!(
                        "left {empty} of the {} of `{name}` unwritten, the first in row {}",
                        numbers(all.len()),
                        first / columns.max(1)
                    ));
                }
                let quiet = |b: &&u64| **b & !(1 << 63) == TOUCHED;
                if all.iter().any(|b| quiet(&b)) {
                    faults.unwritten.push(format!(
                        "computes with what was in `{name}` before it wrote there; outputs hold anything"
                    ));
                }
            }
        }
    }
}

fn numbers(n: usize) -> String {
    if n == 1 {
        "1 number".into()
    } else {
        format!("{n} numbers")
    }
}

/// What a function did to its arrays that it may not.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) unwritten: Vec<String>,
    pub(crate) guard: Vec<String>,
    pub(crate) input: Vec<String>,
}
