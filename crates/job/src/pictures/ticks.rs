//! Ticks of an axis: steps of 1, 2 or 5 times a power of ten, and labels that tell them apart.

/// Width of a character of a tick label in pixels, with its share of the gap to the next label.
const CHARACTER: f64 = 7.0;
/// Sizes that are written without a power of ten.
const PLAIN: std::ops::Range<f64> = 1e-3..1e5;
/// Digits after the point of the leading digit that an `f64` has.
const DIGITS: i32 = 16;

/// The ticks of an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ticks {
    low: f64,
    high: f64,
    /// From a tick to the next.
    pub(super) step: f64,
    /// The step is one digit at this power of ten.
    power: i32,
    scientific: bool,
    /// Of so many ticks the first has a label.
    labelled: usize,
}

impl Ticks {
    /// About `most` ticks in `low..=high`.
    pub(super) fn new((low, high): (f64, f64), most: usize) -> Self {
        let most = most.max(1) as f64;
        let raw = high / most - low / most;
        // The numbers that there are, and a little beyond.
        let mut power = (raw.log10().floor() as i32).clamp(-330, 310);
        let factor = match raw / ten_to(power) {
            f if f < 1.5 => 1.0,
            f if f < 3.5 => 2.0,
            f if f < 7.5 => 5.0,
            _ => {
                power += 1;
                1.0
            }
        };
        let mut ticks = Self {
            low,
            high,
            step: factor * ten_to(power),
            power,
            scientific: false,
            labelled: 1,
        };
        if !PLAIN.contains(&low.abs().max(high.abs())) {
            // A small spacing far from 0 may take more room with a power of ten than without.
            let plain = ticks.longest();
            ticks.scientific = true;
            ticks.scientific = ticks.longest() < plain;
        }
        ticks
    }

    /// As many ticks as have room side by side on `width` pixels, about `most` and two at least; where
    /// these have none, some go without labels.
    pub(super) fn side_by_side(range: (f64, f64), most: usize, width: f64) -> Self {
        let mut last = Self::new(range, most);
        for n in (1..=most).rev() {
            let ticks = Self::new(range, n);
            if ticks.values().len() < 2 {
                break;
            }
            last = ticks;
            let apart = width * ticks.step / (range.1 - range.0);
            let needed = ticks.longest() as f64 * CHARACTER / apart;
            let most = ticks.values().len() - 1;
            last.labelled = (needed.ceil() as usize).clamp(1, most);
            if needed <= 1.0 {
                break;
            }
        }
        last
    }

    /// Where they are.
    pub(super) fn values(&self) -> Vec<f64> {
        let (first, last) = (
            (self.low / self.step).ceil(),
            (self.high / self.step).floor(),
        );
        let n = (last - first + 1.0).clamp(0.0, 100.0) as usize;
        (0..n).map(|k| (first + k as f64) * self.step).collect()
    }

    /// Characters of the longest label.
    pub(super) fn longest(&self) -> usize {
        let all = self.values();
        let lengths = all.iter().map(|v| self.label(*v).chars().count());
        lengths.max().unwrap_or(0)
    }

    /// What is written at a tick: its value, or nothing.
    pub(super) fn text(&self, value: f64) -> String {
        let place = (value / self.step).round() - (self.low / self.step).ceil();
        if place % self.labelled as f64 == 0.0 {
            self.label(value)
        } else {
            String::new()
        }
    }

    /// A value in as many digits as the step needs.
    pub(super) fn label(&self, value: f64) -> String {
        if value.is_nan() || value.abs() < 0.01 * self.step {
            return "0".into();
        }
        if !self.scientific {
            let decimals = usize::try_from(-self.power).unwrap_or(0);
            return format!("{value:.decimals$}");
        }
        let size = value.abs().log10().floor() as i32;
        let digits = usize::try_from((size - self.power).clamp(0, DIGITS)).unwrap_or(0);
        let text = format!("{value:.digits$e}");
        match text.split_once('e') {
            Some((mantissa, exponent)) if mantissa.contains('.') => {
                let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
                format!("{mantissa}e{exponent}")
            }
            _ => text,
        }
    }
}

/// Powers of ten as the nearest numbers to them, which products are not.
fn ten_to(power: i32) -> f64 {
    format!("1e{power}").parse().unwrap_or(f64::MIN_POSITIVE)
}

