//! From the text of a formula to a flat list of nodes, operands before what uses them.
//!
//! Nothing here or later walks a tree by recursion. Only the parser itself calls itself, once a
//! bracket, prefix or power; how deep that goes is counted beforehand.

use super::mistake::{Mistake, quoted};
use std::ops::Range;
use winnow::ascii::{digit0, digit1, till_line_ending};
use winnow::combinator::{Infix, Postfix, Prefix, alt, cut_err, expression, opt, preceded, repeat};
use winnow::error::{ErrMode, ParserError};
use winnow::stream::{LocatingSlice, Stateful, Stream, TokenSlice};
use winnow::token::{any, one_of, take_while};
use winnow::{Parser, Result as Parsed};

/// Deepest nesting of brackets, prefixes and powers.
pub(super) const MAX_DEPTH: usize = 200;

/// Place of a node in the list.
pub(super) type At = usize;

/// Operators of two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Infixed {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
    And,
    Or,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part<'f> {
    Number(f64),
    Name(&'f str),
    Call {
        name: &'f str,
        called: Range<usize>,
        args: Vec<At>,
    },
    Neg(At),
    Not(At),
    Infixed(Infixed, At, At),
    Index(At, At),
    Range(At, At, At),
}

/// A node with the bytes of the formula that it stands for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node<'f> {
    pub(super) part: Part<'f>,
    pub(super) span: Range<usize>,
}

/// One statement: `name = value;`, or the value at the end of the formula, which has no name.
#[derive(Debug)]
pub(super) struct Statement<'f> {
    pub(super) name: Option<(&'f str, Range<usize>)>,
    /// The nodes that are of this statement.
    pub(super) nodes: Range<At>,
    pub(super) value: At,
}

/// A formula: the last statement is its value.
#[derive(Debug)]
pub(super) struct Formula<'f> {
    pub(super) nodes: Vec<Node<'f>>,
    pub(super) statements: Vec<Statement<'f>>,
}

impl<I: Stream> ParserError<I> for Mistake {
    type Inner = Self;

    /// Only for a branch that was not taken: what is shown is made where it is known.
    fn from_input(_: &I) -> Self {
        Self::new(0..0, String::new())
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

type Failed = ErrMode<Mistake>;

fn fail<T>(span: Range<usize>, message: impl Into<String>) -> Parsed<T, Failed> {
    Err(ErrMode::Cut(Mistake::new(span, message)))
}

// ---- words ------------------------------------------------------------------------------------

#[derive(Debug, Clone, Copy, PartialEq)]
enum Word<'f> {
    Number(f64),
    Name(&'f str),
    Symbol(&'f str),
}

#[derive(Debug, Clone)]
struct Token<'f> {
    word: Word<'f>,
    span: Range<usize>,
}

type Text<'f> = LocatingSlice<&'f str>;

/// Whether a name may begin with this character; digits may follow.
pub(super) fn begins_name(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn name<'f>(i: &mut Text<'f>) -> Parsed<&'f str, Failed> {
    (
        one_of(begins_name),
        take_while(0.., |c: char| begins_name(c) || c.is_ascii_digit()),
    )
        .take()
        .parse_next(i)
}

fn number(i: &mut Text<'_>) -> Parsed<f64, Failed> {
    let exponent = |i: &mut Text<'_>| {
        (one_of(['e', 'E']), opt(one_of(['+', '-'])), digit1)
            .void()
            .parse_next(i)
    };
    let (text, span) = alt((
        (digit1, opt(('.', digit0)), opt(exponent)).take(),
        ('.', digit1, opt(exponent)).take(),
    ))
    .with_span()
    .parse_next(i)?;
    match text.parse::<f64>() {
        Ok(v) if v.is_finite() => Ok(v),
        _ => fail(
            span,
            format!("{} is beyond the largest number, 1.8e308", quoted(text)),
        ),
    }
}

