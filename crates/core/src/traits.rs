//! What a component says of itself, and the times a batch is evaluated at.

use ndarray::ArrayView1;

/// On which threads a component may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Threading {
    /// Only on the thread that entered the run.
    Caller,
    /// On any thread, never two at once.
    Serial,
    /// On any threads at once.
    Concurrent,
}

/// How a component may be called without changing a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    /// The threads it may be called on.
    pub threading: Threading,
    /// Row i of the output depends on row i of the input only, bit for bit: neither on n nor on
    /// the place of the row. Without it a batch is never split.
    pub rowwise: bool,
    /// Draws no random numbers.
    pub deterministic: bool,
}

impl Traits {
    /// A pure function of each row, callable from any threads at once.
    pub const PURE: Self = Self {
        threading: Threading::Concurrent,
        rowwise: true,
        deterministic: true,
    };

    /// The weaker of the two in each respect: what a component has that wraps another.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            threading: self.threading.min(other.threading),
            rowwise: self.rowwise && other.rowwise,
            deterministic: self.deterministic && other.deterministic,
        }
    }
}

/// Process times of a batch: one for all rows, or one for each.
#[derive(Debug, Clone, Copy)]
pub enum Times<'a> {
    /// One time for every row.
    Shared(f64),
    /// One time a row; length n.
    PerRow(ArrayView1<'a, f64>),
}

impl Times<'_> {
    /// The time of row `row`.
    #[must_use]
    pub fn at(&self, row: usize) -> f64 {
        match self {
            Times::Shared(t) => *t,
            Times::PerRow(t) => t[row],
        }
    }

    /// The times of the rows `start..end`.
    #[must_use]
    pub fn rows(&self, start: usize, end: usize) -> Times<'_> {
        match self {
            Times::Shared(t) => Times::Shared(*t),
            Times::PerRow(t) => Times::PerRow(t.slice_move(ndarray::s![start..end])),
        }
    }
}
