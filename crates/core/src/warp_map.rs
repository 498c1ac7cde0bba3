//! Diffeomorphisms from a small set, composed: the warps that jobs can name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A diffeomorphism y = ψ(x), the composition of its steps in order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct WarpMap {
    steps: Vec<WarpStep>,
}

/// One map, applied to every coordinate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WarpStep {
    /// Which map.
    pub map: WarpKind,
}

/// The maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WarpKind {
    /// y = asinh x.
    Asinh,
}
