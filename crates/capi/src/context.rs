//! A context: the components by kind and name, and where lines of log go.

use crate::error::rg_error;
use crate::ffi::{
    TextOut, User, borrow, borrow_mut, ffi, free, hand_over, optional_text, place, text, wrong,
};
use retrograde::core::{Kind, Level};
use retrograde::plugins::{Folders, Surroundings, load_into, scan};
use retrograde::{Error, Registry, Result};
use retrograde_abi::{RG_KIND_PROCESS, RG_KIND_SAMPLER, RG_KIND_SCORE, RG_KIND_TARGET, rg_status};
use serde_json::json;
use std::ffi::{CString, c_char, c_void};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The components that can be asked for by kind and name. Made by rg_context_new, freed by
/// rg_context_free; contexts know nothing of one another.
#[derive(Debug)]
pub struct rg_context {
    pub(crate) registry: Registry,
    pub(crate) log: Option<Arc<Log>>,
}

/// Called with a line of log, `level` 0 for a warning, 1 for what is worth knowing, 2 for details. `utf8` is
/// valid until it returns. It may come on any thread, never twice at once. It must not throw, nor jump out.
pub type rg_log_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, level: i32, utf8: *const c_char)>;

/// Where lines of log go.
#[derive(Debug)]
pub(crate) struct Log {
    f: unsafe extern "C" fn(*mut c_void, i32, *const c_char),
    user: Mutex<User>,
    most: i32,
}

impl Log {
    pub(crate) fn line(&self, level: Level, text: &str) {
        let level = match level {
            Level::Warn => 0,
            Level::Info => 1,
            Level::Debug => 2,
        };
        if level > self.most {
            return;
        }
        let text = CString::new(text.replace('\0', "\u{FFFD}")).unwrap_or_default();
        let user = self.user.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the caller's function with the caller's pointer.
        unsafe { (self.f)(user.user, level, text.as_ptr()) };
    }
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
            let log = None;
            hand_over(out, rg_context { registry, log });
            Ok(())
        })
    }
}

/// Frees a context. What was made with it lives on.
///
/// `cx`: a context that was not freed yet and that no other thread is using, or NULL, which does
/// nothing.
/// Threads: any, not necessarily the one that made it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_context_free(cx: *mut rg_context) {
    // SAFETY: as the header says.
    unsafe { free(cx) };
}

/// Sends lines of log of what is made with the context from now on to a function.
///
/// `cx`: a context that no other thread is using; not NULL.
/// `f`: the function; NULL for none.
/// `user`: handed to it as it is; must live as long as anything that is made with the context.
/// `max_level`: 0 for warnings only, 1 also for what is worth knowing, 2 for all.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL if `cx` is NULL; RG_ERR_ARG if `max_level` is none of these.
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_context_set_log(
    cx: *mut rg_context,
    f: rg_log_fn,
    user: *mut c_void,
    max_level: i32,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let cx = borrow_mut(cx, "cx")?;
            if !(0..=2).contains(&max_level) {
                return Err(wrong(
                    "rg_context_set_log",
                    "max_level",
                    max_level.to_string(),
                    "0, 1 or 2",
                ));
            }
            cx.log = f.map(|f| {
                Arc::new(Log {
                    f,
                    user: Mutex::new(User::new(user, None)),
                    most: max_level,
                })
            });
            Ok(())
        })
    }
}

/// Loads a plugin: its components are in the context then, as "plugin/component". It is never unloaded.
///
/// `cx`: a context that no other thread is using; not NULL.
/// `path`: the shared library; not NULL.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK, also if it was loaded before; RG_ERR_NULL; RG_ERR_UTF8; RG_ERR_PLUGIN if it is no plugin, or a
/// broken one, or has the name of another, with what is wrong; RG_ERR_IO if it cannot be read.
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_context_load_plugin(
    cx: *mut rg_context,
    path: *const c_char,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let cx = borrow_mut(cx, "cx")?;
            let path = text(path, "path")?;
            load_into(&mut cx.registry, Path::new(path)).map(|_| ())
        })
    }
}

/// Loads every plugin of a folder. Those that cannot be loaded are told to the log and left out.
///
/// `cx`: a context that no other thread is using; not NULL.
/// `dir`: the folder; NULL for the folders that the program looks in: those of RETROGRADE_PLUGIN_PATH, that of
/// the user and that of the system.
/// `n_ok`: gets the number of plugins that were loaded; may be NULL.
/// `n_bad`: gets the number of files that could not be; may be NULL.
/// `err`: gets an error on failure, which the caller frees; may be NULL.
/// Returns RG_OK; RG_ERR_NULL if `cx` is NULL; RG_ERR_UTF8.
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rg_context_scan_plugins(
    cx: *mut rg_context,
    dir: *const c_char,
    n_ok: *mut usize,
    n_bad: *mut usize,
    err: *mut *mut rg_error,
) -> rg_status {
    // SAFETY: the caller's pointers are NULL or as the header says.
    unsafe {
        ffi(err, || {
            let cx = borrow_mut(cx, "cx")?;
            let folders = match optional_text(dir, "dir")? {
                Some(dir) => Folders::only(dir),
                None => Folders::standard(&Surroundings::here()),
            };
            let scanned = scan(&mut cx.registry, &folders);
            if let Some(log) = &cx.log {
                for problem in &scanned.problems {
                    log.line(Level::Warn, &problem.to_string());
                }
            }
            if let Some(n) = n_ok.as_mut() {
                *n = scanned.plugins.len();
            }
            if let Some(n) = n_bad.as_mut() {
                *n = scanned.problems.len();
            }
            Ok(())
        })
    }
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
