//! Pictures of a run as SVG: marginals, pairs, traces and ranks of chains, tables such as a
//! temperature ladder, weights. What the target knows exactly is laid over them.
//!
//! The palette is that of Okabe & Ito (2008), which eyes without red or green tell apart. Axes and text take the
//! colour of what surrounds them, so that a picture is legible on white and on black.

mod bench;
mod flow;
mod ladder;
mod levels;
mod marginals;
mod pairs;
mod style;
mod ticks;
mod trace;
mod truth;
mod view;
mod weights;

pub(crate) use bench::bench;
pub(crate) use levels::{by_steps, levels};
pub(crate) use ticks::every;
pub(crate) use truth::Known;
pub(crate) use view::View;

/// A picture with its words.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    /// `marginals`, `pairs`, `trace`, `flow`, `ladder` (or the name of another table) or `weights`.
    pub(crate) name: String,
    pub(crate) title: String,
    /// What is shown and what is left out, in a sentence or two.
    pub(crate) caption: String,
    pub(crate) svg: String,
}

/// All pictures that a run has something for.
pub(crate) fn pictures(view: &View<'_>) -> Vec<Picture> {
    let mut all = Vec::new();
    all.extend(marginals::draw(view));
    all.extend(pairs::draw(view));
    all.extend(trace::draw(view));
    all.extend(flow::draw(view));
    all.extend(ladder::draw(view));
    all.extend(weights::draw(view));
    all
}
