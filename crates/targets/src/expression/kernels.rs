//! Functions of one and of two numbers with their derivatives, as loops over blocks of rows.
//!
//! Each function is written once, with its pull-back: what it adds to the adjoint of its argument,
//! given its own adjoint g, argument x and value v. Loops hold only exact IEEE operations and scalar
//! calls of the library, so a row has the same bits however the compiler vectorises them.
//!
//! An adjoint of 0 adds nothing, whatever the derivative: it is that of a branch not taken, whose
//! derivative may well be NaN.

use retrograde_core::numeric::{sigmoid, softplus};
use statrs::function::gamma::digamma;
use std::f64::consts::FRAC_2_SQRT_PI;

/// g · slope, and 0 where g is 0.
#[inline(always)]
fn pull(g: f64, slope: f64) -> f64 {
    if g == 0.0 { 0.0 } else { g * slope }
}

fn number(b: bool) -> f64 {
    f64::from(u8::from(b))
}

/// ln(eᵃ + eᵇ).
fn log_add_exp(a: f64, b: f64) -> f64 {
    // Equal infinities have no difference.
    let gap = if a == b { 0.0 } else { -(a - b).abs() };
    maximum(a, b) + gap.exp().ln_1p()
}

/// Unlike `f64::max`, NaN if one of the two is.
fn maximum(a: f64, b: f64) -> f64 {
    if a > b || a.is_nan() { a } else { b }
}

fn minimum(a: f64, b: f64) -> f64 {
    if a < b || a.is_nan() { a } else { b }
}

/// The share of the gradient that goes to the one argument: all, none, or half of a tie.
fn share(wins: bool, ties: bool) -> f64 {
    if ties { 0.5 } else { number(wins) }
}

/// The weight of a term of a sum of exponentials, given its logarithm and that of the sum.
fn weight(term: f64, sum: f64) -> f64 {
    if sum == f64::NEG_INFINITY {
        0.0
    } else {
        (term - sum).exp()
    }
}

/// Functions of one number: `Name: value; pull-back`. Those without a slope have one of 0 wherever
/// they have any.
macro_rules! maps {
    ($($name:ident: |$x:ident| $value:expr; |$g:ident, $a:pat_param, $v:pat_param| $back:expr,)+
     ; flat $($flat:ident: |$y:ident| $step:expr,)+) => {
        /// A function of one number.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(super) enum Map { $($name,)+ $($flat,)+ }

        impl Map {
            /// Its value.
            pub(super) fn of(self, x: f64) -> f64 {
                match self {
                    $(Self::$name => { let $x = x; $value })+
                    $(Self::$flat => { let $y = x; $step })+
                }
            }

            /// Whether it has a slope that is not 0.
            pub(super) fn slopes(self) -> bool {
                match self { $(Self::$name => true,)+ $(Self::$flat => false,)+ }
            }

            /// Writes its values.
            pub(super) fn forward(self, out: &mut [f64], x: &[f64]) {
                match self {
                    $(Self::$name => out.iter_mut().zip(x).for_each(|(o, x)| { let $x = *x; *o = $value }),)+
                    $(Self::$flat => out.iter_mut().zip(x).for_each(|(o, x)| { let $y = *x; *o = $step }),)+
                }
            }

            /// Adds to the adjoint `to` of x, given values v with adjoint g.
            pub(super) fn backward(self, to: &mut [f64], g: &[f64], x: &[f64], v: &[f64]) {
                match self {
                    $(Self::$name => {
                        for (((to, g), x), v) in to.iter_mut().zip(g).zip(x).zip(v) {
                            let ($g, $a, $v) = (*g, *x, *v);
                            *to += $back;
                        }
                    })+
                    $(Self::$flat => {})+
                }
            }
        }
    };
}

