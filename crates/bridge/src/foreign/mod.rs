//! A table of functions that is a component.
//!
//! A `Foreign` copies the table, asks the object what it is once, and then hands every call on. It keeps
//! the thread class, and turns a status into an error with the words that were given to `fail`. In the host
//! each call gets a [call](mod@crate::host) of its own; in a plugin, where the object is the host's, the call
//! that the plugin was given is used again, moved to the place of the context, so that the random streams
//! are those that a built-in would have had.

mod process;
mod sampler;
mod score;
mod target;

use crate::call::{Call, this_thread};
use crate::export::Exported;
use crate::remote;
use crate::tables::Functions;
use retrograde_abi::{
    RG_CAP_DETERMINISTIC, RG_CAP_ROWWISE, RG_OK, rg_call, rg_host, rg_ref, rg_status,
};
use retrograde_core::{
    Cx, Error, Flag, ForwardProcess, Result, Score, Signature, Sink, Status, Target, Threading,
    Times, Traits,
};
use std::any::Any;
use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An object with its table, and what they are used with.
pub struct Made {
    /// The object and its table, of the kind that is asked for.
    pub made: rg_ref,
    /// Kind and name, for messages: `target demo/banana`.
    pub label: String,
    /// The host whose object it is; none in the host itself.
    pub host: Option<&'static rg_host>,
    /// What the parts are that it was made with: it has the weaker of these and its own.
    pub parts: Traits,
    /// What must live for as long as it, mostly the [`Parts`] that it was made with.
    pub keep: Box<dyn Any + Send + Sync>,
    /// What the saved states of a sampler depend on.
    pub signature: Signature,
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Made")
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

/// An object of another side, used through its table `T`: a component of the kind of the table.
pub struct Foreign<T: Asked> {
    pub(crate) object: *mut c_void,
    pub(crate) table: T,
    made: Made,
    info: T::Info,
    traits: Traits,
    gate: Gate,
    /// What failed where no error can be returned; the next call that can tells it.
    pending: AtomicBool,
    failed: Mutex<Option<Error>>,
}

// SAFETY: the thread class of the object is kept: one that is not CONCURRENT is called under its gate.
unsafe impl<T: Asked> Send for Foreign<T> {}
// SAFETY: as for Send.
unsafe impl<T: Asked> Sync for Foreign<T> {}

impl<T: Asked> std::fmt::Debug for Foreign<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Foreign")
            .field("label", &self.made.label)
            .finish_non_exhaustive()
    }
}

/// A table whose object is asked once what it is.
pub trait Asked: Functions {
    /// What it says.
    type Info: Send + Sync;
    /// Asks it.
    ///
    /// # Errors
    /// What it returns, or says that cannot be.
    fn ask(asking: &Asking<'_, Self>) -> Result<Self::Info>;
}

/// An object that is not a component yet.
#[derive(Debug)]
pub struct Asking<'a, T> {
    pub(crate) object: *mut c_void,
    pub(crate) table: &'a T,
    pub(crate) label: &'a str,
    /// Whether it is of a host elsewhere, to which there is no call now.
    remote: bool,
}

impl<T> Asking<'_, T> {
    pub(crate) fn ask(&self, f: impl FnOnce(*mut rg_call) -> rg_status) -> Result {
        let mut call = Call::bare();
        let code = f(call.raw_if(!self.remote));
        call.finish(code, self.label)
    }

    pub(crate) fn wrong(&self, what: &str, given: impl std::fmt::Display, allowed: &str) -> Error {
        Error::Argument {
            component: self.label.into(),
            argument: what.into(),
            given: given.to_string(),
            allowed: allowed.into(),
        }
    }

    pub(crate) fn dim(&self, d: usize) -> Result<usize> {
        // More would not leave room for two rows.
        if d == 0 || d > isize::MAX as usize / 32 {
            return Err(self.wrong("dim", d, "1 or more, and fit into memory"));
        }
        Ok(d)
    }
}

/// The parts that a component of another side was made with, as tables. They live as long as it.
#[derive(Debug, Default)]
pub struct Parts {
    /// The target.
    pub target: Option<Exported<dyn Target>>,
    /// The forward process.
    pub process: Option<Exported<dyn ForwardProcess>>,
    /// The score.
    pub score: Option<Exported<dyn Score>>,
}

