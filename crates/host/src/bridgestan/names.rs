//! Names of Stan's variables as names of columns.

use std::collections::HashSet;

/// What is put behind the name of a variable for that of its unconstrained coordinate.
const UNCONSTRAINED: &str = "_unc";

/// `theta.1.2` as `theta[1,2]`, the form that files of draws know as an array; names of other form
/// (parts of tuples and of complex numbers) stay as they are.
pub(super) fn column(name: &str) -> String {
    match indexed(name) {
        Some((base, index)) => format!("{base}[{}]", index.replace('.', ",")),
        None => name.into(),
    }
}

/// Names of the unconstrained coordinates: those of the variables with `_unc` behind, `theta_unc[1,2]`,
/// and once more where an output has that name.
pub(super) fn coordinates(names: &[String], outputs: &[String]) -> Vec<String> {
    let outputs: HashSet<&str> = outputs.iter().map(String::as_str).collect();
    let mut mark = UNCONSTRAINED.to_owned();
    loop {
        let marked: Vec<String> = names
            .iter()
            .map(|name| match indexed(name) {
                Some((base, index)) => format!("{base}{mark}[{}]", index.replace('.', ",")),
                None => format!("{name}{mark}"),
            })
            .collect();
        if !marked.iter().any(|name| outputs.contains(name.as_str())) {
            return marked;
        }
        mark.push_str(UNCONSTRAINED);
    }
}

/// `theta.1.2` as `theta` and `1.2`.
fn indexed(name: &str) -> Option<(&str, &str)> {
    let (base, index) = name.split_once('.')?;
    let whole = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    (!base.is_empty() && index.split('.').all(whole)).then_some((base, index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_go_into_brackets() {
        for (stan, name) in [
            ("mu", "mu"),
            ("theta.1", "theta[1]"),
            ("b.2.13", "b[2,13]"),
            ("z.real", "z.real"),
            ("z.1.imag", "z.1.imag"),
            ("t:1.2", "t:1[2]"),
            ("t.1:2", "t.1:2"),
            ("a.", "a."),
            (".1", ".1"),
        ] {
            assert_eq!(column(stan), name, "{stan}");
        }
    }

    #[test]
    fn coordinates_never_have_the_name_of_an_output() {
        let names = |n: &[&str]| n.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let stan = names(&["mu", "theta.1", "z.imag"]);
        assert_eq!(
            coordinates(&stan, &names(&["mu", "theta[1]", "theta[2]"])),
            ["mu_unc", "theta_unc[1]", "z.imag_unc"]
        );
        assert_eq!(
            coordinates(&stan, &names(&["mu", "mu_unc"])),
            ["mu_unc_unc", "theta_unc_unc[1]", "z.imag_unc_unc"]
        );
    }
}
