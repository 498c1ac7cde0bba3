//! A shared library with BridgeStan's C interface, and its functions.
//!
//! Declared after the public documentation of BridgeStan 2 (`bridgestan.h`, "C API"): every function
//! has C linkage and lets no exception out; `bool` is one byte.

use sha2::{Digest, Sha256};
use std::ffi::{CStr, c_char, c_int, c_uint};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The major version whose interface is declared here.
const MAJOR: c_int = 2;

/// A model with its data.
#[repr(C)]
pub(super) struct RawModel {
    opaque: [u8; 0],
}

/// A generator of random numbers.
#[repr(C)]
pub(super) struct RawRng {
    opaque: [u8; 0],
}

/// Where a function leaves its message, to be freed with `bs_free_error_msg`.
pub(super) type RawMessage = *mut *mut c_char;

type PrintCallback = unsafe extern "C" fn(*const c_char, usize);

macro_rules! functions {
    (
        needed { $($need:ident ($($need_arg:ty),*) $(-> $need_out:ty)?;)+ }
        optional { $($may:ident ($($may_arg:ty),*) $(-> $may_out:ty)?;)+ }
    ) => {
        /// The functions of a library.
        #[allow(clippy::type_complexity)]
        pub(super) struct Functions {
            $(pub(super) $need: unsafe extern "C" fn($($need_arg),*) $(-> $need_out)?,)+
            $(pub(super) $may: Option<unsafe extern "C" fn($($may_arg),*) $(-> $may_out)?>,)+
        }

        impl Functions {
            /// Looks them up, or gives the name of one that is needed and not there.
            fn find(library: &Handle) -> Result<Self, &'static str> {
                Ok(Self {
                    // SAFETY: a library of this major version has its functions under these names with
                    // these signatures.
                    $($need: unsafe { function(library, stringify!($need)) }.ok_or(stringify!($need))?,)+
                    // SAFETY: likewise.
                    $($may: unsafe { function(library, stringify!($may)) },)+
                })
            }
        }
    };
}

functions! {
    needed {
        bs_model_construct(*const c_char, c_uint, RawMessage) -> *mut RawModel;
        bs_model_destruct(*mut RawModel);
        bs_free_error_msg(*mut c_char);
        bs_name(*const RawModel) -> *const c_char;
        bs_param_names(*const RawModel, bool, bool) -> *const c_char;
        bs_param_unc_names(*const RawModel) -> *const c_char;
        bs_param_num(*const RawModel, bool, bool) -> c_int;
        bs_param_unc_num(*const RawModel) -> c_int;
        // Whether constants are dropped, whether the Jacobian is in, the point.
        bs_log_density(*const RawModel, bool, bool, *const f64, *mut f64, RawMessage) -> c_int;
        bs_log_density_gradient(*const RawModel, bool, bool, *const f64, *mut f64, *mut f64, RawMessage) -> c_int;
        // Whether transformed parameters and generated quantities are in, the point.
        bs_param_constrain(*const RawModel, bool, bool, *const f64, *mut f64, *mut RawRng, RawMessage) -> c_int;
        bs_rng_construct(c_uint, RawMessage) -> *mut RawRng;
        bs_rng_destruct(*mut RawRng);
    }
    optional {
        bs_model_info(*const RawModel) -> *const c_char;
        bs_log_density_hessian_vector_product(*const RawModel, bool, bool, *const f64, *const f64, *mut f64, *mut f64, RawMessage) -> c_int;
        bs_set_print_callback(Option<PrintCallback>, RawMessage) -> c_int;
    }
}

#[cfg(unix)]
type Handle = libloading::os::unix::Library;
#[cfg(not(unix))]
type Handle = libloading::Library;

/// The address under `name`, as a function or a pointer of type `T`.
///
/// # Safety
/// What is there must be of that type.
unsafe fn function<T: Copy>(library: &Handle, name: &str) -> Option<T> {
    // SAFETY: the caller's promise; an address that is NULL is none.
    unsafe { library.get::<Option<T>>(name) }
        .ok()
        .and_then(|found| *found)
}

/// The integer of that name.
fn number(library: &Handle, name: &str) -> Option<c_int> {
    // SAFETY: the numbers of the version are `int`s exported as data; the address is that of one, and
    // stays one, for the library is never unloaded.
    let address = unsafe { library.get::<*const c_int>(name) }.ok()?;
    let address = *address;
    // SAFETY: as above, once it is not NULL.
    (!address.is_null()).then(|| unsafe { address.read() })
}

/// Why a file is not taken: words that go on after its path.
pub(super) enum Refusal {
    /// It is no library of a model.
    Other(String),
    /// The program holds an earlier one of that path, which the system would give again.
    Changed,
}

