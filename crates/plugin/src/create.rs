//! The function `create` of a component: settings and parts as a built-in gets them.

use retrograde_abi::{rg_call, rg_cfg, rg_deps, rg_host, rg_ref, rg_status};
use retrograde_bridge::export::{Export, guarded};
use retrograde_bridge::foreign::{Asked, Foreign, Made};
use retrograde_bridge::remote::during_create;
use retrograde_bridge::tables::{self, Functions};
use retrograde_bridge::{Exported, Side};
use retrograde_core::registry::{Build, Files, Parts};
use retrograde_core::{Error, Result, SettingsReader, Signature, Status, Traits};
use std::ffi::{CStr, CString};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Files of the job, which the host reads.
struct HostFiles {
    host: &'static rg_host,
    call: *mut rg_call,
}

/// A status of the host's, which goes back to it: it knows what stands behind it.
fn failed(code: rg_status, what: &str) -> Error {
    Error::Callback {
        component: what.into(),
        code,
        text: String::new(),
    }
}

/// The table of the host. One of an older version is shorter than ours: its functions are taken over into
/// one that has ours as well, which are not there.
///
/// # Safety
/// `host` is NULL, or the table of a host, which lives as long as the program.
unsafe fn whole(host: *const rg_host) -> Option<&'static rg_host> {
    static WHOLE: Mutex<Vec<(usize, &'static Constant)>> = Mutex::new(Vec::new());
    struct Constant(rg_host);
    // SAFETY: functions and texts that never change.
    unsafe impl Send for Constant {}
    // SAFETY: as for Send.
    unsafe impl Sync for Constant {}
    if host.is_null() {
        return None;
    }
    // SAFETY: not NULL, so by contract its size lies there.
    let size = unsafe { *host.cast::<usize>() };
    if size >= size_of::<rg_host>() {
        // SAFETY: as large as ours.
        return unsafe { host.as_ref() };
    }
    let mut all = WHOLE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, whole)) = all.iter().find(|(of, _)| *of == host.addr()) {
        return Some(&whole.0);
    }
    // SAFETY: zeros are absent functions, and texts that are not read.
    let mut full: rg_host = unsafe { std::mem::zeroed() };
    // SAFETY: that many bytes on both sides.
    unsafe {
        std::ptr::copy_nonoverlapping(host.cast::<u8>(), (&raw mut full).cast(), size);
    }
    let whole: &'static Constant = Box::leak(Box::new(Constant(full)));
    all.push((host.addr(), whole));
    Some(&whole.0)
}

fn lacks(slot: &str) -> Error {
    Error::Version {
        what: "the host".into(),
        found: format!("without `{slot}`"),
        expected: "one that has it".into(),
    }
}

fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{FFFD}")).unwrap_or_default()
}

impl Files for HostFiles {
    fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let read_file = self.host.read_file.ok_or_else(|| lacks("read_file"))?;
        let name = c_string(&path.to_string_lossy());
        let (mut start, mut len) = (std::ptr::null(), 0);
        // SAFETY: the host's function, in the call of `create`.
        match unsafe { read_file(self.call, name.as_ptr(), &raw mut start, &raw mut len) } {
            // SAFETY: that many bytes, which live until `create` returns.
            0 if len > 0 => Ok(unsafe { std::slice::from_raw_parts(start, len) }.to_vec()),
            0 => Ok(Vec::new()),
            code => Err(failed(code, "`read_file` of the host")),
        }
    }
}

/// A part, from the host.
///
/// # Safety
/// `part` is NULL, or a reference of the host to an object with a table of type `T`.
unsafe fn part<T: Asked + Functions>(
    part: *const rg_ref,
    host: &'static rg_host,
) -> Result<Option<Foreign<T>>> {
    if part.is_null() {
        return Ok(None);
    }
    let made = Made {
        // SAFETY: by contract.
        made: unsafe { *part },
        label: format!("the {}", T::KIND.word()),
        host: Some(host),
        parts: Traits::PURE,
        keep: Box::new(()),
        signature: Signature::default(),
    };
    // SAFETY: by contract; the host keeps it for as long as what is made with it.
    unsafe { Foreign::new(made) }.map(Some)
}

/// The function `create` of a component with settings `S`.
///
/// # Safety
/// As the contract of the interface says.
pub unsafe extern "C" fn create<K: ?Sized + Export + 'static, S: Build<K>>(
    host: *const rg_host,
    call: *mut rg_call,
    cfg: *const rg_cfg,
    deps: *const rg_deps,
    made: *mut rg_ref,
) -> rg_status {
    // SAFETY: NULL, or a table that lives as long as the program.
    let Some(host) = (unsafe { whole(host) }) else {
        return Status::Null as rg_status;
    };
    if made.is_null() || call.is_null() {
        return Status::Null as rg_status;
    }
    let make = || {
        // SAFETY: by contract.
        let deps = unsafe { tables::read(deps) }.map_err(|message| Error::Argument {
            component: "create".into(),
            argument: "deps".into(),
            given: message,
            allowed: "the table of the host".into(),
        })?;
        let files = HostFiles { host, call };
        let mut parts = Parts::new(&files);
        // SAFETY: by contract, of these kinds.
        unsafe {
            parts.target = part(deps.target, host)?.map(|p| Arc::new(p) as _);
            parts.process = part(deps.process, host)?.map(|p| Arc::new(p) as _);
            parts.score = part(deps.score, host)?.map(|p| Arc::new(p) as _);
        }
        let mut text = std::ptr::null();
        let cfg_toml = host.cfg_toml.ok_or_else(|| lacks("cfg_toml"))?;
        // SAFETY: the host's function, in the call of `create`.
        let code = unsafe { cfg_toml(call, cfg, &raw mut text) };
        if code == 0 && text.is_null() {
            return Err(lacks("cfg_toml"));
        }
        if code != 0 {
            return Err(failed(code, "`cfg_toml` of the host"));
        }
        // SAFETY: not NULL, so a text that lives until `create` returns.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
        let bad = |message: String| Error::Settings {
            component: "the parameters".into(),
            key: String::new(),
            message,
        };
        let table: toml::Table = text
            .parse()
            .map_err(|e: toml::de::Error| bad(e.to_string()))?;
        let settings: S =
            SettingsReader::with("the component", toml::Value::Table(table), |r| r.read())?;
        let reference = Exported::<K>::give(settings.build(&parts)?, Side::Plugin(host));
        // SAFETY: not NULL, so a place for it.
        unsafe { made.write(reference) };
        Ok(())
    };
    guarded(
        host,
        call,
        || during_create(host, call, make).inspect_err(|error| refuse(host, call, error)),
        || {},
    )
}

/// Tells the host which parameter it is that is wrong, so that it can show the place.
fn refuse(host: &rg_host, call: *mut rg_call, error: &Error) {
    let Error::Setting {
        key,
        given,
        allowed,
        ..
    } = error
    else {
        return;
    };
    if let Some(cfg_refuse) = host.cfg_refuse {
        let (key, given, allowed) = (c_string(key), c_string(given), c_string(allowed));
        // SAFETY: the host's function, in the call of `create`.
        unsafe { cfg_refuse(call, key.as_ptr(), given.as_ptr(), allowed.as_ptr()) };
    }
}
