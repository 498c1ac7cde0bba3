//! Single calls of the functions of a table, for checks that want to see what an adapter evens out: the very
//! status, the words, and what the call did on the way.

use crate::call::Call;
use crate::foreign::{Asked, Foreign};
use retrograde_abi::{rg_call, rg_status};
use retrograde_core::{Cx, Error, Sink};
use std::ffi::c_void;

/// What came of a call.
#[derive(Debug)]
pub struct Said {
    /// What the function returned.
    pub code: rg_status,
    /// What it gave to `fail` last.
    pub text: Option<String>,
    /// The error of a service of the host that it used, if it is of this status.
    pub own: Option<Error>,
    /// An error that ends the call whatever was returned, such as that of random numbers where there are
    /// none.
    pub broken: Option<Error>,
}

/// Calls `f` with a call on `cx`.
pub fn probe(cx: &mut Cx<'_>, f: impl FnOnce(*mut rg_call) -> rg_status) -> Said {
    let call = Call::new(cx);
    let code = f(call.raw());
    call.said(code)
}

/// Calls `f` with a call on `cx` in which settings of `label` may be refused, as `start` of a sampler.
pub fn probe_start(
    cx: &mut Cx<'_>,
    label: &str,
    f: impl FnOnce(*mut rg_call) -> rg_status,
) -> Said {
    let call = Call::of_start(cx, label);
    let code = f(call.raw());
    call.said(code)
}

/// Calls `f` with a call on `cx` that may emit to `sink`, as `step` of a sampler.
pub fn probe_step(
    cx: &mut Cx<'_>,
    sink: &mut dyn Sink,
    f: impl FnOnce(*mut rg_call) -> rg_status,
) -> Said {
    let call = Call::of_step(cx, sink);
    let code = f(call.raw());
    call.said(code)
}

/// Calls `f` with a call that has no context, as for functions that say what a component is.
pub fn probe_bare(f: impl FnOnce(*mut rg_call) -> rg_status) -> Said {
    let call = Call::of_flags();
    let code = f(call.raw());
    call.said(code)
}

impl<T: Asked> Foreign<T> {
    /// The object and its table. The object may be called for as long as this lives, as its thread class
    /// allows; nothing of that is looked after here.
    #[must_use]
    pub fn raw(&self) -> (*mut c_void, &T) {
        (self.object, &self.table)
    }
}
