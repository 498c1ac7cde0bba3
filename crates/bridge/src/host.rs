//! The services of the host, as plugins see them.
//!
//! Each function takes the call that the plugin was given; what it is asked at the wrong time, on the
//! wrong thread or with a wrong argument is a status and a sentence, never a crash.

use crate::arrays::{slice, slice_mut, text, view2, view2_mut};
use crate::call::{Call, State, caught, misused, on_call, set_refusal};
use ndarray::ArrayView1;
use retrograde_abi::{
    RG_ERR_CALLBACK, RG_ERR_CONFIG, RG_OK, RG_PLUGIN_ABI, RG_PLUGIN_MINOR, rg_call, rg_cfg,
    rg_frame, rg_host, rg_job_fn, rg_rows_fn, rg_status,
};
use retrograde_core::registry::nearest;
use retrograde_core::{Cx, Draws, Error, Flag, Key, Level, Position, Result, Severity, SimdLevel};
use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::ptr::null;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The table that this library hands to plugins.
#[must_use]
pub fn host() -> &'static rg_host {
    &HOST.0
}

struct Constant(rg_host);
// SAFETY: functions and texts that never change.
unsafe impl Sync for Constant {}

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("no NUL inside"),
    };

static HOST: Constant = Constant(rg_host {
    struct_size: size_of::<rg_host>(),
    abi: RG_PLUGIN_ABI,
    minor: RG_PLUGIN_MINOR,
    name: c"retrograde".as_ptr(),
    version: VERSION.as_ptr(),
    log: Some(log),
    fail: Some(fail),
    cancelled: Some(cancelled),
    scratch: Some(scratch),
    rng_u64: Some(rng_u64),
    rng_uniform: Some(rng_uniform),
    rng_normal: Some(rng_normal),
    for_rows: Some(for_rows),
    for_jobs: Some(for_jobs),
    tell: Some(tell),
    seek: Some(seek),
    cfg_f64: Some(cfg_f64),
    cfg_i64: Some(cfg_i64),
    cfg_bool: Some(cfg_bool),
    cfg_str: Some(cfg_str),
    cfg_f64s: Some(cfg_f64s),
    cfg_toml: Some(cfg_toml),
    cfg_refuse: Some(cfg_refuse),
    read_file: Some(read_file),
    progress: Some(progress),
    set_chains: Some(set_chains),
    emit: Some(emit),
    emit_stats: Some(emit_stats),
    emit_scalar: Some(emit_scalar),
    record: Some(record),
    flag: Some(flag),
});

fn bad(argument: &str, given: impl std::fmt::Display, allowed: &str) -> Error {
    Error::Argument {
        component: "the plugin".into(),
        argument: argument.into(),
        given: given.to_string(),
        allowed: allowed.into(),
    }
}

/// # Safety
/// `out` is NULL or may be written through.
unsafe fn put<T>(out: *mut T, value: T, what: &str) -> Result {
    if out.is_null() {
        return Err(Error::Null {
            argument: what.into(),
        });
    }
    // SAFETY: not NULL, so by contract it may be written; alignment is not relied on.
    unsafe { out.write_unaligned(value) };
    Ok(())
}

// ---- what is said ---------------------------------------------------------------------------------

unsafe extern "C" fn log(call: *mut rg_call, level: i32, utf8: *const c_char) {
    // SAFETY: by the contract of the table, as in every function below.
    unsafe {
        on_call(call, |c| {
            let level = match level {
                i32::MIN..=1 => Level::Warn,
                2 => Level::Info,
                _ => Level::Debug,
            };
            let message = text(utf8, "log: utf8")?;
            if let Ok(cx) = c.cx() {
                cx.log(level, message);
            }
            Ok(())
        });
    }
}

