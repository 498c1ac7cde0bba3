//! Exact linear assignment: the permutation π that minimises Σᵢ c(i, π(i)).
//!
//! Source: Jonker & Volgenant (1987), Computing 38, 325; the search for a shortest augmenting path as in Crouse (2016),
//! IEEE Trans. Aerosp. Electron. Syst. 52, 1679.
//!
//! Potentials u, v keep c(i, j) − uᵢ − vⱼ ≥ 0, with equality on what is assigned. Columns are reduced first (each takes
//! its cheapest row), then rows that are free take their cheapest column in two passes, displacing others; what is left
//! is assigned one row at a time along a shortest path in reduced costs (Dijkstra). Rounding can cost optimality of the
//! order of n machine epsilons, never termination: each phase has a fixed number of rounds.
//!
//! # Cost
//! O(n³) at worst; for squared distances between points of the plane about n^2.2.

use crate::points::{same, wrong};
use ndarray::ArrayView2;
use retrograde_core::{Error, Result};

const NAME: &str = "assignment";
const NONE: usize = usize::MAX;

/// Returns for each row the column assigned to it, at the smallest sum of costs.
///
/// # Shapes
/// `cost`: (n, n), finite, of any sign; out n columns, each once.
///
/// # Errors
/// [`retrograde_core::Error::Shape`] if it is empty or not square, [`retrograde_core::Error::Argument`] for a cost that
/// is not finite.
///
/// # Example
/// ```
/// let cost = ndarray::array![[4.0, 1.0, 3.0], [2.0, 0.0, 5.0], [3.0, 2.0, 2.0]];
/// assert_eq!(retrograde_metrics::assign(cost.view())?, [1, 0, 2]);
/// # Ok::<(), retrograde_core::Error>(())
/// ```
pub fn assign(cost: ArrayView2<'_, f64>) -> Result<Vec<usize>> {
    same(NAME, "`cost`", "columns", cost.nrows(), cost.ncols())?;
    if cost.is_empty() {
        return Err(Error::shape(NAME, "`cost`", "at least one row", "none"));
    }
    if let Some(((i, j), v)) = cost.indexed_iter().find(|(_, v)| !v.is_finite()) {
        return Err(wrong(NAME, format!("cost[{i}][{j}]"), v, "finite"));
    }
    let n = cost.nrows();
    let cost = cost.as_standard_layout();
    let mut solver = Solver {
        cost: cost.as_slice().unwrap_or(&[]),
        n,
        v: vec![f64::INFINITY; n],
        column_of: vec![NONE; n],
        row_of: vec![NONE; n],
    };
    solver.reduce_columns();
    for _ in 0..2 {
        solver.reduce_rows();
    }
    solver.augment();
    Ok(solver.column_of)
}

struct Solver<'a> {
    cost: &'a [f64],
    n: usize,
    /// Potentials of the columns.
    v: Vec<f64>,
    column_of: Vec<usize>,
    row_of: Vec<usize>,
}

