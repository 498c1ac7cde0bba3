//! A context and a sink on the services of a host elsewhere: what the code of a plugin works with.

use crate::arrays::dense1;
use crate::call::words;
use crate::export::{keep_last_panic, last_panic};
use crate::host::c_text;
use retrograde_abi::{RG_ERR_PANIC, RG_OK, rg_call, rg_frame, rg_host, rg_status};
use retrograde_core::{
    Cx, Draws, Error, Flag, Key, Level, Position, Result, Services, SimdLevel, Sink, Status, Store,
};
use std::any::Any;
use std::cell::Cell;
use std::ffi::{CStr, CString, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

const NO_STEP: u64 = u64::MAX;

/// A call of a host.
#[derive(Clone, Copy)]
pub(crate) struct Remote {
    pub(crate) host: &'static rg_host,
    pub(crate) call: *mut rg_call,
    threads: usize,
    simd: SimdLevel,
}

// SAFETY: jobs on other threads get a call of their own; of this one they only read the fields above.
unsafe impl Send for Remote {}
// SAFETY: as for Send.
unsafe impl Sync for Remote {}

fn no_frame() -> rg_frame {
    rg_frame {
        struct_size: size_of::<rg_frame>(),
        key0: 0,
        key1: 0,
        key2: 0,
        key3: 0,
        fills: 0,
        row0: 0,
        step: NO_STEP,
        threads: 1,
        inside: 0,
        simd: std::ptr::null(),
        density_evals: 0,
        gradient_evals: 0,
        score_evals: 0,
        rows: 0,
        failed: 0,
    }
}

/// A status of the host's, to be handed back to it: it knows what stands behind it. So there are no words.
pub(crate) fn handed_on(code: rg_status, component: &str) -> Error {
    match Status::from_code(code) {
        Some(Status::Cancelled) => Error::Cancelled,
        _ => Error::Callback {
            component: component.into(),
            code,
            text: String::new(),
        },
    }
}

fn refused(code: rg_status, what: &str) -> Error {
    handed_on(code, &format!("`{what}` of the host"))
}

thread_local! {
    /// The host and the call of the `create` that this thread is in.
    static CREATING: Cell<Option<(*const rg_host, *mut rg_call)>> = const { Cell::new(None) };
}

/// Calls `f` in the function `create` of a plugin. A component that evaluates its parts while it is built
/// has a context of its own for that, without a call: that of `create` stands in for it.
pub fn during_create<R>(host: &'static rg_host, call: *mut rg_call, f: impl FnOnce() -> R) -> R {
    struct Before(Option<(*const rg_host, *mut rg_call)>);
    impl Drop for Before {
        fn drop(&mut self) {
            CREATING.set(self.0);
        }
    }
    let _before = Before(CREATING.replace(Some((std::ptr::from_ref(host), call))));
    f()
}

/// The call of `host` that `cx` stands on.
pub(crate) fn call_of(cx: &Cx<'_>, host: &'static rg_host) -> Option<*mut rg_call> {
    match cx.call() {
        Some(call) => Some(call.as_ptr().cast()),
        None => CREATING
            .get()
            .filter(|(of, _)| std::ptr::eq(*of, host))
            .map(|(_, call)| call),
    }
}

/// Where a call stands.
pub(crate) fn tell(host: &rg_host, call: *mut rg_call) -> Result<rg_frame> {
    let mut frame = no_frame();
    let Some(tell) = host.tell else {
        return Err(lacks("tell"));
    };
    // SAFETY: the host's own function, on a call that it handed out.
    match unsafe { tell(call, &raw mut frame) } {
        RG_OK => Ok(frame),
        code => Err(refused(code, "tell")),
    }
}

fn lacks(slot: &str) -> Error {
    Error::Version {
        what: "the host".into(),
        found: format!("without `{slot}`"),
        expected: "one that has it".into(),
    }
}

/// Makes a call stand at the place of a context.
pub(crate) fn seek(host: &rg_host, call: *mut rg_call, at: Position) -> Result {
    let key = at.key.to_bytes();
    let part = |i: usize| u64::from_le_bytes(*key[8 * i..].first_chunk().expect("32 bytes"));
    let frame = rg_frame {
        key0: part(0),
        key1: part(1),
        key2: part(2),
        key3: part(3),
        fills: at.fills,
        row0: at.row0 as u64,
        step: at.step.unwrap_or(NO_STEP),
        inside: u32::from(at.inside),
        ..no_frame()
    };
    let Some(seek) = host.seek else {
        return Err(lacks("seek"));
    };
    // SAFETY: as in `tell`.
    match unsafe { seek(call, &raw const frame) } {
        RG_OK => Ok(()),
        code => Err(refused(code, "seek")),
    }
}

fn position(frame: &rg_frame) -> Position {
    let mut key = [0; 32];
    for (part, bytes) in [frame.key0, frame.key1, frame.key2, frame.key3]
        .into_iter()
        .zip(key.chunks_exact_mut(8))
    {
        bytes.copy_from_slice(&part.to_le_bytes());
    }
    Position {
        key: Key::from_bytes(key),
        fills: frame.fills,
        row0: usize::try_from(frame.row0).unwrap_or(usize::MAX),
        step: (frame.step != NO_STEP).then_some(frame.step),
        inside: frame.inside != 0,
    }
}

/// The level of that name, where this build has kernels for it; else the baseline, which every machine
/// has.
fn simd(name: *const std::ffi::c_char) -> SimdLevel {
    if name.is_null() {
        return SimdLevel::baseline();
    }
    // SAFETY: not NULL, so a text of the host that lives as long as the program.
    let name = unsafe { CStr::from_ptr(name) };
    let best = SimdLevel::best();
    if name.to_bytes() == best.name().as_bytes() {
        return best;
    }
    name.to_str()
        .ok()
        .and_then(|name| SimdLevel::named(name).ok())
        .unwrap_or_else(SimdLevel::baseline)
}

/// Calls `f` with a context on `call` of `host`; what it draws continues the streams of the call.
pub(crate) fn enter<R>(
    host: &'static rg_host,
    call: *mut rg_call,
    store: &Store,
    f: impl FnOnce(&mut Cx<'_>) -> Result<R>,
) -> Result<R> {
    let frame = tell(host, call)?;
    let remote = Remote {
        host,
        call,
        threads: frame.threads.max(1) as usize,
        simd: simd(frame.simd),
    };
    let start = position(&frame);
    let (result, fills) = store.enter(&remote, start, |cx| {
        let counts = cx.counts_mut();
        counts.density_evals = frame.density_evals;
        counts.gradient_evals = frame.gradient_evals;
        counts.score_evals = frame.score_evals;
        counts.rows = frame.rows;
        counts.failed = frame.failed;
        f(cx)
    });
    seek(host, call, Position { fills, ..start })?;
    result
}

struct Jobs<'a> {
    job: &'a (dyn Fn(usize, &dyn Services) + Sync),
    remote: &'a Remote,
    begun: AtomicUsize,
    panic: Mutex<Option<Panicked>>,
}

/// A panic, and what it said and where.
type Panicked = (Box<dyn Any + Send>, Option<String>);

unsafe extern "C" fn run_job(user: *mut c_void, child: *mut rg_call, job: usize) -> rg_status {
    // SAFETY: what `fan_out` handed over, which waits for every job.
    let jobs = unsafe { &*user.cast::<Jobs<'_>>() };
    jobs.begun.fetch_add(1, Ordering::Relaxed);
    let remote = Remote {
        call: child,
        threads: 1,
        ..*jobs.remote
    };
    match catch_unwind(AssertUnwindSafe(|| (jobs.job)(job, &remote))) {
        Ok(()) => RG_OK,
        Err(payload) => {
            let mut panic = jobs.panic.lock().unwrap_or_else(PoisonError::into_inner);
            panic.get_or_insert_with(|| (payload, last_panic()));
            RG_ERR_PANIC
        }
    }
}

impl Services for Remote {
    fn cancelled(&self) -> bool {
        // SAFETY: the host's own function, on a call that it handed out.
        self.host
            .cancelled
            .is_some_and(|cancelled| unsafe { cancelled(self.call) } != 0)
    }

    fn log(&self, level: Level, message: &str) {
        let level = match level {
            Level::Warn => 1,
            Level::Info => 2,
            Level::Debug => 3,
        };
        if let Some(log) = self.host.log {
            let message = c_text(message);
            // SAFETY: as above; the text lives as long as the call.
            unsafe { log(self.call, level, message.as_ptr()) };
        }
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn simd(&self) -> SimdLevel {
        self.simd
    }

    fn fan_out(&self, jobs: usize, job: &(dyn Fn(usize, &dyn Services) + Sync)) {
        let work = Jobs {
            job,
            remote: self,
            begun: AtomicUsize::new(0),
            panic: Mutex::new(None),
        };
        let code = match self.host.for_jobs {
            Some(for_jobs) => {
                let user = std::ptr::from_ref(&work).cast_mut().cast();
                // SAFETY: as above; `work` outlives the call, which returns when all jobs are done.
                unsafe { for_jobs(self.call, jobs, Some(run_job), user) }
            }
            None => RG_OK,
        };
        let panic = work
            .panic
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((payload, said)) = panic {
            // It was on another thread, and is told on this one.
            keep_last_panic(said);
            resume_unwind(payload);
        }
        match work.begun.into_inner() {
            // A host that has no such function, or refused: nothing was begun.
            0 => (0..jobs).for_each(|i| job(i, self)),
            // It knows why, and says so when the function returns.
            begun if begun < jobs => {
                panic!("the host stopped with status {code} after {begun} of {jobs} jobs")
            }
            _ => {}
        }
    }

    fn call(&self) -> Option<NonNull<c_void>> {
        NonNull::new(self.call.cast())
    }
}

/// Hands an error to the host, and gives the status to return. One that came from the host goes back as it
/// came, code and all.
pub(crate) fn report(host: &rg_host, call: *mut rg_call, error: &Error) -> rg_status {
    let code = match error {
        Error::Callback { code, .. } if *code != RG_OK => *code,
        other => other.status() as rg_status,
    };
    if matches!(error, Error::Callback { text, .. } if text.is_empty()) {
        return code;
    }
    if let (
        Error::Setting {
            key,
            given,
            allowed,
            ..
        },
        Some(refuse),
    ) = (error, host.cfg_refuse)
        && !call.is_null()
    {
        let [key, given, allowed] = [key, given, allowed].map(|text| c_text(text));
        // SAFETY: as above.
        let told = unsafe { refuse(call, key.as_ptr(), given.as_ptr(), allowed.as_ptr()) };
        // Elsewhere than in `create` and `start` nobody asks for settings, and the sentence must do.
        if told == code {
            return code;
        }
    }
    if let Some(fail) = host.fail.filter(|_| !call.is_null()) {
        let text = c_text(&sentence(error));
        // SAFETY: as above.
        unsafe { fail(call, code, text.as_ptr()) };
    }
    code
}

/// The error with its causes in one line.
fn sentence(error: &Error) -> String {
    let mut text = match error {
        Error::Panic { message } => message.clone(),
        Error::Callback { text, .. } if !text.is_empty() => text.clone(),
        Error::Settings { key, message, .. } if key.is_empty() => message.clone(),
        Error::Settings { key, message, .. } => format!("`{key}`: {message}"),
        other => other.to_string(),
    };
    let mut cause = std::error::Error::source(error);
    while let Some(c) = cause {
        text.push_str(": ");
        text.push_str(&c.to_string());
        cause = c.source();
    }
    text
}

/// A panic's words, for the host.
pub(crate) fn panicked(payload: &(dyn Any + Send), place: Option<String>) -> Error {
    Error::Panic {
        message: place.unwrap_or_else(|| words(payload)),
    }
}

/// Where the results of a plugin's sampler go: to the host, in the call of its step.
pub(crate) struct RemoteSink {
    pub(crate) host: &'static rg_host,
    pub(crate) call: *mut rg_call,
    /// What failed in a function that can give no error.
    pub(crate) failed: Option<Error>,
}

impl RemoteSink {
    fn check(&self, code: rg_status, what: &str) -> Result {
        if code == Status::Ok as rg_status {
            return Ok(());
        }
        Err(refused(code, what))
    }

    fn note(&mut self, code: rg_status, what: &str) {
        if let Err(error) = self.check(code, what) {
            self.failed.get_or_insert(error);
        }
    }
}

impl Sink for RemoteSink {
    fn set_chains(&mut self, chains: usize) -> Result {
        let set_chains = self.host.set_chains.ok_or_else(|| lacks("set_chains"))?;
        // SAFETY: the host's own function, on the call of this step.
        self.check(unsafe { set_chains(self.call, chains) }, "set_chains")
    }

    fn emit(&mut self, draws: &Draws<'_>) -> Result {
        let emit = self.host.emit_stats.ok_or_else(|| lacks("emit_stats"))?;
        let (n, d) = draws.x.dim();
        let x = draws.x.as_standard_layout();
        let weights = draws.log_weights.as_ref().map(dense1);
        let texts: Vec<CString> = draws.stats.iter().map(|(name, _)| c_text(name)).collect();
        let names: Vec<_> = texts.iter().map(|name| name.as_ptr()).collect();
        let columns: Vec<_> = draws
            .stats
            .iter()
            .map(|(_, values)| dense1(values))
            .collect();
        let stats: Vec<_> = columns.iter().map(|values| values.as_ptr()).collect();
        // SAFETY: as above; what the pointers are of lives until it returns.
        let code = unsafe {
            emit(
                self.call,
                n,
                d,
                x.as_ptr(),
                weights.as_ref().map_or(std::ptr::null(), |w| w.as_ptr()),
                stats.len(),
                names.as_ptr(),
                stats.as_ptr(),
            )
        };
        self.check(code, "emit_stats")
    }

    fn scalar(&mut self, key: &str, value: f64) {
        if let Some(emit_scalar) = self.host.emit_scalar {
            let key = c_text(key);
            // SAFETY: as above.
            let code = unsafe { emit_scalar(self.call, key.as_ptr(), value) };
            self.note(code, "emit_scalar");
        }
    }

    fn record(&mut self, table: &str, row: &[(&str, f64)]) {
        if let Some(record) = self.host.record {
            let table = c_text(table);
            let texts: Vec<CString> = row.iter().map(|(column, _)| c_text(column)).collect();
            let columns: Vec<_> = texts.iter().map(|column| column.as_ptr()).collect();
            let values: Vec<f64> = row.iter().map(|(_, value)| *value).collect();
            // SAFETY: as above.
            let code = unsafe {
                record(
                    self.call,
                    table.as_ptr(),
                    row.len(),
                    columns.as_ptr(),
                    values.as_ptr(),
                )
            };
            self.note(code, "record");
        }
    }

    fn flag(&mut self, flag: Flag) {
        let code = hand_on(self.host, self.call, &flag);
        self.note(code, "flag");
    }

    fn progress(&mut self, fraction: f64) {
        if let Some(progress) = self.host.progress {
            // SAFETY: as above.
            let code = unsafe { progress(self.call, fraction) };
            self.note(code, "progress");
        }
    }
}

/// Tells the host of a flag.
pub(crate) fn hand_on(host: &rg_host, call: *mut rg_call, flag: &Flag) -> rg_status {
    let Some(function) = host.flag else {
        return RG_OK;
    };
    let (key, text, advice) = (c_text(&flag.key), c_text(&flag.text), c_text(&flag.advice));
    // SAFETY: the host's own function, on a call that it handed out.
    unsafe {
        function(
            call,
            flag.severity as i32,
            key.as_ptr(),
            text.as_ptr(),
            advice.as_ptr(),
        )
    }
}