unsafe extern "C" fn fail(call: *mut rg_call, code: rg_status, utf8: *const c_char) -> rg_status {
    let code = if code == RG_OK { RG_ERR_CALLBACK } else { code };
    let said = if utf8.is_null() {
        String::new()
    } else {
        // SAFETY: not NULL, so NUL-terminated by contract.
        unsafe { CStr::from_ptr(utf8) }
            .to_string_lossy()
            .into_owned()
    };
    if call.is_null() {
        set_refusal(said);
        return code;
    }
    // SAFETY: as above.
    unsafe {
        on_call(call, |c| {
            c.say(&said);
            Ok(())
        });
    }
    code
}

unsafe extern "C" fn cancelled(call: *mut rg_call) -> i32 {
    let mut yes = false;
    // SAFETY: as above.
    unsafe {
        on_call(call, |c| {
            yes = c.cx().is_ok_and(|cx| cx.cancelled());
            Ok(())
        });
    }
    i32::from(yes)
}

unsafe extern "C" fn scratch(call: *mut rg_call, bytes: usize, align: usize) -> *mut c_void {
    let mut place = std::ptr::null_mut();
    // SAFETY: as above.
    unsafe {
        on_call(call, |c| {
            place = c.scratch(bytes, align);
            Ok(())
        });
    }
    place
}

// ---- random numbers -------------------------------------------------------------------------------

