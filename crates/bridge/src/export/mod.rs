//! A component that is a table of functions.
//!
//! In the host the components that a plugin's component was made with are exported: calls come back on the
//! host's own call, so that evaluations are counted and spread as those of built-ins are. In a plugin its
//! own components are exported: they get a context on the services of the host.

mod process;
mod sampler;
mod score;
mod target;

use crate::call::{caught, on_call};
use crate::remote::{self, enter, panicked, report};
use retrograde_abi::{
    RG_CAP_DETERMINISTIC, RG_CAP_ROWWISE, RG_OK, RG_THREAD_CALLER, RG_THREAD_CONCURRENT,
    RG_THREAD_SERIAL, rg_call, rg_host, rg_ref, rg_status,
};
use retrograde_core::{Cx, Error, Flag, Result, Status, Store, Threading, Traits};
use std::cell::RefCell;
use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whose component it is.
#[derive(Debug, Clone, Copy)]
pub enum Side {
    /// The host's: calls are its own.
    Host,
    /// A plugin's: calls are those of that host.
    Plugin(&'static rg_host),
}

/// A function that frees an object.
pub type Destroy = unsafe extern "C" fn(*mut c_void);

/// Kinds of component that can be exported.
pub trait Export {
    /// The table of the kind.
    type Table: Copy + 'static;
    /// The table with the functions for what `component` can do, and one that frees it.
    fn table(component: &Self, destroy: Option<Destroy>) -> Self::Table;
    /// The thread class of `component`.
    fn threading(component: &Self) -> Threading;
}

struct Object<K: ?Sized + Export> {
    component: Arc<K>,
    table: K::Table,
    threading: Threading,
    reference: rg_ref,
    side: Side,
    store: Store,
    /// After a panic in it: nobody knows its state.
    poisoned: AtomicBool,
}

/// A component with its table, in one place for as long as this lives.
///
/// Held by a pointer and not by a box, which would say that nobody else points there.
pub struct Exported<K: ?Sized + Export>(NonNull<Object<K>>);

// SAFETY: components are Send and Sync; tables and hosts are constant.
unsafe impl<K: ?Sized + Export + Send + Sync> Send for Exported<K> {}
// SAFETY: as for Send.
unsafe impl<K: ?Sized + Export + Send + Sync> Sync for Exported<K> {}

impl<K: ?Sized + Export> std::fmt::Debug for Exported<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exported")
            .field("side", &self.object().side)
            .finish_non_exhaustive()
    }
}

impl<K: ?Sized + Export> Exported<K> {
    /// Lends a component: the other side has it for as long as this lives, and does not free it.
    #[must_use]
    pub fn new(component: Arc<K>, side: Side) -> Self {
        Self(Object::leaked(component, side, None))
    }

    /// Gives a component away: the function `destroy` of its table frees it.
    #[must_use]
    pub fn give(component: Arc<K>, side: Side) -> rg_ref {
        let object = Object::leaked(component, side, Some(destroy::<K>));
        // SAFETY: just leaked.
        unsafe { object.as_ref() }.reference
    }

    fn object(&self) -> &Object<K> {
        // SAFETY: it lives as long as this.
        unsafe { self.0.as_ref() }
    }

    /// The component.
    #[must_use]
    pub fn component(&self) -> &K {
        &self.object().component
    }

    /// What the other side gets; valid for as long as this lives.
    #[must_use]
    pub fn reference(&self) -> *const rg_ref {
        &raw const self.object().reference
    }
}

impl<K: ?Sized + Export> Drop for Exported<K> {
    fn drop(&mut self) {
        // SAFETY: leaked when this was made, and freed here alone.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

impl<K: ?Sized + Export> Object<K> {
    /// In a place of its own, which the other side points to.
    fn leaked(component: Arc<K>, side: Side, destroy: Option<Destroy>) -> NonNull<Self> {
        let table = K::table(&component, destroy);
        let threading = K::threading(&component);
        let object = NonNull::from(Box::leak(Box::new(Self {
            table,
            threading,
            reference: rg_ref {
                object: std::ptr::null_mut(),
                vtable: std::ptr::null(),
            },
            component,
            side,
            store: Store::default(),
            poisoned: AtomicBool::new(false),
        })));
        let place = object.as_ptr();
        // SAFETY: just leaked, and nobody else points there yet.
        unsafe {
            (*place).reference = rg_ref {
                object: place.cast(),
                vtable: (&raw const (*place).table).cast(),
            };
        }
        object
    }
}

/// Frees an object that was given away.
///
/// # Safety
/// `object` is NULL or was made by [`Exported::give`] of kind `K`, and is not used again.
unsafe extern "C" fn destroy<K: ?Sized + Export>(object: *mut c_void) {
    if object.is_null() {
        return;
    }
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: by contract.
        drop(unsafe { Box::from_raw(object.cast::<Object<K>>()) });
    }));
}

