//! One call on one thread, as the host sees what plugins get as `rg_call`.

use retrograde_abi::{rg_call, rg_cfg, rg_status};
use retrograde_core::registry::Files;
use retrograde_core::{Cx, Error, Flag, Position, Result, Sink, Status};
use std::any::Any;
use std::cell::UnsafeCell;
use std::ffi::{CString, c_void};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The settings of a component as they arrive at `create`: checked, with their defaults.
pub struct Settings<'a> {
    /// Kind and name of the component.
    pub label: &'a str,
    /// The parameters.
    pub table: &'a toml::Table,
    /// Reader of files that they name.
    pub files: &'a dyn Files,
}

impl std::fmt::Debug for Settings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("table", self.table)
            .finish_non_exhaustive()
    }
}

/// A call, behind the `rg_call` that a plugin has.
///
/// Plugins may hand it to the wrong thread, or use it again while the host is at work for it. So it is shared,
/// and what it holds is reached on its own thread alone, by one function at a time.
pub(crate) struct Call<'a> {
    thread: usize,
    /// While a function of the host is at work for it.
    busy: AtomicBool,
    /// A function that can return no status was called on another thread, or while it was busy.
    misused: AtomicBool,
    state: UnsafeCell<State<'a>>,
}

/// What a call stands on, what was said in it, and what it made that ends with it.
pub(crate) struct State<'a> {
    /// None where a component is only asked what it is.
    cx: Option<NonNull<Cx<'static>>>,
    /// Where the context stood, and will again.
    start: Option<Position>,
    /// Failures when work inside of blocks began, which are looked at when it ends.
    failed_before: Option<u64>,
    /// In `step` of a sampler.
    sink: Option<NonNull<dyn Sink>>,
    /// In `create`.
    settings: Option<&'a Settings<'a>>,
    /// In `flags`.
    takes_flags: bool,
    /// The component whose settings may be refused.
    refusable: Option<&'a str>,
    /// What the plugin gave to `fail`.
    said: Option<String>,
    /// The last error of the host's own: it knows more than the code that went through the plugin.
    own: Option<Error>,
    /// Whether a function of the host succeeded since.
    own_is_old: bool,
    /// Whether `said` came after `own`.
    said_last: bool,
    /// A parameter that was refused.
    refused: Option<Error>,
    /// An error that ends the call whatever the plugin returns.
    broken: Option<Error>,
    flags: Vec<Flag>,
    scratch: [Vec<f64>; SCRATCH],
    scratch_used: usize,
    /// Further scratch, and what `cfg_*` gave out.
    kept: Vec<Box<dyn Any>>,
    lifetime: PhantomData<&'a mut ()>,
}

/// Blocks of scratch that a call has without allocating.
const SCRATCH: usize = 8;

/// Why an entry function refused; it has no call to say it by.
static REFUSAL: Mutex<Option<String>> = Mutex::new(None);

/// What an entry function said by `fail` without a call, since this was asked last.
pub fn take_refusal() -> Option<String> {
    REFUSAL
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()
}

pub(crate) fn set_refusal(text: String) {
    *REFUSAL.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
}

impl<'a> Call<'a> {
    fn of(
        mut cx: Option<NonNull<Cx<'static>>>,
        sink: Option<NonNull<dyn Sink>>,
        settings: Option<&'a Settings<'a>>,
    ) -> Self {
        // SAFETY: who makes a call lends it the context for as long as it lives.
        let start = cx.as_mut().map(|cx| unsafe { cx.as_mut() }.position());
        Self {
            thread: this_thread(),
            busy: AtomicBool::new(false),
            misused: AtomicBool::new(false),
            state: UnsafeCell::new(State {
                cx,
                start,
                failed_before: None,
                sink,
                settings,
                takes_flags: false,
                refusable: settings.map(|s| s.label),
                said: None,
                own: None,
                own_is_old: false,
                said_last: false,
                refused: None,
                broken: None,
                flags: Vec::new(),
                scratch: [const { Vec::new() }; SCRATCH],
                scratch_used: 0,
                kept: Vec::new(),
                lifetime: PhantomData,
            }),
        }
    }

    /// A call in which a component is asked what it is.
    pub(crate) fn bare() -> Self {
        Self::of(None, None, None)
    }

    /// A call of `flags`.
    pub(crate) fn of_flags() -> Self {
        let mut call = Self::bare();
        call.state.get_mut().takes_flags = true;
        call
    }

