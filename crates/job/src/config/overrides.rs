//! `--set path=value` arguments.

use super::diagnostic::Diagnostic;
use super::parse::parse_value;
use super::path::{Segment, parse_path};
use super::source::{Source, SourceId, Sources, Span};
use super::tree::{Entry, Node, Table, Value};
use super::words::value_words;

const FLAG: &str = "--set ";

/// Applies one argument `path=value` to the tree, as if it had been written there.
///
/// The value is TOML; text that is no TOML value, without quotes and brackets, is taken as a string
/// (`--set sampler.kind=heun`). Keys and tables that do not exist are made; array elements must exist.
/// Diagnostics in such a value show the argument in place of the file.
///
/// # Errors
/// When there is no `=`, the path or value cannot be read, or the path leads through a value that
/// is not a table or array. The tree is unchanged then.
pub fn apply_override(
    root: &mut Node,
    sources: &mut Sources,
    argument: &str,
) -> Result<(), Vec<Diagnostic>> {
    let text = format!("{FLAG}{argument}");
    let id = sources.add(Source::argument(text.clone()));
    let span = |start: usize, end: usize| Span::new(id, FLAG.len() + start..FLAG.len() + end);
    let one = |diagnostic: Diagnostic| vec![diagnostic];

    let equals = find_equals(argument).ok_or_else(|| {
        one(
            Diagnostic::new(Some(span(0, argument.len())), "`--set` needs `path=value`")
                .label("no `=`")
                .help("for example `--set sampler.steps=50`"),
        )
    })?;
    let path = argument[..equals].trim_end();
    let steps = parse_path(path).map_err(|e| {
        let at = e.range;
        // A missing key at the end is shown at the `=`.
        let end = at.end.max(at.start + 1);
        one(Diagnostic::new(Some(span(at.start, end)), e.message)
            .help("a path looks like `sampler.steps` or `target.means[0]`"))
    })?;
    let value = read_value(&text, id, FLAG.len() + equals + 1, path)?;

    // A trial run on the path finds problems before anything changes.
    check_path(root, &steps, path, span).map_err(one)?;
    put(root, &steps, value, span);
    Ok(())
}

/// Applies an option of the command line that stands for the key at `path`, such as `--seed 4`;
/// diagnostics show it as it was typed. A `text` is taken as a string as it stands, else the value
/// is read as [`apply_override`] does.
///
/// # Errors
/// As [`apply_override`].
pub fn apply_option(
    root: &mut Node,
    sources: &mut Sources,
    option: &str,
    path: &str,
    value: &str,
    text: bool,
) -> Result<(), Vec<Diagnostic>> {
    let typed = format!("{option} {value}");
    let offset = option.len() + 1;
    let id = sources.add(Source::argument(typed.clone()));
    let span = |_, _| Span::new(id, offset..typed.len());
    let steps = parse_path(path).map_err(|e| vec![Diagnostic::new(Some(span(0, 0)), e.message)])?;
    let node = if text {
        Node {
            span: Some(span(0, 0)),
            value: Value::String(value.to_owned()),
        }
    } else {
        read_value(&typed, id, offset, path)?
    };
    check_path(root, &steps, path, span).map_err(|d| vec![d])?;
    put(root, &steps, node, span);
    Ok(())
}

/// The first `=` outside quotes.
fn find_equals(argument: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in argument.char_indices() {
        match (quote, c) {
            (None, '=') => return Some(at),
            (None, '"' | '\'') => quote = Some(c),
            (Some(q), c) if q == c => quote = None,
            _ => {}
        }
    }
    None
}

fn read_value(
    text: &str,
    id: SourceId,
    offset: usize,
    path: &str,
) -> Result<Node, Vec<Diagnostic>> {
    let raw = &text[offset..];
    let word = raw.trim();
    let start = offset + (raw.len() - raw.trim_start().len());
    let span = Span::new(id, start..start + word.len());
    if word.is_empty() {
        let equals = Span::new(id, offset - 1..offset);
        return Err(vec![
            Diagnostic::new(Some(equals), format!("`{path}` is given no value"))
                .label("a value must follow")
                .help("write `\"\"` for an empty string"),
        ]);
    }
    parse_value(&text[..start + word.len()], id, start).or_else(|found| {
        let structured = word.contains(['"', '\'']) || word.starts_with(['[', '{']);
        // A number that is too large is a number nevertheless.
        let number = word.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+')
            && word.parse::<f64>().is_ok();
        if structured || number {
            return Err(found);
        }
        Ok(Node {
            span: Some(span),
            value: Value::String(word.to_owned()),
        })
    })
}

type Steps = [(Segment, std::ops::Range<usize>)];

fn check_path(
    root: &Node,
    steps: &Steps,
    path: &str,
    span: impl Fn(usize, usize) -> Span,
) -> Result<(), Diagnostic> {
    let mut node = root;
    for (step, range) in steps {
        let parent = path[..range.start].trim_end_matches('.');
        let here = Some(span(range.start, range.end));
        let fail = |message: String| Err(Diagnostic::new(here, message));
        match (&node.value, step) {
            (Value::Table(table), Segment::Key(key)) => match table.get(key) {
                Some(next) => node = next,
                None => return check_new(steps, range.start, span),
            },
            (Value::Array(items), Segment::Index(index)) => match items.get(*index) {
                Some(next) => node = next,
                None => {
                    let length = items.len();
                    return fail(format!(
                        "`{parent}` has {length} elements, counted from 0; there is no element {index}"
                    ));
                }
            },
            (other, Segment::Key(key)) => {
                let is = value_words(other);
                return fail(format!("`{parent}` is {is}, so it has no key `{key}`"));
            }
            (other, Segment::Index(_)) => {
                let is = value_words(other);
                return fail(format!("`{parent}` is {is}, so it has no elements"));
            }
        }
    }
    Ok(())
}