fn blank(i: &mut Text<'_>) -> Parsed<(), Failed> {
    repeat(
        0..,
        alt((
            take_while(1.., char::is_whitespace).void(),
            ('#', till_line_ending).void(),
        )),
    )
    .parse_next(i)
}

fn token<'f>(i: &mut Text<'f>) -> Parsed<Token<'f>, Failed> {
    let symbol = alt((
        alt(("<=", ">=", "==", "!=", "&&", "||")),
        one_of(|c: char| "+-*/^<>!=()[],:;".contains(c)).take(),
    ));
    alt((
        number.map(Word::Number),
        name.map(Word::Name),
        symbol.map(Word::Symbol),
    ))
    .with_span()
    .map(|(word, span)| Token { word, span })
    .parse_next(i)
}

fn tokens(formula: &str) -> Result<Vec<Token<'_>>, Mistake> {
    let mut i = LocatingSlice::new(formula);
    let words: Parsed<Vec<Token<'_>>, Failed> =
        repeat(0.., preceded(blank, token)).parse_next(&mut i);
    let words = words.map_err(inner)?;
    let rest: Parsed<Option<(char, Range<usize>)>, Failed> =
        preceded(blank, opt(any.with_span())).parse_next(&mut i);
    match rest.map_err(inner)? {
        None => Ok(words),
        Some((c, span)) => {
            let hint = match c {
                '&' => "; `and` is written `&&`",
                '|' => "; `or` is written `||`, and |x| is written `abs(x)`",
                '.' => "; a decimal point needs a digit",
                '{' | '}' => "; use `(` and `)`",
                '−' | '–' => "; minus is written `-`",
                '×' | '·' => "; times is written `*`",
                '≤' => "; it is written `<=`",
                '≥' => "; it is written `>=`",
                '²' => "; a power is written `^2`",
                _ => "",
            };
            Err(Mistake::new(
                span,
                format!("`{}` has no meaning here{hint}", c.escape_debug()),
            ))
        }
    }
}

fn inner(e: Failed) -> Mistake {
    e.into_inner()
        .unwrap_or_else(|_| Mistake::new(0..0, "the formula ends too early"))
}

/// Refuses what would make the parser call itself too often: brackets, runs of prefixes, and
/// powers of powers.
fn check_depth(tokens: &[Token<'_>]) -> Result<(), Mistake> {
    // Pending prefixes and powers in each open bracket.
    let mut pending = vec![0];
    let mut deep = 0;
    let mut before_value = true;
    for token in tokens {
        let Word::Symbol(symbol) = token.word else {
            before_value = false;
            continue;
        };
        let top = pending.len() - 1;
        match symbol {
            "(" | "[" => {
                pending.push(0);
                deep += 1;
            }
            ")" | "]" => {
                if top > 0 {
                    deep -= pending.pop().unwrap_or(0) + 1;
                }
            }
            "^" => {
                pending[top] += 1;
                deep += 1;
            }
            "-" | "!" if before_value => {
                pending[top] += 1;
                deep += 1;
            }
            _ => {
                deep -= pending[top];
                pending[top] = 0;
            }
        }
        before_value = !matches!(symbol, ")" | "]");
        if deep > MAX_DEPTH {
            let message = format!(
                "brackets, signs and powers are nested deeper than {MAX_DEPTH} here; \
                 define parts of the formula by `name = ...;`"
            );
            return Err(Mistake::new(token.span.clone(), message));
        }
    }
    Ok(())
}

// ---- sentences --------------------------------------------------------------------------------

type Input<'t, 'f> = Stateful<TokenSlice<'t, Token<'f>>, Nodes<'f>>;

#[derive(Debug)]
struct Nodes<'f> {
    list: Vec<Node<'f>>,
    /// Length of the formula in bytes.
    end: usize,
    /// Where the prefixes stand whose operand is being parsed.
    prefixes: Vec<usize>,
}