    /// A call of `create`. Through its context the parts may be evaluated.
    pub(crate) fn of_create(cx: &'a mut Cx<'_>, settings: &'a Settings<'a>) -> Self {
        Self::of(Some(NonNull::from(cx).cast()), None, Some(settings))
    }

    /// A call of `start` of a sampler, in which settings may be refused: some are only seen to be wrong beside
    /// the number of draws.
    pub(crate) fn of_start(cx: &'a mut Cx<'_>, label: &'a str) -> Self {
        let mut call = Self::new(cx);
        call.state.get_mut().refusable = Some(label);
        call
    }

    /// A call with a context.
    pub(crate) fn new(cx: &'a mut Cx<'_>) -> Self {
        Self::of(Some(NonNull::from(cx).cast()), None, None)
    }

    /// A call of `step`.
    pub(crate) fn of_step(cx: &'a mut Cx<'_>, sink: &'a mut (dyn Sink + '_)) -> Self {
        let sink: NonNull<dyn Sink + '_> = NonNull::from(sink);
        // SAFETY: only the lifetime changes; the call, which borrows it for `'a`, hands it out for no
        // longer than it lives itself.
        let sink =
            unsafe { std::mem::transmute::<NonNull<dyn Sink + '_>, NonNull<dyn Sink>>(sink) };
        Self::of(Some(NonNull::from(cx).cast()), Some(sink), None)
    }

    /// What the plugin gets; valid while this is neither moved nor used in other ways.
    pub(crate) fn raw(&self) -> *mut rg_call {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    /// As [`raw`](Self::raw), or NULL where there is no call to hand over.
    pub(crate) fn raw_if(&self, here: bool) -> *mut rg_call {
        if here {
            self.raw()
        } else {
            std::ptr::null_mut()
        }
    }

    pub(crate) fn take_own(&mut self) -> Option<Error> {
        self.state.get_mut().own.take()
    }

    pub(crate) fn take_flags(&mut self) -> Vec<Flag> {
        std::mem::take(&mut self.state.get_mut().flags)
    }

    /// What the status means that a function of `component` returned for this call.
    pub(crate) fn finish(&mut self, code: rg_status, component: &str) -> Result {
        let misused = *self.misused.get_mut();
        let state = self.state.get_mut();
        if let Some(error) = state.broken.take() {
            return Err(error);
        }
        if misused {
            return Err(misuse(component));
        }
        if code == Status::Ok as rg_status {
            return Ok(());
        }
        state.meaning(code, component)
    }
}

/// A function that can return no status was called where it may not be.
///
/// # Safety
/// `call` is NULL or what the host handed out, still alive.
pub(crate) unsafe fn misused(call: *mut rg_call) {
    // SAFETY: by contract; what is written is atomic.
    if let Some(call) = unsafe { call.cast::<Call<'_>>().as_ref() } {
        call.misused.store(true, Ordering::Relaxed);
    }
}

impl<'a> State<'a> {
    /// The context.
    pub(crate) fn cx(&mut self) -> Result<&mut Cx<'static>> {
        match &mut self.cx {
            // SAFETY: borrowed mutably for as long as this call, which hands it out for no longer.
            Some(cx) => Ok(unsafe { cx.as_mut() }),
            None => Err(not_here(
                "random numbers or threads",
                "they are there in calls that evaluate or step",
            )),
        }
    }

    pub(crate) fn sink(&mut self, function: &str) -> Result<&mut (dyn Sink + 'static)> {
        match &mut self.sink {
            // SAFETY: as for the context.
            Some(sink) => Ok(unsafe { sink.as_mut() }),
            None => Err(not_here(function, "call it in `step` of a sampler only")),
        }
    }

    /// Context and sink, for a step.
    pub(crate) fn cx_and_sink(&mut self) -> Result<(&mut Cx<'static>, &mut (dyn Sink + 'static))> {
        self.cx()?;
        self.sink("step")?;
        match (&mut self.cx, &mut self.sink) {
            // SAFETY: two borrows of two things, as in `cx` and `sink`.
            (Some(cx), Some(sink)) => Ok(unsafe { (cx.as_mut(), sink.as_mut()) }),
            _ => Err(not_here("a step", "call it with a context and a sink")),
        }
    }

    /// The component that is made, for messages.
    pub(crate) fn label_of_settings(&self) -> &'a str {
        self.settings.map_or("the plugin", |s| s.label)
    }

    /// The component whose settings may be refused here.
    pub(crate) fn refusable(&self) -> Result<&'a str> {
        self.refusable.ok_or_else(|| {
            not_here(
                "cfg_refuse",
                "call it in `create` or in `start` of a sampler only",
            )
        })
    }

    pub(crate) fn settings(&self, cfg: *const rg_cfg) -> Result<&'a Settings<'a>> {
        match self.settings {
            Some(_) if cfg.is_null() => Err(Error::Null {
                argument: "cfg".into(),
            }),
            Some(settings) => Ok(settings),
            None => Err(not_here("parameters", "read them in `create` only")),
        }
    }

    /// Keeps a value until the call ends.
    pub(crate) fn keep<T: 'static>(&mut self, value: T) -> &mut T {
        self.kept.push(Box::new(value));
        let last = self.kept.last_mut().and_then(|k| k.downcast_mut());
        last.expect("just put there")
    }

    pub(crate) fn keep_text(&mut self, text: &str) -> Result<*const std::ffi::c_char> {
        let text = CString::new(text).map_err(|_| Error::Argument {
            component: "a call".into(),
            argument: "text".into(),
            given: format!("{text:?}"),
            allowed: "without a NUL inside".into(),
        })?;
        Ok(self.keep(text).as_ptr())
    }

    /// Memory of `bytes` bytes aligned to `align`; NULL when that is no alignment or cannot be had.
    pub(crate) fn scratch(&mut self, bytes: usize, align: usize) -> *mut c_void {
        const LARGEST: usize = 4096;
        if !align.is_power_of_two() || align > LARGEST {
            return std::ptr::null_mut();
        }
        let spare = if align > 8 { align } else { 0 };
        let Some(len) = bytes.checked_add(spare).map(|b| b.div_ceil(8)) else {
            return std::ptr::null_mut();
        };
        // What `take` would make room for must not end the program.
        let pooled = len <= 1 << 20 && self.scratch_used < SCRATCH;
        let start: *mut u8 = match &mut self.cx {
            Some(cx) if pooled => {
                // SAFETY: as in `cx`.
                let mut buffer = unsafe { cx.as_mut() }.take(len);
                let start = buffer.as_mut_ptr().cast();
                self.scratch[self.scratch_used] = buffer;
                self.scratch_used += 1;
                start
            }
            _ => {
                // Not touched, lest more than there is of it be filled.
                let mut buffer: Vec<MaybeUninit<f64>> = Vec::new();
                if buffer.try_reserve_exact(len).is_err() {
                    return std::ptr::null_mut();
                }
                let start = buffer.as_mut_ptr().cast();
                self.kept.push(Box::new(buffer));
                start
            }
        };
        start.wrapping_add(start.align_offset(align)).cast()
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.said = Some(text.to_owned());
        self.said_last = true;
    }

    pub(crate) fn flag(&mut self, flag: Flag) -> Result {
        match &mut self.sink {
            // SAFETY: as for the context.
            Some(sink) => unsafe { sink.as_mut() }.flag(flag),
            None if self.takes_flags => self.flags.push(flag),
            None => {
                return Err(not_here(
                    "flag",
                    "call it in `step` of a sampler or in `flags` only",
                ));
            }
        }
        Ok(())
    }

    /// Keeps an error of the host's own, in case the plugin hands its code on.
    pub(crate) fn set_own(&mut self, error: Error) {
        self.own = Some(error);
        self.own_is_old = false;
        self.said_last = false;
    }

    /// The plugin went on after the last error of the host's own.
    pub(crate) fn went_on(&mut self) {
        self.own_is_old = true;
    }

    pub(crate) fn refuse(&mut self, error: Error) {
        self.refused = Some(error);
    }

    pub(crate) fn in_create(&self) -> bool {
        self.settings.is_some()
    }

    pub(crate) fn break_off(&mut self, error: Error) {
        self.broken.get_or_insert(error);
    }

    /// Makes the context stand elsewhere. What was evaluated inside of blocks is looked at when they end.
    pub(crate) fn seek(&mut self, to: Position) -> Result {
        let inside = to.inside || self.start.is_some_and(|s| s.inside);
        let cx = self.cx()?;
        let was = cx.position().inside;
        cx.set_position(to);
        cx.set_inside(inside);
        let failed = cx.counts().failed;
        if inside == was {
            return Ok(());
        }
        if inside {
            self.failed_before = Some(failed);
            return Ok(());
        }
        match self.failed_before.take() {
            Some(before) if before != failed => self.cx()?.check_counts(),
            _ => Ok(()),
        }
    }

    /// The error that a status stands for.
    fn meaning(&mut self, code: rg_status, component: &str) -> Result {
        if let Some(error) = self.refused.take()
            && code == error.status() as rg_status
        {
            return Err(error);
        }
        let own = self.own.take().filter(|e| e.status() as rg_status == code);
        match (own, self.said.take()) {
            // The host's own error, handed on.
            (Some(own), None) => Err(own),
            (Some(own), Some(_)) if !self.said_last => Err(own),
            // The plugin's words for it.
            (Some(own), Some(said)) if !self.own_is_old && !said.is_empty() => {
                Err(meaning(code, component, format!("{said} ({own})")))
            }
            (Some(own), Some(said)) if said.is_empty() => Err(own),
            (_, said) => Err(meaning(code, component, said.unwrap_or_default())),
        }
    }
}

