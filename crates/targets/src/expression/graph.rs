//! The values of a formula as a graph: constants are computed at once, equal values are one node,
//! and sums take their cheapest form. Nodes stand behind what they are made of.

use super::kernels::{self, Arg, Map, Walk, Zip};
use std::collections::HashMap;

/// A node of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id(u32);

impl Id {
    pub(super) fn place(self) -> usize {
        self.0 as usize
    }
}

/// Numbers of a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Pool(u32);

impl Pool {
    pub(super) fn place(self) -> usize {
        self.0 as usize
    }
}

/// How a node comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Op {
    /// All coordinates.
    Coordinates,
    Constant(Pool),
    /// Elements of a node from a place on.
    Slice(Id, usize),
    /// Elements of a node at given places.
    Gather(Id, Pool),
    Map(Map, Id),
    Zip(Zip, Id, Id),
    /// The second where the first is not 0, else the third.
    Select(Id, Id, Id),
    Sum(Id),
    Dot(Id, Id),
    LogSumExp(Id),
    /// The largest element, or the smallest.
    Extreme(bool, Id),
}

/// One number, or a vector of so many, ≥ 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Shape {
    Scalar,
    Vector(usize),
}

impl Shape {
    pub(super) fn len(self) -> usize {
        match self {
            Self::Scalar => 1,
            Self::Vector(n) => n,
        }
    }

    /// The shape of two elementwise together; `None` for vectors of different length.
    fn with(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Scalar, shape) | (shape, Self::Scalar) => Some(shape),
            (a, b) => (a == b).then_some(a),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) op: Op,
    pub(super) shape: Shape,
    /// Whether it has a gradient.
    pub(super) slopes: bool,
}

/// Vectors of different length: an error that the caller words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Unequal;

/// Sums of sums are taken apart so far.
const MAX_TERMS: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: Vec<Node>,
    pools: Vec<Vec<f64>>,
    known: HashMap<(Op, Shape), Id>,
    numbers: HashMap<u64, Id>,
}

impl Graph {
    pub(super) fn node(&self, id: Id) -> Node {
        self.nodes[id.place()]
    }

    pub(super) fn shape(&self, id: Id) -> Shape {
        self.node(id).shape
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(super) fn into_pools(self) -> Vec<Vec<f64>> {
        self.pools
    }

    /// The numbers of a constant.
    pub(super) fn constant(&self, id: Id) -> Option<&[f64]> {
        match self.node(id).op {
            Op::Constant(pool) => Some(self.pool(pool)),
            _ => None,
        }
    }

    pub(super) fn pool(&self, pool: Pool) -> &[f64] {
        &self.pools[pool.place()]
    }

    fn scalar_constant(&self, id: Id) -> Option<f64> {
        match (self.constant(id)?, self.shape(id)) {
            ([v], Shape::Scalar) => Some(*v),
            _ => None,
        }
    }

    // ---- leaves -------------------------------------------------------------------------------

    pub(super) fn coordinates(&mut self, d: usize) -> Id {
        self.push(Op::Coordinates, Shape::Vector(d), true)
    }

    pub(super) fn number(&mut self, v: f64) -> Id {
        if let Some(id) = self.numbers.get(&v.to_bits()) {
            return *id;
        }
        let id = self.new_constant(vec![v], Shape::Scalar);
        self.numbers.insert(v.to_bits(), id);
        id
    }

    pub(super) fn vector(&mut self, v: Vec<f64>) -> Id {
        let shape = Shape::Vector(v.len());
        self.new_constant(v, shape)
    }

    fn new_constant(&mut self, v: Vec<f64>, shape: Shape) -> Id {
        let pool = self.new_pool(v);
        self.push(Op::Constant(pool), shape, false)
    }

    fn new_pool(&mut self, v: Vec<f64>) -> Pool {
        self.pools.push(v);
        Pool(index(self.pools.len() - 1))
    }

    fn push(&mut self, op: Op, shape: Shape, slopes: bool) -> Id {
        self.nodes.push(Node { op, shape, slopes });
        Id(index(self.nodes.len() - 1))
    }

    /// The node of that operation, new unless there is one. If all that it is made of is constant,
    /// `fold` computes it.
    fn make(
        &mut self,
        op: Op,
        shape: Shape,
        from: &[Id],
        fold: impl FnOnce(&Self) -> Vec<f64>,
    ) -> Id {
        if let Some(id) = self.known.get(&(op, shape)) {
            return *id;
        }
        let id = if from.iter().all(|id| self.constant(*id).is_some()) {
            match (fold(self), shape) {
                (v, Shape::Scalar) if v.len() == 1 => self.number(v[0]),
                (v, _) => self.new_constant(v, shape),
            }
        } else {
            let slopes = match op {
                Op::Map(f, _) => f.slopes(),
                Op::Zip(f, _, _) => f.slopes(),
                _ => true,
            };
            // The condition of a choice has no say in it.
            let passed = if matches!(op, Op::Select(..)) {
                &from[1..]
            } else {
                from
            };
            let slopes = slopes && passed.iter().any(|id| self.node(*id).slopes);
            self.push(op, shape, slopes)
        };
        self.known.insert((op, shape), id);
        id
    }

    /// A constant as the argument of a kernel.
    fn arg(&self, id: Id, whole: Shape) -> Arg<'_> {
        let numbers = self.constant(id).unwrap_or(&[]);
        match self.shape(id) {
            Shape::Vector(_) if whole != Shape::Scalar => Arg::Rows(numbers, 1),
            _ => Arg::One(numbers, 0),
        }
    }

