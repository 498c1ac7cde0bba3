//! From the nodes of a formula to its graph: names, shapes and arguments are checked here.

use super::functions::{FUNCTIONS, Limit, Meaning, NUMBERS, Reduction, function, reserved};
use super::graph::{Graph, Id, Shape, Unequal};
use super::kernels::{Map, Zip};
use super::mistake::{Mistake, quoted};
use super::syntax::{At, Formula, Infixed, Node, Part, parse};
use retrograde_core::registry::nearest;
use std::collections::BTreeMap;
use std::ops::Range;

/// What a name of a job stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    pub(super) id: Id,
    /// What it is, for messages: `a coordinate`.
    pub(super) what: &'static str,
}

/// Names and what they stand for.
pub(super) type Scope = BTreeMap<String, Named>;

/// The value of a formula, which may have any shape.
pub(super) fn compile(graph: &mut Graph, scope: Scope, text: &str) -> Result<Id, Mistake> {
    let formula = parse(text)?;
    let mut compiler = Compiler {
        graph,
        scope,
        text,
        formula: &formula,
        ids: Vec::new(),
    };
    let mut value = None;
    for statement in &formula.statements {
        for at in statement.nodes.clone() {
            let id = compiler.node(&formula.nodes[at])?;
            compiler.ids.push(id);
        }
        let id = compiler.ids[statement.value];
        match &statement.name {
            Some((name, span)) => compiler.define(name, span, id)?,
            None => value = Some(id),
        }
    }
    value.ok_or_else(|| Mistake::new(0..0, "the formula has no value"))
}

/// The log density: a formula whose value is one number.
pub(super) fn log_density(graph: &mut Graph, scope: Scope, text: &str) -> Result<Id, Mistake> {
    let id = compile(graph, scope, text)?;
    if let Shape::Vector(n) = graph.shape(id) {
        let begin = parse(text).ok().and_then(|f| {
            let last = f.statements.last()?.value;
            Some(f.nodes[last].span.clone())
        });
        let message = format!(
            "the log density is a vector of {n}, but must be one number; wrap it in `sum(...)`"
        );
        return Err(Mistake::new(begin.unwrap_or(0..0), message));
    }
    Ok(id)
}

struct Compiler<'a, 'f> {
    graph: &'a mut Graph,
    scope: Scope,
    text: &'f str,
    formula: &'a Formula<'f>,
    /// The graph's node of each node of the formula so far.
    ids: Vec<Id>,
}

impl Compiler<'_, '_> {
    fn define(&mut self, name: &str, span: &Range<usize>, id: Id) -> Result<(), Mistake> {
        if let Some(what) = reserved(name) {
            let message = format!("`{name}` is {what}; choose another name");
            return Err(Mistake::new(span.clone(), message));
        }
        if let Some(taken) = self.scope.get(name) {
            let message = format!("`{name}` is {} already; choose another name", taken.what);
            return Err(Mistake::new(span.clone(), message));
        }
        let named = Named {
            id,
            what: "defined",
        };
        self.scope.insert(name.to_owned(), named);
        Ok(())
    }