/// The capabilities that all kinds have in common.
fn caps(traits: Traits) -> u64 {
    let mut caps = 0;
    if traits.rowwise {
        caps |= RG_CAP_ROWWISE;
    }
    if traits.deterministic {
        caps |= RG_CAP_DETERMINISTIC;
    }
    caps
}

fn class(threading: Threading) -> i32 {
    match threading {
        Threading::Caller => RG_THREAD_CALLER,
        Threading::Serial => RG_THREAD_SERIAL,
        Threading::Concurrent => RG_THREAD_CONCURRENT,
    }
}

thread_local! {
    /// What the last panic on this thread said, and where; kept by [`keep_panics`].
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Makes panics on this side say nothing to the person, but keep their text and place for the host. For
/// plugins, which have a standard library of their own.
pub fn keep_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info
            .location()
            .map_or_else(String::new, |at| format!(" at {at}"));
        keep_last_panic(Some(format!(
            "{}{place}",
            crate::call::words(info.payload())
        )));
    }));
}

/// A thread that ends has none any more.
pub(crate) fn keep_last_panic(said: Option<String>) {
    let _ = LAST_PANIC.try_with(|last| *last.borrow_mut() = said);
}

pub(crate) fn last_panic() -> Option<String> {
    LAST_PANIC
        .try_with(|last| last.borrow_mut().take())
        .unwrap_or_default()
}

/// What a function of a table is called for: the component, where a call ends, and whether evaluations
/// are to be counted.
struct Callee<'a, K: ?Sized + Export>(&'a Object<K>);

impl<'a, K: ?Sized + Export> Callee<'a, K> {
    /// # Safety
    /// `object` is NULL, or of [`Exported`] of kind `K` and alive during `'a`.
    unsafe fn of(object: *mut c_void) -> Option<Self> {
        // SAFETY: by contract.
        unsafe { object.cast::<Object<K>>().as_ref() }.map(Self)
    }

    /// Calls `f` with the component, and a context on `call`. The last argument says that this is the host
    /// itself, whose evaluations are counted.
    ///
    /// # Safety
    /// `call` is NULL or a call of the host of this side, alive, on its own thread.
    unsafe fn with_cx(
        &self,
        call: *mut rg_call,
        f: impl FnOnce(&'a K, &mut Cx<'_>, bool) -> Result,
    ) -> rg_status {
        if let Some(code) = self.usable(call) {
            return code;
        }
        match self.0.side {
            // SAFETY: by contract.
            Side::Host => unsafe {
                on_call(call, |c| {
                    let cx = c.cx()?;
                    // Blocks may run at once, on any threads.
                    if cx.position().inside && self.0.threading != Threading::Concurrent {
                        return Err(Error::WrongThread {
                            component: "a component that is not RG_THREAD_CONCURRENT".into(),
                        });
                    }
                    f(&self.0.component, cx, true)?;
                    c.went_on();
                    Ok(())
                })
            },
            Side::Plugin(_) if call.is_null() => Status::Null as rg_status,
            Side::Plugin(host) => self.guarded(call, || {
                enter(host, call, &self.0.store, |cx| {
                    f(&self.0.component, cx, false)
                })
            }),
        }
    }