/// Loads the library at `path`, an absolute path, for as long as the program runs.
///
/// It is never unloaded: threads that evaluated a model hold memory that its code frees when they end.
pub(super) fn open(path: &Path) -> Result<Functions, Refusal> {
    let digest = std::fs::read(path)
        .map(|bytes| <[u8; 32]>::from(Sha256::digest(bytes)))
        .map_err(|e| Refusal::Other(format!("which cannot be read ({e})")))?;
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let library = load(path).map_err(Refusal::Other)?;
    let exports = |name: &str| {
        // SAFETY: only whether there is an address matters; it is not followed.
        unsafe { library.get::<*const u8>(name) }.is_ok_and(|address| !address.is_null())
    };
    let found = match number(&library, "bs_major_version") {
        Some(MAJOR) => Functions::find(&library)
            .map_err(|name| format!("which says that it is BridgeStan {MAJOR} but lacks `{name}`")),
        Some(major) => Err(format!(
            "which was built by BridgeStan {major}.{}",
            number(&library, "bs_minor_version").unwrap_or(0)
        )),
        None if exports("bs_construct") || exports("bs_model_construct") => {
            Err("which was built by BridgeStan 1.0 or older".into())
        }
        None => Err("which has none of BridgeStan's functions".into()),
    };
    let address = library.into_raw_address();
    match loaded.iter().find(|known| known.0 == address) {
        Some(known) if known.1 != digest => Err(Refusal::Changed),
        Some(_) => found.map_err(Refusal::Other),
        None => {
            loaded.push((address, digest));
            let functions = found.map_err(Refusal::Other)?;
            // Once a library: where it prints to may not change while it prints.
            functions.print_to_stderr();
            Ok(functions)
        }
    }
}

/// Libraries that are loaded, with their digests.
static LOADED: Mutex<Vec<(usize, [u8; 32])>> = Mutex::new(Vec::new());

#[cfg(unix)]
fn load(path: &Path) -> Result<Handle, String> {
    use libloading::os::unix::{RTLD_LOCAL, RTLD_NOW};
    // SAFETY: its initialisers run; that is what a person asks for who names it in a job.
    unsafe { Handle::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map_err(|e| refused(&e))
}

#[cfg(not(unix))]
fn load(path: &Path) -> Result<Handle, String> {
    // SAFETY: as above.
    unsafe { Handle::new(path) }.map_err(|e| refused(&e))
}

fn refused(error: &libloading::Error) -> String {
    let words = match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    };
    format!("which cannot be loaded ({words})")
}

trait IntoAddress {
    /// Lets go of the handle without unloading; gives what tells libraries apart.
    fn into_raw_address(self) -> usize;
}

#[cfg(unix)]
impl IntoAddress for Handle {
    fn into_raw_address(self) -> usize {
        self.into_raw() as usize
    }
}

#[cfg(not(unix))]
impl IntoAddress for Handle {
    fn into_raw_address(self) -> usize {
        // Always another: a file that is loaded cannot be changed there, and printing is set again to the
        // same place.
        std::ptr::from_ref(Box::leak(Box::new(self))) as usize
    }
}

impl Functions {
    /// What a model prints goes to standard error: standard output is the caller's own.
    fn print_to_stderr(&self) {
        let Some(set) = self.bs_set_print_callback else {
            return;
        };
        let mut message = Message::new(self);
        // SAFETY: the callback does not unwind; the message is freed with its own function.
        unsafe { set(Some(to_stderr), message.place()) };
    }
}

/// # Safety
/// `text` holds `length` bytes.
unsafe extern "C" fn to_stderr(text: *const c_char, length: usize) {
    if !text.is_null() && length > 0 {
        // SAFETY: the caller's promise.
        let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length) };
        // Nothing can be done about a standard error that is closed.
        let _ = std::io::stderr().write_all(bytes);
    }
}

/// Where a function may leave a message, which is freed in the end.
pub(super) struct Message<'a> {
    functions: &'a Functions,
    text: *mut c_char,
}

impl<'a> Message<'a> {
    pub(super) fn new(functions: &'a Functions) -> Self {
        Self {
            functions,
            text: std::ptr::null_mut(),
        }
    }

    /// What to hand to the function.
    pub(super) fn place(&mut self) -> RawMessage {
        &raw mut self.text
    }

    /// The message, or that there is none.
    pub(super) fn words(&self) -> String {
        let text = text(self.text).unwrap_or_default();
        match text.trim() {
            "" => "it failed and did not say why".into(),
            words => words.into(),
        }
    }
}

impl Drop for Message<'_> {
    fn drop(&mut self) {
        if !self.text.is_null() {
            // SAFETY: the library made it, and nobody else frees it.
            unsafe { (self.functions.bs_free_error_msg)(self.text) };
        }
    }
}

/// A string of the library, copied; `None` for NULL.
pub(super) fn text(address: *const c_char) -> Option<String> {
    if address.is_null() {
        return None;
    }
    // SAFETY: strings of the interface end with a zero, and live at least as long as their model.
    let text = unsafe { CStr::from_ptr(address) };
    Some(text.to_string_lossy().into_owned())
}