    // ---- elementwise --------------------------------------------------------------------------

    pub(super) fn map(&mut self, f: Map, x: Id) -> Id {
        match (f, self.node(x).op) {
            (Map::Neg, Op::Map(Map::Neg, inside)) => return inside,
            // |x|² = (−x)² = x².
            (Map::Square | Map::Abs, Op::Map(Map::Neg | Map::Abs, inside)) => {
                return self.map(f, inside);
            }
            _ => {}
        }
        let shape = self.shape(x);
        self.make(Op::Map(f, x), shape, &[x], |g| {
            g.constant(x)
                .unwrap_or(&[])
                .iter()
                .map(|v| f.of(*v))
                .collect()
        })
    }

    pub(super) fn zip(&mut self, f: Zip, a: Id, b: Id) -> Result<Id, Unequal> {
        let shape = self.shape(a).with(self.shape(b)).ok_or(Unequal)?;
        let (x, y) = (self.scalar_constant(a), self.scalar_constant(b));
        match (f, x, y) {
            (Zip::Add, Some(0.0), _) | (Zip::Mul, Some(1.0), _) => return Ok(b),
            (Zip::Add | Zip::Sub, _, Some(0.0))
            | (Zip::Mul | Zip::Div | Zip::Pow, _, Some(1.0)) => {
                return Ok(a);
            }
            (Zip::Sub, Some(0.0), _) | (Zip::Mul, Some(-1.0), _) => {
                return Ok(self.map(Map::Neg, b));
            }
            (Zip::Mul | Zip::Div, _, Some(-1.0)) => return Ok(self.map(Map::Neg, a)),
            (Zip::Pow, _, Some(2.0)) => return Ok(self.map(Map::Square, a)),
            (Zip::Pow, _, Some(3.0)) => return Ok(self.map(Map::Cube, a)),
            (Zip::Pow, _, Some(-1.0)) => return Ok(self.map(Map::Inverse, a)),
            (Zip::Div, Some(1.0), _) => return Ok(self.map(Map::Inverse, b)),
            (Zip::Mul, None, None) if a == b => return Ok(self.map(Map::Square, a)),
            _ => {}
        }
        // A division for each element is dear, forward and backward.
        let constant = self.constant(a).is_some() && self.constant(b).is_some();
        if f == Zip::Div && self.shape(b) == Shape::Scalar && shape != Shape::Scalar && !constant {
            let inverse = self.map(Map::Inverse, b);
            return self.zip(Zip::Mul, a, inverse);
        }
        // One order for what commutes, so that a + b and b + a are one value.
        let commutes = matches!(
            f,
            Zip::Add | Zip::Mul | Zip::Eq | Zip::Ne | Zip::And | Zip::Or
        );
        let (a, b) = if commutes && b < a { (b, a) } else { (a, b) };
        Ok(self.make(Op::Zip(f, a, b), shape, &[a, b], |g| {
            let mut out = vec![0.0; shape.len()];
            let walk = Walk {
                outer: 1,
                width: shape.len(),
            };
            f.forward(walk, &mut out, g.arg(a, shape), g.arg(b, shape));
            out
        }))
    }

    pub(super) fn select(&mut self, c: Id, a: Id, b: Id) -> Result<Id, Unequal> {
        let both = self.shape(a).with(self.shape(b)).ok_or(Unequal)?;
        let shape = self.shape(c).with(both).ok_or(Unequal)?;
        if let Some(c) = self.scalar_constant(c) {
            let taken = if c == 0.0 { b } else { a };
            if self.shape(taken) == shape {
                return Ok(taken);
            }
        }
        Ok(self.make(Op::Select(c, a, b), shape, &[c, a, b], |g| {
            let mut out = vec![0.0; shape.len()];
            let walk = Walk {
                outer: 1,
                width: shape.len(),
            };
            kernels::select(
                walk,
                &mut out,
                g.arg(c, shape),
                g.arg(a, shape),
                g.arg(b, shape),
            );
            out
        }))
    }

    // ---- parts --------------------------------------------------------------------------------