    fn node(&mut self, node: &Node<'_>) -> Result<Id, Mistake> {
        match &node.part {
            Part::Number(v) => Ok(self.graph.number(*v)),
            Part::Name(name) => self.name(name, &node.span),
            Part::Neg(a) => Ok(self.graph.map(Map::Neg, self.ids[*a])),
            Part::Not(a) => Ok(self.graph.map(Map::Not, self.ids[*a])),
            Part::Infixed(op, a, b) => {
                let (x, y) = (self.ids[*a], self.ids[*b]);
                let (f, x, y) = match op {
                    Infixed::Add => (Zip::Add, x, y),
                    Infixed::Sub => (Zip::Sub, x, y),
                    Infixed::Mul => (Zip::Mul, x, y),
                    Infixed::Div => (Zip::Div, x, y),
                    Infixed::Pow => (Zip::Pow, x, y),
                    Infixed::Lt => (Zip::Lt, x, y),
                    Infixed::Le => (Zip::Le, x, y),
                    Infixed::Gt => (Zip::Lt, y, x),
                    Infixed::Ge => (Zip::Le, y, x),
                    Infixed::Eq => (Zip::Eq, x, y),
                    Infixed::Ne => (Zip::Ne, x, y),
                    Infixed::And => (Zip::And, x, y),
                    Infixed::Or => (Zip::Or, x, y),
                };
                let zipped = self.graph.zip(f, x, y);
                zipped.map_err(|Unequal| self.unequal(node, &[*a, *b]))
            }
            Part::Index(of, place) => self.element(*of, *place),
            Part::Range(of, from, to) => self.range(*of, *from, *to),
            Part::Call { name, called, args } => self.call(node, name, called.clone(), args),
        }
    }

