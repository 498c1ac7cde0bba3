//! The graph as a list of steps over blocks of rows, and its reverse for the gradient.
//!
//! A value of length m takes m × w numbers for w rows: element k of row r lies at k w + r, so that
//! every loop runs over rows or over all of a value at once. Slices are views into what they are
//! cut from, for values and for adjoints alike. Reverse mode (Griewank & Walther 2008, Evaluating
//! Derivatives, §3.2): steps in reverse order, each adding to the adjoints of its arguments.

use super::graph::{Graph, Id, Op, Pool, Shape};
use super::kernels::{self, Arg, Map, Walk, Zip};
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2, s};
use retrograde_core::Cx;
use std::ops::Range;

/// Numbers that the values of a block of rows shall take: they stay in the second-level cache.
const BLOCK_NUMBERS: usize = 1 << 14;
/// Most rows of a block.
const MAX_ROWS: usize = 256;
/// Least rows of a block, unless its values took more than `MAX_NUMBERS`.
const MIN_ROWS: usize = 8;
const MAX_NUMBERS: usize = 1 << 20;

/// Where an argument is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    /// Among the values, from this element on.
    Value(usize),
    Constant(Pool),
}

/// An argument of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Operand {
    place: Place,
    shape: Shape,
    /// Whether an adjoint is passed on to it.
    slopes: bool,
}

#[derive(Debug)]
enum Act {
    Map(Map, Operand),
    Zip(Zip, Operand, Operand),
    Select(Operand, Operand, Operand),
    Gather(Operand, Vec<usize>),
    Sum(Operand),
    Dot(Operand, Operand),
    LogSumExp(Operand),
    Extreme(bool, Operand),
}

impl Act {
    /// The operands that an adjoint can be passed on to.
    fn operands(&self) -> [Option<Operand>; 2] {
        match self {
            Self::Zip(_, a, b) | Self::Dot(a, b) | Self::Select(_, a, b) => [Some(*a), Some(*b)],
            Self::Map(_, x)
            | Self::Gather(x, _)
            | Self::Sum(x)
            | Self::LogSumExp(x)
            | Self::Extreme(_, x) => [Some(*x), None],
        }
    }
}

#[derive(Debug)]
struct Step {
    act: Act,
    /// First element of its value; all its arguments lie before it.
    out: usize,
    shape: Shape,
    slopes: bool,
}

/// A compiled formula.
#[derive(Debug)]
pub(super) struct Tape {
    dim: usize,
    steps: Vec<Step>,
    result: Operand,
    pools: Vec<Vec<f64>>,
    /// For each step, what of the adjoints it is the first to add to in reverse order, and last
    /// what none adds to.
    cleared: Vec<Vec<Range<usize>>>,
    /// Elements of all values, the coordinates first.
    elements: usize,
    /// Rows of a block.
    rows: usize,
}