    /// `len` elements from `start` on; one number if `len` is `None`.
    pub(super) fn slice(&mut self, x: Id, start: usize, len: Option<usize>) -> Id {
        let shape = len.map_or(Shape::Scalar, Shape::Vector);
        if shape == self.shape(x) {
            return x;
        }
        if let Op::Slice(of, first) = self.node(x).op {
            return self.slice(of, first + start, len);
        }
        self.make(Op::Slice(x, start), shape, &[x], |g| {
            g.constant(x).unwrap_or(&[])[start..start + shape.len()].to_vec()
        })
    }

    /// The elements at `places`, from 0.
    pub(super) fn gather(&mut self, x: Id, places: Vec<usize>) -> Id {
        let shape = Shape::Vector(places.len());
        if let Some(v) = self.constant(x) {
            let picked = places.iter().map(|p| v[*p]).collect();
            return self.vector(picked);
        }
        let pool = self.new_pool(places.iter().map(|p| *p as f64).collect());
        self.make(Op::Gather(x, pool), shape, &[x], |_| Vec::new())
    }

    // ---- reductions ---------------------------------------------------------------------------

    pub(super) fn sum(&mut self, x: Id) -> Id {
        self.sum_within(x, MAX_TERMS)
    }

    /// Factors and terms that are the same for all elements are taken out of the sum; a sum of
    /// products needs no vector of products.
    fn sum_within(&mut self, x: Id, terms: usize) -> Id {
        let Node { op, shape, .. } = self.node(x);
        let Shape::Vector(n) = shape else { return x };
        if self.constant(x).is_none() && terms > 0 {
            let is_scalar = |g: &Self, id: Id| g.shape(id) == Shape::Scalar;
            let taken = match op {
                Op::Map(Map::Neg, a) => {
                    let sum = self.sum_within(a, terms - 1);
                    Some(self.map(Map::Neg, sum))
                }
                Op::Map(Map::Square, a) => Some(self.make_dot(a, a)),
                Op::Zip(Zip::Mul, a, b) if is_scalar(self, b) => {
                    let sum = self.sum_within(a, terms - 1);
                    self.zip(Zip::Mul, sum, b).ok()
                }
                Op::Zip(Zip::Mul, a, b) if is_scalar(self, a) => {
                    let sum = self.sum_within(b, terms - 1);
                    self.zip(Zip::Mul, a, sum).ok()
                }
                Op::Zip(Zip::Mul, a, b) => Some(self.make_dot(a, b)),
                Op::Zip(f @ (Zip::Add | Zip::Sub), a, b)
                    if is_scalar(self, a) || is_scalar(self, b) =>
                {
                    let count = self.number(n as f64);
                    let part = |g: &mut Self, id: Id| {
                        if is_scalar(g, id) {
                            g.zip(Zip::Mul, count, id)
                        } else {
                            Ok(g.sum_within(id, terms - 1))
                        }
                    };
                    match (part(self, a), part(self, b)) {
                        (Ok(a), Ok(b)) => self.zip(f, a, b).ok(),
                        _ => None,
                    }
                }
                _ => None,
            };
            if let Some(taken) = taken {
                return taken;
            }
        }
        self.reduce(Op::Sum(x), x, |v| v.iter().sum())
    }

    pub(super) fn dot(&mut self, a: Id, b: Id) -> Result<Id, Unequal> {
        match (self.shape(a), self.shape(b)) {
            (Shape::Vector(n), Shape::Vector(m)) if n == m => Ok(self.make_dot(a, b)),
            _ => Err(Unequal),
        }
    }

    fn make_dot(&mut self, a: Id, b: Id) -> Id {
        let (a, b) = (a.min(b), a.max(b));
        self.make(Op::Dot(a, b), Shape::Scalar, &[a, b], |g| {
            let pairs = g
                .constant(a)
                .unwrap_or(&[])
                .iter()
                .zip(g.constant(b).unwrap_or(&[]));
            vec![pairs.map(|(a, b)| a * b).sum()]
        })
    }

    pub(super) fn log_sum_exp(&mut self, x: Id) -> Id {
        if self.shape(x) == Shape::Scalar {
            return x;
        }
        self.reduce(Op::LogSumExp(x), x, |v| {
            let mut out = [0.0];
            kernels::log_sum_exp(&mut out, v);
            out[0]
        })
    }

    pub(super) fn extreme(&mut self, largest: bool, x: Id) -> Id {
        if self.shape(x) == Shape::Scalar {
            return x;
        }
        self.reduce(Op::Extreme(largest, x), x, |v| {
            let mut out = [0.0];
            kernels::extreme(largest, &mut out, v);
            out[0]
        })
    }

    fn reduce(&mut self, op: Op, x: Id, f: impl FnOnce(&[f64]) -> f64) -> Id {
        self.make(op, Shape::Scalar, &[x], |g| {
            vec![f(g.constant(x).unwrap_or(&[]))]
        })
    }
}

/// A place in a list; a formula with 2³² nodes does not fit into a job file.
fn index(i: usize) -> u32 {
    u32::try_from(i).unwrap_or(u32::MAX)
}