    fn name(&self, name: &str, span: &Range<usize>) -> Result<Id, Mistake> {
        if let Some(named) = self.scope.get(name) {
            return Ok(named.id);
        }
        if function(name).is_some() {
            let message = format!("`{name}` is a function; write its arguments, `{name}(...)`");
            return Err(Mistake::new(span.clone(), message));
        }
        let names = self.scope.keys().map(String::as_str);
        let hint = match nearest(name, names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let shown: Vec<String> = names.take(12).map(|n| format!("`{n}`")).collect();
                let dots = if self.scope.len() > 12 { ", …" } else { "" };
                format!("the names are {}{dots}", shown.join(", "))
            }
        };
        Err(Mistake::new(
            span.clone(),
            format!("there is no name `{name}`; {hint}"),
        ))
    }

    fn call(
        &mut self,
        node: &Node<'_>,
        name: &str,
        called: Range<usize>,
        args: &[At],
    ) -> Result<Id, Mistake> {
        let Some(meaning) = function(name) else {
            let message = if self.scope.contains_key(name) {
                format!("`{name}` is not a function; to multiply write `{name} * (...)`")
            } else {
                let hint = match nearest(name, FUNCTIONS.iter().map(|(n, _)| *n)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "`retrograde describe expression` lists them".into(),
                };
                format!("there is no function `{name}`; {hint}")
            };
            return Err(Mistake::new(called, message));
        };
        let (least, most) = meaning.arity();
        if args.len() < least || args.len() > most {
            let expected = match (least, most) {
                (1, 1) => "1 argument".into(),
                (n, m) if n == m => format!("{n} arguments"),
                (n, _) => format!("{n} argument or more"),
            };
            let mut message = format!("`{name}` expects {expected}, but got {}", args.len());
            if let Meaning::Formula(names, _) | Meaning::Counts(names, _, _) = meaning {
                message = format!("{message}: it is `{name}({})`", names.join(", "));
            }
            return Err(Mistake::new(node.span.clone(), message));
        }
        let ids: Vec<Id> = args.iter().map(|a| self.ids[*a]).collect();
        let g = &mut *self.graph;
        let unequal = match meaning {
            Meaning::Map(f) => return Ok(g.map(f, ids[0])),
            Meaning::Zip(f) => g.zip(f, ids[0], ids[1]),
            Meaning::If => g.select(ids[0], ids[1], ids[2]),
            Meaning::Sum => return Ok(g.sum(ids[0])),
            Meaning::Mean => {
                let (sum, count) = (g.sum(ids[0]), g.shape(ids[0]).len() as f64);
                let count = g.number(count);
                g.zip(Zip::Div, sum, count)
            }
            Meaning::Length => return Ok(g.number(g.shape(ids[0]).len() as f64)),
            Meaning::Dot => {
                if let Some(i) = ids.iter().position(|id| g.shape(*id) == Shape::Scalar) {
                    let arg = &self.formula.nodes[args[i]];
                    let message = format!(
                        "`dot` expects two vectors, but {} is one number",
                        quoted(&self.text[arg.span.clone()])
                    );
                    return Err(Mistake::new(arg.span.clone(), message));
                }
                g.dot(ids[0], ids[1])
            }
            Meaning::Reduce(r) => match (r, ids.as_slice()) {
                (Reduction::Max, [x]) => return Ok(g.extreme(true, *x)),
                (Reduction::Min, [x]) => return Ok(g.extreme(false, *x)),
                (Reduction::LogSumExp, [x]) => return Ok(g.log_sum_exp(*x)),
                (_, several) => {
                    let f = match r {
                        Reduction::Max => Zip::Max,
                        Reduction::Min => Zip::Min,
                        Reduction::LogSumExp => Zip::LogAddExp,
                    };
                    several[1..]
                        .iter()
                        .try_fold(several[0], |all, x| g.zip(f, all, *x))
                }
            },
            Meaning::Formula(names, body) | Meaning::Counts(names, _, body) => {
                // Lengths are told of the arguments, in the words of the user.
                let mut shapes = ids.iter().map(|id| g.shape(*id));
                let lengths = shapes.find(|s| *s != Shape::Scalar);
                if shapes.any(|s| s != Shape::Scalar && Some(s) != lengths) {
                    Err(Unequal)
                } else {
                    let limits = match meaning {
                        Meaning::Counts(_, limits, _) => limits,
                        _ => &[],
                    };
                    return self.formula(node, (name, names), args, limits, body);
                }
            }
        };
        unequal.map_err(|Unequal| self.unequal(node, args))
    }

    /// A function that is a formula in the names of its arguments, −∞ where `limits` do not hold.
    fn formula(
        &mut self,
        node: &Node<'_>,
        (function, names): (&str, &[&str]),
        args: &[At],
        limits: &[Limit],
        body: &str,
    ) -> Result<Id, Mistake> {
        let named = names.iter().zip(args).map(|(name, at)| {
            let named = Named {
                id: self.ids[*at],
                what: "an argument",
            };
            ((*name).to_owned(), named)
        });
        let mut scope: Scope = named.collect();
        add_numbers(self.graph, &mut scope);
        let whole = |m: Mistake| Mistake::new(node.span.clone(), m.message);
        let mut value = compile(self.graph, scope.clone(), body).map_err(whole)?;
        for limit in limits {
            let holds = compile(self.graph, scope.clone(), limit.condition).map_err(whole)?;
            match self.graph.constant(holds) {
                Some(all) => {
                    if let Some(place) = all.iter().position(|c| *c == 0.0) {
                        let name = names[limit.of];
                        return Err(self.outside(args[limit.of], place, (function, name), limit));
                    }
                }
                None if limit.always => {
                    let nothing = self.graph.number(f64::NEG_INFINITY);
                    let select = self.graph.select(holds, value, nothing);
                    value = select.map_err(|Unequal| self.unequal(node, args))?;
                }
                None => {}
            }
        }
        Ok(value)
    }

    /// A constant argument, or the element at `place` of one, that is not what it must be.
    fn outside(
        &self,
        arg: At,
        place: usize,
        (function, name): (&str, &str),
        limit: &Limit,
    ) -> Mistake {
        let (id, span) = (self.ids[arg], &self.formula.nodes[arg].span);
        let numbers = self.graph.constant(id).unwrap_or(&[]);
        let text = quoted(&self.text[span.clone()]);
        let is = match (self.graph.shape(id), numbers) {
            (Shape::Scalar, [v]) => format!("{text} is {v}"),
            (_, v) => match v.get(place) {
                Some(v) => format!("element {} of {text} is {v}", place + 1),
                None => format!("{text} is not right"),
            },
        };
        let words = limit.words;
        let message = format!("{is}, but `{name}` of `{function}` must be {words}");
        Mistake::new(span.clone(), message)
    }

    /// What is wrong where vectors of different length meet.
    fn unequal(&self, node: &Node<'_>, args: &[At]) -> Mistake {
        let vectors: Vec<(String, usize)> = args
            .iter()
            .filter_map(|a| match self.graph.shape(self.ids[*a]) {
                Shape::Scalar => None,
                Shape::Vector(n) => {
                    Some((quoted(&self.text[self.formula.nodes[*a].span.clone()]), n))
                }
            })
            .collect();
        let message = match vectors.first() {
            Some((first, n)) => match vectors.iter().find(|(_, m)| m != n) {
                Some((other, m)) => format!(
                    "{first} has {n} elements, but {other} has {m}; vectors that meet must have \
                     the same length"
                ),
                None => "vectors of different length meet".into(),
            },
            None => "vectors of different length meet".into(),
        };
        Mistake::new(node.span.clone(), message)
    }

    /// The vector that is indexed, and its length.
    fn indexed(&self, of: At) -> Result<(Id, usize, String), Mistake> {
        let (id, span) = (self.ids[of], &self.formula.nodes[of].span);
        let name = quoted(&self.text[span.clone()]);
        match self.graph.shape(id) {
            Shape::Vector(n) => Ok((id, n, name)),
            Shape::Scalar => {
                let message = format!("{name} is one number, which has no elements");
                Err(Mistake::new(span.clone(), message))
            }
        }
    }

    /// Places in a vector of `n`, from 0.
    fn places(&self, at: At, n: usize, name: &str) -> Result<Vec<usize>, Mistake> {
        let span = &self.formula.nodes[at].span;
        let Some(numbers) = self.graph.constant(self.ids[at]) else {
            let message = format!(
                "the index {} depends on the coordinates, but must be constant",
                quoted(&self.text[span.clone()])
            );
            return Err(Mistake::new(span.clone(), message));
        };
        let place = |v: &f64| {
            if *v >= 1.0 && *v <= n as f64 && v.fract() == 0.0 {
                return Ok(*v as usize - 1);
            }
            let message = format!("the index {v} of {name} must be a whole number from 1 to {n}");
            Err(Mistake::new(span.clone(), message))
        };
        numbers.iter().map(place).collect()
    }

    fn element(&mut self, of: At, at: At) -> Result<Id, Mistake> {
        let (x, n, name) = self.indexed(of)?;
        let places = self.places(at, n, &name)?;
        Ok(match (self.graph.shape(self.ids[at]), places.as_slice()) {
            (Shape::Scalar, [place]) => self.graph.slice(x, *place, None),
            _ => self.graph.gather(x, places),
        })
    }

    fn range(&mut self, of: At, from: At, to: At) -> Result<Id, Mistake> {
        let (x, n, name) = self.indexed(of)?;
        let mut ends = [0; 2];
        for (end, at) in ends.iter_mut().zip([from, to]) {
            *end = match self.places(at, n, &name)?.as_slice() {
                [place] => *place,
                _ => {
                    let span = self.formula.nodes[at].span.clone();
                    return Err(Mistake::new(
                        span,
                        "the ends of a slice are one number each",
                    ));
                }
            };
        }
        let [first, last] = ends;
        if first > last {
            let span = self.formula.nodes[from].span.start..self.formula.nodes[to].span.end;
            let message = format!(
                "the slice {}:{} is empty; the first place must not be behind the last",
                first + 1,
                last + 1
            );
            return Err(Mistake::new(span, message));
        }
        Ok(self.graph.slice(x, first, Some(last - first + 1)))
    }
}

/// Adds the constants of the language.
pub(super) fn add_numbers(graph: &mut Graph, scope: &mut Scope) {
    for (name, v) in NUMBERS {
        let named = Named {
            id: graph.number(*v),
            what: "a constant of the language",
        };
        scope.insert((*name).to_owned(), named);
    }
}
