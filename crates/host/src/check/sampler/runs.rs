//! Runs of a sampler by the functions of its table.

use crate::check::report::Desk;
use crate::check::slot::{Object, on_one_thread};
use retrograde_abi::{
    RG_ERR_BUFFER, RG_ERR_CANCELLED, RG_ERR_UNSUPPORTED, RG_OK, rg_sampler_vtable,
};
use retrograde_bridge::probe::{Said, probe, probe_bare, probe_start, probe_step};
use retrograde_core::{Cancel, Collected, Cx};
use std::ffi::c_void;
use std::time::{Duration, Instant};

/// Time after which a run is left as it is.
const LONGEST: Duration = Duration::from_secs(10);
/// Bytes beside the buffer of `save`, and what is there.
const GUARD: usize = 64;
const MARK: u8 = 0xc5;
/// More than any state has.
const LARGEST: usize = 1 << 30;

/// A sampler.
pub(super) struct Subject {
    pub(super) object: Object,
    pub(super) table: rg_sampler_vtable,
    pub(super) dim: usize,
}

/// How a run goes.
pub(super) struct How {
    pub(super) seed: u64,
    pub(super) n: usize,
    /// The most steps.
    pub(super) most: usize,
    /// Saves it at its end.
    pub(super) save: bool,
    /// Begins from bytes, after so many steps.
    pub(super) from: Option<(usize, Vec<u8>)>,
    /// What was emitted before.
    pub(super) sink: Option<Collected>,
    /// Steps find that they are to stop.
    pub(super) cancel: bool,
    /// Says nothing of what it does.
    pub(super) quiet: bool,
}

impl How {
    pub(super) fn new(seed: u64, n: usize) -> Self {
        Self {
            seed,
            n,
            most: usize::MAX,
            save: false,
            from: None,
            sink: None,
            cancel: false,
            quiet: false,
        }
    }
}

/// A run that came to its end, or as far as it should.
pub(super) struct Ended {
    pub(super) sink: Collected,
    pub(super) steps: usize,
    pub(super) done: bool,
    pub(super) saved: Option<Vec<u8>>,
    /// Whether `save` wrote beside its buffer.
    pub(super) guard: bool,
    pub(super) took: Duration,
    /// The longest step.
    pub(super) longest: Duration,
}

/// Why a run failed.
pub(super) struct Stopped {
    pub(super) text: String,
    pub(super) reasoned: bool,
    pub(super) in_start: bool,
    pub(super) cancelled: bool,
}

impl Stopped {
    fn of(name: &str, said: &Said) -> Self {
        let (text, reasoned) = super::failed(name, said);
        Self {
            text,
            reasoned,
            in_start: name == "start",
            cancelled: said.code == RG_ERR_CANCELLED,
        }
    }

    fn broke(text: String) -> Self {
        Self {
            text,
            reasoned: true,
            in_start: false,
            cancelled: false,
        }
    }
}

/// A run of the plugin's, ended with this.
struct Begun<'a> {
    subject: &'a Subject,
    run: *mut c_void,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if let Some(end) = self.subject.table.end {
            // SAFETY: begun or loaded by this sampler, and ended once.
            unsafe { end(self.subject.object.get(), self.run) };
        }
    }
}

/// Makes a run.
///
/// # Errors
/// What a function of the table returned, or did that it may not.
pub(super) fn go(desk: &Desk<'_>, subject: &Subject, how: &How) -> Result<Ended, Stopped> {
    let cancel = Cancel::default();
    on_one_thread(how.seed, cancel.clone(), |cx| {
        let begun = begin(desk, subject, how, cx)?;
        if how.cancel {
            cancel.request();
            cancel.request();
        }
        steps(desk, &begun, how, cx)
    })
}

fn tell(desk: &Desk<'_>, how: &How, what: &str) {
    if !how.quiet {
        desk.at(&format!("{what} (a run of {} draws)", how.n));
    }
}

fn begin<'a>(
    desk: &Desk<'_>,
    subject: &'a Subject,
    how: &How,
    cx: &mut Cx<'_>,
) -> Result<Begun<'a>, Stopped> {
    let (object, table) = (subject.object.get(), &subject.table);
    let mut run = std::ptr::null_mut();
    let name = if how.from.is_some() { "load" } else { "start" };
    tell(desk, how, &format!("{name}()"));
    let mut cx = cx.at("start", 0);
    let said = match (&how.from, table.start, table.load) {
        (None, Some(start), _) => probe_start(&mut cx, &desk.label, |call| {
            // SAFETY: by the contract of the interface, which is what is checked.
            unsafe { start(object, call, how.n, &raw mut run) }
        }),
        (Some((_, bytes)), _, Some(load)) => probe(&mut cx, |call| {
            // SAFETY: as above; so many bytes.
            unsafe {
                load(
                    object,
                    call,
                    bytes.as_ptr().cast(),
                    bytes.len(),
                    &raw mut run,
                )
            }
        }),
        _ => return Err(Stopped::broke(format!("{name}() is NULL"))),
    };
    if said.code != RG_OK || said.broken.is_some() {
        return Err(Stopped::of(name, &said));
    }
    if run.is_null() {
        return Err(Stopped::broke(format!(
            "{name}() returned RG_OK, but gave no run"
        )));
    }
    Ok(Begun { subject, run })
}