    /// Calls `f` with the component, for what needs no context. `call` may be NULL.
    ///
    /// # Safety
    /// As [`with_cx`](Self::with_cx).
    unsafe fn plainly(&self, call: *mut rg_call, f: impl FnOnce(&'a K) -> Result) -> rg_status {
        if let Some(code) = self.usable(call) {
            return code;
        }
        match self.0.side {
            Side::Host if call.is_null() => match caught(|| f(&self.0.component)) {
                Ok(()) => RG_OK,
                Err(error) => error.status() as rg_status,
            },
            // SAFETY: by contract.
            Side::Host => unsafe { on_call(call, |_| f(&self.0.component)) },
            Side::Plugin(_) => self.guarded(call, || f(&self.0.component)),
        }
    }

    /// The status for an object that cannot be used any more.
    fn usable(&self, call: *mut rg_call) -> Option<rg_status> {
        if !self.0.poisoned.load(Ordering::Acquire) {
            return None;
        }
        let error = Error::Poisoned {
            what: "the component".into(),
        };
        Some(match self.0.side {
            Side::Host => error.status() as rg_status,
            Side::Plugin(host) => report(host, call, &error),
        })
    }

    /// Keeps a panic in, in a plugin: the object cannot be used any more then.
    fn guarded(&self, call: *mut rg_call, f: impl FnOnce() -> Result) -> rg_status {
        let Side::Plugin(host) = self.0.side else {
            return Status::Panic as rg_status;
        };
        guarded(host, call, f, || {
            self.0.poisoned.store(true, Ordering::Release);
        })
    }

    /// Tells the host what a person must know.
    fn hand_on(&self, call: *mut rg_call, flags: &[Flag]) -> Result {
        match self.0.side {
            Side::Host if call.is_null() => {}
            Side::Host => {
                for flag in flags {
                    remote::hand_on(crate::host::host(), call, flag);
                }
            }
            Side::Plugin(host) => {
                for flag in flags {
                    remote::hand_on(host, call, flag);
                }
            }
        }
        Ok(())
    }
}

/// Calls `f` in a plugin, for `call` of `host`: an error or a panic is reported, and becomes a status.
pub fn guarded(
    host: &rg_host,
    call: *mut rg_call,
    f: impl FnOnce() -> Result,
    on_panic: impl FnOnce(),
) -> rg_status {
    last_panic();
    let error = match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(())) => return RG_OK,
        Ok(Err(error)) => error,
        Err(payload) => {
            on_panic();
            panicked(payload.as_ref(), last_panic())
        }
    };
    catch_unwind(AssertUnwindSafe(|| report(host, call, &error)))
        .unwrap_or(Status::Panic as rg_status)
}

/// Writes a text as the slot `name` does.
///
/// # Safety
/// `buf` is NULL or has room for `cap` bytes; `need` is NULL or may be written.
unsafe fn write_text(text: &str, buf: *mut c_char, cap: usize, need: *mut usize) -> Result {
    let size = text.len() + 1;
    if !need.is_null() {
        // SAFETY: by contract.
        unsafe { need.write(size) };
    }
    if text.contains('\0') {
        return Err(Error::Argument {
            component: "a name".into(),
            argument: "text".into(),
            given: format!("{text:?}"),
            allowed: "without a NUL inside".into(),
        });
    }
    if cap < size || buf.is_null() {
        return Err(Error::Buffer {
            argument: "buf".into(),
            given: cap,
            needed: size,
        });
    }
    // SAFETY: room for it by contract.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), buf.cast(), text.len());
        buf.add(text.len()).write(0);
    }
    Ok(())
}

/// A place for one result.
///
/// # Safety
/// `out` is NULL or may be written.
unsafe fn put<T>(out: *mut T, value: T, what: &str) -> Result {
    if out.is_null() {
        return Err(Error::Null {
            argument: what.into(),
        });
    }
    // SAFETY: by contract.
    unsafe { out.write(value) };
    Ok(())
}

/// Refuses a dimension other than that of the component.
fn same_dim(component: &str, own: usize, d: usize) -> Result {
    if own == d {
        return Ok(());
    }
    Err(Error::shape(component, "d", own.to_string(), d.to_string()))
}

fn lacking(what: &str) -> Error {
    Error::Missing {
        component: "the caller".into(),
        needed: what.into(),
        holder: "the component".into(),
        advice: "look whether the slot is there".into(),
    }
}

/// The body of a function of a table: with a context. Its closure is inside of the unsafe block: pointers are
/// as the contract of the interface says.
macro_rules! with_cx {
    ($kind:ty, $object:ident, $call:ident, $f:expr) => {
        // SAFETY: object and call are as the contract of the interface says.
        match unsafe { $crate::export::Callee::<$kind>::of($object) } {
            // SAFETY: as above.
            Some(callee) => unsafe { callee.with_cx($call, $f) },
            None => retrograde_core::Status::Null as retrograde_abi::rg_status,
        }
    };
}

/// The body of a function of a table: without one; as above.
macro_rules! plainly {
    ($kind:ty, $object:ident, $call:ident, $f:expr) => {
        // SAFETY: object and call are as the contract of the interface says.
        match unsafe { $crate::export::Callee::<$kind>::of($object) } {
            // SAFETY: as above.
            Some(callee) => unsafe { callee.plainly($call, $f) },
            None => retrograde_core::Status::Null as retrograde_abi::rg_status,
        }
    };
}
use {plainly, with_cx};
