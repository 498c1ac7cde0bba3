//! Status codes that errors have across the C boundary.

/// Status codes as they cross the C boundary (`rg_status`). The values never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
#[non_exhaustive]
pub enum Status {
    /// Success.
    Ok = 0,
    /// A pointer that must not be NULL is NULL.
    Null = 1,
    /// An argument is out of its range.
    Arg = 2,
    /// A dimension, length or stride does not fit.
    Dim = 3,
    /// A string is not valid UTF-8.
    Utf8 = 4,
    /// A setting or a data file is wrong.
    Config = 5,
    /// No component, key or file of that name.
    NotFound = 6,
    /// The component lacks the ability that was asked for.
    Unsupported = 7,
    /// The caller's buffer is too small.
    Buffer = 8,
    /// Versions of the binary interface do not fit.
    Abi = 9,
    /// A plugin could not be loaded or broke its contract.
    Plugin = 10,
    /// A callback or plugin function returned an error of its own.
    Callback = 11,
    /// A number is not finite where it must be, or a method broke down numerically.
    Numeric = 12,
    /// The run was cancelled.
    Cancelled = 13,
    /// A component was called on a thread it may not be called on.
    Thread = 14,
    /// Reading or writing failed.
    Io = 15,
    /// Memory could not be had.
    Memory = 16,
    /// A panic was caught at a boundary.
    Panic = 17,
    /// The object was left in an unknown state by an earlier panic.
    Poisoned = 18,
    /// The result is of a run that did not finish.
    Incomplete = 19,
    /// The object is in use.
    Busy = 20,
}

impl Status {
    /// Every status, in order of its code.
    pub const ALL: [Self; 21] = [
        Self::Ok,
        Self::Null,
        Self::Arg,
        Self::Dim,
        Self::Utf8,
        Self::Config,
        Self::NotFound,
        Self::Unsupported,
        Self::Buffer,
        Self::Abi,
        Self::Plugin,
        Self::Callback,
        Self::Numeric,
        Self::Cancelled,
        Self::Thread,
        Self::Io,
        Self::Memory,
        Self::Panic,
        Self::Poisoned,
        Self::Incomplete,
        Self::Busy,
    ];

    /// The name of the constant in C, for example `RG_ERR_DIM`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "RG_OK",
            Self::Null => "RG_ERR_NULL",
            Self::Arg => "RG_ERR_ARG",
            Self::Dim => "RG_ERR_DIM",
            Self::Utf8 => "RG_ERR_UTF8",
            Self::Config => "RG_ERR_CONFIG",
            Self::NotFound => "RG_ERR_NOT_FOUND",
            Self::Unsupported => "RG_ERR_UNSUPPORTED",
            Self::Buffer => "RG_ERR_BUFFER",
            Self::Abi => "RG_ERR_ABI",
            Self::Plugin => "RG_ERR_PLUGIN",
            Self::Callback => "RG_ERR_CALLBACK",
            Self::Numeric => "RG_ERR_NUMERIC",
            Self::Cancelled => "RG_ERR_CANCELLED",
            Self::Thread => "RG_ERR_THREAD",
            Self::Io => "RG_ERR_IO",
            Self::Memory => "RG_ERR_MEMORY",
            Self::Panic => "RG_ERR_PANIC",
            Self::Poisoned => "RG_ERR_POISONED",
            Self::Incomplete => "RG_ERR_INCOMPLETE",
            Self::Busy => "RG_ERR_BUSY",
        }
    }

    /// The status of that code, if there is one.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Self> {
        usize::try_from(code)
            .ok()
            .and_then(|i| Self::ALL.get(i).copied())
    }
}