fn steps(desk: &Desk<'_>, begun: &Begun<'_>, how: &How, cx: &mut Cx<'_>) -> Result<Ended, Stopped> {
    let subject = begun.subject;
    let object = subject.object.get();
    let Some(step) = subject.table.step else {
        return Err(Stopped::broke("step() is NULL".into()));
    };
    let sink = how.sink.clone();
    let mut ended = Ended {
        sink: sink.unwrap_or_else(|| Collected::new(subject.dim)),
        steps: 0,
        done: false,
        saved: None,
        guard: false,
        took: Duration::ZERO,
        longest: Duration::ZERO,
    };
    let first = how.from.as_ref().map_or(0, |(k, _)| *k);
    let began = Instant::now();
    while !ended.done && ended.steps < how.most && began.elapsed() < LONGEST {
        tell(desk, how, "step()");
        let mut done = 0;
        let mut at = cx.at_step((first + ended.steps) as u64);
        let before = Instant::now();
        let said = probe_step(&mut at, &mut ended.sink, |call| {
            // SAFETY: as above; the run is one of this sampler.
            unsafe { step(object, call, begun.run, &raw mut done) }
        });
        ended.longest = ended.longest.max(before.elapsed());
        if said.code != RG_OK || said.broken.is_some() {
            if how.cancel && said.code == RG_ERR_CANCELLED {
                break;
            }
            return Err(Stopped::of("step", &said));
        }
        ended.steps += 1;
        ended.done = match done {
            0 => false,
            1 => true,
            other => {
                let text = format!("step() put {other} into `done`, which must be 0 or 1");
                return Err(Stopped::broke(text));
            }
        };
    }
    ended.took = began.elapsed();
    if how.save {
        save(desk, begun, how, &mut ended)?;
    }
    Ok(ended)
}

fn save(desk: &Desk<'_>, begun: &Begun<'_>, how: &How, ended: &mut Ended) -> Result<(), Stopped> {
    let subject = begun.subject;
    let Some(save) = subject.table.save else {
        return Ok(());
    };
    tell(desk, how, "save()");
    let mut need = 0;
    let mut ask = |buffer: *mut c_void, cap: usize| {
        let said = probe_bare(|call| {
            let object = subject.object.get();
            // SAFETY: as above; `cap` bytes are there.
            unsafe { save(object, call, begun.run, buffer, cap, &raw mut need) }
        });
        (said, need)
    };
    let (said, need) = ask(std::ptr::null_mut(), 0);
    if said.code == RG_ERR_UNSUPPORTED {
        return Ok(());
    }
    if said.code != RG_OK && said.code != RG_ERR_BUFFER {
        return Err(Stopped::of("save", &said));
    }
    if need > LARGEST {
        return Err(Stopped::broke(format!("save() needs {need} bytes")));
    }
    let mut buffer = vec![MARK; need + GUARD];
    let (said, written) = ask(buffer.as_mut_ptr().cast(), need);
    if said.code != RG_OK {
        return Err(Stopped::of("save", &said));
    }
    if written != need {
        let text = format!("save() asked for {need} bytes, and then for {written}");
        return Err(Stopped::broke(text));
    }
    ended.guard = buffer[need..].iter().any(|b| *b != MARK);
    buffer.truncate(need);
    ended.saved = Some(buffer);
    Ok(())
}

/// The first difference of what two runs emitted, in words.
pub(super) fn difference(a: &Collected, b: &Collected) -> Option<String> {
    if a.len() != b.len() {
        return Some(format!("{} draws and {}", a.len(), b.len()));
    }
    let bits = |x: f64, y: f64| x.to_bits() != y.to_bits();
    for (i, (a, b)) in a.rows().rows().into_iter().zip(b.rows().rows()).enumerate() {
        if let Some((a, b)) = a.iter().zip(b).find(|(a, b)| bits(**a, **b)) {
            return Some(format!("draw {i} is {a} and {b}"));
        }
    }
    if a.log_weights.len() != b.log_weights.len()
        || a.log_weights
            .iter()
            .zip(&b.log_weights)
            .any(|(a, b)| bits(*a, *b))
    {
        return Some("other weights".into());
    }
    for (key, a) in &a.scalars {
        match b.scalars.get(key) {
            Some(b) if !bits(*a, *b) => {}
            Some(b) => return Some(format!("{key} is {a} and {b}")),
            None => return Some(format!("{key} is {a} and not there")),
        }
    }
    if a.stats.keys().ne(b.stats.keys()) {
        return Some("other statistics".into());
    }
    None
}
