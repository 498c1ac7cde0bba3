//! Names of columns as variables: `theta[1,2]`, `eta3` and `phi0_1` are elements of an array where all
//! of it is there.

use std::collections::BTreeMap;

/// What the numbers of a variable are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Float,
    Integer,
    Truth,
}

/// Columns that form an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    /// The columns, last axis fastest.
    pub(super) columns: Vec<usize>,
    /// First label and length of each axis.
    pub(super) axes: Vec<(usize, usize)>,
    pub(super) kind: Type,
}

impl Variable {
    pub(super) fn scalar(name: &str, column: usize, kind: Type) -> Self {
        Self {
            name: name.into(),
            columns: vec![column],
            axes: Vec::new(),
            kind,
        }
    }

    pub(super) fn axis(&self, k: usize) -> String {
        format!("{}_dim_{k}", self.name)
    }
}

/// The variables of columns with these names, in the order of their first columns.
pub(super) fn variables(names: &[String]) -> Vec<Variable> {
    type Family = Vec<(Vec<usize>, usize)>;
    let mut families: BTreeMap<(&str, usize), Family> = BTreeMap::new();
    for (column, name) in names.iter().enumerate() {
        if let Some((stem, index)) = split(name) {
            let family = families.entry((stem, index.len())).or_default();
            family.push((index, column));
        }
    }
    let mut arrays: BTreeMap<usize, Variable> = BTreeMap::new();
    for ((stem, _), mut family) in families {
        family.sort();
        // A scalar, or an array of another rank, may have that name as well.
        let taken = names.iter().any(|n| n == stem) || arrays.values().any(|v| v.name == stem);
        if let Some(axes) = axes(&family).filter(|_| !taken) {
            let first = family.iter().map(|(_, c)| *c).min().unwrap_or(0);
            let variable = Variable {
                name: stem.into(),
                columns: family.into_iter().map(|(_, c)| c).collect(),
                axes,
                kind: Type::Float,
            };
            arrays.insert(first, variable);
        }
    }
    let mut inside = vec![false; names.len()];
    for c in arrays.values().flat_map(|v| &v.columns) {
        inside[*c] = true;
    }
    let mut all = arrays;
    for (c, name) in names.iter().enumerate().filter(|(c, _)| !inside[*c]) {
        all.insert(c, Variable::scalar(name, c, Type::Float));
    }
    let mut all: Vec<Variable> = all.into_values().collect();
    make_unique(&mut all);
    all
}

/// First label and length of each axis, if these sorted indices are all of an array that counts from 0
/// or 1.
fn axes(family: &[(Vec<usize>, usize)]) -> Option<Vec<(usize, usize)>> {
    let (first, last) = (&family.first()?.0, &family.last()?.0);
    let axes: Vec<(usize, usize)> = first
        .iter()
        .zip(last)
        .map(|(a, b)| (*a, (b + 1).saturating_sub(*a)))
        .collect();
    let size = axes
        .iter()
        .try_fold(1, |n: usize, (_, len)| n.checked_mul(*len))?;
    let mut index = first.clone();
    let whole = family.len() > 1
        && size == family.len()
        && first.iter().all(|a| *a < 2)
        && family.iter().all(|(found, _)| {
            let fits = *found == index;
            for k in (0..index.len()).rev() {
                index[k] += 1;
                if index[k] < axes[k].0 + axes[k].1 {
                    break;
                }
                index[k] = axes[k].0;
            }
            fits
        });
    whole.then_some(axes)
}

/// `theta[1,2]`, `theta1_2` and `theta_1_2` as `theta` and 1, 2.
fn split(name: &str) -> Option<(&str, Vec<usize>)> {
    let whole = |digits: &str| {
        let plain = digits == "0" || !digits.starts_with('0');
        digits.parse().ok().filter(|_| plain)
    };
    let (stem, index): (&str, Option<Vec<usize>>) = match name.strip_suffix(']') {
        Some(rest) => {
            let (stem, index) = rest.split_once('[')?;
            (stem, index.split(',').map(|k| whole(k.trim())).collect())
        }
        None => {
            let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
            let index = name[stem.len()..].trim_start_matches('_');
            (stem, index.split('_').map(whole).collect())
        }
    };
    Some((stem, index?)).filter(|(stem, _)| !stem.is_empty())
}