maps! {
    Neg: |x| -x; |g, _, _| -g,
    Abs: |x| x.abs(); |g, x, _| pull(g, number(x > 0.0) - number(x < 0.0)),
    Square: |x| x * x; |g, x, _| pull(g, 2.0 * x),
    Cube: |x| x * x * x; |g, x, _| pull(g, 3.0 * x * x),
    Inverse: |x| 1.0 / x; |g, _, v| pull(g, -v * v),
    Sqrt: |x| x.sqrt(); |g, _, v| pull(g, 0.5 / v),
    Exp: |x| x.exp(); |g, _, v| pull(g, v),
    Expm1: |x| x.exp_m1(); |g, x, _| pull(g, x.exp()),
    Log: |x| x.ln(); |g, x, _| pull(g, if x < 0.0 { f64::NAN } else { 1.0 / x }),
    Log1p: |x| x.ln_1p(); |g, x, _| pull(g, if x < -1.0 { f64::NAN } else { 1.0 / (1.0 + x) }),
    Sin: |x| x.sin(); |g, x, _| pull(g, x.cos()),
    Cos: |x| x.cos(); |g, x, _| pull(g, -x.sin()),
    Tan: |x| x.tan(); |g, _, v| pull(g, 1.0 + v * v),
    Asin: |x| x.asin(); |g, x, _| pull(g, 1.0 / ((1.0 - x) * (1.0 + x)).sqrt()),
    Acos: |x| x.acos(); |g, x, _| pull(g, -1.0 / ((1.0 - x) * (1.0 + x)).sqrt()),
    Atan: |x| x.atan(); |g, x, _| pull(g, 1.0 / (1.0 + x * x)),
    Sinh: |x| x.sinh(); |g, x, _| pull(g, x.cosh()),
    Cosh: |x| x.cosh(); |g, x, _| pull(g, x.sinh()),
    // 1 − tanh² without its cancellation.
    Tanh: |x| x.tanh(); |g, x, _| pull(g, x.cosh().powi(-2)),
    Logistic: |x| sigmoid(x); |g, x, v| pull(g, v * sigmoid(-x)),
    Softplus: |x| softplus(x); |g, x, _| pull(g, sigmoid(x)),
    Erf: |x| libm::erf(x); |g, x, _| pull(g, FRAC_2_SQRT_PI * (-x * x).exp()),
    Lgamma: |x| libm::lgamma(x); |g, x, _| pull(g, digamma(x)),
    ; flat
    Floor: |x| x.floor(),
    Not: |x| number(x == 0.0),
}

/// Functions of two numbers: `Name: value; pull-back to the first; to the second`.
macro_rules! zips {
    ($($name:ident: |$a:ident, $b:ident| $value:expr; |$ga:ident, $aa:pat_param, $ba:pat_param, $va:pat_param| $to_a:expr; |$gb:ident, $ab:pat_param, $bb:pat_param, $vb:pat_param| $to_b:expr,)+
     ; flat $($flat:ident: |$c:ident, $d:ident| $step:expr,)+) => {
        /// A function of two numbers.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(super) enum Zip { $($name,)+ $($flat,)+ }

        impl Zip {
            /// Whether it has slopes that are not 0.
            pub(super) fn slopes(self) -> bool {
                match self { $(Self::$name => true,)+ $(Self::$flat => false,)+ }
            }

            /// Writes its values.
            pub(super) fn forward(self, walk: Walk, out: &mut [f64], a: Arg<'_>, b: Arg<'_>) {
                match self {
                    $(Self::$name => zip(walk, out, a, b, |$a, $b| $value),)+
                    $(Self::$flat => zip(walk, out, a, b, |$c, $d| $step),)+
                }
            }

            /// Adds to the adjoint `to` of a (with the stride of a), given values v with adjoint g.
            pub(super) fn backward_a(self, walk: Walk, to: (&mut [f64], usize), g: &[f64], a: Arg<'_>, b: Arg<'_>, v: &[f64]) {
                match self {
                    $(Self::$name => back(walk, to, g, a, b, v, |$ga, $aa, $ba, $va| $to_a),)+
                    $(Self::$flat => {})+
                }
            }

            /// As `backward_a` for b: the call has the adjoint's own argument first.
            pub(super) fn backward_b(self, walk: Walk, to: (&mut [f64], usize), g: &[f64], b: Arg<'_>, a: Arg<'_>, v: &[f64]) {
                match self {
                    $(Self::$name => back(walk, to, g, b, a, v, |$gb, $bb, $ab, $vb| $to_b),)+
                    $(Self::$flat => {})+
                }
            }
        }
    };
}

zips! {
    Add: |a, b| a + b; |g, _, _, _| g; |g, _, _, _| g,
    Sub: |a, b| a - b; |g, _, _, _| g; |g, _, _, _| -g,
    Mul: |a, b| a * b; |g, _, b, _| pull(g, b); |g, a, _, _| pull(g, a),
    Div: |a, b| a / b; |g, _, b, _| pull(g, 1.0 / b); |g, _, b, v| pull(g, -v / b),
    // x⁰ is 1 with slope 0 at x = 0 too, and 0ʸ is flat in y > 0.
    Pow: |a, b| a.powf(b);
        |g, a, b, _| pull(g, if b == 0.0 { 0.0 } else { b * a.powf(b - 1.0) });
        |g, a, b, v| pull(g, if a == 0.0 && b > 0.0 { 0.0 } else { v * a.ln() }),
    Max: |a, b| maximum(a, b);
        |g, a, b, _| g * share(a > b, a == b); |g, a, b, _| g * share(b > a, a == b),
    Min: |a, b| minimum(a, b);
        |g, a, b, _| g * share(a < b, a == b); |g, a, b, _| g * share(b < a, a == b),
    LogAddExp: |a, b| log_add_exp(a, b);
        |g, a, _, v| pull(g, weight(a, v)); |g, _, b, v| pull(g, weight(b, v)),
    ; flat
    Lt: |a, b| number(a < b),
    Le: |a, b| number(a <= b),
    Eq: |a, b| number(a == b),
    Ne: |a, b| number(a != b),
    And: |a, b| number(a != 0.0 && b != 0.0),
    Or: |a, b| number(a != 0.0 || b != 0.0),
}

