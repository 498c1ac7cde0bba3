//! One call on one thread, as the host sees what plugins get as `rg_call`.

use retrograde_abi::{rg_call, rg_cfg, rg_status};
use retrograde_core::registry::Files;
use retrograde_core::{Cx, Error, Flag, Result, Sink, Status};
use std::any::Any;
use std::ffi::{CString, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
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

/// What a call stands on, what was said in it, and what it made that ends with it.
pub(crate) struct Call<'a> {
    /// None in `create`, and where a component is only asked what it is.
    cx: Option<NonNull<Cx<'static>>>,
    /// In `step` of a sampler.
    sink: Option<NonNull<dyn Sink>>,
    /// In `create`.
    settings: Option<&'a Settings<'a>>,
    thread: usize,
    /// While the host works for it on other threads.
    busy: bool,
    /// What the plugin gave to `fail`.
    said: Option<(rg_status, String)>,
    /// The last error of the host's own: it knows more than the code that went through the plugin.
    own: Option<Error>,
    /// An error of a service that can return none.
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
        cx: Option<NonNull<Cx<'static>>>,
        sink: Option<NonNull<dyn Sink>>,
        settings: Option<&'a Settings<'a>>,
    ) -> Self {
        Self {
            cx,
            sink,
            settings,
            thread: this_thread(),
            busy: false,
            said: None,
            own: None,
            broken: None,
            flags: Vec::new(),
            scratch: [const { Vec::new() }; SCRATCH],
            scratch_used: 0,
            kept: Vec::new(),
            lifetime: PhantomData,
        }
    }

    /// A call in which a component is asked what it is.
    pub(crate) fn bare() -> Self {
        Self::of(None, None, None)
    }

    /// A call of `create`.
    pub(crate) fn of_create(settings: &'a Settings<'a>) -> Self {
        Self::of(None, None, Some(settings))
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

    pub(crate) fn raw(&mut self) -> *mut rg_call {
        std::ptr::from_mut(self).cast()
    }

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

    /// The component that is made.
    pub(crate) fn label(&self) -> &'a str {
        self.settings.map_or("the plugin", |s| s.label)
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
        let pooled = self.cx.is_some() && len <= 1 << 26;
        let mut buffer = if pooled && self.scratch_used < SCRATCH {
            match self.cx() {
                Ok(cx) => cx.take(len),
                Err(_) => return std::ptr::null_mut(),
            }
        } else {
            let mut buffer: Vec<f64> = Vec::new();
            if buffer.try_reserve_exact(len).is_err() {
                return std::ptr::null_mut();
            }
            buffer.resize(len, 0.0);
            buffer
        };
        let start: *mut u8 = buffer.as_mut_ptr().cast();
        let shift = start.align_offset(align);
        let place = start.wrapping_add(shift).cast();
        if pooled && self.scratch_used < SCRATCH {
            self.scratch[self.scratch_used] = buffer;
            self.scratch_used += 1;
        } else {
            self.kept.push(Box::new(buffer));
        }
        place
    }

    pub(crate) fn say(&mut self, code: rg_status, text: &str) {
        self.said = Some((code, text.to_owned()));
    }

    pub(crate) fn flag(&mut self, flag: Flag) {
        match &mut self.sink {
            // SAFETY: as for the context.
            Some(sink) => unsafe { sink.as_mut() }.flag(flag),
            None => self.flags.push(flag),
        }
    }

    pub(crate) fn take_flags(&mut self) -> Vec<Flag> {
        std::mem::take(&mut self.flags)
    }

    pub(crate) fn set_own(&mut self, error: Option<Error>) {
        self.own = error;
    }

    pub(crate) fn take_own(&mut self) -> Option<Error> {
        self.own.take()
    }

    /// What came of it, as it is.
    pub(crate) fn said(mut self, code: rg_status) -> crate::probe::Said {
        crate::probe::Said {
            code,
            text: self.said.take().map(|(_, text)| text),
            own: self.own.take(),
            broken: self.broken.take(),
            flags: self.take_flags(),
        }
    }

    pub(crate) fn break_off(&mut self, error: Error) {
        self.broken.get_or_insert(error);
    }

    /// Calls `work` with the context, while nothing else may be asked of this call.
    pub(crate) fn while_busy<R>(
        &mut self,
        work: impl FnOnce(&mut Cx<'static>) -> Result<R>,
    ) -> Result<R> {
        self.busy = true;
        let result = match &mut self.cx {
            // SAFETY: as in `cx`.
            Some(cx) => work(unsafe { cx.as_mut() }),
            None => self.cx().map(|_| unreachable!("there is none")),
        };
        self.busy = false;
        result
    }

    /// What the status means that a function of `component` returned for this call.
    pub(crate) fn finish(&mut self, code: rg_status, component: &str) -> Result {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        if code == Status::Ok as rg_status {
            return Ok(());
        }
        let own = self.own.take();
        if let Some(error) = own.filter(|e| e.status() as rg_status == code) {
            return Err(error);
        }
        let text = match self.said.take() {
            Some((_, text)) => text,
            None => String::new(),
        };
        Err(meaning(code, component, text))
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let used = self.scratch_used;
        let mut buffers = std::mem::take(&mut self.scratch);
        if let Ok(cx) = self.cx() {
            for buffer in &mut buffers[..used] {
                cx.give(std::mem::take(buffer));
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
    f: impl FnOnce(&mut Call<'_>) -> Result,
) -> rg_status {
    let call: *mut Call<'_> = call.cast();
    if call.is_null() {
        return Status::Null as rg_status;
    }
    // SAFETY: not NULL, so alive by contract; these two are written on the thread of the call alone,
    // and not while it is busy.
    let (thread, busy) = unsafe { ((*call).thread, (*call).busy) };
    if thread != this_thread() {
        return Status::Thread as rg_status;
    }
    if busy {
        return Status::Busy as rg_status;
    }
    // SAFETY: on its own thread, and nobody is at work on it.
    let call = unsafe { &mut *call };
    match caught(|| f(call)) {
        Ok(()) => Status::Ok as rg_status,
        Err(error) => {
            let code = error.status() as rg_status;
            call.own = Some(error);
            code
        }
    }
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