fn push<'f>(i: &mut Input<'_, 'f>, part: Part<'f>, span: Range<usize>) -> At {
    i.state.list.push(Node { part, span });
    i.state.list.len() - 1
}

fn span(i: &Input<'_, '_>, at: At) -> Range<usize> {
    i.state.list[at].span.clone()
}

/// The next word and its place; at the end of the formula nothing, and the place behind it.
fn next<'f>(i: &Input<'_, 'f>) -> (Option<Word<'f>>, Range<usize>) {
    match i.input.first() {
        Some(t) => (Some(t.word), t.span.clone()),
        None => (None, i.state.end..i.state.end),
    }
}

fn found(word: Option<Word<'_>>) -> String {
    match word {
        None => "the end of the formula".into(),
        Some(Word::Number(v)) => format!("the number {v}"),
        Some(Word::Name(n)) => quoted(n),
        Some(Word::Symbol(s)) => format!("`{s}`"),
    }
}

fn symbol<'t, 'f>(wanted: &'static str) -> impl Parser<Input<'t, 'f>, Range<usize>, Failed>
where
    'f: 't,
{
    any.verify_map(move |t: &Token<'f>| (t.word == Word::Symbol(wanted)).then(|| t.span.clone()))
}

fn value<'f>(i: &mut Input<'_, 'f>) -> Parsed<At, Failed> {
    let parsed = expression(operand)
        .prefix(prefix)
        .infix(infix)
        .postfix(postfix)
        .parse_next(i);
    match parsed {
        Err(ErrMode::Backtrack(_) | ErrMode::Incomplete(_)) => {
            let (word, span) = next(i);
            fail(
                span,
                format!(
                    "expected a number, a name or `(`, but found {}",
                    found(word)
                ),
            )
        }
        other => other,
    }
}

/// Takes the bracket that closes the one at `open`.
fn close(
    i: &mut Input<'_, '_>,
    wanted: &'static str,
    open: &Range<usize>,
) -> Parsed<usize, Failed> {
    if let Some(span) = opt(symbol(wanted)).parse_next(i)? {
        return Ok(span.end);
    }
    let (word, span) = next(i);
    let opening = if wanted == ")" { "(" } else { "[" };
    match word {
        // The bracket that was left open is the better place where nothing follows.
        None => fail(
            open.clone(),
            format!("this `{opening}` is never closed by `{wanted}`"),
        ),
        Some(_) => fail(span, behind_value(word, &format!(" or `{wanted}`"))),
    }
}

/// What may stand behind a value, for a word that may not.
fn behind_value(word: Option<Word<'_>>, or: &str) -> String {
    let hint = match word {
        Some(Word::Number(_) | Word::Name(_) | Word::Symbol("(")) => "; to multiply write `*`",
        Some(Word::Symbol("=")) => "; to compare write `==`",
        Some(Word::Symbol("<" | "<=" | ">" | ">=" | "==" | "!=")) => {
            "; comparisons do not chain: write `a < b && b < c`"
        }
        Some(Word::Symbol("!")) => "; factorial n! is `exp(lgamma(n + 1))`",
        _ => "",
    };
    format!("expected an operator{or}, but found {}{hint}", found(word))
}

fn operand<'f>(i: &mut Input<'_, 'f>) -> Parsed<At, Failed> {
    let (word, here) = next(i);
    match word {
        Some(Word::Number(v)) => {
            any.void().parse_next(i)?;
            Ok(push(i, Part::Number(v), here))
        }
        Some(Word::Name(name)) => {
            any.void().parse_next(i)?;
            match opt(symbol("(")).parse_next(i)? {
                None => Ok(push(i, Part::Name(name), here)),
                Some(open) => {
                    let (args, end) = arguments(i, &open)?;
                    let call = Part::Call {
                        name,
                        called: here.clone(),
                        args,
                    };
                    Ok(push(i, call, here.start..end))
                }
            }
        }
        Some(Word::Symbol("(")) => {
            any.void().parse_next(i)?;
            let inside = value(i)?;
            let end = close(i, ")", &here)?;
            // The brackets belong to the text that a message shows.
            i.state.list[inside].span = here.start..end;
            Ok(inside)
        }
        _ => Err(ErrMode::Backtrack(Mistake::new(here, String::new()))),
    }
}

