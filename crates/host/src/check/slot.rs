//! A function of a table with its arrays, called under watch.

use super::guarded::{Faults, Guarded};
use super::report::Desk;
use retrograde_abi::{RG_OK, rg_call, rg_status};
use retrograde_bridge::probe::{Said, probe};
use retrograde_core::{Cancel, Runtime, Status};
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// An object of a plugin, as its functions get it.
#[derive(Clone, Copy)]
pub(crate) struct Object(pub(crate) *mut c_void);
// SAFETY: only handed back to the plugin; it is called from several threads at once only where its thread
// class allows that.
unsafe impl Send for Object {}
// SAFETY: as for Send.
unsafe impl Sync for Object {}

impl Object {
    pub(crate) fn get(self) -> *mut c_void {
        self.0
    }
}

/// What its table says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claims {
    pub(crate) rowwise: bool,
    pub(crate) deterministic: bool,
    pub(crate) concurrent: bool,
}

/// An array of a function: its name, and the numbers a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Array {
    pub(crate) name: &'static str,
    pub(crate) columns: usize,
    /// Of an output: whether NULL may be given.
    pub(crate) optional: bool,
}

/// An array of that name.
pub(crate) fn array(name: &'static str, columns: usize) -> Array {
    Array {
        name,
        columns,
        optional: false,
    }
}

/// An output that may not be wanted.
pub(crate) fn wanted(name: &'static str, columns: usize) -> Array {
    Array {
        optional: true,
        ..array(name, columns)
    }
}

type Function<'a> =
    Box<dyn Fn(*mut rg_call, usize, &[*const f64], &[*mut f64]) -> rg_status + Sync + 'a>;

/// A function of rows.
pub(crate) struct Slot<'a> {
    pub(crate) name: &'static str,
    pub(crate) claims: Claims,
    /// Whether it draws random numbers, by what it is for.
    pub(crate) draws: bool,
    pub(crate) inputs: Vec<Array>,
    pub(crate) outputs: Vec<Array>,
    /// Outputs that are never asked for, since the component has none.
    pub(crate) never: Vec<usize>,
    /// Ordinary values of the inputs, all of as many rows.
    pub(crate) pool: Rows,
    function: Function<'a>,
    /// Whether it was told that it writes beside its arrays, and that it changes its inputs.
    pub(crate) told: Told,
}

/// Faults that are told once, of whichever call they are in first.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) guard: AtomicBool,
    pub(crate) input: AtomicBool,
}

/// Rows of several arrays.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rows {
    pub(crate) n: usize,
    pub(crate) arrays: Vec<Vec<f64>>,
}

impl Rows {
    pub(crate) fn new(n: usize, arrays: Vec<Vec<f64>>) -> Self {
        Self { n, arrays }
    }

    /// The rows of these numbers.
    pub(crate) fn pick(&self, rows: &[usize]) -> Self {
        let of = |a: &Vec<f64>| {
            let columns = a.len() / self.n.max(1);
            rows.iter()
                .flat_map(|r| a[r * columns..(r + 1) * columns].iter().copied())
                .collect()
        };
        Self {
            n: rows.len(),
            arrays: self.arrays.iter().map(of).collect(),
        }
    }

    pub(crate) fn first(&self, n: usize) -> Self {
        self.pick(&(0..n.min(self.n)).collect::<Vec<_>>())
    }
}

/// How a function is called.
#[derive(Debug, Clone, Default)]
pub(crate) struct How {
    pub(crate) seed: u64,
    /// Outputs that are not wanted.
    pub(crate) without: Vec<usize>,
    pub(crate) cancel: bool,
    /// What is special about the inputs, for a sentence.
    pub(crate) note: String,
}

/// What came of a call.
pub(crate) struct Called {
    pub(crate) said: Said,
    /// The outputs; empty for those that were not wanted.
    pub(crate) out: Vec<Vec<f64>>,
    pub(crate) faults: Faults,
    pub(crate) drew: bool,
    pub(crate) took: Duration,
}

impl Called {
    pub(crate) fn fine(&self) -> bool {
        self.said.code == RG_OK && self.said.broken.is_none()
    }
}

/// What a status is called.
pub(crate) fn code(code: rg_status) -> String {
    match Status::from_code(code) {
        Some(status) => status.name().into(),
        None => format!("{code}, which is none of the RG_ERR_ codes"),
    }
}

/// What a function said, for a sentence that begins with its name: "eval() …".
pub(crate) fn words(said: &Said) -> String {
    if let Some(error) = &said.broken {
        return format!("used the host in a way that failed: {error}");
    }
    let returned = format!("returned {}", code(said.code));
    match (&said.text, &said.own) {
        (Some(text), _) if !text.is_empty() => format!("{returned}: {text}"),
        (_, Some(error)) => format!("{returned}: {error}"),
        _ => format!("{returned} and gave no reason"),
    }
}

/// Whether an error has a text.
pub(crate) fn reasoned(said: &Said) -> bool {
    said.text.as_ref().is_some_and(|t| !t.is_empty()) || said.own.is_some()
}

