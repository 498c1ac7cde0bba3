//! A picture of the draws for a terminal: two coordinates as dots, one as a histogram.

use crate::show::number;
use retrograde::job::Preview;

/// Characters across, without the frame and its labels: the whole is less than 80 wide.
const WIDTH: usize = 60;
const HEIGHT: usize = 18;
/// Bars of a histogram are read across, and need fewer lines.
const BARS: usize = 10;

/// The picture of these draws; empty where there is nothing to show.
pub(crate) fn picture(p: &Preview) -> String {
    let columns: Vec<Vec<f64>> = (0..p.names.len().min(2))
        .map(|k| p.points.iter().map(|x| x[k]).collect())
        .collect();
    let ranges: Vec<(f64, f64)> = columns.iter().filter_map(|c| range(c)).collect();
    match (&columns[..], &ranges[..]) {
        ([x], [range]) => histogram(x, *range, &p.names[0]),
        ([x, y], [rx, ry]) => scatter(x, y, *rx, *ry, &p.names),
        _ => String::new(),
    }
}

/// From the smallest to the largest finite value but the outermost half per cent, if there are two.
fn range(values: &[f64]) -> Option<(f64, f64)> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let off = sorted.len() / 200;
    let (low, high) = (
        *sorted.get(off)?,
        *sorted.get(sorted.len().checked_sub(1 + off)?)?,
    );
    (low < high).then_some((low, high))
}

/// The cell of `v` among `n` over a range; `None` outside.
fn cell(v: f64, (low, high): (f64, f64), n: usize) -> Option<usize> {
    let at = (v - low) / (high - low) * n as f64;
    // The upper end belongs to the last cell.
    (v >= low && v <= high).then(|| (at as usize).min(n - 1))
}

fn scatter(x: &[f64], y: &[f64], rx: (f64, f64), ry: (f64, f64), names: &[String]) -> String {
    // Braille: a character has dots in two columns and four rows, each with its bit.
    const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
    let mut dots = vec![[0_u8; WIDTH]; HEIGHT];
    for (x, y) in x.iter().zip(y) {
        if let (Some(c), Some(r)) = (cell(*x, rx, 2 * WIDTH), cell(*y, ry, 4 * HEIGHT)) {
            let r = 4 * HEIGHT - 1 - r;
            dots[r / 4][c / 2] |= BITS[r % 4][c % 2];
        }
    }
    let lines = dots.iter().map(|row| {
        let glyph = |bits: &u8| char::from_u32(0x2800 + u32::from(*bits)).unwrap_or(' ');
        row.iter().map(glyph).collect()
    });
    framed(lines, (&names[0], rx), Some((&names[1], ry)))
}

fn histogram(x: &[f64], range: (f64, f64), name: &str) -> String {
    const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let mut counts = [0_usize; WIDTH];
    x.iter()
        .filter_map(|v| cell(*v, range, WIDTH))
        .for_each(|c| counts[c] += 1);
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let lines = (0..BARS).rev().map(|line| {
        let glyph = |n: &usize| EIGHTHS[(8 * BARS * n / most).saturating_sub(8 * line).min(8)];
        counts.iter().map(glyph).collect()
    });
    framed(lines, (name, range), None)
}

type Axis<'a> = (&'a str, (f64, f64));

fn framed(lines: impl Iterator<Item = String>, x: Axis<'_>, y: Option<Axis<'_>>) -> String {
    let lines: Vec<String> = lines.collect();
    let label = |k: usize| match y {
        Some((_, (_, high))) if k == 0 => number(high),
        Some((name, _)) if k == lines.len() / 2 => short(name, 10),
        Some((_, (low, _))) if k + 1 == lines.len() => number(low),
        _ => String::new(),
    };
    let mut text = String::new();
    for (k, line) in lines.iter().enumerate() {
        text.push_str(&format!("{:>11} │{line}│\n", label(k)));
    }
    let (low, high) = (number(x.1.0), number(x.1.1));
    let room = WIDTH.saturating_sub(low.chars().count() + high.chars().count());
    let name = short(x.0, room.saturating_sub(2));
    text.push_str(&format!("{:>11} └{}┘\n", "", "─".repeat(WIDTH)));
    text.push_str(&format!("{:>13}{low}{name:^room$}{high}\n", ""));
    text
}

fn short(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    let start: String = name.chars().take(most.saturating_sub(1)).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preview(names: &[&str], points: Vec<[f64; 2]>) -> Preview {
        Preview {
            names: names.iter().map(|n| (*n).to_owned()).collect(),
            points,
        }
    }

    #[test]
    fn dots_are_where_the_draws_are() {
        let corners = vec![
            [0.0, 0.0],
            [1.0, 2.0],
            [f64::NAN, 1.0],
            [0.5, f64::INFINITY],
        ];
        let text = picture(&preview(&["a", "a long name of y"], corners));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), HEIGHT + 2);
        assert!(lines.iter().all(|l| l.chars().count() <= 79), "{text}");
        // (1, 2) is the upper right dot of its character, (0, 0) the lower left one.
        let blank = "⠀".repeat(WIDTH - 1);
        assert_eq!(lines[0], format!("      2.000 │{blank}⠈│"));
        assert_eq!(lines[HEIGHT - 1], format!("          0 │⡀{blank}│"));
        assert!(lines[HEIGHT / 2].starts_with(" a long na… │"), "{text}");
        assert_eq!(text.chars().filter(|c| ('⠁'..='⣿').contains(c)).count(), 2);
    }

    #[test]
    fn bars_are_as_high_as_the_counts() {
        let mut points = vec![[0.0, f64::NAN]; 8];
        points.extend(vec![[1.0, f64::NAN]; 4]);
        let text = picture(&preview(&["x"], points));
        let bars = |k: usize| -> String {
            let inside = text.lines().map(|l| l.chars().skip(13).collect::<Vec<_>>());
            inside.take(BARS).map(|l| l[k]).collect()
        };
        assert_eq!(bars(0), "█".repeat(BARS));
        assert_eq!(
            bars(WIDTH - 1),
            format!("{}{}", " ".repeat(BARS / 2), "█".repeat(BARS / 2))
        );
        assert_eq!(bars(1), " ".repeat(BARS));
    }

    #[test]
    fn nothing_to_see_is_no_picture() {
        assert_eq!(picture(&preview(&[], Vec::new())), "");
        assert_eq!(picture(&preview(&["x"], Vec::new())), "");
        assert_eq!(picture(&preview(&["x", "y"], vec![[1.0, 2.0]; 5])), "");
        assert_eq!(picture(&preview(&["x"], vec![[f64::NAN; 2]; 5])), "");
    }
}