fn arguments(i: &mut Input<'_, '_>, open: &Range<usize>) -> Parsed<(Vec<At>, usize), Failed> {
    if let Some(span) = opt(symbol(")")).parse_next(i)? {
        return Ok((Vec::new(), span.end));
    }
    let mut args = vec![value(i)?];
    while opt(symbol(",")).parse_next(i)?.is_some() {
        args.push(value(i)?);
    }
    Ok((args, close(i, ")", open)?))
}

fn prefix<'t, 'f>(i: &mut Input<'t, 'f>) -> Parsed<Prefix<Input<'t, 'f>, At, Failed>, Failed> {
    type Fold<'t, 'f> = fn(&mut Input<'t, 'f>, At) -> Parsed<At, Failed>;
    let (word, here) = next(i);
    let fold: Fold<'t, 'f> = match word {
        Some(Word::Symbol("-")) => |i, a| Ok(prefixed(i, Part::Neg(a), a)),
        Some(Word::Symbol("!")) => |i, a| Ok(prefixed(i, Part::Not(a), a)),
        _ => return Err(ErrMode::Backtrack(Mistake::new(0..0, String::new()))),
    };
    any.void().parse_next(i)?;
    i.state.prefixes.push(here.start);
    Ok(Prefix(12, fold))
}

fn prefixed<'f>(i: &mut Input<'_, 'f>, part: Part<'f>, operand: At) -> At {
    let span = span(i, operand);
    let start = i.state.prefixes.pop().unwrap_or(span.start);
    push(i, part, start..span.end)
}

fn infix<'t, 'f>(i: &mut Input<'t, 'f>) -> Parsed<Infix<Input<'t, 'f>, At, Failed>, Failed> {
    macro_rules! fold {
        ($how:ident $power:literal $op:ident) => {
            Infix::$how($power, |i, a, b| {
                let whole = span(i, a).start..span(i, b).end;
                Ok(push(i, Part::Infixed(Infixed::$op, a, b), whole))
            })
        };
    }
    let (word, _) = next(i);
    let operator = match word {
        Some(Word::Symbol("||")) => fold!(Left 2 Or),
        Some(Word::Symbol("&&")) => fold!(Left 4 And),
        Some(Word::Symbol("<")) => fold!(Neither 6 Lt),
        Some(Word::Symbol("<=")) => fold!(Neither 6 Le),
        Some(Word::Symbol(">")) => fold!(Neither 6 Gt),
        Some(Word::Symbol(">=")) => fold!(Neither 6 Ge),
        Some(Word::Symbol("==")) => fold!(Neither 6 Eq),
        Some(Word::Symbol("!=")) => fold!(Neither 6 Ne),
        Some(Word::Symbol("+")) => fold!(Left 8 Add),
        Some(Word::Symbol("-")) => fold!(Left 8 Sub),
        Some(Word::Symbol("*")) => fold!(Left 10 Mul),
        Some(Word::Symbol("/")) => fold!(Left 10 Div),
        Some(Word::Symbol("^")) => fold!(Right 14 Pow),
        _ => return Err(ErrMode::Backtrack(Mistake::new(0..0, String::new()))),
    };
    any.void().parse_next(i)?;
    // `a ** b` is a power elsewhere: better told than "expected a number".
    let (twice, here) = next(i);
    if word == Some(Word::Symbol("*")) && twice == word {
        return fail(
            here,
            "expected a number, a name or `(`, but found `*`; a power is written `^`",
        );
    }
    Ok(operator)
}

