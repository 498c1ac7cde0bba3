//! Constants. They are written out, for the header is made from this text; a test compares the codes
//! with those of the library.

/// Version of the plugin interface; it is also in the name of the entry, retrograde_plugin_v1.
pub const RG_PLUGIN_ABI: u32 = 1;
/// Counts what was appended to the tables of this version.
pub const RG_PLUGIN_MINOR: u32 = 0;

/// What a function returns: RG_OK, or one of the RG_ERR_ codes. The values never change; later
/// versions may add some.
pub type rg_status = i32;

/// Success.
pub const RG_OK: rg_status = 0;
/// A pointer that must not be NULL is NULL.
pub const RG_ERR_NULL: rg_status = 1;
/// An argument is out of its range.
pub const RG_ERR_ARG: rg_status = 2;
/// A dimension, length or stride does not fit.
pub const RG_ERR_DIM: rg_status = 3;
/// A string is not valid UTF-8.
pub const RG_ERR_UTF8: rg_status = 4;
/// A setting or a data file is wrong.
pub const RG_ERR_CONFIG: rg_status = 5;
/// No component, key or file of that name.
pub const RG_ERR_NOT_FOUND: rg_status = 6;
/// The component lacks the ability that was asked for.
pub const RG_ERR_UNSUPPORTED: rg_status = 7;
/// The caller's buffer is too small.
pub const RG_ERR_BUFFER: rg_status = 8;
/// Versions of the binary interface do not fit.
pub const RG_ERR_ABI: rg_status = 9;
/// A plugin could not be loaded or broke its contract.
pub const RG_ERR_PLUGIN: rg_status = 10;
/// A callback or plugin function returned an error of its own.
pub const RG_ERR_CALLBACK: rg_status = 11;
/// A number is not finite where it must be, or a method broke down numerically.
pub const RG_ERR_NUMERIC: rg_status = 12;
/// The run was cancelled.
pub const RG_ERR_CANCELLED: rg_status = 13;
/// A component was called on a thread it may not be called on.
pub const RG_ERR_THREAD: rg_status = 14;
/// Reading or writing failed.
pub const RG_ERR_IO: rg_status = 15;
/// Memory could not be had.
pub const RG_ERR_MEMORY: rg_status = 16;
/// A panic was caught at a boundary.
pub const RG_ERR_PANIC: rg_status = 17;
/// The object was left in an unknown state by an earlier panic.
pub const RG_ERR_POISONED: rg_status = 18;
/// The result is of a run that did not finish.
pub const RG_ERR_INCOMPLETE: rg_status = 19;
/// The object is in use.
pub const RG_ERR_BUSY: rg_status = 20;

/// Kind of component: a density.
pub const RG_KIND_TARGET: i32 = 1;
/// Kind of component: a forward process.
pub const RG_KIND_PROCESS: i32 = 2;
/// Kind of component: a score, the gradient of the log density at a time of the process.
pub const RG_KIND_SCORE: i32 = 3;
/// Kind of component: a sampler.
pub const RG_KIND_SAMPLER: i32 = 4;

/// Thread class: only on the thread that entered the host. Not for plugins.
pub const RG_THREAD_CALLER: i32 = 0;
/// Thread class: on any thread, never two at once for one object.
pub const RG_THREAD_SERIAL: i32 = 1;
/// Thread class: on any threads at once.
pub const RG_THREAD_CONCURRENT: i32 = 2;

/// Type of a parameter: a number (double).
pub const RG_TYPE_F64: i32 = 1;
/// Type of a parameter: a whole number (int64_t).
pub const RG_TYPE_I64: i32 = 2;
/// Type of a parameter: true or false.
pub const RG_TYPE_BOOL: i32 = 3;
/// Type of a parameter: text.
pub const RG_TYPE_STR: i32 = 4;
/// Type of a parameter: a list of numbers.
pub const RG_TYPE_F64S: i32 = 5;

/// Weight of a flag: worth knowing, nothing is wrong.
pub const RG_SEVERITY_NOTE: i32 = 0;
/// Weight of a flag: the result should be looked at before it is used.
pub const RG_SEVERITY_WARNING: i32 = 1;
/// Weight of a flag: the result should not be trusted as it is.
pub const RG_SEVERITY_FAILURE: i32 = 2;

/// Capability: row i of the output depends on row i of the input only, bit for bit: neither on n nor
/// on the place of the row. Without it a batch is never split.
pub const RG_CAP_ROWWISE: u64 = 1u64 << 0;
/// Capability: draws no random numbers, in the functions that evaluate.
pub const RG_CAP_DETERMINISTIC: u64 = 1u64 << 1;
/// Capability of a target: `eval` gives gradients.
pub const RG_CAP_GRADIENT: u64 = 1u64 << 2;
/// Capability of a process: G does not depend on x; only then may `div_ggt` be NULL.
pub const RG_CAP_G_CONST_X: u64 = 1u64 << 3;
/// Capability of a process: `linear` is exact, and gives one number for alpha and one for sigma2.
pub const RG_CAP_LINEAR: u64 = 1u64 << 4;
/// Capability of a process: `linear` is exact, and gives d numbers each.
pub const RG_CAP_LINEAR_DIAG: u64 = 1u64 << 5;
/// Capability of a process: `linear` is exact, and gives d x d numbers each, row-major.
pub const RG_CAP_LINEAR_DENSE: u64 = 1u64 << 6;
/// Capability of a process: `linear` describes y = warp(x).
pub const RG_CAP_WARPED: u64 = 1u64 << 7;
/// Capability of a process: drift and noise do not depend on t, so that they make sense before t = 0.
pub const RG_CAP_AUTONOMOUS: u64 = 1u64 << 8;
/// Capability of a target: it has no log density to ask for, as a set of data.
pub const RG_CAP_NO_DENSITY: u64 = 1u64 << 9;

/// Of `needs` in rg_component: it cannot do without a target. Shifted left by 8: it uses one if it
/// is there. Likewise for the others.
pub const RG_NEEDS_TARGET: u32 = 1;
/// Of `needs` in rg_component: it cannot do without a process.
pub const RG_NEEDS_PROCESS: u32 = 2;
/// Of `needs` in rg_component: it cannot do without a score.
pub const RG_NEEDS_SCORE: u32 = 4;
/// Of `needs` in rg_component: it cannot do without a log density of the target.
pub const RG_NEEDS_DENSITY: u32 = 8;
/// Of `needs` in rg_component: it cannot do without a gradient of the target.
pub const RG_NEEDS_GRADIENT: u32 = 16;
