//! Write a plugin of retrograde in Rust: a shared library with targets, forward processes, scores or
//! samplers that every host loads, whatever compiler built it.
//!
//! A component is written as a built-in is: settings that serde and schemars know, [`Build`] for them, and
//! the trait of its kind. [`export_plugin!`] takes the lines that `register!` takes for a built-in, so
//! that a component moves between the two without a change.
//!
//! ```
//! use retrograde_plugin::prelude::*;
//!
//! /// N(0, sd² I) in `dim` dimensions.
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Round {
//!     /// Dimension, 1 or more.
//!     #[schemars(range(min = 1))]
//!     dim: usize,
//!     /// Standard deviation, above 0.
//!     sd: f64,
//! }
//!
//! impl Build<dyn Target> for Round {
//!     fn build(self, _: &Parts<'_>) -> Result<Arc<dyn Target>> {
//!         if !(self.sd > 0.0) {
//!             return Err(Error::setting("target round", "sd", self.sd, "above 0"));
//!         }
//!         Ok(Arc::new(self))
//!     }
//! }
//!
//! impl Target for Round {
//!     fn dim(&self) -> usize {
//!         self.dim
//!     }
//!
//!     fn eval(
//!         &self,
//!         _: &mut Cx<'_>,
//!         x: ArrayView2<'_, f64>,
//!         log_density: Option<ArrayViewMut1<'_, f64>>,
//!         gradient: Option<ArrayViewMut2<'_, f64>>,
//!     ) -> Result {
//!         let precision = (self.sd * self.sd).recip();
//!         if let Some(mut l) = log_density {
//!             l.iter_mut()
//!                 .zip(x.rows())
//!                 .for_each(|(l, x)| *l = -0.5 * precision * x.dot(&x));
//!         }
//!         if let Some(mut g) = gradient {
//!             g.zip_mut_with(&x, |g, x| *g = -precision * x);
//!         }
//!         Ok(())
//!     }
//! }
//!
//! export_plugin! {
//!     "shapes", license "MIT";
//!     target "round" => Round, needs NOTHING,
//!         summary "A round Gaussian", source "any book on probability";
//! }
//! # fn main() {}
//! ```
//!
//! With `crate-type = ["cdylib"]` that is all: `target/release/libshapes.so` exports one symbol, and a job
//! says `kind = "shapes/round"`. Panics become errors with their text and place; the profile must unwind.

#![allow(unsafe_code)]

#[cfg(all(panic = "abort", not(feature = "allow-abort")))]
compile_error!(
    "a plugin that aborts takes the host with it: leave out `panic = \"abort\"`, or turn on the feature \
     `allow-abort` of retrograde-plugin"
);

mod create;
mod entry;

pub use create::create;
pub use entry::{Entry, Loaded, load};
pub use retrograde_abi as abi;
pub use retrograde_core as core;
/// The crate of arrays, in the version that the traits speak.
pub use retrograde_core::reexport::ndarray;

#[doc(inline)]
pub use retrograde_core::registry::Build;

/// What the author of a component needs.
pub mod prelude {
    pub use crate::export_plugin;
    pub use retrograde_core::reexport::ndarray::{
        ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2,
    };
    pub use retrograde_core::reexport::schemars::{self, JsonSchema};
    pub use retrograde_core::reexport::serde::{self, Deserialize, Serialize};
    pub use retrograde_core::registry::{Build, Needs, Parts};
    pub use retrograde_core::{
        Algorithm, BLOCK, Cx, DivGgt, Draws, Error, Flag, Flow, ForwardProcess, Result, Score,
        Severity, Signature, Sink, Target, Threading, Times, Traits, Transition,
    };
    pub use std::sync::Arc;
}

/// The code of the guide, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/plugins.md")]
struct Guide;

/// Makes the library a plugin: its name, its licence, and lines as those of
/// [`register!`](retrograde_core::register). Once in a library. Its version is that of the package.
#[macro_export]
macro_rules! export_plugin {
    ($name:literal, license $license:literal;
     $($kind:ident $component:literal => $settings:ty, needs $needs:ident, summary $summary:literal, source $source:literal;)+) => {
        /// The one symbol of the plugin.
        ///
        /// # Safety
        /// `host` is the table of a host, which lives as long as the program.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn retrograde_plugin_v1(
            host: *const $crate::abi::rg_host,
        ) -> *const $crate::abi::rg_plugin {
            static LOADED: ::std::sync::OnceLock<$crate::Loaded> = ::std::sync::OnceLock::new();
            // SAFETY: as above.
            unsafe {
                $crate::load(host, &LOADED, $name, env!("CARGO_PKG_VERSION"), $license, || vec![
                    $($crate::Entry {
                        kind: $crate::__kind!($kind),
                        name: $component,
                        summary: $summary,
                        source: $source,
                        needs: $crate::core::registry::Needs::$needs,
                        schema: $crate::core::registry::schema_of::<$settings>,
                        create: $crate::__create!($kind $settings),
                    }),+
                ])
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __kind {
    (target) => {
        $crate::core::Kind::Target
    };
    (process) => {
        $crate::core::Kind::Process
    };
    (score) => {
        $crate::core::Kind::Score
    };
    (sampler) => {
        $crate::core::Kind::Sampler
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __create {
    (target $s:ty) => {
        $crate::create::<dyn $crate::core::Target, $s>
    };
    (process $s:ty) => {
        $crate::create::<dyn $crate::core::ForwardProcess, $s>
    };
    (score $s:ty) => {
        $crate::create::<dyn $crate::core::Score, $s>
    };
    (sampler $s:ty) => {
        $crate::create::<dyn $crate::core::Sampler, $s>
    };
}