/// Calls `f`; an error ends the call of the plugin whatever it returns, since it cannot see it. False if
/// nothing was drawn.
///
/// # Safety
/// As [`on_call`].
unsafe fn draw(call: *mut rg_call, f: impl FnOnce(&mut State<'_>) -> Result) -> bool {
    let mut done = false;
    // SAFETY: by contract.
    let code = unsafe {
        on_call(call, |c| {
            let drawn = if c.in_create() {
                Err(Error::Missing {
                    component: "the plugin".into(),
                    needed: "random numbers".into(),
                    holder: "`create`".into(),
                    advice: "draw them where it evaluates or steps".into(),
                })
            } else {
                caught(|| f(c))
            };
            match drawn {
                Ok(()) => done = true,
                Err(error) => c.break_off(error),
            }
            Ok(())
        })
    };
    if code != RG_OK {
        // SAFETY: by contract.
        unsafe { misused(call) };
    }
    done
}

/// What nobody takes for random numbers, where there are none.
///
/// # Safety
/// `out` is NULL, or there is room for n × d numbers.
unsafe fn no_numbers(n: usize, d: usize, out: *mut f64) {
    // SAFETY: by contract.
    if let Ok(mut out) = unsafe { view2_mut(out, n, d, "out") } {
        out.fill(f64::NAN);
    }
}

unsafe extern "C" fn rng_u64(call: *mut rg_call, out: *mut u64, n: usize) {
    // SAFETY: as above.
    unsafe {
        draw(call, |c| {
            use retrograde_core::reexport::rand_core::Rng;
            let out = slice_mut(out, n, "rng_u64: out")?;
            let mut stream = c.cx()?.rng();
            out.iter_mut().for_each(|v| *v = stream.next_u64());
            Ok(())
        });
    }
}

unsafe extern "C" fn rng_uniform(call: *mut rg_call, n: usize, d: usize, out: *mut f64) {
    // SAFETY: as above.
    unsafe {
        let done = draw(call, |c| {
            let out = view2_mut(out, n, d, "rng_uniform: out")?;
            c.cx()?.fill_uniform(out);
            Ok(())
        });
        if !done {
            no_numbers(n, d, out);
        }
    }
}

unsafe extern "C" fn rng_normal(call: *mut rg_call, n: usize, d: usize, out: *mut f64) {
    // SAFETY: as above.
    unsafe {
        let done = draw(call, |c| {
            let out = view2_mut(out, n, d, "rng_normal: out")?;
            c.cx()?.fill_normal(out);
            Ok(())
        });
        if !done {
            no_numbers(n, d, out);
        }
    }
}

// ---- rows and jobs --------------------------------------------------------------------------------

/// What the plugin wants to be handed back to it, on any thread.
#[derive(Clone, Copy)]
struct User(*mut c_void);
// SAFETY: it is only handed on; the plugin that gave it says that its function may run on any thread.
unsafe impl Send for User {}
// SAFETY: as for Send.
unsafe impl Sync for User {}

impl User {
    fn pointer(self) -> *mut c_void {
        self.0
    }
}

/// The host's own errors in blocks: that of the first block is told.
///
/// The flag says that a block returned a status of its own.
#[derive(Default)]
struct First(Mutex<Option<(usize, Error)>>, AtomicBool);

impl First {
    fn put(&self, block: usize, error: Option<Error>) {
        let Some(error) = error else { return };
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if first.as_ref().is_none_or(|(b, _)| block < *b) {
            *first = Some((block, error));
        }
    }

    fn take(self) -> Option<Error> {
        let first = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        first.map(|(_, error)| error)
    }
}

/// Calls `f` in a call for a block.
fn in_block(
    cx: &mut Cx<'_>,
    block: usize,
    first: &First,
    f: impl FnOnce(*mut rg_call) -> rg_status,
) -> Result {
    let mut child = Call::new(cx);
    let code = f(child.raw());
    if code == RG_OK {
        first.put(block, child.take_own());
    }
    child.finish(code, "the plugin").inspect_err(|_| {
        if code != RG_OK {
            first.1.store(true, Ordering::Relaxed);
        }
    })
}

/// What is to be known of work that was spread: the host's own errors that blocks handled themselves, and
/// errors that are no block's, such as too many failed evaluations in all of them. Those end the call
/// whatever the plugin returns, since its blocks do not know of them.
fn spread(c: &mut State<'_>, first: First, done: Result) -> Result {
    let told = first.1.load(Ordering::Relaxed);
    match (done, first.take()) {
        (Ok(()), None) => c.went_on(),
        (Ok(()), Some(own)) => c.set_own(own),
        (Err(error), _) if told => return Err(error),
        (Err(error), _) => {
            let code = error.status() as rg_status;
            c.break_off(error);
            return Err(Error::Callback {
                component: "the host".into(),
                code,
                text: String::new(),
            });
        }
    }
    Ok(())
}

fn no_function() -> Error {
    Error::Null {
        argument: "f".into(),
    }
}

unsafe extern "C" fn for_rows(
    call: *mut rg_call,
    n: usize,
    f: rg_rows_fn,
    user: *mut c_void,
) -> rg_status {
    let user = User(user);
    // SAFETY: as above.
    unsafe {
        on_call(call, |c| {
            let f = f.ok_or_else(no_function)?;
            let first = First::default();
            let done = c.cx()?.rows(n, (), |cx, range, ()| {
                in_block(cx, range.start, &first, |child| {
                    f(user.pointer(), child, range.start, range.len())
                })
            });
            spread(c, first, done)
        })
    }
}

unsafe extern "C" fn for_jobs(
    call: *mut rg_call,
    jobs: usize,
    f: rg_job_fn,
    user: *mut c_void,
) -> rg_status {
    let user = User(user);
    // SAFETY: as above.
    unsafe {
        on_call(call, |c| {
            let f = f.ok_or_else(no_function)?;
            let first = First::default();
            let done = c.cx()?.jobs(jobs, |cx, job| {
                in_block(cx, job, &first, |child| f(user.pointer(), child, job))
            });
            spread(c, first, done)
        })
    }
}

/// A step that is none.
const NO_STEP: u64 = u64::MAX;

unsafe extern "C" fn tell(call: *mut rg_call, frame: *mut rg_frame) -> rg_status {
    // SAFETY: as above.
    unsafe {
        on_call(call, |c| {
            let cx = c.cx()?;
            let at = cx.position();
            let key = at.key.to_bytes();
            let part =
                |i: usize| u64::from_le_bytes(*key[8 * i..].first_chunk().expect("32 bytes"));
            if frame.is_null() || !frame.is_aligned() {
                return Err(Error::Null {
                    argument: "tell: frame".into(),
                });
            }
            let size = (*frame).struct_size;
            if !(size_of::<usize>()..=1 << 20).contains(&size) {
                return Err(bad(
                    "tell: struct_size",
                    size,
                    "the size of the caller's table",
                ));
            }
            let counts = cx.counts();
            let told = rg_frame {
                struct_size: size,
                key0: part(0),
                key1: part(1),
                key2: part(2),
                key3: part(3),
                fills: at.fills,
                row0: at.row0 as u64,
                step: at.step.unwrap_or(NO_STEP),
                threads: if at.inside {
                    1
                } else {
                    u32::try_from(cx.threads()).unwrap_or(u32::MAX)
                },
                inside: u32::from(at.inside),
                simd: simd_name(cx.simd()).as_ptr(),
                density_evals: counts.density_evals,
                gradient_evals: counts.gradient_evals,
                score_evals: counts.score_evals,
                rows: counts.rows,
                failed: counts.failed,
            };
            let size = size.min(size_of::<rg_frame>());
            std::ptr::copy_nonoverlapping((&raw const told).cast::<u8>(), frame.cast(), size);
            Ok(())
        })
    }
}

/// Names as C wants them.
fn simd_name(level: SimdLevel) -> &'static CStr {
    match level.name() {
        "sse2" => c"sse2",
        "sse4.2" => c"sse4.2",
        "avx2" => c"avx2",
        "avx512" => c"avx512",
        "neon" => c"neon",
        "simd128" => c"simd128",
        _ => c"scalar",
    }
}