/// How a loop over the elements of a value goes: `outer` times `width` numbers that lie together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    pub(super) outer: usize,
    pub(super) width: usize,
}

/// An argument in a walk.
#[derive(Debug, Clone, Copy)]
pub(super) enum Arg<'a> {
    /// `width` numbers for each outer step, from step · stride on.
    Rows(&'a [f64], usize),
    /// One number for each outer step, at step · stride.
    One(&'a [f64], usize),
}

impl Arg<'_> {
    /// The number at an outer step and a place in it.
    #[inline]
    pub(super) fn at(self, k: usize, r: usize) -> f64 {
        match self {
            Arg::Rows(x, stride) => x[k * stride + r],
            Arg::One(x, stride) => x[k * stride],
        }
    }
}

#[inline(always)]
fn zip(walk: Walk, out: &mut [f64], a: Arg<'_>, b: Arg<'_>, f: impl Fn(f64, f64) -> f64) {
    let w = walk.width;
    for (k, out) in out.chunks_exact_mut(w).enumerate() {
        match (a, b) {
            (Arg::Rows(a, sa), Arg::Rows(b, sb)) => {
                let (a, b) = (&a[k * sa..][..w], &b[k * sb..][..w]);
                for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
                    *o = f(*a, *b);
                }
            }
            (Arg::Rows(a, sa), Arg::One(b, sb)) => {
                let (a, b) = (&a[k * sa..][..w], b[k * sb]);
                out.iter_mut().zip(a).for_each(|(o, a)| *o = f(*a, b));
            }
            (Arg::One(a, sa), Arg::Rows(b, sb)) => {
                let (a, b) = (a[k * sa], &b[k * sb..][..w]);
                out.iter_mut().zip(b).for_each(|(o, b)| *o = f(a, *b));
            }
            (Arg::One(a, sa), Arg::One(b, sb)) => out.fill(f(a[k * sa], b[k * sb])),
        }
    }
}

/// `own` is the argument whose adjoint is added to; it varies, so it is no constant.
#[inline(always)]
fn back(
    walk: Walk,
    (to, stride): (&mut [f64], usize),
    g: &[f64],
    own: Arg<'_>,
    other: Arg<'_>,
    v: &[f64],
    f: impl Fn(f64, f64, f64, f64) -> f64,
) {
    let w = walk.width;
    let Arg::Rows(own, s) = own else { return };
    for k in 0..walk.outer {
        let to = &mut to[k * stride..][..w];
        let (g, v, own) = (&g[k * w..][..w], &v[k * w..][..w], &own[k * s..][..w]);
        match other {
            Arg::Rows(b, sb) => {
                let b = &b[k * sb..][..w];
                for ((((to, g), a), b), v) in to.iter_mut().zip(g).zip(own).zip(b).zip(v) {
                    *to += f(*g, *a, *b, *v);
                }
            }
            Arg::One(b, sb) => {
                let b = b[k * sb];
                for (((to, g), a), v) in to.iter_mut().zip(g).zip(own).zip(v) {
                    *to += f(*g, *a, b, *v);
                }
            }
        }
    }
}

/// out[r] = Σₖ a[k, r] b[k, r].
pub(super) fn dot(walk: Walk, out: &mut [f64], a: Arg<'_>, b: Arg<'_>) {
    out.fill(0.0);
    let w = walk.width;
    for k in 0..walk.outer {
        match (a, b) {
            (Arg::Rows(a, sa), Arg::Rows(b, sb)) => {
                let (a, b) = (&a[k * sa..][..w], &b[k * sb..][..w]);
                for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
                    *o += a * b;
                }
            }
            (Arg::Rows(a, sa), Arg::One(b, sb)) | (Arg::One(b, sb), Arg::Rows(a, sa)) => {
                let (a, b) = (&a[k * sa..][..w], b[k * sb]);
                out.iter_mut().zip(a).for_each(|(o, a)| *o += a * b);
            }
            (Arg::One(a, sa), Arg::One(b, sb)) => {
                let c = a[k * sa] * b[k * sb];
                out.iter_mut().for_each(|o| *o += c);
            }
        }
    }
}