impl<'a> Solver<'a> {
    fn row(&self, i: usize) -> &'a [f64] {
        &self.cost[i * self.n..(i + 1) * self.n]
    }

    /// vⱼ = minᵢ c(i, j); a column takes its cheapest row if that is free.
    fn reduce_columns(&mut self) {
        let mut cheapest = vec![0; self.n];
        for i in 0..self.n {
            for (j, c) in self.row(i).iter().enumerate() {
                if *c < self.v[j] {
                    self.v[j] = *c;
                    cheapest[j] = i;
                }
            }
        }
        for (j, i) in cheapest.into_iter().enumerate() {
            if self.column_of[i] == NONE {
                self.join(i, j);
            }
        }
    }

    /// Each free row takes the column of its smallest reduced cost; the column's potential falls until that is equal
    /// to the second smallest. A row that is displaced is free again.
    fn reduce_rows(&mut self) {
        if self.n < 2 {
            return;
        }
        for i in 0..self.n {
            if self.column_of[i] != NONE {
                continue;
            }
            let (mut first, mut second) = ((f64::INFINITY, 0), (f64::INFINITY, 0));
            for (j, (c, v)) in self.row(i).iter().zip(&self.v).enumerate() {
                let reduced = c - v;
                if reduced < first.0 {
                    second = first;
                    first = (reduced, j);
                } else if reduced < second.0 {
                    second = (reduced, j);
                }
            }
            let tie = first.0 == second.0;
            let j = if tie && self.row_of[first.1] != NONE {
                second.1
            } else {
                first.1
            };
            self.v[j] -= second.0 - first.0;
            if self.row_of[j] != NONE {
                self.column_of[self.row_of[j]] = NONE;
            }
            self.join(i, j);
        }
    }

    /// A shortest augmenting path from each free row.
    fn augment(&mut self) {
        let n = self.n;
        // uᵢ of an assigned row makes its reduced cost zero; of a free one it only shifts all distances.
        let mut u: Vec<f64> = (0..n)
            .map(|i| match self.column_of[i] {
                NONE => 0.0,
                j => self.row(i)[j] - self.v[j],
            })
            .collect();
        let (mut distance, mut from) = (vec![0.0; n], vec![0; n]);
        let (mut open, mut closed) = (Vec::with_capacity(n), Vec::with_capacity(n));
        for start in 0..n {
            if self.column_of[start] != NONE {
                continue;
            }
            distance.fill(f64::INFINITY);
            open.clear();
            open.extend(0..n);
            closed.clear();
            let (mut i, mut shortest) = (start, 0.0);
            let end = loop {
                let (row, base) = (self.row(i), shortest - u[i]);
                let (mut lowest, mut at) = (f64::INFINITY, 0);
                for (k, &j) in open.iter().enumerate() {
                    let through = base + row[j] - self.v[j];
                    if through < distance[j] {
                        distance[j] = through;
                        from[j] = i;
                    }
                    // Among equals a free column, which ends the search.
                    if distance[j] < lowest || (distance[j] == lowest && self.row_of[j] == NONE) {
                        lowest = distance[j];
                        at = k;
                    }
                }
                shortest = lowest;
                let j = open.swap_remove(at);
                if self.row_of[j] == NONE {
                    break j;
                }
                closed.push(j);
                i = self.row_of[j];
            };
            u[start] += shortest;
            for &j in &closed {
                let slack = shortest - distance[j];
                u[self.row_of[j]] += slack;
                self.v[j] -= slack;
            }
            let mut j = end;
            loop {
                let i = from[j];
                let next = self.column_of[i];
                self.join(i, j);
                if i == start {
                    break;
                }
                j = next;
            }
        }
    }

    fn join(&mut self, i: usize, j: usize) {
        self.column_of[i] = j;
        self.row_of[j] = i;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_chains::normals;
    use ndarray::{Array2, array};
    use proptest::prelude::*;

    fn total(cost: &Array2<f64>, columns: &[usize]) -> f64 {
        columns.iter().enumerate().map(|(i, j)| cost[(i, *j)]).sum()
    }

    /// The smallest sum over all permutations, by going through them.
    fn by_enumeration(cost: &Array2<f64>, row: usize, used: u32) -> f64 {
        if row == cost.nrows() {
            return 0.0;
        }
        (0..cost.ncols())
            .filter(|j| used & (1 << j) == 0)
            .map(|j| cost[(row, j)] + by_enumeration(cost, row + 1, used | 1 << j))
            .fold(f64::INFINITY, f64::min)
    }

    fn is_permutation(columns: &[usize]) -> bool {
        let mut seen = vec![false; columns.len()];
        columns.iter().for_each(|j| seen[*j] = true);
        seen.iter().all(|s| *s)
    }

    proptest! {
        #[test]
        fn as_good_as_the_best_of_all_permutations(
            n in 1_usize..7, values in prop::collection::vec(-5.0..5.0f64, 36), coarse in any::<bool>()
        ) {
            // Coarse costs have many ties.
            let cost = Array2::from_shape_fn((n, n), |(i, j)| {
                let v = values[6 * i + j];
                if coarse { v.round() } else { v }
            });
            let columns = assign(cost.view()).unwrap();
            prop_assert!(is_permutation(&columns));
            let best = by_enumeration(&cost, 0, 0);
            prop_assert!((total(&cost, &columns) - best).abs() < 1e-12);
        }
    }

    /// Complementary slackness proves optimality: potentials from the assignment itself by Bellman–Ford, which find no
    /// cycle of negative cost.
    #[test]
    fn no_exchange_lowers_the_cost() {
        let n = 60;
        let mut next = normals(9);
        let cost = Array2::from_shape_simple_fn((n, n), &mut next);
        let columns = assign(cost.view()).unwrap();
        let gain = |columns: &[usize]| {
            let mut potential = vec![0.0; n];
            for round in 0..=n {
                let mut changed = false;
                for i in 0..n {
                    for k in 0..n {
                        // Row i takes the column of row k.
                        let through = potential[i] + cost[(i, columns[k])] - cost[(i, columns[i])];
                        if through < potential[k] - 1e-11 {
                            potential[k] = through;
                            changed = true;
                        }
                    }
                }
                if !changed {
                    return false;
                }
                if round == n {
                    return true;
                }
            }
            true
        };
        assert!(!gain(&columns));
        let mut worse = columns;
        worse.swap(0, 1);
        assert!(
            gain(&worse),
            "the check sees an assignment that is not the best"
        );
    }

    #[test]
    fn ties_and_large_offsets() {
        assert!(is_permutation(
            &assign(Array2::zeros((50, 50)).view()).unwrap()
        ));
        let cost = array![[4.0, 1.0, 3.0], [2.0, 0.0, 5.0], [3.0, 2.0, 2.0]] + 1e9;
        assert_eq!(assign(cost.view()).unwrap(), [1, 0, 2]);
        assert_eq!(assign(cost.t()).unwrap(), [1, 0, 2]);
    }

    #[test]
    fn bad_input_is_told() {
        let told = |cost: Array2<f64>| assign(cost.view()).unwrap_err().to_string();
        assert_eq!(
            told(Array2::zeros((2, 3))),
            "assignment: `cost` has 3 columns, expected 2 columns"
        );
        assert_eq!(
            told(array![[f64::INFINITY]]),
            "assignment: `cost[0][0]` is inf, but must be finite"
        );
        assert!(told(Array2::zeros((0, 0))).contains("at least one row"));
    }
}