unsafe extern "C" fn seek(call: *mut rg_call, frame: *const rg_frame) -> rg_status {
    // SAFETY: as above.
    unsafe {
        on_call(call, |c| {
            let frame = crate::tables::read(frame)
                .map_err(|why| bad("seek: frame", why, "one from `tell`"))?;
            let mut key = [0; 32];
            for (part, bytes) in [frame.key0, frame.key1, frame.key2, frame.key3]
                .into_iter()
                .zip(key.chunks_exact_mut(8))
            {
                bytes.copy_from_slice(&part.to_le_bytes());
            }
            c.seek(Position {
                key: Key::from_bytes(key),
                fills: frame.fills,
                row0: usize::try_from(frame.row0).unwrap_or(usize::MAX),
                step: (frame.step != NO_STEP).then_some(frame.step),
                inside: frame.inside != 0,
            })
        })
    }
}

// ---- parameters -----------------------------------------------------------------------------------

/// The value of a parameter.
///
/// # Safety
/// `key` is NULL or NUL-terminated.
unsafe fn value<'a>(
    c: &State<'a>,
    cfg: *const rg_cfg,
    key: *const c_char,
) -> Result<(&'a toml::Value, String)> {
    let settings = c.settings(cfg)?;
    // SAFETY: by contract.
    let key = unsafe { text(key, "key")? };
    match settings.table.get(key) {
        Some(value) => Ok((value, key.to_owned())),
        None => {
            let known = settings.table.keys().map(String::as_str);
            let near = nearest(key, known).map(|near| format!(" (did you mean `{near}`?)"));
            let allowed = format!("a parameter of it{}", near.unwrap_or_default());
            Err(Error::setting(settings.label, key, "not declared", allowed))
        }
    }
}

fn other_type(label: &str, key: &str, value: &toml::Value, wanted: &str) -> Error {
    let allowed = format!("read as what it is, not as {wanted}");
    Error::setting(label, key, value, allowed)
}

fn number(value: &toml::Value) -> Option<f64> {
    match value {
        toml::Value::Float(v) => Some(*v),
        toml::Value::Integer(v) => Some(*v as f64),
        _ => None,
    }
}