/// `x[3]` and `x[2:50]`. The index itself stands behind the vector in the list, so the fold finds
/// it there.
fn postfix<'t, 'f>(i: &mut Input<'t, 'f>) -> Parsed<Postfix<Input<'t, 'f>, At, Failed>, Failed> {
    let open = symbol("[").parse_next(i)?;
    let from = cut_err(value).parse_next(i)?;
    let to = match opt(symbol(":")).parse_next(i)? {
        None => None,
        Some(_) => Some(value(i)?),
    };
    let end = close(i, "]", &open)?;
    // A fold is a plain function: the vector's place is filled in by it.
    let hole = At::MAX;
    let part = to.map_or(Part::Index(hole, from), |to| Part::Range(hole, from, to));
    push(i, part, open.start..end);
    Ok(Postfix(18, |i, vector| {
        let last = i.state.list.len() - 1;
        let start = span(i, vector).start;
        let node = &mut i.state.list[last];
        node.span.start = start;
        match &mut node.part {
            Part::Index(of, _) | Part::Range(of, _, _) => *of = vector,
            _ => unreachable!("the index was pushed last"),
        }
        Ok(last)
    }))
}

fn statement<'f>(i: &mut Input<'_, 'f>) -> Parsed<Statement<'f>, Failed> {
    let first = i.state.list.len();
    let named = opt((
        any.verify_map(|t: &Token<'f>| match t.word {
            Word::Name(name) => Some((name, t.span.clone())),
            _ => None,
        }),
        symbol("="),
    ))
    .parse_next(i)?;
    let value = value(i)?;
    let (word, span) = next(i);
    let end = opt(symbol(";")).parse_next(i)?;
    if end.is_none() && word.is_some() {
        let hint = behind_value(word, " or `;`");
        return fail(span, hint);
    }
    let name = named.map(|(name, _)| name);
    Ok(Statement {
        name,
        nodes: first..i.state.list.len(),
        value,
    })
}

/// Parses a formula.
pub(super) fn parse(formula: &str) -> Result<Formula<'_>, Mistake> {
    let tokens = tokens(formula)?;
    if tokens.is_empty() {
        return Err(Mistake::new(0..0, "the formula is empty"));
    }
    check_depth(&tokens)?;
    let nodes = Nodes {
        list: Vec::with_capacity(tokens.len()),
        end: formula.trim_end().len(),
        prefixes: Vec::new(),
    };
    let mut i = Stateful {
        input: TokenSlice::new(&tokens),
        state: nodes,
    };
    let mut statements: Vec<Statement<'_>> = Vec::new();
    while !i.input.is_empty() {
        let begin = next(&i).1;
        if let Some(last) = statements.last()
            && last.name.is_none()
        {
            let message = "a statement before the last one must be a definition, `name = value;`";
            return Err(Mistake::new(i.state.list[last.value].span.clone(), message));
        }
        let statement = statement(&mut i).map_err(inner)?;
        let ends = i.input.is_empty();
        if ends && statement.name.is_some() {
            let message = "this is the last statement: it must be the log density itself, not a \
                           definition";
            return Err(Mistake::new(begin, message));
        }
        statements.push(statement);
    }
    Ok(Formula {
        nodes: i.state.list,
        statements,
    })
}

/// The name and the length of a coordinate: `mu`, or `x[50]`.
pub(super) fn coordinate(text: &str) -> Option<(&str, Option<usize>)> {
    let mut i = LocatingSlice::new(text);
    let length = |i: &mut Text<'_>| {
        ('[', blank, digit1.parse_to::<usize>(), blank, ']')
            .map(|t| t.2)
            .parse_next(i)
    };
    let parsed: Parsed<_, Failed> = (blank, name, blank, opt(length), blank)
        .map(|t| (t.1, t.3))
        .parse_next(&mut i);
    parsed.ok().filter(|_| i.is_empty())
}

/// Whether a text is a name.
pub(super) fn is_name(text: &str) -> bool {
    coordinate(text) == Some((text, None))
}
