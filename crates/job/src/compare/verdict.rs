//! What a comparison comes to, in plain words.

use super::{ComparisonVerdict, Distance, ModeCounts, Modes};

/// The verdict on two runs, with exact draws (`truth`) or without.
///
/// The distance that shows most counts: the one at which a run or the difference of the runs is the largest multiple of
/// its noise floor.
pub(super) fn verdict(
    distances: &[Distance],
    modes: Option<&Modes>,
    truth: bool,
) -> ComparisonVerdict {
    let (nearer, mut text) = if truth {
        to_the_truth(distances)
    } else {
        (None, to_one_another(distances))
    };
    if let Some(m) = modes {
        text.push_str(&format!(" {}", of_modes(m)));
    }
    ComparisonVerdict { nearer, text }
}

/// Multiples of the floor of both runs by that distance.
fn times(d: &Distance) -> Option<(f64, f64)> {
    let t = d.to_truth.as_ref()?;
    t.a.times_floor.zip(t.b.times_floor)
}

/// A multiple of the floor that exact draws hardly reach, by any of the distances.
const CLEAR: f64 = 1.5;

/// Which run is nearer by these multiples of a noise floor: one is within it and the other clearly not, or they are
/// more than one floor apart.
fn nearer((a, b): (f64, f64)) -> Option<char> {
    let (better, worse) = (a.min(b), a.max(b));
    let apart = worse - better > 1.0 || (better <= 1.0 && worse > CLEAR);
    apart.then_some(if a < b { 'a' } else { 'b' })
}

fn to_the_truth(distances: &[Distance]) -> (Option<char>, String) {
    let worst = |d: &Distance| times(d).map_or(f64::NEG_INFINITY, |(a, b)| a.max(b));
    let Some(d) = distances
        .iter()
        .max_by(|x, y| worst(x).total_cmp(&worst(y)))
    else {
        return (None, String::new());
    };
    let Some((a, b)) = times(d) else {
        return (None, "The distances have no noise floor.".into());
    };
    if a <= 1.0 && b <= 1.0 {
        let text =
            "Neither run can be told from exact draws: all distances are within the noise floor.";
        return (None, text.into());
    }
    let Some(name) = nearer((a, b)) else {
        if a.max(b) <= CLEAR {
            let text = format!(
                "Neither run can clearly be told from exact draws: by {} A is at {} × and B at {} × the noise floor, \
                 which one in twenty exact samples passes by each distance.",
                d.name,
                round(a),
                round(b)
            );
            return (None, text);
        }
        let text = format!(
            "Both runs are off alike: by {} A is at {} × and B at {} × the noise floor.",
            d.name,
            round(a),
            round(b)
        );
        return (None, text);
    };
    let ((near, near_at), (far, far_at)) = if name == 'a' {
        (('A', a), ('B', b))
    } else {
        (('B', b), ('A', a))
    };
    let within = if near_at <= 1.0 { ", within it," } else { "" };
    let mut text = format!(
        "{near} is nearer to the truth: by {} it is at {} × the noise floor of exact draws{within} and {far} at {} ×.",
        d.name,
        round(near_at),
        round(far_at)
    );
    let other_way = distances
        .iter()
        .filter(|d| times(d).and_then(nearer).is_some_and(|other| other != name));
    let against: Vec<String> = other_way
        .filter_map(|d| times(d).map(|(a, b)| (d, a, b)))
        .map(|(d, a, b)| format!("{} (A {} ×, B {} ×)", d.name, round(a), round(b)))
        .collect();
    if !against.is_empty() {
        text.push_str(&format!(
            " But it is the other way round by {}.",
            against.join(", ")
        ));
    }
    (Some(name), text)
}

fn to_one_another(distances: &[Distance]) -> String {
    let times = |d: &Distance| d.between.times_floor.unwrap_or(f64::NEG_INFINITY);
    let Some(d) = distances
        .iter()
        .max_by(|x, y| times(x).total_cmp(&times(y)))
    else {
        return String::new();
    };
    if times(d) <= 1.0 {
        return "The runs cannot be told from one another: all distances are within the noise floor.".into();
    }
    format!(
        "The runs differ: by {} they are {} × the noise floor apart. Without exact draws of the target nothing \
         here tells which is nearer to the truth.",
        d.name,
        round(times(d))
    )
}

fn of_modes(m: &Modes) -> String {
    let of = |name: char, c: &ModeCounts| format!("{name} finds {} of {} modes", c.found, m.modes);
    format!("{}, {}.", of('A', &m.a), of('B', &m.b))
}

/// Two digits, or whole numbers above ten.
fn round(v: f64) -> String {
    match v.abs() {
        x if x >= 9.95 => format!("{v:.0}"),
        x if x >= 0.995 => format!("{v:.1}"),
        _ => format!("{v:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Both, Level};

    fn distance(name: &str, a: f64, b: f64) -> Distance {
        let level = |t: f64| Level {
            value: t,
            times_floor: t.is_finite().then_some(t),
        };
        Distance {
            name: name.into(),
            points: 1000,
            floor: 1.0,
            between: level((a - b).abs()),
            to_truth: Some(Both {
                a: level(a),
                b: level(b),
            }),
        }
    }

    fn of(distances: &[Distance]) -> (Option<char>, String) {
        let v = verdict(distances, None, true);
        (v.nearer, v.text)
    }

    #[test]
    fn the_distance_that_shows_most_decides() {
        let (who, text) = of(&[distance("MMD²", 0.8, 3.0), distance("W2", 1.2, 57.0)]);
        assert_eq!(who, Some('a'));
        assert_eq!(
            text,
            "A is nearer to the truth: by W2 it is at 1.2 × the noise floor of exact draws and B at 57 ×."
        );
        let (who, text) = of(&[distance("MMD²", 4.0, 0.5), distance("W2", 0.2, 0.9)]);
        assert_eq!(who, Some('b'));
        assert!(
            text.contains(
                "it is at 0.50 × the noise floor of exact draws, within it, and A at 4.0 ×"
            )
        );
    }

    #[test]
    fn distances_that_disagree_are_told() {
        let (who, text) = of(&[distance("MMD²", 0.8, 3.0), distance("W2", 9.0, 1.5)]);
        assert_eq!(who, Some('b'));
        assert!(text.ends_with("But it is the other way round by MMD² (A 0.80 ×, B 3.0 ×)."));
    }

    #[test]
    fn noise_decides_nothing() {
        let (who, text) = of(&[distance("MMD²", -0.3, 0.9), distance("W2", 1.0, 0.2)]);
        assert!(who.is_none() && text.starts_with("Neither run can be told from exact draws"));
        let (who, text) = of(&[distance("W2", 8.2, 8.9)]);
        assert!(
            who.is_none() && text.starts_with("Both runs are off alike"),
            "{text}"
        );
        let (who, text) = of(&[distance("W2", 0.98, 1.01), distance("MMD²", 0.3, 1.3)]);
        assert!(
            who.is_none() && text.contains("by MMD² A is at 0.30 × and B at 1.3 ×"),
            "{text}"
        );
        // A distance without a floor decides nothing either.
        let (who, _) = of(&[distance("W2", f64::NAN, 3.0)]);
        assert_eq!(who, None);
    }

    #[test]
    fn without_a_truth_nobody_is_nearer() {
        let v = verdict(&[distance("W2", 1.0, 9.0)], None, false);
        assert!(v.nearer.is_none() && v.text.contains("they are 8.0 × the noise floor apart"));
        let v = verdict(&[distance("W2", 1.0, 1.5)], None, false);
        assert!(
            v.text
                .starts_with("The runs cannot be told from one another")
        );
    }
}