impl Tape {
    /// The steps for `result`, a scalar, and no others.
    pub(super) fn new(graph: Graph, dim: usize, result: Id) -> Self {
        let mut needed = vec![false; graph.nodes().len()];
        needed[result.place()] = true;
        for (i, node) in graph.nodes().iter().enumerate().rev() {
            if needed[i] {
                arguments(node.op)
                    .into_iter()
                    .flatten()
                    .for_each(|a| needed[a.place()] = true);
            }
        }
        let mut steps = Vec::new();
        let mut elements = dim;
        let mut operands: Vec<Option<Operand>> = Vec::with_capacity(needed.len());
        for (node, needed) in graph.nodes().iter().zip(needed) {
            if !needed {
                operands.push(None);
                continue;
            }
            let at = |id: Id| operands.get(id.place()).copied().flatten();
            let act = match node.op {
                Op::Coordinates => None,
                Op::Constant(_) | Op::Slice(..) => None,
                Op::Map(f, x) => at(x).map(|x| Act::Map(f, x)),
                Op::Zip(f, a, b) => at(a).zip(at(b)).map(|(a, b)| Act::Zip(f, a, b)),
                Op::Select(c, a, b) => at(c)
                    .zip(at(a).zip(at(b)))
                    .map(|(c, (a, b))| Act::Select(c, a, b)),
                Op::Gather(x, places) => {
                    let places = graph.pool(places).iter().map(|p| *p as usize).collect();
                    at(x).map(|x| Act::Gather(x, places))
                }
                Op::Sum(x) => at(x).map(Act::Sum),
                Op::Dot(a, b) => at(a).zip(at(b)).map(|(a, b)| Act::Dot(a, b)),
                Op::LogSumExp(x) => at(x).map(Act::LogSumExp),
                Op::Extreme(largest, x) => at(x).map(|x| Act::Extreme(largest, x)),
            };
            let place = match (node.op, &act) {
                (Op::Coordinates, _) => Place::Value(0),
                (Op::Constant(pool), _) => Place::Constant(pool),
                (Op::Slice(x, start), _) => match at(x).map(|x| x.place) {
                    Some(Place::Value(first)) => Place::Value(first + start),
                    _ => unreachable!("slices of constants are constants"),
                },
                _ => Place::Value(elements),
            };
            if let Some(act) = act {
                steps.push(Step {
                    act,
                    out: elements,
                    shape: node.shape,
                    slopes: node.slopes,
                });
                elements += node.shape.len();
            }
            operands.push(Some(Operand {
                place,
                shape: node.shape,
                slopes: node.slopes,
            }));
        }
        let result = operands[result.place()];
        // A multiple of any vector width, so that few elements are left over at the end of a row.
        let rows = (BLOCK_NUMBERS / elements / MIN_ROWS * MIN_ROWS).clamp(MIN_ROWS, MAX_ROWS);
        let cleared = clearings(&steps, elements);
        Self {
            dim,
            steps,
            result: result.unwrap_or(Operand {
                place: Place::Value(0),
                shape: Shape::Scalar,
                slopes: false,
            }),
            pools: graph.into_pools(),
            cleared,
            elements,
            rows: rows.min((MAX_NUMBERS / elements).max(1)),
        }
    }

    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    /// Steps of an evaluation.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Values and gradients of the rows of `x`, each if it is asked for.
    pub(super) fn eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut gradient: Option<ArrayViewMut2<'_, f64>>,
    ) {
        let rows = self.rows.min(x.nrows());
        let mut values = cx.take(self.elements * rows);
        let mut adjoints = cx.take(gradient.as_ref().map_or(0, |_| self.elements * rows));
        for first in (0..x.nrows()).step_by(rows.max(1)) {
            let block = first..x.nrows().min(first + rows);
            let w = block.len();
            let values = &mut values[..self.elements * w];
            for (x, values) in x.columns().into_iter().zip(values.chunks_exact_mut(w)) {
                let x = x.slice_move(s![block.clone()]);
                values.iter_mut().zip(x).for_each(|(v, x)| *v = *x);
            }
            self.forward(values, w);
            let result = self.arg(self.result, values, w);
            if let Some(l) = &mut log_density {
                for (r, l) in l.slice_mut(s![block.clone()]).iter_mut().enumerate() {
                    *l = result.at(0, r);
                }
            }
            if let Some(g) = &mut gradient {
                let adjoints = &mut adjoints[..self.elements * w];
                self.backward(adjoints, values, w);
                let mut g = g.slice_mut(s![block, ..]);
                for (mut g, adjoints) in g.columns_mut().into_iter().zip(adjoints.chunks_exact(w)) {
                    for (r, (g, a)) in g.iter_mut().zip(adjoints).enumerate() {
                        // Where there is no mass the slope has no meaning.
                        *g = if result.at(0, r) == f64::NEG_INFINITY {
                            0.0
                        } else {
                            *a
                        };
                    }
                }
            }
        }
        cx.give(values);
        cx.give(adjoints);
    }

    /// An operand for a walk over a value that is a vector.
    fn arg<'a>(&'a self, o: Operand, values: &'a [f64], w: usize) -> Arg<'a> {
        let vector = usize::from(o.shape != Shape::Scalar);
        match o.place {
            Place::Value(at) => Arg::Rows(&values[at * w..(at + o.shape.len()) * w], vector * w),
            // With one row a constant vector lies as a value does.
            Place::Constant(pool) if vector * w == 1 => Arg::Rows(self.numbers(pool), 1),
            Place::Constant(pool) => Arg::One(self.numbers(pool), vector),
        }
    }

    fn numbers(&self, pool: Pool) -> &[f64] {
        &self.pools[pool.place()]
    }

    /// The elements of a value in one stretch, if all operands allow that.
    fn walk(&self, shape: Shape, operands: &[Operand], w: usize) -> Walk {
        let flat = operands.iter().all(|o| match o.place {
            Place::Value(_) => o.shape == shape,
            Place::Constant(_) => o.shape == Shape::Scalar || w == 1,
        });
        if flat {
            Walk {
                outer: 1,
                width: shape.len() * w,
            }
        } else {
            Walk {
                outer: shape.len(),
                width: w,
            }
        }
    }

    fn forward(&self, values: &mut [f64], w: usize) {
        for step in &self.steps {
            let (before, out) = values.split_at_mut(step.out * w);
            let out = &mut out[..step.shape.len() * w];
            let arg = |o: &Operand| self.arg(*o, before, w);
            match &step.act {
                Act::Map(f, x) => f.forward(out, stretch(arg(x))),
                Act::Zip(f, a, b) => {
                    f.forward(self.walk(step.shape, &[*a, *b], w), out, arg(a), arg(b));
                }
                Act::Select(c, a, b) => {
                    let walk = Walk {
                        outer: step.shape.len(),
                        width: w,
                    };
                    kernels::select(walk, out, arg(c), arg(a), arg(b));
                }
                Act::Gather(x, places) => kernels::gather(out, stretch(arg(x)), w, places),
                Act::Sum(x) => kernels::sum(out, stretch(arg(x))),
                Act::Dot(a, b) => {
                    let walk = Walk {
                        outer: a.shape.len(),
                        width: w,
                    };
                    kernels::dot(walk, out, arg(a), arg(b));
                }
                Act::LogSumExp(x) => kernels::log_sum_exp(out, stretch(arg(x))),
                Act::Extreme(largest, x) => kernels::extreme(*largest, out, stretch(arg(x))),
            }
        }
    }

    /// Fills the adjoints; those of the coordinates, which come first, are the gradient.
    fn backward(&self, adjoints: &mut [f64], values: &[f64], w: usize) {
        let clear = |adjoints: &mut [f64], ranges: &[Range<usize>]| {
            ranges
                .iter()
                .for_each(|r| adjoints[r.start * w..r.end * w].fill(0.0));
        };
        if let Some(never) = self.cleared.last() {
            clear(adjoints, never);
        }
        match self.result.place {
            Place::Value(at) if self.result.slopes => adjoints[at * w..(at + 1) * w].fill(1.0),
            _ => return,
        }
        for (step, first) in self.steps.iter().zip(&self.cleared).rev() {
            if !step.slopes {
                continue;
            }
            // Cleared just before it is used, it is still in the nearest cache.
            clear(adjoints, first);
            let (before, g) = adjoints.split_at_mut(step.out * w);
            let g = &g[..step.shape.len() * w];
            let v = &values[step.out * w..][..g.len()];
            let arg = |o: &Operand| self.arg(*o, values, w);
            match &step.act {
                Act::Map(f, x) => {
                    if let Some((to, _)) = adjoint(before, *x, w) {
                        f.backward(to, g, stretch(arg(x)), v);
                    }
                }
                Act::Zip(f, a, b) => {
                    let walk = self.walk(step.shape, &[*a, *b], w);
                    if let Some(to) = adjoint(before, *a, w) {
                        f.backward_a(walk, to, g, arg(a), arg(b), v);
                    }
                    if let Some(to) = adjoint(before, *b, w) {
                        f.backward_b(walk, to, g, arg(b), arg(a), v);
                    }
                }
                Act::Select(c, a, b) => {
                    let walk = Walk {
                        outer: step.shape.len(),
                        width: w,
                    };
                    for (o, when) in [(a, true), (b, false)] {
                        if let Some(to) = adjoint(before, *o, w) {
                            kernels::select_backward(walk, to, g, arg(c), when);
                        }
                    }
                }
                Act::Gather(x, places) => {
                    if let Some((to, _)) = adjoint(before, *x, w) {
                        kernels::gather_backward(to, g, w, places);
                    }
                }
                Act::Sum(x) => {
                    if let Some((to, _)) = adjoint(before, *x, w) {
                        kernels::sum_backward(to, g);
                    }
                }
                Act::Dot(a, b) => {
                    let walk = Walk {
                        outer: a.shape.len(),
                        width: w,
                    };
                    // A sum of squares passes on twice its half.
                    let square = a == b;
                    if let Some((to, _)) = adjoint(before, *a, w) {
                        let times = if square { 2.0 } else { 1.0 };
                        kernels::dot_backward(walk, times, to, g, arg(b));
                    }
                    if let Some((to, _)) = adjoint(before, *b, w).filter(|_| !square) {
                        kernels::dot_backward(walk, 1.0, to, g, arg(a));
                    }
                }
                Act::LogSumExp(x) => {
                    if let Some((to, _)) = adjoint(before, *x, w) {
                        kernels::log_sum_exp_backward(to, g, stretch(arg(x)), v);
                    }
                }
                Act::Extreme(_, x) => {
                    if let Some((to, _)) = adjoint(before, *x, w) {
                        kernels::extreme_backward(to, g, stretch(arg(x)), v);
                    }
                }
            }
        }
    }
}

