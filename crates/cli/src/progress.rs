//! The progress bar and the line of live numbers on standard error; nothing where that is no
//! terminal.

use indicatif::{ProgressBar, ProgressStyle};
use retrograde::core::Level;
use retrograde::job::{Live, Monitor};

/// Numbers worth a place in the line, in this order.
const SHOWN: [(&str, &str); 6] = [
    ("log_z", "log Z"),
    ("log_z_se", "±"),
    ("ess", "ESS"),
    ("acceptance", "accept"),
    ("beta", "β"),
    ("step_size", "step"),
];

/// Parts of the bar.
const TICKS: u64 = 10_000;

pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new(TICKS);
        let style =
            "{spinner} [{elapsed_precise}] {wide_bar} {percent:>3}%  eta {eta_precise}\n  {msg}";
        // The template is fixed, so that it cannot fail; were it to, the default bar would do.
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        Self { bar }
    }

    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

impl Monitor for Progress {
    fn live(&mut self, live: &Live<'_>) {
        if let Some(fraction) = live.fraction {
            self.bar
                .set_position((fraction.clamp(0.0, 1.0) * TICKS as f64) as u64);
        }
        let numbers: Vec<String> = SHOWN
            .iter()
            .filter_map(|(key, label)| {
                live.scalars
                    .get(*key)
                    .map(|v| format!("{label} {}", crate::show::number(*v)))
            })
            .collect();
        self.bar.set_message(format!(
            "step {}  draws {}  {}  gradients {}",
            live.step,
            live.rows,
            numbers.join("  "),
            live.counts.gradient_evals
        ));
    }

    fn message(&mut self, level: Level, text: &str) {
        let text = match level {
            Level::Warn => format!("{}: {text}", crate::show::yellow("warning")),
            Level::Info => format!("{}: {text}", crate::show::cyan("note")),
            Level::Debug => return,
        };
        self.bar.suspend(|| crate::outcome::message(&text));
    }
}