/// to[k, r] += times g[r] b[k, r].
pub(super) fn dot_backward(walk: Walk, times: f64, to: &mut [f64], g: &[f64], b: Arg<'_>) {
    for (k, to) in to.chunks_exact_mut(walk.width).enumerate() {
        match b {
            Arg::Rows(b, sb) => {
                let b = &b[k * sb..][..walk.width];
                for ((to, g), b) in to.iter_mut().zip(g).zip(b) {
                    *to += pull(*g, times * *b);
                }
            }
            Arg::One(b, sb) => {
                let b = b[k * sb];
                to.iter_mut()
                    .zip(g)
                    .for_each(|(to, g)| *to += pull(*g, times * b));
            }
        }
    }
}

/// out[r] = Σₖ x[k, r].
pub(super) fn sum(out: &mut [f64], x: &[f64]) {
    out.fill(0.0);
    for x in x.chunks_exact(out.len()) {
        out.iter_mut().zip(x).for_each(|(o, x)| *o += x);
    }
}

/// to[k, r] += g[r].
pub(super) fn sum_backward(to: &mut [f64], g: &[f64]) {
    for to in to.chunks_exact_mut(g.len()) {
        to.iter_mut().zip(g).for_each(|(to, g)| *to += g);
    }
}

/// out[r] = ln Σₖ exp x[k, r].
pub(super) fn log_sum_exp(out: &mut [f64], x: &[f64]) {
    let w = out.len();
    out.copy_from_slice(&x[..w]);
    for x in x.chunks_exact(w).skip(1) {
        out.iter_mut()
            .zip(x)
            .for_each(|(o, x)| *o = maximum(*o, *x));
    }
    for (r, o) in out.iter_mut().enumerate() {
        let max = *o;
        if max.is_finite() {
            *o += x[r..]
                .iter()
                .step_by(w)
                .map(|x| (x - max).exp())
                .sum::<f64>()
                .ln();
        }
    }
}

/// to[k, r] += g[r] exp(x[k, r] − v[r]).
pub(super) fn log_sum_exp_backward(to: &mut [f64], g: &[f64], x: &[f64], v: &[f64]) {
    let w = g.len();
    for (to, x) in to.chunks_exact_mut(w).zip(x.chunks_exact(w)) {
        for (((to, g), x), v) in to.iter_mut().zip(g).zip(x).zip(v) {
            *to += pull(*g, weight(*x, *v));
        }
    }
}

/// out[r] = the extreme of x[·, r].
pub(super) fn extreme(largest: bool, out: &mut [f64], x: &[f64]) {
    let pick = if largest { maximum } else { minimum };
    let w = out.len();
    out.copy_from_slice(&x[..w]);
    for x in x.chunks_exact(w).skip(1) {
        out.iter_mut().zip(x).for_each(|(o, x)| *o = pick(*o, *x));
    }
}

/// The gradient goes to the extreme element, in equal shares to several.
pub(super) fn extreme_backward(to: &mut [f64], g: &[f64], x: &[f64], v: &[f64]) {
    let w = g.len();
    for r in 0..w {
        let ties = x[r..].iter().step_by(w).filter(|x| **x == v[r]).count();
        for (to, x) in to[r..].iter_mut().step_by(w).zip(x[r..].iter().step_by(w)) {
            if *x == v[r] {
                *to += g[r] / ties as f64;
            }
        }
    }
}

/// out[k, r] = the k-th element of x that `places` names.
pub(super) fn gather(out: &mut [f64], x: &[f64], width: usize, places: &[usize]) {
    for (out, place) in out.chunks_exact_mut(width).zip(places) {
        out.copy_from_slice(&x[place * width..][..width]);
    }
}

/// The adjoint of `gather`.
pub(super) fn gather_backward(to: &mut [f64], g: &[f64], width: usize, places: &[usize]) {
    for (g, place) in g.chunks_exact(width).zip(places) {
        let to = &mut to[place * width..][..width];
        to.iter_mut().zip(g).for_each(|(to, g)| *to += g);
    }
}

/// out = a where c ≠ 0, else b.
pub(super) fn select(walk: Walk, out: &mut [f64], c: Arg<'_>, a: Arg<'_>, b: Arg<'_>) {
    for (k, out) in out.chunks_exact_mut(walk.width).enumerate() {
        for (r, o) in out.iter_mut().enumerate() {
            *o = if c.at(k, r) == 0.0 {
                b.at(k, r)
            } else {
                a.at(k, r)
            };
        }
    }
}

/// Adds g to the adjoint of the branch that is taken where (c ≠ 0) = `when`.
pub(super) fn select_backward(
    walk: Walk,
    (to, stride): (&mut [f64], usize),
    g: &[f64],
    c: Arg<'_>,
    when: bool,
) {
    for (k, g) in g.chunks_exact(walk.width).enumerate() {
        for (r, g) in g.iter().enumerate() {
            if (c.at(k, r) != 0.0) == when {
                to[k * stride + r] += g;
            }
        }
    }
}