impl Call<'_> {
    /// What came of it, as it is.
    pub(crate) fn said(mut self, code: rg_status) -> crate::probe::Said {
        let misused = *self.misused.get_mut();
        let state = self.state.get_mut();
        let own = state.refused.take().or_else(|| state.own.take());
        let broken = state.broken.take();
        crate::probe::Said {
            code,
            text: state.said.take(),
            own: own.filter(|e| e.status() as rg_status == code),
            broken: broken.or_else(|| misused.then(|| misuse("the plugin"))),
        }
    }
}

/// What is told of a call that was used where it may not be.
fn misuse(component: &str) -> Error {
    Error::Argument {
        component: component.into(),
        argument: "call".into(),
        given: "one of another thread, or one that the host is at work for".into(),
        allowed: "the call that the function was given, or that of the block".into(),
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        let used = state.scratch_used;
        let mut buffers = std::mem::take(&mut state.scratch);
        let start = state.start;
        if let Some(cx) = &mut state.cx {
            // SAFETY: as in `cx`.
            let cx = unsafe { cx.as_mut() };
            for buffer in &mut buffers[..used] {
                cx.give(std::mem::take(buffer));
            }
            // A plugin that moved the call moved the context of its caller.
            if let Some(mut start) = start {
                let now = cx.position();
                if now.key == start.key && now.row0 == start.row0 {
                    start.fills = now.fills;
                }
                cx.set_position(start);
                cx.set_inside(start.inside);
            }
        }
    }
}