impl Parts {
    fn flags(&self) -> Vec<Flag> {
        let process = self.process.iter().flat_map(|p| p.component().flags());
        let score = self.score.iter().flat_map(|s| s.component().flags());
        process.chain(score).collect()
    }

    /// The weakest of what they are.
    #[must_use]
    pub fn traits(&self) -> Traits {
        let target = self.target.as_ref().map(|t| t.component().traits());
        let process = self.process.as_ref().map(|p| p.component().traits());
        let score = self.score.as_ref().map(|s| s.component().traits());
        [target, process, score]
            .into_iter()
            .flatten()
            .fold(Traits::PURE, Traits::and)
    }
}

/// Whether it was made with these capabilities.
fn has(caps: u64, cap: u64) -> bool {
    caps & cap != 0
}

impl<T: Asked> Foreign<T> {
    /// The component that an object is.
    ///
    /// # Errors
    /// What is wrong with its table, what it returns, or says that cannot be. The object is freed then.
    ///
    /// # Safety
    /// `made.made.vtable` is NULL or a table of type `T`, whose functions may be called with the object
    /// for as long as `made.keep` lives, as the contract of the interface says.
    pub unsafe fn new(made: Made) -> Result<Self> {
        let label = &made.label;
        // SAFETY: by contract.
        let table = unsafe { crate::tables::read(made.made.vtable.cast::<T>()) }
            .map_err(|message| broken(label, message))?;
        let free = |error| {
            if let Some(destroy) = table.destroy() {
                // SAFETY: by contract, and nobody else has the object.
                unsafe { destroy(made.made.object) };
            }
            error
        };
        let class = table
            .look_over()
            .and_then(|()| table.class())
            .map_err(|message| free(broken(label, message)))?;
        let asking = Asking {
            object: made.made.object,
            table: &table,
            label,
            remote: made.host.is_some(),
        };
        let info = T::ask(&asking).map_err(free)?;
        let own = Traits {
            threading: class,
            rowwise: has(table.caps(), RG_CAP_ROWWISE),
            deterministic: has(table.caps(), RG_CAP_DETERMINISTIC),
        };
        Ok(Self {
            object: made.made.object,
            info,
            traits: own.and(made.parts),
            gate: Gate::new(class),
            pending: AtomicBool::new(false),
            failed: Mutex::new(None),
            table,
            made,
        })
    }