macro_rules! read_parameter {
    ($name:ident, $type:ty, $wanted:literal, $read:expr) => {
        unsafe extern "C" fn $name(
            call: *mut rg_call,
            cfg: *const rg_cfg,
            key: *const c_char,
            out: *mut $type,
        ) -> rg_status {
            // SAFETY: as above.
            unsafe {
                on_call(call, |c| {
                    let (value, key) = value(c, cfg, key)?;
                    let read: fn(&toml::Value) -> Option<$type> = $read;
                    match read(value) {
                        Some(v) => {
                            c.went_on();
                            put(out, v, "out")
                        }
                        None => Err(other_type(c.label_of_settings(), &key, value, $wanted)),
                    }
                })
            }
        }
    };
}
read_parameter!(cfg_f64, f64, "a number", number);
read_parameter!(cfg_i64, i64, "a whole number", |v| v.as_integer());
read_parameter!(cfg_bool, i32, "true or false", |v| v
    .as_bool()
    .map(i32::from));

unsafe extern "C" fn cfg_str(
    call: *mut rg_call,
    cfg: *const rg_cfg,
    key: *const c_char,
    out: *mut *const c_char,
) -> rg_status {
    // SAFETY: as above.
    unsafe {
        on_call(call, |c| {
            let (value, key) = value(c, cfg, key)?;
            let Some(v) = value.as_str() else {
                return Err(other_type(c.label_of_settings(), &key, value, "text"));
            };
            let kept = c.keep_text(v)?;
            put(out, kept, "out")
        })
    }
}

unsafe extern "C" fn cfg_f64s(
    call: *mut rg_call,
    cfg: *const rg_cfg,
    key: *const c_char,
    out: *mut *const f64,
    n: *mut usize,
) -> rg_status {
    // SAFETY: as above.
    unsafe {
        on_call(call, |c| {
            let (value, key) = value(c, cfg, key)?;
            let numbers: Option<Vec<f64>> = value
                .as_array()
                .and_then(|a| a.iter().map(number).collect());
            let Some(numbers) = numbers else {
                return Err(other_type(
                    c.label_of_settings(),
                    &key,
                    value,
                    "a list of numbers",
                ));
            };
            let numbers = c.keep(numbers);
            let (start, len) = (numbers.as_ptr(), numbers.len());
            put(n, len, "n")?;
            put(out, start, "out")
        })
    }
}

unsafe extern "C" fn cfg_toml(
    call: *mut rg_call,
    cfg: *const rg_cfg,
    out: *mut *const c_char,
) -> rg_status {
    // SAFETY: as above.
    unsafe {
        on_call(call, |c| {
            let kept = c.settings(cfg)?.table.to_string();
            let kept = c.keep_text(&kept)?;
            put(out, kept, "out")
        })
    }
}

unsafe extern "C" fn cfg_refuse(
    call: *mut rg_call,
    key: *const c_char,
    given: *const c_char,
    allowed: *const c_char,
) -> rg_status {
    let mut refused = RG_ERR_CONFIG;
    // SAFETY: as above.
    let code = unsafe {
        on_call(call, |c| {
            let label = c.refusable()?;
            let key = text(key, "cfg_refuse: key")?;
            let given = text(given, "cfg_refuse: given")?;
            let allowed = text(allowed, "cfg_refuse: allowed")?;
            c.refuse(Error::setting(label, key, given, allowed));
            Ok(())
        })
    };
    if code != RG_OK {
        refused = code;
    }
    refused
}

unsafe extern "C" fn read_file(
    call: *mut rg_call,
    path: *const c_char,
    out: *mut *const u8,
    n: *mut usize,
) -> rg_status {
    // SAFETY: as above.
    unsafe {
        on_call(call, |c| {
            let path = text(path, "path")?;
            let settings = c.settings(std::ptr::dangling())?;
            let bytes = settings.files.read(Path::new(path))?;
            c.went_on();
            let bytes = c.keep(bytes);
            let (start, len) = (bytes.as_ptr(), bytes.len());
            put(n, len, "n")?;
            put(out, start, "out")
        })
    }
}

// ---- results of a sampler -------------------------------------------------------------------------