impl<'a> Slot<'a> {
    pub(crate) fn new(
        name: &'static str,
        claims: Claims,
        inputs: Vec<Array>,
        outputs: Vec<Array>,
        pool: Rows,
        function: impl Fn(*mut rg_call, usize, &[*const f64], &[*mut f64]) -> rg_status + Sync + 'a,
    ) -> Self {
        Self {
            name,
            claims,
            draws: false,
            inputs,
            outputs,
            never: Vec::new(),
            pool,
            function: Box::new(function),
            told: Told::default(),
        }
    }

    pub(crate) fn that_draws(mut self) -> Self {
        self.draws = true;
        self
    }

    pub(crate) fn never(mut self, outputs: Vec<usize>) -> Self {
        self.never = outputs;
        self
    }

    /// Calls it, and tells before.
    pub(crate) fn call(&self, desk: &Desk<'_>, rows: &Rows, how: &How) -> Called {
        desk.at(&format!("{}() (n = {})", self.name, rows.n));
        self.call_quietly(desk, rows, how)
    }

    /// Which call it is: its rows, the outputs that are not wanted, and what else is special.
    pub(crate) fn place(&self, rows: &Rows, how: &How) -> String {
        let mut place = format!("n = {}", rows.n);
        let without: Vec<_> = how.without.iter().map(|k| self.outputs[*k].name).collect();
        if !without.is_empty() {
            place += &format!(", without {}", without.join(" and "));
        }
        if !how.note.is_empty() {
            place += &format!(", {}", how.note);
        }
        place
    }

    /// Tells that a call wrote where it may not, whichever check it was made for.
    fn tell(&self, desk: &Desk<'_>, rows: &Rows, how: &How, faults: &Faults) {
        let both = [
            ("guards", &self.told.guard, &faults.guard),
            ("inputs", &self.told.input, &faults.input),
        ];
        for (check, told, faults) in both {
            if let Some(fault) = faults.first()
                && !told.swap(true, Ordering::Relaxed)
            {
                let place = self.place(rows, how);
                desk.fail(check, format!("{}() {fault} ({place})", self.name));
            }
        }
    }

    /// Calls it.
    pub(crate) fn call_quietly(&self, desk: &Desk<'_>, rows: &Rows, how: &How) -> Called {
        let n = rows.n;
        let mut inputs: Vec<_> = rows.arrays.iter().map(|a| Guarded::input(a)).collect();
        let absent = |k: &usize| how.without.contains(k) || self.never.contains(k);
        let mut outputs: Vec<_> = (0..self.outputs.len())
            .map(|k| (!absent(&k)).then(|| Guarded::output(n * self.outputs[k].columns)))
            .collect();
        let given: Vec<_> = inputs
            .iter_mut()
            .map(|a| a.pointer().cast_const())
            .collect();
        let places: Vec<_> = outputs
            .iter_mut()
            .map(|a| a.as_mut().map_or(std::ptr::null_mut(), Guarded::pointer))
            .collect();
        let cancel = Cancel::default();
        if how.cancel {
            cancel.request();
            cancel.request();
        }
        let (said, drew, took) = on_one_thread(how.seed, cancel, |cx| {
            let fills = cx.position().fills;
            let began = Instant::now();
            let said = probe(cx, |call| (self.function)(call, n, &given, &places));
            (said, cx.position().fills != fills, began.elapsed())
        });
        let mut faults = Faults::default();
        for (array, it) in self.inputs.iter().zip(&inputs) {
            it.faults(array.name, array.columns, &mut faults);
        }
        for (array, it) in self.outputs.iter().zip(&outputs) {
            if let Some(it) = it {
                it.faults(array.name, array.columns, &mut faults);
            }
        }
        self.tell(desk, rows, how, &faults);
        if said.code != RG_OK {
            // A call that failed owes no results.
            faults.unwritten.clear();
        }
        Called {
            said,
            out: outputs
                .iter()
                .map(|o| o.as_ref().map_or_else(Vec::new, Guarded::values))
                .collect(),
            faults,
            drew,
            took,
        }
    }

    /// Its outputs at these inputs, for checks that need the numbers.
    ///
    /// # Errors
    /// What it returned.
    pub(crate) fn values(
        &self,
        desk: &Desk<'_>,
        rows: &Rows,
        seed: u64,
    ) -> Result<Vec<Vec<f64>>, String> {
        let called = self.call(
            desk,
            rows,
            &How {
                seed,
                ..How::default()
            },
        );
        if called.fine() {
            Ok(called.out)
        } else {
            Err(format!("{}() {}", self.name, words(&called.said)))
        }
    }
}

/// Calls `f` with a context on this thread alone.
pub(crate) fn on_one_thread<R>(
    seed: u64,
    cancel: Cancel,
    f: impl FnOnce(&mut retrograde_core::Cx<'_>) -> R,
) -> R {
    Runtime::new(seed, 1)
        .expect("one thread needs no pool")
        .with_cancel(cancel)
        .enter("check", 0, f)
}
