//! The functions of the language: what each is called, and what it becomes.

use super::kernels::{Map, Zip};

/// What a function becomes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Meaning {
    /// Elementwise, of one argument.
    Map(Map),
    /// Elementwise, of two arguments.
    Zip(Zip),
    /// `if(c, a, b)`.
    If,
    /// Of a vector to one number.
    Sum,
    Mean,
    Dot,
    Length,
    /// Of one vector to one number; elementwise, of two or more.
    Reduce(Reduction),
    /// A formula of its own, in these names.
    Formula(&'static [&'static str], &'static str),
    /// The same of counts, −∞ where they are none; constants that are none are a mistake.
    Counts(&'static [&'static str], &'static [Limit], &'static str),
}

/// What holds of an argument.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// Which argument it is.
    pub(super) of: usize,
    /// In the names of the function's arguments.
    pub(super) condition: &'static str,
    /// In words: the argument "must be" so.
    pub(super) words: &'static str,
    /// Whether an argument that depends on the coordinates is held to it as well.
    pub(super) always: bool,
}

const WHOLE: Limit = Limit {
    of: 0,
    condition: "k >= 0 && k < inf && k == floor(k)",
    words: "0 or a positive whole number",
    always: true,
};
const AT_MOST_N: Limit = Limit {
    of: 0,
    condition: "k <= n",
    words: "at most the number of trials",
    always: true,
};
/// A number of trials that is a coordinate is taken as a real number.
const WHOLE_TRIALS: Limit = Limit {
    of: 1,
    condition: "n >= 0 && n < inf && n == floor(n)",
    words: "0 or a positive whole number",
    always: false,
};
const ZERO_OR_ONE: Limit = Limit {
    of: 0,
    condition: "k == 0 || k == 1",
    words: "0 or 1",
    always: true,
};

/// What works on the elements of one vector, or elementwise on several arguments.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Reduction {
    Max,
    Min,
    LogSumExp,
}

impl Meaning {
    /// Fewest and most arguments.
    pub(super) fn arity(self) -> (usize, usize) {
        match self {
            Self::Map(_) | Self::Sum | Self::Mean | Self::Length => (1, 1),
            Self::Zip(_) | Self::Dot => (2, 2),
            Self::If => (3, 3),
            Self::Reduce(_) => (1, usize::MAX),
            Self::Formula(names, _) | Self::Counts(names, _, _) => (names.len(), names.len()),
        }
    }
}

