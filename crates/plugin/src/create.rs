//! The function `create` of a component: settings and parts as a built-in gets them.

use retrograde_abi::{rg_call, rg_cfg, rg_deps, rg_host, rg_ref, rg_status};
use retrograde_bridge::export::{Export, guarded};
use retrograde_bridge::foreign::{Asked, Foreign, Made};
use retrograde_bridge::tables::{self, Functions};
use retrograde_bridge::{Exported, Side};
use retrograde_core::registry::{Build, Files, Parts};
use retrograde_core::{Error, Result, SettingsReader, Signature, Status, Traits};
use std::ffi::{CStr, CString};
use std::path::Path;
use std::sync::Arc;

/// Files of the job, which the host reads.
struct HostFiles {
    host: &'static rg_host,
    call: *mut rg_call,
}

fn failed(code: rg_status, what: &str) -> Error {
    Error::Callback {
        component: "the host".into(),
        code,
        text: what.into(),
    }
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
            code => Err(failed(code, &format!("cannot read {}", path.display()))),
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
    let Some(host) = (unsafe { host.as_ref() }) else {
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
        if code != 0 || text.is_null() {
            return Err(failed(code, "its parameters"));
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
        || make().inspect_err(|error| refuse(host, call, error)),
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
