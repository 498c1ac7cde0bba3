//! A context: the components by kind and name. Plugins will join the built-ins here.

use crate::error::rg_error;
use crate::ffi::{TextOut, borrow, ffi, guard, place, text};
use retrograde::core::Kind;
use retrograde::{Error, Registry, Result};
use retrograde_abi::{RG_KIND_PROCESS, RG_KIND_SAMPLER, RG_KIND_SCORE, RG_KIND_TARGET, rg_status};
use serde_json::json;
use std::ffi::c_char;

/// The components that can be asked for by kind and name. Made by rg_context_new, freed by
/// rg_context_free; contexts know nothing of one another.
#[derive(Debug)]
pub struct rg_context {
    registry: Registry,
}

fn kind_of(code: i32, function: &str) -> Result<Kind> {
    match code {
        RG_KIND_TARGET => Ok(Kind::Target),
        RG_KIND_PROCESS => Ok(Kind::Process),
        RG_KIND_SCORE => Ok(Kind::Score),
        RG_KIND_SAMPLER => Ok(Kind::Sampler),
        _ => Err(Error::Argument {
            component: function.into(),
            argument: "kind".into(),
            given: code.to_string(),
            allowed:
                "RG_KIND_TARGET (1), RG_KIND_PROCESS (2), RG_KIND_SCORE (3) or RG_KIND_SAMPLER (4)"
                    .into(),
        }),
    }
}

/// Makes a context that holds every built-in component.
///
/// `out`: gets the context, which the caller frees with rg_context_free; not NULL.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL if `out` is NULL; RG_ERR_ARG if two components have one name.
/// Threads: any, also several at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_context_new(
    out: *mut *mut rg_context,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let out = place(out, "out")?;
            let registry = retrograde::registry()?;
            out.write(Box::into_raw(Box::new(rg_context { registry })));
            Ok(())
        })
    }
}

/// Frees a context.
///
/// `cx`: a context that was not freed yet and that no other thread is using, or NULL, which does
/// nothing.
/// Threads: any, not necessarily the one that made it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_context_free(cx: *mut rg_context) {
    guard((), || {
        if !cx.is_null() {
            // SAFETY: not NULL, so by contract made by `rg_context_new` and not freed yet.
            drop(unsafe { Box::from_raw(cx) });
        }
    });
}

/// How many components of a kind there are.
///
/// `cx`: a context; not NULL.
/// `kind`: one of the RG_KIND_ constants.
/// `n`: gets the number; not NULL.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL if `cx` or `n` is NULL; RG_ERR_ARG if there is no such kind.
/// Threads: any, also several at once with the same context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_context_count(
    cx: *const rg_context,
    kind: i32,
    n: *mut usize,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let cx = borrow(cx, "cx")?;
            let n = place(n, "n")?;
            let kind = kind_of(kind, "rg_context_count")?;
            n.write(cx.registry.of(kind).count());
            Ok(())
        })
    }
}

/// The name of a component. Those of one kind are in the order of their names.
///
/// `cx`: a context; not NULL.
/// `kind`: one of the RG_KIND_ constants.
/// `i`: which one of that kind, from 0 to the count less 1.
/// `buf`: room for `cap` bytes; gets the name, NUL-terminated UTF-8. May be NULL if `cap` is 0.
/// `cap`: size of `buf` in bytes; 0 only asks for the size.
/// `need`: gets the bytes the name needs with its NUL, also when the answer is RG_ERR_BUFFER; may
/// be NULL unless `cap` is 0.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL if `cx`, or a `buf` or `need` that is needed, is NULL; RG_ERR_ARG if
/// `kind` or `i` is out of range; RG_ERR_BUFFER if `cap` is too small, and then `buf` is as it was.
/// Threads: any, also several at once with the same context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_context_name(
    cx: *const rg_context,
    kind: i32,
    i: usize,
    buf: *mut c_char,
    cap: usize,
    need: *mut usize,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let cx = borrow(cx, "cx")?;
            let out = TextOut::new(buf, cap, need)?;
            let kind = kind_of(kind, "rg_context_name")?;
            let Some(component) = cx.registry.of(kind).nth(i) else {
                return Err(no_such_index(kind, i, cx.registry.of(kind).count()));
            };
            out.write(&component.name)
        })
    }
}

fn no_such_index(kind: Kind, i: usize, count: usize) -> Error {
    Error::Argument {
        component: "rg_context_name".into(),
        argument: "i".into(),
        given: i.to_string(),
        allowed: format!(
            "below {count}, the number of components of kind {}",
            kind.word()
        ),
    }
}

/// Describes a component as a JSON object on one line: "kind" (a word), "name", "summary" (one
/// sentence), "source" (where it comes from) and "schema" (the JSON Schema of its settings).
///
/// `cx`: a context; not NULL.
/// `kind`: one of the RG_KIND_ constants.
/// `name`: the component's name, NUL-terminated UTF-8; not NULL.
/// `buf`: room for `cap` bytes; gets the object, NUL-terminated UTF-8. May be NULL if `cap` is 0.
/// `cap`: size of `buf` in bytes; 0 only asks for the size.
/// `need`: gets the bytes the object needs with its NUL, also when the answer is RG_ERR_BUFFER;
/// may be NULL unless `cap` is 0.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL if `cx` or `name`, or a `buf` or `need` that is needed, is NULL;
/// RG_ERR_ARG if there is no such kind; RG_ERR_UTF8 if `name` is not UTF-8; RG_ERR_NOT_FOUND if no
/// component of the kind is called so, with the nearest name in the message; RG_ERR_BUFFER if
/// `cap` is too small, and then `buf` is as it was.
/// Threads: any, also several at once with the same context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_context_describe(
    cx: *const rg_context,
    kind: i32,
    name: *const c_char,
    buf: *mut c_char,
    cap: usize,
    need: *mut usize,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let cx = borrow(cx, "cx")?;
            let name = text(name, "name")?;
            let out = TextOut::new(buf, cap, need)?;
            let kind = kind_of(kind, "rg_context_describe")?;
            let c = cx.registry.get(kind, name)?;
            let object = json!({
                "kind": kind.word(),
                "name": c.name,
                "summary": c.summary,
                "source": c.source,
                "schema": c.schema,
            });
            out.write(&object.to_string())
        })
    }
}