/// Every function by name.
pub(super) const FUNCTIONS: &[(&str, Meaning)] = &[
    ("abs", Meaning::Map(Map::Abs)),
    ("acos", Meaning::Map(Map::Acos)),
    ("asin", Meaning::Map(Map::Asin)),
    ("atan", Meaning::Map(Map::Atan)),
    ("cos", Meaning::Map(Map::Cos)),
    ("cosh", Meaning::Map(Map::Cosh)),
    ("dot", Meaning::Dot),
    ("erf", Meaning::Map(Map::Erf)),
    ("exp", Meaning::Map(Map::Exp)),
    ("expm1", Meaning::Map(Map::Expm1)),
    ("floor", Meaning::Map(Map::Floor)),
    ("if", Meaning::If),
    ("length", Meaning::Length),
    ("lgamma", Meaning::Map(Map::Lgamma)),
    ("log", Meaning::Map(Map::Log)),
    ("log1p", Meaning::Map(Map::Log1p)),
    ("log1p_exp", Meaning::Map(Map::Softplus)),
    ("log_sum_exp", Meaning::Reduce(Reduction::LogSumExp)),
    ("logistic", Meaning::Map(Map::Logistic)),
    ("max", Meaning::Reduce(Reduction::Max)),
    ("mean", Meaning::Mean),
    ("min", Meaning::Reduce(Reduction::Min)),
    ("pow", Meaning::Zip(Zip::Pow)),
    ("sigmoid", Meaning::Map(Map::Logistic)),
    ("sin", Meaning::Map(Map::Sin)),
    ("sinh", Meaning::Map(Map::Sinh)),
    ("softplus", Meaning::Map(Map::Softplus)),
    ("sqrt", Meaning::Map(Map::Sqrt)),
    ("square", Meaning::Map(Map::Square)),
    ("sum", Meaning::Sum),
    ("tan", Meaning::Map(Map::Tan)),
    ("tanh", Meaning::Map(Map::Tanh)),
    // Log densities, normalised over their first argument.
    (
        "normal_lpdf",
        Meaning::Formula(
            &["x", "m", "s"],
            "-0.5 * ((x - m) / s)^2 - log(s) - 0.5 * log(2 * pi)",
        ),
    ),
    (
        "lognormal_lpdf",
        Meaning::Formula(
            &["x", "m", "s"],
            "if(x > 0, -0.5 * ((log(x) - m) / s)^2 - log(s) - 0.5 * log(2 * pi) - log(x), -inf)",
        ),
    ),
    (
        "student_t_lpdf",
        Meaning::Formula(
            &["x", "nu", "m", "s"],
            "lgamma((nu + 1) / 2) - lgamma(nu / 2) - 0.5 * log(pi * nu) - log(s) \
         - 0.5 * (nu + 1) * log1p(((x - m) / s)^2 / nu)",
        ),
    ),
    (
        "cauchy_lpdf",
        Meaning::Formula(&["x", "m", "s"], "-log(pi * s) - log1p(((x - m) / s)^2)"),
    ),
    (
        "laplace_lpdf",
        Meaning::Formula(&["x", "m", "s"], "-abs(x - m) / s - log(2 * s)"),
    ),
    (
        "exponential_lpdf",
        Meaning::Formula(&["x", "rate"], "if(x >= 0, log(rate) - rate * x, -inf)"),
    ),
    (
        "gamma_lpdf",
        Meaning::Formula(
            &["x", "a", "rate"],
            "if(x > 0, a * log(rate) - lgamma(a) + (a - 1) * log(x) - rate * x, -inf)",
        ),
    ),
    (
        "beta_lpdf",
        Meaning::Formula(
            &["x", "a", "b"],
            "if(x > 0 && x < 1, lgamma(a + b) - lgamma(a) - lgamma(b) \
         + (a - 1) * log(x) + (b - 1) * log1p(-x), -inf)",
        ),
    ),
    (
        "uniform_lpdf",
        Meaning::Formula(&["x", "a", "b"], "if(x >= a && x <= b, -log(b - a), -inf)"),
    ),
    (
        "bernoulli_logit_lpmf",
        Meaning::Counts(&["k", "l"], &[ZERO_OR_ONE], "k * l - log1p_exp(l)"),
    ),
    (
        "binomial_logit_lpmf",
        Meaning::Counts(
            &["k", "n", "l"],
            &[WHOLE, WHOLE_TRIALS, AT_MOST_N],
            "lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * l - n * log1p_exp(l)",
        ),
    ),
    (
        "poisson_lpmf",
        Meaning::Counts(
            &["k", "rate"],
            &[WHOLE],
            "k * log(rate) - rate - lgamma(k + 1)",
        ),
    ),
    (
        "poisson_log_lpmf",
        Meaning::Counts(&["k", "l"], &[WHOLE], "k * l - exp(l) - lgamma(k + 1)"),
    ),
];

/// The function of that name.
pub(super) fn function(name: &str) -> Option<Meaning> {
    FUNCTIONS.iter().find(|(n, _)| *n == name).map(|(_, f)| *f)
}

/// Constants that need no definition.
pub(super) const NUMBERS: &[(&str, f64)] = &[("pi", std::f64::consts::PI), ("inf", f64::INFINITY)];

/// What a name that a user gives is taken by already, if it is.
pub(super) fn reserved(name: &str) -> Option<&'static str> {
    if function(name).is_some() {
        Some("the name of a function")
    } else if NUMBERS.iter().any(|(n, _)| *n == name) {
        Some("a constant of the language")
    } else {
        None
    }
}
