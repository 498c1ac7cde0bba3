//! What the host offers to a plugin.

use crate::status::rg_status;
use core::ffi::{c_char, c_void};

/// One call on one thread, with its random stream, its memory and its place for an error. It ends when
/// the function that got it returns: never keep it, never hand it to another thread.
#[derive(Debug)]
pub struct rg_call {
    _private: (),
}

/// Parameters that were checked against what the component declares. Only valid in `create`.
#[derive(Debug)]
pub struct rg_cfg {
    _private: (),
}

/// Work on a block of rows: `rows` rows from `row0` on. `child` is the call to use for them.
pub type rg_rows_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        child: *mut rg_call,
        row0: usize,
        rows: usize,
    ) -> rg_status,
>;

/// Work on one of several jobs. `child` is the call to use for it.
pub type rg_job_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, child: *mut rg_call, job: usize) -> rg_status>;

/// Where a call stands in the streams of random numbers of the run. For a plugin that derives them as the
/// host does, from the same key, and so gets the same bits; others need not look at it.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct rg_frame {
    /// Size of this table in the plugin, in bytes; set it before `tell`.
    pub struct_size: usize,
    /// The key, 32 bytes, as four numbers in little-endian order.
    pub key0: u64,
    /// Its second part.
    pub key1: u64,
    /// Its third part.
    pub key2: u64,
    /// Its fourth part.
    pub key3: u64,
    /// Fills and streams that were taken from this key.
    pub fills: u64,
    /// The row of the whole batch that the first row of this call is.
    pub row0: u64,
    /// The step of the run, or UINT64_MAX outside of one.
    pub step: u64,
    /// Threads that work can be spread over from here; 1 inside for_rows and for_jobs.
    pub threads: u32,
    /// Not 0 inside for_rows and for_jobs, and for work that is spread as theirs is.
    pub inside: u32,
    /// Name of the vector instructions that kernels use, for example "avx2"; it lives as long as the
    /// program. Only told.
    pub simd: *const c_char,
    /// Rows for which a log density was asked for, so far as this call knows. Only told, as those that
    /// follow.
    pub density_evals: u64,
    /// Rows for which a gradient was asked for.
    pub gradient_evals: u64,
    /// Rows for which a score was asked for.
    pub score_evals: u64,
    /// Rows in all evaluations together.
    pub rows: u64,
    /// Rows for which a value was not finite that should have been.
    pub failed: u64,
}