/// Below a key that does not exist there can be no elements.
fn check_new(
    steps: &Steps,
    from: usize,
    span: impl Fn(usize, usize) -> Span,
) -> Result<(), Diagnostic> {
    let missing = steps.iter().filter(|(_, r)| r.start >= from);
    match missing
        .clone()
        .find(|(s, _)| matches!(s, Segment::Index(_)))
    {
        None => Ok(()),
        Some((_, range)) => Err(Diagnostic::new(
            Some(span(range.start, range.end)),
            "only elements of an array that the job has can be set",
        )
        .help("set the whole array: `--set \"target.means=[[0, 0], [1, 1]]\"`")),
    }
}

/// Follows a path that `check_path` has passed and sets its end.
fn put(root: &mut Node, steps: &Steps, value: Node, span: impl Fn(usize, usize) -> Span) {
    let Some(((first, range), rest)) = steps.split_first() else {
        *root = value;
        return;
    };
    let here = Some(span(range.start, range.end));
    match (&mut root.value, first) {
        (Value::Array(items), Segment::Index(index)) => {
            if let Some(item) = items.get_mut(*index) {
                put(item, rest, value, span);
            }
        }
        (Value::Table(table), Segment::Key(key)) => {
            let last = rest.is_empty();
            match table.get_mut(key).filter(|_| !last) {
                Some(next) => put(next, rest, value, span),
                None => {
                    let mut node = Node {
                        span: here,
                        value: Value::Table(Table::new()),
                    };
                    put(&mut node, rest, value, span);
                    table.insert(Entry {
                        key: key.clone(),
                        key_span: here,
                        node,
                    });
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::Document;

    const JOB: &str =
        "seed = 1\n[sampler]\nkind = 'ddim'\nsteps = 10\n[target]\nmeans = [[0, 0], [1, 1]]\n";

    fn after(arguments: &[&str]) -> toml::Value {
        let mut job = Document::parse("job.toml", JOB).unwrap();
        job.set(arguments).unwrap();
        job.root.to_toml()
    }

    fn problem(argument: &str) -> String {
        let mut job = Document::parse("job.toml", JOB).unwrap();
        let before = job.root.clone();
        let error = job.set([argument]).unwrap_err();
        assert!(before.same_data(&job.root), "{argument} changed the job");
        error.to_string()
    }

    #[test]
    fn sets_existing_new_and_nested_keys() {
        let v = after(&[
            "sampler.steps=50",
            "sampler.kind=heun",
            "sampler.eta = 0.5",
            "output.plots.size=[640, 480]",
            "target.means[1]=[2, 3.5]",
            "target.means[0][1]=-1e-3",
            "expect.\"odd.key\"=a=b",
            "name=\"a b\"",
            "flag=true",
            "cap=inf",
            "inline={a = 1}",
            "sampler.path=runs/x-1.csv",
        ]);
        let want: toml::Value = toml::from_str(
            "seed = 1\nname = 'a b'\nflag = true\ncap = inf\ninline = {a = 1}\n\
             [sampler]\nkind = 'heun'\nsteps = 50\neta = 0.5\npath = 'runs/x-1.csv'\n\
             [target]\nmeans = [[0, -1e-3], [2, 3.5]]\n\
             [output.plots]\nsize = [640, 480]\n[expect]\n'odd.key' = 'a=b'\n",
        )
        .unwrap();
        assert_eq!(v, want);
    }

    #[test]
    fn later_arguments_win_and_build_on_earlier_ones() {
        let v = after(&["a.b=1", "a.c=2", "a.b=3"]);
        assert_eq!(v["a"]["b"].as_integer(), Some(3));
        assert_eq!(v["a"]["c"].as_integer(), Some(2));
    }

    #[test]
    fn bad_arguments_are_shown_as_typed() {
        assert_eq!(
            problem("sampler.steps"),
            "\
error: `--set` needs `path=value`
 |
 | --set sampler.steps
 |       ^^^^^^^^^^^^^ no `=`
 |
help: for example `--set sampler.steps=50`"
        );
        assert!(problem("sampler.steps=").contains("`sampler.steps` is given no value"));
        assert!(problem("=5").contains("a key is missing in the path"));
        assert!(problem("a..b=5").contains("a key is missing in the path"));
        assert!(problem("seed.x=5").contains("`seed` is the whole number 1, so it has no key `x`"));
        assert!(
            problem("seed[0]=5").contains("`seed` is the whole number 1, so it has no elements")
        );
        assert!(problem("target.means[2]=5").contains("`target.means` has 2 elements"));
        assert!(problem("x.y[0]=5").contains("only elements of an array that the job has"));
        assert!(problem("x=[1, 2").contains("this is not valid TOML"));
        assert!(problem("x=\"ab").contains("this is not valid TOML"));
        assert!(problem("x=1e999").contains("the number 1e999 is too large"));
        assert!(problem("x=99999999999999999999").contains("does not fit 64 bits"));
        assert!(problem("").contains("needs `path=value`"));
    }
}