/// Which adjoints each step must set to 0 before it adds to them, and which no step adds to.
fn clearings(steps: &[Step], elements: usize) -> Vec<Vec<Range<usize>>> {
    let mut touched = vec![false; elements];
    let mut fresh = |range: Range<usize>| {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for i in range {
            if std::mem::replace(&mut touched[i], true) {
                continue;
            }
            match ranges.last_mut() {
                Some(last) if last.end == i => last.end = i + 1,
                _ => ranges.push(i..i + 1),
            }
        }
        ranges
    };
    let mut all: Vec<Vec<Range<usize>>> = steps
        .iter()
        .rev()
        .map(|step| {
            let passed = step.act.operands().into_iter().flatten();
            let passed = passed.filter(|o| step.slopes && o.slopes);
            passed
                .filter_map(|o| match o.place {
                    Place::Value(at) => Some(fresh(at..at + o.shape.len())),
                    Place::Constant(_) => None,
                })
                .flatten()
                .collect()
        })
        .collect();
    all.reverse();
    all.push(fresh(0..elements));
    all
}

/// All numbers of an argument, which is no constant, in their order.
fn stretch(arg: Arg<'_>) -> &[f64] {
    match arg {
        Arg::Rows(x, _) | Arg::One(x, _) => x,
    }
}

/// The adjoint of an operand and its stride, if anything is passed on to it.
fn adjoint(before: &mut [f64], o: Operand, w: usize) -> Option<(&mut [f64], usize)> {
    match o.place {
        Place::Value(at) if o.slopes => {
            let stride = if o.shape == Shape::Scalar { 0 } else { w };
            Some((&mut before[at * w..(at + o.shape.len()) * w], stride))
        }
        _ => None,
    }
}

fn arguments(op: Op) -> [Option<Id>; 3] {
    match op {
        Op::Coordinates | Op::Constant(_) => [None; 3],
        Op::Slice(x, _)
        | Op::Gather(x, _)
        | Op::Map(_, x)
        | Op::Sum(x)
        | Op::LogSumExp(x)
        | Op::Extreme(_, x) => [Some(x), None, None],
        Op::Zip(_, a, b) | Op::Dot(a, b) => [Some(a), Some(b), None],
        Op::Select(c, a, b) => [Some(c), Some(a), Some(b)],
    }
}