/// Services of the host. It lives as long as the program; slots beyond `struct_size` do not exist, so
/// test a slot that was added later with RG_HOST_HAS.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct rg_host {
    /// Size of this table in the host, in bytes.
    pub struct_size: usize,
    /// RG_PLUGIN_ABI of the host.
    pub abi: u32,
    /// RG_PLUGIN_MINOR of the host.
    pub minor: u32,
    /// Name of the host, "retrograde".
    pub name: *const c_char,
    /// Its version, for example "0.1.0".
    pub version: *const c_char,
    /// Says something to the person: level 0 error, 1 warning, 2 info, 3 debug. `call` may be NULL.
    pub log: Option<unsafe extern "C" fn(call: *mut rg_call, level: i32, utf8: *const c_char)>,
    /// Records why a function fails and gives `code` back, so that one can write
    /// `return host->fail(call, RG_ERR_NUMERIC, "why")`. `call` may be NULL in the entry function only.
    pub fail: Option<
        unsafe extern "C" fn(call: *mut rg_call, code: rg_status, utf8: *const c_char) -> rg_status,
    >,
    /// Not 0 once the run was asked to stop: then return RG_ERR_CANCELLED soon.
    pub cancelled: Option<unsafe extern "C" fn(call: *mut rg_call) -> i32>,
    /// Memory of `bytes` bytes, aligned to `align` (a power of two up to 4096), that is taken back when
    /// the call returns; of unspecified content. NULL when there is none.
    pub scratch:
        Option<unsafe extern "C" fn(call: *mut rg_call, bytes: usize, align: usize) -> *mut c_void>,
    /// Fills `out` with n random 64-bit numbers from the call's own stream.
    pub rng_u64: Option<unsafe extern "C" fn(call: *mut rg_call, out: *mut u64, n: usize)>,
    /// Fills n x d numbers uniform in the open interval (0, 1). Row r is of the stream of its block, so
    /// that a batch that is split gets the same numbers.
    pub rng_uniform:
        Option<unsafe extern "C" fn(call: *mut rg_call, n: usize, d: usize, out: *mut f64)>,
    /// Fills n x d standard normal numbers, in the same way.
    pub rng_normal:
        Option<unsafe extern "C" fn(call: *mut rg_call, n: usize, d: usize, out: *mut f64)>,
    /// Calls `f` on blocks that together are the rows 0 .. n, on the threads of the host, and returns
    /// when all are done: RG_OK, or the status of the first block that failed.
    pub for_rows: Option<
        unsafe extern "C" fn(
            call: *mut rg_call,
            n: usize,
            f: rg_rows_fn,
            user: *mut c_void,
        ) -> rg_status,
    >,
    /// Calls `f` once for each number below `jobs`, on the threads of the host, as for_rows.
    pub for_jobs: Option<
        unsafe extern "C" fn(
            call: *mut rg_call,
            jobs: usize,
            f: rg_job_fn,
            user: *mut c_void,
        ) -> rg_status,
    >,
    /// Tells where the call stands.
    pub tell: Option<unsafe extern "C" fn(call: *mut rg_call, frame: *mut rg_frame) -> rg_status>,
    /// Makes the call stand elsewhere, until it returns, for what is drawn and called through it.
    pub seek: Option<unsafe extern "C" fn(call: *mut rg_call, frame: *const rg_frame) -> rg_status>,
    /// Reads a number. In `create` only, as the seven that follow.
    pub cfg_f64: Option<
        unsafe extern "C" fn(
            call: *mut rg_call,
            cfg: *const rg_cfg,
            key: *const c_char,
            out: *mut f64,
        ) -> rg_status,
    >,
    /// Reads a whole number.
    pub cfg_i64: Option<
        unsafe extern "C" fn(
            call: *mut rg_call,
            cfg: *const rg_cfg,
            key: *const c_char,
            out: *mut i64,
        ) -> rg_status,
    >,
    /// Reads true (1) or false (0).
    pub cfg_bool: Option<
        unsafe extern "C" fn(
            call: *mut rg_call,
            cfg: *const rg_cfg,
            key: *const c_char,
            out: *mut i32,
        ) -> rg_status,
    >,
    /// Reads text, which lives until `create` returns.
    pub cfg_str: Option<
        unsafe extern "C" fn(
            call: *mut rg_call,
            cfg: *const rg_cfg,
            key: *const c_char,
            out: *mut *const c_char,
        ) -> rg_status,
    >,
    /// Reads a list of `n` numbers, which lives until `create` returns.
    pub cfg_f64s: Option<
        unsafe extern "C" fn(
            call: *mut rg_call,
            cfg: *const rg_cfg,
            key: *const c_char,
            out: *mut *const f64,
            n: *mut usize,
        ) -> rg_status,
    >,
    /// All parameters at once, as TOML; the text lives until `create` returns.
    pub cfg_toml: Option<
        unsafe extern "C" fn(
            call: *mut rg_call,
            cfg: *const rg_cfg,
            out: *mut *const c_char,
        ) -> rg_status,
    >,
    /// Records that a parameter is wrong: its key, what was given, and what it must be ("2 or more").
    /// Returns RG_ERR_CONFIG, so that one can write `return host->cfg_refuse(...)`; the person is shown the
    /// place in the job. Also in `start` of a sampler, for what does not fit the number of draws.
    pub cfg_refuse: Option<
        unsafe extern "C" fn(
            call: *mut rg_call,
            key: *const c_char,
            given: *const c_char,
            allowed: *const c_char,
        ) -> rg_status,
    >,
    /// Reads a file that a parameter names, relative to the job; the run keeps its checksum. The `n`
    /// bytes live until `create` returns.
    pub read_file: Option<
        unsafe extern "C" fn(
            call: *mut rg_call,
            path: *const c_char,
            out: *mut *const u8,
            n: *mut usize,
        ) -> rg_status,
    >,
    /// How much of the run is done, 0 to 1; the host shows it as often as it sees fit. In `step` of a
    /// sampler only, as those that follow.
    pub progress: Option<unsafe extern "C" fn(call: *mut rg_call, fraction: f64) -> rg_status>,
    /// Before the first draw: row i of every batch that is handed over is of chain i mod `chains`.
    /// Without it there is one.
    pub set_chains: Option<unsafe extern "C" fn(call: *mut rg_call, chains: usize) -> rg_status>,
    /// Hands n draws over, n x d numbers, with n unnormalised log weights or NULL for equal ones.
    pub emit: Option<
        unsafe extern "C" fn(
            call: *mut rg_call,
            n: usize,
            d: usize,
            x: *const f64,
            log_w: *const f64,
        ) -> rg_status,
    >,
    /// As emit, with `k` statistics of each draw: their names, and n numbers for each of them.
    pub emit_stats: Option<
        unsafe extern "C" fn(
            call: *mut rg_call,
            n: usize,
            d: usize,
            x: *const f64,
            log_w: *const f64,
            k: usize,
            names: *const *const c_char,
            stats: *const *const f64,
        ) -> rg_status,
    >,
    /// A number that sums up the run, such as "log_z" and "log_z_se"; the last value given holds.
    pub emit_scalar: Option<
        unsafe extern "C" fn(call: *mut rg_call, key: *const c_char, value: f64) -> rg_status,
    >,
    /// A row of a table of the report, `n` numbers under the names `columns`, the same each time.
    pub record: Option<
        unsafe extern "C" fn(
            call: *mut rg_call,
            table: *const c_char,
            n: usize,
            columns: *const *const c_char,
            values: *const f64,
        ) -> rg_status,
    >,
    /// An outcome that is no failure but that a person must know of: an RG_SEVERITY_, a short key, what
    /// happened in a plain sentence, and what to try ("" or NULL for nothing). Also in `flags`.
    pub flag: Option<
        unsafe extern "C" fn(
            call: *mut rg_call,
            severity: i32,
            key: *const c_char,
            text: *const c_char,
            advice: *const c_char,
        ) -> rg_status,
    >,
}