/// The error that a status of `component` stands for.
pub(crate) fn meaning(code: rg_status, component: &str, text: String) -> Error {
    match Status::from_code(code) {
        Some(Status::Cancelled) => Error::Cancelled,
        Some(Status::Poisoned) => Error::Poisoned {
            what: component.into(),
        },
        Some(Status::Panic) => Error::Panic {
            message: format!("{component}: {text}"),
        },
        _ => Error::Callback {
            component: component.into(),
            code,
            text,
        },
    }
}

fn not_here(what: &str, advice: &str) -> Error {
    Error::Missing {
        component: "the plugin".into(),
        needed: what.into(),
        holder: "this call".into(),
        advice: advice.into(),
    }
}

/// Calls `f` for the call behind `call`; an error is kept in it, and its status returned.
///
/// # Safety
/// `call` is NULL or what the host handed out, still alive.
pub(crate) unsafe fn on_call(
    call: *mut rg_call,
    f: impl FnOnce(&mut State<'_>) -> Result,
) -> rg_status {
    // SAFETY: by contract.
    let Some(call) = (unsafe { call.cast::<Call<'_>>().as_ref() }) else {
        return Status::Null as rg_status;
    };
    if call.thread != this_thread() {
        return Status::Thread as rg_status;
    }
    // On its own thread, so that nobody else writes it.
    if call.busy.load(Ordering::Relaxed) {
        return Status::Busy as rg_status;
    }
    call.busy.store(true, Ordering::Relaxed);
    // SAFETY: on its own thread, and nobody is at work on it.
    let state = unsafe { &mut *call.state.get() };
    let code = match caught(|| f(state)) {
        Ok(()) => Status::Ok as rg_status,
        Err(error) => {
            let code = error.status() as rg_status;
            state.set_own(error);
            code
        }
    };
    call.busy.store(false, Ordering::Relaxed);
    code
}

/// A number of the thread that runs this, among those that are alive.
pub(crate) fn this_thread() -> usize {
    thread_local!(static HERE: u8 = const { 0 });
    HERE.with(|here| std::ptr::from_ref(here).addr())
}

/// A panic becomes an error.
pub(crate) fn caught<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|payload| {
        Err(Error::Panic {
            message: words(payload.as_ref()),
        })
    })
}

/// What a panic said.
pub(crate) fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without words")
        .to_owned()
}