/// Names that can be those of nodes, and of nothing else in the group.
fn make_unique(all: &mut [Variable]) {
    let mut taken = std::collections::HashSet::from(["chain".to_owned(), "draw".to_owned()]);
    for v in all {
        // What begins with two underscores, or is only dots, is not a name in Zarr.
        let mut name = v.name.replace(['/', '\\', '\0'], "_");
        if name.starts_with("__") || name.chars().all(|c| c == '.') || name == "zarr.json" {
            name = format!("v{name}");
        }
        let mut unique = name.clone();
        let mut n = 1;
        let axes = v.axes.len();
        let all_of = |name: &str| {
            let axes = (0..axes).map(|k| format!("{name}_dim_{k}"));
            std::iter::once(name.to_owned())
                .chain(axes)
                .collect::<Vec<_>>()
        };
        while all_of(&unique).iter().any(|n| taken.contains(n)) {
            n += 1;
            unique = format!("{name}_{n}");
        }
        taken.extend(all_of(&unique));
        v.name = unique;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(names: &[&str]) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let shape = |v: &Variable| {
            let axes: String = v.axes.iter().map(|(a, n)| format!(" {a}+{n}")).collect();
            format!("{}{axes} {:?}", v.name, v.columns)
        };
        variables(&names).iter().map(shape).collect()
    }

    #[test]
    fn what_is_all_there_is_an_array_with_its_own_labels() {
        assert_eq!(
            shown(&["mu", "eta0", "eta1", "tau"]),
            ["mu [0]", "eta 0+2 [1, 2]", "tau [3]"]
        );
        // Stan's order, first index fastest, and ours.
        let stan = ["m[1,1]", "m[2,1]", "m[3,1]", "m[1,2]", "m[2,2]", "m[3,2]"];
        assert_eq!(shown(&stan), ["m 1+3 1+2 [0, 3, 1, 4, 2, 5]"]);
        assert_eq!(shown(&["phi0_0", "phi0_1"]), ["phi 0+1 0+2 [0, 1]"]);
        assert_eq!(shown(&["b_2", "b_1"]), ["b 1+2 [1, 0]"]);
        // By number, not by letter.
        let many: Vec<String> = (0..12).map(|i| format!("x{i}")).collect();
        let columns: Vec<usize> = (0..12).collect();
        assert_eq!(variables(&many)[0].columns, columns);
    }

    #[test]
    fn what_is_not_stays_as_it_is_called() {
        assert_eq!(shown(&["x1"]), ["x1 [0]"]);
        assert_eq!(shown(&["x2", "x3"]), ["x2 [0]", "x3 [1]"]);
        assert_eq!(shown(&["x1", "x3"]), ["x1 [0]", "x3 [1]"]);
        assert_eq!(shown(&["x01", "x02"]), ["x01 [0]", "x02 [1]"]);
        assert_eq!(
            shown(&["x", "x1", "x2"]),
            ["x [0]", "x1 [1]", "x2 [2]"],
            "a scalar has the name"
        );
        assert_eq!(shown(&["1", "2", "[1]"]), ["1 [0]", "2 [1]", "[1] [2]"]);
        let huge = format!("x{}", u128::MAX);
        assert_eq!(shown(&["x0", &huge]), ["x0 [0]", &format!("{huge} [1]")]);
    }

    #[test]
    fn names_are_those_of_nodes_and_each_once() {
        assert_eq!(
            shown(&["chain", "draw", "a/b", "a_b", "..", "__c", "zarr.json"]),
            [
                "chain_2 [0]",
                "draw_2 [1]",
                "a_b [2]",
                "a_b_2 [3]",
                "v.. [4]",
                "v__c [5]",
                "vzarr.json [6]"
            ]
        );
        // A scalar called like the labels of an array.
        assert_eq!(
            shown(&["y_dim_0", "y[0]", "y[1]"]),
            ["y_dim_0 [0]", "y_2 0+2 [1, 2]"]
        );
    }
}