    /// Kind and name.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.made.label
    }

    /// Calls a function of the table for a context.
    #[inline]
    fn call(&self, cx: &mut Cx<'_>, f: impl FnOnce(*mut rg_call) -> rg_status) -> Result {
        self.tell_failure()?;
        // Blocks may run on any threads.
        if self.gate.class == Threading::Caller && cx.position().inside {
            return Err(Error::WrongThread {
                component: self.made.label.clone(),
            });
        }
        let _gate = self.gate.enter(&self.made.label)?;
        match self.made.host {
            None => {
                let mut call = Call::new(cx);
                let code = f(call.raw());
                call.finish(code, &self.made.label)
            }
            Some(host) => self.call_host(host, cx, f),
        }
    }

    /// Calls a function of a host's object, on the call of that host: another call means nothing to it.
    fn call_host(
        &self,
        host: &'static rg_host,
        cx: &mut Cx<'_>,
        f: impl FnOnce(*mut rg_call) -> rg_status,
    ) -> Result {
        let Some(raw) = remote::call_of(cx, host) else {
            return Err(Error::Argument {
                component: self.made.label.clone(),
                argument: "context".into(),
                given: "one that stands on no call of the host".into(),
                allowed: "the one that a function of the plugin was given, on its thread".into(),
            });
        };
        remote::seek(host, raw, cx.position())?;
        let failed = remote::tell(host, raw)?.failed;
        let code = f(raw);
        let frame = remote::tell(host, raw)?;
        let mut position = cx.position();
        position.fills = frame.fills;
        cx.set_position(position);
        // Rows are counted on both sides, failures where they are made harmless.
        cx.counts_mut().failed += frame.failed.saturating_sub(failed);
        match code {
            RG_OK => Ok(()),
            code => Err(remote::handed_on(code, &self.made.label)),
        }
    }

    /// Calls `start` of a sampler, which may refuse a setting.
    fn call_start(&self, cx: &mut Cx<'_>, f: impl FnOnce(*mut rg_call) -> rg_status) -> Result {
        self.tell_failure()?;
        if self.made.host.is_some() {
            return Err(broken(&self.made.label, "a sampler of a host".into()));
        }
        let _gate = self.gate.enter(&self.made.label)?;
        let mut call = Call::of_start(cx, &self.made.label);
        let code = f(call.raw());
        call.finish(code, &self.made.label)
    }

    /// Calls a function of a sampler that may emit.
    fn call_step(
        &self,
        cx: &mut Cx<'_>,
        sink: &mut dyn Sink,
        f: impl FnOnce(*mut rg_call) -> rg_status,
    ) -> Result {
        self.tell_failure()?;
        if self.made.host.is_some() {
            return Err(broken(&self.made.label, "a sampler of a host".into()));
        }
        let _gate = self.gate.enter(&self.made.label)?;
        let mut call = Call::of_step(cx, sink);
        let code = f(call.raw());
        call.finish(code, &self.made.label)
    }

    /// Calls a function for which no context is needed. On objects of a host elsewhere there is no call.
    /// `f` gets what the object is to be handed anew for each function, since a call that was looked at by
    /// its owner is another borrow.
    fn ask<R>(
        &self,
        f: impl FnOnce(&dyn Fn(&Call<'_>) -> *mut rg_call, &mut Call<'_>) -> Result<R>,
    ) -> Result<R> {
        self.ask_in(Call::bare(), f)
    }

    fn ask_in<R>(
        &self,
        mut call: Call<'_>,
        f: impl FnOnce(&dyn Fn(&Call<'_>) -> *mut rg_call, &mut Call<'_>) -> Result<R>,
    ) -> Result<R> {
        let _gate = self.gate.enter(&self.made.label)?;
        let here = self.made.host.is_none();
        f(&|call| call.raw_if(here), &mut call)
    }

    /// As [`ask`](Self::ask), for a function that gives a status only.
    fn ask_status(&self, f: impl FnOnce(*mut rg_call) -> rg_status) -> Result {
        self.ask(|raw, call| {
            let code = f(raw(call));
            call.finish(code, &self.made.label)
        })
    }

    /// What a function says by `flag`.
    fn ask_flags(&self, f: impl FnOnce(*mut rg_call) -> rg_status) -> Vec<Flag> {
        // To a host elsewhere there is no call to say it in; the host hands them on itself.
        if self.made.host.is_some() {
            return Vec::new();
        }
        let asked = self.ask_in(Call::of_flags(), |raw, call| {
            let code = f(raw(call));
            call.finish(code, &self.made.label)?;
            Ok(call.take_flags())
        });
        asked.unwrap_or_else(|error| {
            self.remember(error);
            Vec::new()
        })
    }

    /// Refuses an array of another size than the other side would take it to be.
    #[inline]
    fn fits(&self, what: &str, want: (usize, usize), got: (usize, usize)) -> Result {
        if want == got {
            return Ok(());
        }
        Err(Error::shape(
            &self.made.label,
            what,
            format!("shape ({}, {})", want.0, want.1),
            format!("shape ({}, {})", got.0, got.1),
        ))
    }

    /// As [`fits`](Self::fits), for one time a row.
    #[inline]
    fn times_fit(&self, n: usize, t: &Times<'_>) -> Result {
        match t {
            Times::Shared(_) => Ok(()),
            Times::PerRow(t) => self.fits("t", (n, 1), (t.len(), 1)),
        }
    }

    /// A slot that is not there, which is asked about before it is used.
    fn lacks(&self, slot: &str) -> Error {
        Error::Missing {
            component: "the caller".into(),
            needed: format!("`{slot}`"),
            holder: self.made.label.clone(),
            advice: "ask whether it is there".into(),
        }
    }

    /// Keeps an error for the next call that can return one.
    fn remember(&self, error: Error) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get_or_insert(error);
        self.pending.store(true, Ordering::Release);
    }

    /// What failed in a function that gives no status here, such as a name; told once, by this or by the next
    /// call that evaluates.
    ///
    /// # Errors
    /// That error.
    pub fn take_failure(&self) -> Result {
        self.tell_failure()
    }

    fn tell_failure(&self) -> Result {
        if !self.pending.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        self.pending.store(false, Ordering::Release);
        failed.take().map_or(Ok(()), Err)
    }

    /// A text that a function writes into a buffer, in the way of `name`.
    fn read_text(
        &self,
        what: &str,
        f: impl Fn(*mut rg_call, *mut c_char, usize, *mut usize) -> rg_status,
    ) -> Result<String> {
        const LONGEST: usize = 1 << 16;
        let label = &self.made.label;
        let wrong = |given: String, allowed: &str| Error::Argument {
            component: label.clone(),
            argument: what.into(),
            given,
            allowed: allowed.into(),
        };
        self.ask(|raw, call| {
            let mut buffer = [0_u8; 64];
            let mut need = 0;
            let code = f(
                raw(call),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                &raw mut need,
            );
            if code == RG_OK && need <= buffer.len() {
                return text_in(&buffer, need).map_err(|given| wrong(given, "text in UTF-8"));
            }
            if code != RG_OK && code != Status::Buffer as rg_status {
                return call.finish(code, label).map(|()| String::new());
            }
            if need > LONGEST {
                return Err(wrong(format!("{need} bytes long"), "at most 65536"));
            }
            let mut long = vec![0_u8; need];
            let code = f(raw(call), long.as_mut_ptr().cast(), need, &raw mut need);
            call.finish(code, label)?;
            text_in(&long, need).map_err(|given| wrong(given, "text in UTF-8"))
        })
    }
}