/// A text of at most `most` characters, an ellipsis in place of its middle.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let all: Vec<char> = text.chars().collect();
    if all.len() <= most.max(3) {
        return text.to_owned();
    }
    let kept = most.max(3) - 1;
    let (head, tail) = (kept.div_ceil(2), kept / 2);
    let head: String = all[..head].iter().collect();
    let tail: String = all[all.len() - tail..].iter().collect();
    format!("{head}…{tail}")
}

/// “every draw”, “every 2nd draw”, “every 13th draw”.
pub(crate) fn every(step: usize) -> String {
    let ending = match (step % 10, step % 100) {
        _ if step == 1 => return "every draw".into(),
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("every {step}{ending} draw")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(range: (f64, f64), most: usize, width: f64) -> Vec<String> {
        let ticks = Ticks::side_by_side(range, most, width);
        ticks.values().iter().map(|v| ticks.text(*v)).collect()
    }

    #[test]
    fn labels_have_the_digits_that_the_step_needs() {
        let near = labels((0.79963, 0.80037), 4, 300.0);
        assert_eq!(near, ["0.7998", "0.8000", "0.8002"]);
        let far = labels((999.63, 1000.37), 4, 300.0);
        assert_eq!(far, ["999.8", "1000.0", "1000.2"]);
        let large = labels((-1.05e9, 1.05e9), 4, 300.0);
        assert_eq!(large, ["-1e9", "-5e8", "0", "5e8", "1e9"]);
        let tiny = labels((-3e-150, 3e-150), 4, 300.0);
        assert_eq!(tiny, ["-2e-150", "0", "2e-150"]);
        let density = labels((0.0, 4300.0), 4, 300.0);
        assert_eq!(density, ["0", "1000", "2000", "3000", "4000"]);
        let two = labels((1.15e8, 1.35e8), 4, 300.0);
        assert_eq!(two, ["1.15e8", "1.2e8", "1.25e8", "1.3e8", "1.35e8"]);
        let crowded = labels((999.999_964, 1_000.000_036), 4, 145.0);
        assert_eq!(crowded, ["999.99998", "", "1000.00002"]);
        // A power of ten would only add to these.
        let million = labels((999_999.63, 1_000_000.37), 4, 300.0);
        assert_eq!(million, ["999999.8", "1000000.0", "1000000.2"]);
    }

    #[test]
    fn labels_are_distinct_and_short_and_have_room() {
        for exponent in [-300, -150, -12, -4, -3, -1, 0, 1, 3, 5, 9, 150, 300] {
            let scale = ten_to(exponent);
            for (centre, spread) in [(0.0, 3.3), (0.8, 3e-4), (1.0, 1.0), (-7.3, 0.02)] {
                let range = ((centre - spread) * scale, (centre + spread) * scale);
                for width in [120.0, 165.0, 400.0] {
                    let ticks = Ticks::side_by_side(range, 4, width);
                    let all = labels(range, 4, width);
                    assert!((2..=8).contains(&all.len()), "{range:?}: {all:?}");
                    let shown: Vec<_> = all.iter().filter(|l| !l.is_empty()).collect();
                    let distinct: std::collections::BTreeSet<_> = shown.iter().collect();
                    assert!(shown.len() > 1, "{range:?}: {all:?}");
                    assert_eq!(distinct.len(), shown.len(), "{range:?}: {all:?}");
                    assert!(all.iter().all(|l| l.len() <= 11), "{range:?}: {all:?}");
                    for (label, value) in all.iter().zip(ticks.values()) {
                        let read: f64 = label.parse().unwrap_or(value);
                        let off = (read - value).abs();
                        assert!(off < 1e-6 * ticks.step, "{label} for {value}");
                    }
                    let longest = all.iter().map(String::len).max().unwrap_or(0);
                    let apart = width * ticks.step * ticks.labelled as f64 / (range.1 - range.0);
                    // The first and the last have labels, however long.
                    assert!(
                        shown.len() == 2 || longest as f64 * CHARACTER <= apart,
                        "{range:?} on {width}: {all:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn names_lose_their_middle_and_steps_have_their_ordinals() {
        assert_eq!(shortened("theta", 8), "theta");
        assert_eq!(shortened("a_very_long_name[17]", 9), "a_ve…[17]");
        assert_eq!(shortened("βγδεζηθ", 5), "βγ…ηθ");
        let all = [1, 2, 3, 4, 11, 12, 21, 22, 113, 123].map(every);
        let all = all.map(|e| e.replace("every ", "").replace(" draw", ""));
        assert_eq!(
            all.join(" "),
            "every draw 2nd 3rd 4th 11th 12th 21st 22nd 113th 123rd".replace("every ", "")
        );
    }
}
