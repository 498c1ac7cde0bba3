//! A sampler of another side.

use super::{Asked, Asking, Foreign};
use retrograde_abi::{RG_ERR_ARG, RG_ERR_IO, RG_OK, rg_sampler_vtable, rg_status};
use retrograde_core::{
    Cx, Error, Flag, Flow, Result, Run, Sampler, Sink, Status, Traits, seal, unseal,
};
use std::ffi::c_void;

impl Asked for rg_sampler_vtable {
    type Info = ();

    fn ask(_: &Asking<'_, Self>) -> Result<()> {
        Ok(())
    }
}

type Plugged = Foreign<rg_sampler_vtable>;

/// A run of it.
struct ForeignRun<'a> {
    sampler: &'a Plugged,
    run: *mut c_void,
    n: usize,
    told: bool,
}

impl Drop for ForeignRun<'_> {
    fn drop(&mut self) {
        if let Some(end) = self.sampler.table.end {
            // SAFETY: begun or loaded by this sampler, and ended once.
            unsafe { end(self.sampler.object, self.run) };
        }
    }
}

impl Plugged {
    /// Refuses a run that is NULL: there would be nothing to step.
    fn begun(&self, run: *mut c_void, n: usize, slot: &str) -> Result<Box<dyn Run + '_>> {
        if run.is_null() {
            return Err(Error::Argument {
                component: self.label().into(),
                argument: format!("run of `{slot}`"),
                given: "NULL".into(),
                allowed: "the run".into(),
            });
        }
        Ok(Box::new(ForeignRun {
            sampler: self,
            run,
            n,
            told: false,
        }))
    }

    /// What the parts that it was made with say: it cannot hand it on itself, as a built-in does.
    fn flags_of_parts(&self) -> Vec<Flag> {
        match self.made.keep.downcast_ref::<super::Parts>() {
            Some(parts) => parts.flags(),
            None => Vec::new(),
        }
    }
}

impl Sampler for Plugged {
    fn traits(&self) -> Traits {
        self.traits
    }

    fn start(&self, cx: &mut Cx<'_>, n: usize) -> Result<Box<dyn Run + '_>> {
        let start = self.table.start.ok_or_else(|| self.lacks("start"))?;
        let mut run = std::ptr::null_mut();
        self.call_start(cx, |call| {
            // SAFETY: by the contract of `Foreign::new`.
            unsafe { start(self.object, call, n, &raw mut run) }
        })?;
        self.begun(run, n, "start")
    }

    fn rows(&self, n: usize) -> usize {
        let Some(rows) = self.table.rows else {
            return n;
        };
        let mut count = n;
        let asked = self.ask_status(|call| {
            // SAFETY: as above.
            unsafe { rows(self.object, call, n, &raw mut count) }
        });
        match asked {
            Ok(()) => count,
            Err(error) => {
                self.remember(error);
                n
            }
        }
    }

    fn resume(&self, cx: &mut Cx<'_>, bytes: &[u8]) -> Result<Box<dyn Run + '_>> {
        let (n, body) = unseal(self.label(), self.made.signature, bytes)?;
        let Some(load) = self.table.load else {
            return Err(Error::State {
                component: self.label().into(),
                message: "it has no `load`".into(),
            });
        };
        let mut run = std::ptr::null_mut();
        let (start, len) = (body.as_ptr().cast(), body.len());
        self.call(cx, |call| {
            // SAFETY: as above.
            unsafe { load(self.object, call, start, len, &raw mut run) }
        })
        .map_err(|error| match error {
            // What it does not like is the state.
            Error::Callback { text, code, .. } if code == RG_ERR_IO || code == RG_ERR_ARG => {
                Error::State {
                    component: self.label().into(),
                    message: text,
                }
            }
            other => other,
        })?;
        self.begun(run, n, "load")
    }
}

impl Run for ForeignRun<'_> {
    fn step(&mut self, cx: &mut Cx<'_>, sink: &mut dyn Sink) -> Result<Flow> {
        let sampler = self.sampler;
        let step = sampler.table.step.ok_or_else(|| sampler.lacks("step"))?;
        // As built-ins do in their first step; a run that goes on has told them.
        if !self.told && cx.position().step.unwrap_or(0) == 0 {
            self.told = true;
            for flag in sampler.flags_of_parts() {
                sink.flag(flag);
            }
        }
        let mut done = 0;
        sampler.call_step(cx, sink, |call| {
            // SAFETY: as above; the run is one of this sampler.
            unsafe { step(sampler.object, call, self.run, &raw mut done) }
        })?;
        match done {
            0 => Ok(Flow::More),
            1 => Ok(Flow::Done),
            other => Err(Error::Argument {
                component: sampler.label().into(),
                argument: "done of `step`".into(),
                given: other.to_string(),
                allowed: "0 or 1".into(),
            }),
        }
    }

    fn save(&self) -> Result<Option<Vec<u8>>> {
        let sampler = self.sampler;
        let Some(save) = sampler.table.save else {
            return Ok(None);
        };
        sampler.ask(|raw, call| {
            let label = sampler.label();
            let mut need = 0;
            // SAFETY: as above; nothing is written.
            let code = unsafe {
                let nothing = std::ptr::null_mut();
                save(
                    sampler.object,
                    raw(call),
                    self.run,
                    nothing,
                    0,
                    &raw mut need,
                )
            };
            if code == Status::Unsupported as rg_status {
                return Ok(None);
            }
            if code != RG_OK && code != Status::Buffer as rg_status {
                call.finish(code, label)?;
            }
            let mut body: Vec<u8> = Vec::new();
            if body.try_reserve_exact(need).is_err() {
                return Err(Error::Memory {
                    what: format!("the state of {label}"),
                    bytes: need as u128,
                    advice: "run fewer rows".into(),
                });
            }
            body.resize(need, 0);
            let mut written = need;
            // SAFETY: as above; the buffer has `need` bytes.
            let code = unsafe {
                let buffer = body.as_mut_ptr().cast();
                save(
                    sampler.object,
                    raw(call),
                    self.run,
                    buffer,
                    need,
                    &raw mut written,
                )
            };
            call.finish(code, label)?;
            if written != need {
                return Err(Error::State {
                    component: label.into(),
                    message: format!("it asked for {need} bytes and wrote {written}"),
                });
            }
            seal(label, self.n, sampler.made.signature, &body).map(Some)
        })
    }

    fn draws(&self) -> Option<usize> {
        Some(self.n)
    }
}