unsafe extern "C" fn progress(call: *mut rg_call, fraction: f64) -> rg_status {
    // SAFETY: as above.
    unsafe {
        on_call(call, |c| {
            if !(0.0..=1.0).contains(&fraction) {
                return Err(bad("progress: fraction", fraction, "from 0 to 1"));
            }
            c.sink("progress")?.progress(fraction);
            Ok(())
        })
    }
}

unsafe extern "C" fn set_chains(call: *mut rg_call, chains: usize) -> rg_status {
    // SAFETY: as above.
    unsafe {
        on_call(call, |c| {
            if chains == 0 {
                return Err(bad("set_chains: chains", 0, "1 or more"));
            }
            c.sink("set_chains")?.set_chains(chains)
        })
    }
}

unsafe extern "C" fn emit(
    call: *mut rg_call,
    n: usize,
    d: usize,
    x: *const f64,
    log_w: *const f64,
) -> rg_status {
    // SAFETY: as above.
    unsafe { emit_stats(call, n, d, x, log_w, 0, null(), null()) }
}

unsafe extern "C" fn emit_stats(
    call: *mut rg_call,
    n: usize,
    d: usize,
    x: *const f64,
    log_w: *const f64,
    k: usize,
    names: *const *const c_char,
    stats: *const *const f64,
) -> rg_status {
    // SAFETY: as above.
    unsafe {
        on_call(call, |c| {
            let x = view2(x, n, d, "emit: x")?;
            let log_weights = if log_w.is_null() {
                None
            } else {
                Some(ArrayView1::from(slice(log_w, n, "emit: log_w")?))
            };
            let names = slice(names, k, "emit: names")?;
            let stats = slice(stats, k, "emit: stats")?;
            let named = names.iter().zip(stats).map(|(name, values)| {
                let values = slice(*values, n, "emit: stats")?;
                Ok((text(*name, "emit: names")?, ArrayView1::from(values)))
            });
            let stats = named.collect::<Result<Vec<_>>>()?;
            c.sink("emit")?.emit(&Draws {
                x,
                log_weights,
                stats: &stats,
            })?;
            c.went_on();
            Ok(())
        })
    }
}

unsafe extern "C" fn emit_scalar(call: *mut rg_call, key: *const c_char, value: f64) -> rg_status {
    // SAFETY: as above.
    unsafe {
        on_call(call, |c| {
            let key = text(key, "emit_scalar: key")?;
            c.sink("emit_scalar")?.scalar(key, value);
            Ok(())
        })
    }
}

unsafe extern "C" fn record(
    call: *mut rg_call,
    table: *const c_char,
    n: usize,
    columns: *const *const c_char,
    values: *const f64,
) -> rg_status {
    // SAFETY: as above.
    unsafe {
        on_call(call, |c| {
            let table = text(table, "record: table")?;
            let columns = slice(columns, n, "record: columns")?;
            let values = slice(values, n, "record: values")?;
            let row = columns
                .iter()
                .zip(values)
                .map(|(column, value)| Ok((text(*column, "record: columns")?, *value)))
                .collect::<Result<Vec<_>>>()?;
            c.sink("record")?.record(table, &row);
            Ok(())
        })
    }
}

unsafe extern "C" fn flag(
    call: *mut rg_call,
    severity: i32,
    key: *const c_char,
    said: *const c_char,
    advice: *const c_char,
) -> rg_status {
    // SAFETY: as above.
    unsafe {
        on_call(call, |c| {
            let severity = match severity {
                0 => Severity::Note,
                1 => Severity::Warning,
                2 => Severity::Failure,
                _ => return Err(bad("flag: severity", severity, "an RG_SEVERITY_ constant")),
            };
            let key = text(key, "flag: key")?;
            let said = text(said, "flag: text")?;
            let advice = if advice.is_null() {
                ""
            } else {
                text(advice, "flag: advice")?
            };
            c.flag(Flag::new(severity, key, said, advice))
        })
    }
}

/// A text that C can read; a NUL inside is shown as what it is.
pub(crate) fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{FFFD}")).unwrap_or_default()
}
