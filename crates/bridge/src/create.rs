//! From a component's description to a component.

use crate::call::{Call, Settings};
use crate::export::{Exported, Side};
use crate::foreign::{Asked, Foreign, Made, Parts};
use crate::host::host;
use retrograde_abi::{
    RG_NEEDS_DENSITY, RG_NEEDS_GRADIENT, RG_NEEDS_PROCESS, RG_NEEDS_SCORE, RG_NEEDS_TARGET, RG_OK,
    rg_component, rg_deps, rg_ref,
};
use retrograde_core::registry::{Need, Needs, Parts as Built};
use retrograde_core::{Error, Result, Runtime, Signature};
use std::ptr::null;

type Field = fn(&mut Needs) -> &mut Need;
const BITS: [(u32, Field); 5] = [
    (RG_NEEDS_TARGET, |n| &mut n.target),
    (RG_NEEDS_PROCESS, |n| &mut n.process),
    (RG_NEEDS_SCORE, |n| &mut n.score),
    (RG_NEEDS_DENSITY, |n| &mut n.density),
    (RG_NEEDS_GRADIENT, |n| &mut n.gradient),
];
/// A part that is used if it is there.
const OPTIONAL: u32 = 8;

/// What a component needs, as the bits of `needs`.
#[must_use]
pub fn needs_bits(needs: Needs) -> u32 {
    let mut needs = needs;
    BITS.iter().fold(0, |bits, (bit, field)| {
        bits | match field(&mut needs) {
            Need::No => 0,
            Need::Optional => bit << OPTIONAL,
            Need::Required => *bit,
        }
    })
}

/// What the bits of `needs` say; bits that are not known are left out.
#[must_use]
pub fn needs_of(bits: u32) -> Needs {
    let mut needs = Needs::NOTHING;
    for (bit, field) in BITS {
        *field(&mut needs) = if bits & bit != 0 {
            Need::Required
        } else if bits & (bit << OPTIONAL) != 0 {
            Need::Optional
        } else {
            Need::No
        };
    }
    needs
}

/// Lends the parts that were built before a component, as tables.
#[must_use]
pub fn lend(parts: &Built<'_>) -> Parts {
    Parts {
        target: parts.target.clone().map(|t| Exported::new(t, Side::Host)),
        process: parts.process.clone().map(|p| Exported::new(p, Side::Host)),
        score: parts.score.clone().map(|s| Exported::new(s, Side::Host)),
    }
}

/// Makes a component by its `create`.
///
/// # Errors
/// What it returns, with the words that were given to `fail`; what is wrong with its table.
///
/// # Safety
/// `component` is of a library that stays loaded and keeps the contract of the interface, and its kind is
/// that of table `T`.
pub unsafe fn create<T: Asked>(
    component: &rg_component,
    settings: &Settings<'_>,
    parts: Parts,
) -> Result<Foreign<T>> {
    let label = settings.label;
    let dim = parts.target.as_ref().map_or(0, |t| t.component().dim());
    let deps = rg_deps {
        struct_size: size_of::<rg_deps>(),
        dim,
        target: parts.target.as_ref().map_or(null(), Exported::reference),
        process: parts.process.as_ref().map_or(null(), Exported::reference),
        score: parts.score.as_ref().map_or(null(), Exported::reference),
    };
    let mut made = rg_ref {
        object: std::ptr::null_mut(),
        vtable: component.vtable,
    };
    let Some(create) = component.create else {
        return Err(Error::Null {
            argument: format!("`create` of {label}"),
        });
    };
    let cfg = std::ptr::from_ref(settings).cast();
    let created = Runtime::new(0, 1)?.enter("create", 0, |cx| {
        let mut call = Call::of_create(cx, settings);
        // SAFETY: by contract.
        let code = unsafe { create(host(), call.raw(), cfg, &raw const deps, &raw mut made) };
        (code, call.finish(code, label))
    });
    if let (code, Err(error)) = created {
        if code == RG_OK {
            // SAFETY: by contract; it was made, and nobody has it yet.
            unsafe { crate::foreign::discard::<T>(made) };
        }
        return Err(error);
    }
    let (left, what) = if made.vtable.is_null() {
        (
            "made->vtable",
            "a table of functions, of `vtable` of its rg_component or of `create`",
        )
    } else {
        (
            "made->object",
            "what its functions get; one without a state puts any address there, that of its table for example",
        )
    };
    if made.vtable.is_null() || made.object.is_null() {
        if !made.object.is_null() && !component.vtable.is_null() {
            let made = rg_ref {
                vtable: component.vtable,
                ..made
            };
            // SAFETY: by contract; it was made, and nobody has it yet.
            unsafe { crate::foreign::discard::<T>(made) };
        }
        return Err(Error::Argument {
            component: label.into(),
            argument: left.into(),
            given: "NULL after create() returned RG_OK".into(),
            allowed: what.into(),
        });
    }
    let made = Made {
        made,
        label: label.into(),
        host: None,
        parts: parts.traits(),
        signature: Signature::new(dim, &settings.table.to_string()),
        keep: Box::new(parts),
    };
    // SAFETY: by contract.
    unsafe { Foreign::new(made) }
}