/// Frees an object that no component was made of.
///
/// # Safety
/// As [`Foreign::new`], and nobody has the object.
pub(crate) unsafe fn discard<T: Functions>(made: rg_ref) {
    // SAFETY: by contract.
    if let Ok(table) = unsafe { crate::tables::read(made.vtable.cast::<T>()) }
        && let Some(destroy) = table.destroy()
    {
        // SAFETY: by contract.
        unsafe { destroy(made.object) };
    }
}

fn text_in(buffer: &[u8], need: usize) -> std::result::Result<String, String> {
    let text = CStr::from_bytes_until_nul(buffer)
        .map_err(|_| format!("without a NUL in its {need} bytes"))?;
    text.to_str()
        .map(str::to_owned)
        .map_err(|_| "no UTF-8".to_owned())
}

impl<T: Asked> Drop for Foreign<T> {
    fn drop(&mut self) {
        if let Some(destroy) = self.table.destroy() {
            // SAFETY: made with this table, and this is its last owner; what it was made with lives on
            // until `made` is dropped, after this.
            unsafe { destroy(self.object) };
        }
    }
}

fn broken(label: &str, message: String) -> Error {
    Error::Argument {
        component: label.into(),
        argument: "table".into(),
        given: "wrong".into(),
        allowed: format!("as retrograde_plugin.h says: {message}"),
    }
}

/// Lets one thread at a time through, where the thread class asks for that.
struct Gate {
    class: Threading,
    lock: Mutex<()>,
    holder: AtomicUsize,
}

struct Passed<'a> {
    gate: &'a Gate,
    _guard: MutexGuard<'a, ()>,
}

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        self.gate.holder.store(0, Ordering::Relaxed);
    }
}

impl Gate {
    fn new(class: Threading) -> Self {
        Self {
            class,
            lock: Mutex::new(()),
            holder: AtomicUsize::new(0),
        }
    }

    fn enter(&self, label: &str) -> Result<Option<Passed<'_>>> {
        if self.class == Threading::Concurrent {
            return Ok(None);
        }
        let me = this_thread();
        if self.holder.load(Ordering::Relaxed) == me {
            return Err(Error::Busy { what: label.into() });
        }
        let guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.holder.store(me, Ordering::Relaxed);
        Ok(Some(Passed {
            gate: self,
            _guard: guard,
        }))
    }
}
