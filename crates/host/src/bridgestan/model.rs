//! A model of a library with its data, one call at a time where it must be.

use super::library::{Functions, Message, RawModel, RawRng, text};
use std::ffi::{CStr, c_int};
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held while a model is called whose library was built without threads: such libraries keep the tape
/// of their derivatives in one place, which the dynamic linker may even share among several of them.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

const UNCONSTRAINED: &str = "unconstrained parameters";
const CONSTRAINED: &str = "constrained parameters";

/// A model with its data.
pub(super) struct Model {
    functions: Functions,
    model: NonNull<RawModel>,
    threads: bool,
    with: With,
    dim: usize,
    outputs: usize,
}

// SAFETY: the interface takes a model that is `const` and allows calls from any threads at once where
// it was built with STAN_THREADS; else `Call` sees to it that they come one by one.
unsafe impl Send for Model {}
// SAFETY: likewise.
unsafe impl Sync for Model {}

/// What a model makes of its data, or why it makes nothing of them.
pub(super) enum Unmade {
    /// It refused the data, in these words.
    Refused(String),
    /// What it says of itself cannot be: words that go on after the path of the library.
    Broken(String),
}

impl Model {
    /// A model from its data, JSON or nothing. `seed` is that of random numbers in `transformed data`,
    /// `with` what its outputs are.
    pub(super) fn new(
        functions: Functions,
        data: Option<&CStr>,
        seed: u32,
        with: With,
    ) -> Result<Self, Unmade> {
        let turn = turn();
        let mut message = Message::new(&functions);
        let data = data.map_or(std::ptr::null(), CStr::as_ptr);
        // SAFETY: data are a string or NULL, which stands for none.
        let made = unsafe { (functions.bs_model_construct)(data, seed, message.place()) };
        let Some(model) = NonNull::new(made) else {
            return Err(Unmade::Refused(message.words()));
        };
        drop(message);
        let mut model = Self {
            functions,
            model,
            threads: false,
            with,
            dim: 0,
            outputs: 0,
        };
        // SAFETY: the model is there, the string is copied.
        let info = model
            .functions
            .bs_model_info
            .and_then(|info| text(unsafe { info(model.model.as_ptr()) }))
            .unwrap_or_default();
        model.threads = info.lines().any(|l| l.trim() == "STAN_THREADS=true");
        // SAFETY: the model is there.
        let dim = unsafe { (model.functions.bs_param_unc_num)(model.model.as_ptr()) };
        let (tp, gq) = (with.transformed_parameters, with.generated_quantities);
        // SAFETY: the model is there.
        let outputs = unsafe { (model.functions.bs_param_num)(model.model.as_ptr(), tp, gq) };
        // Should the model be dropped, it takes its turn anew.
        drop(turn);
        model.dim = count(UNCONSTRAINED, dim).map_err(Unmade::Broken)?;
        model.outputs = count(CONSTRAINED, outputs).map_err(Unmade::Broken)?;
        Ok(model)
    }

    /// Its name, which is that of the Stan program.
    pub(super) fn name(&self) -> String {
        // SAFETY: the model is there, the string is copied.
        text(unsafe { (self.functions.bs_name)(self.model.as_ptr()) }).unwrap_or_default()
    }

    /// Whether it may be called from several threads at once.
    pub(super) fn threads(&self) -> bool {
        self.threads
    }

    /// How many numbers an unconstrained point has.
    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    /// How many outputs there are.
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Whether its outputs draw random numbers.
    pub(super) fn draws(&self) -> bool {
        self.with.generated_quantities
    }

    /// Names of the unconstrained parameters, as Stan writes them.
    pub(super) fn unconstrained_names(&self) -> Result<Vec<String>, String> {
        // SAFETY: the model is there, the string is copied.
        let names = text(unsafe { (self.functions.bs_param_unc_names)(self.model.as_ptr()) });
        split(UNCONSTRAINED, names, self.dim)
    }

    /// Names of the outputs, as Stan writes them.
    pub(super) fn output_names(&self) -> Result<Vec<String>, String> {
        let (tp, gq) = (
            self.with.transformed_parameters,
            self.with.generated_quantities,
        );
        // SAFETY: the model is there, the string is copied.
        let names = text(unsafe { (self.functions.bs_param_names)(self.model.as_ptr(), tp, gq) });
        split(CONSTRAINED, names, self.outputs)
    }

    /// Whether it has products with its Hessian.
    pub(super) fn has_hvp(&self) -> bool {
        self.functions
            .bs_log_density_hessian_vector_product
            .is_some()
    }

    /// Waits for its turn, where calls come one by one.
    pub(super) fn call(&self) -> Call<'_> {
        Call {
            model: self,
            _turn: (!self.threads).then(turn),
        }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        let _turn = turn();
        // SAFETY: nobody else has it any more.
        unsafe { (self.functions.bs_model_destruct)(self.model.as_ptr()) };
    }
}

fn count(what: &str, number: c_int) -> Result<usize, String> {
    usize::try_from(number).map_err(|_| format!("whose model says that it has {number} {what}"))
}

fn split(what: &str, names: Option<String>, number: usize) -> Result<Vec<String>, String> {
    let names: Vec<String> = match names.as_deref() {
        None | Some("") => Vec::new(),
        Some(names) => names.split(',').map(str::to_owned).collect(),
    };
    if names.len() == number {
        return Ok(names);
    }
    Err(format!(
        "whose model says that it has {number} {what} but names {}",
        names.len()
    ))
}

/// What is wanted beside the parameters.
#[derive(Debug, Clone, Copy)]
pub(super) struct With {
    /// Transformed parameters.
    pub(super) transformed_parameters: bool,
    /// Generated quantities.
    pub(super) generated_quantities: bool,
}

/// Calls of a model. Points have as many numbers as the model's dimension; each call gives what it
/// computes, or the model's own words on why it does not.
///
/// The density is that of unconstrained points, with the Jacobian of the constraining map and with all
/// its constants, so that its integral is the evidence.
pub(super) struct Call<'a> {
    model: &'a Model,
    _turn: Option<MutexGuard<'static, ()>>,
}

/// Whether constants are dropped.
const PROPTO: bool = false;
/// Whether the Jacobian is in.
const JACOBIAN: bool = true;

impl Call<'_> {
    /// The log density.
    pub(super) fn log_density(&self, x: &[f64]) -> Result<f64, String> {
        assert_eq!(x.len(), self.model.dim);
        let mut value = f64::NAN;
        self.ask(|functions, model, message| {
            // SAFETY: the point has the model's dimension, the value has room for one number.
            unsafe {
                (functions.bs_log_density)(
                    model,
                    PROPTO,
                    JACOBIAN,
                    x.as_ptr(),
                    &raw mut value,
                    message,
                )
            }
        })?;
        Ok(value)
    }

    /// The log density; writes its gradient.
    pub(super) fn log_density_gradient(
        &self,
        x: &[f64],
        gradient: &mut [f64],
    ) -> Result<f64, String> {
        assert!(x.len() == self.model.dim && gradient.len() == self.model.dim);
        let mut value = f64::NAN;
        self.ask(|functions, model, message| {
            // SAFETY: point and gradient have the model's dimension.
            unsafe {
                (functions.bs_log_density_gradient)(
                    model,
                    PROPTO,
                    JACOBIAN,
                    x.as_ptr(),
                    &raw mut value,
                    gradient.as_mut_ptr(),
                    message,
                )
            }
        })?;
        Ok(value)
    }

    /// Writes the product of the Hessian with `v`.
    pub(super) fn hvp(&self, x: &[f64], v: &[f64], out: &mut [f64]) -> Result<(), String> {
        let d = self.model.dim;
        assert!(x.len() == d && v.len() == d && out.len() == d);
        let Some(hvp) = self.model.functions.bs_log_density_hessian_vector_product else {
            return Err("it has no products with its Hessian".into());
        };
        let mut value = f64::NAN;
        self.ask(|_, model, message| {
            // SAFETY: point, vector and product have the model's dimension.
            unsafe {
                hvp(
                    model,
                    PROPTO,
                    JACOBIAN,
                    x.as_ptr(),
                    v.as_ptr(),
                    &raw mut value,
                    out.as_mut_ptr(),
                    message,
                )
            }
        })
    }

    /// Writes the outputs: the constrained parameters, and what else was asked for. Generated quantities
    /// draw their random numbers from a generator of that seed; without them none is needed.
    pub(super) fn outputs(
        &self,
        x: &[f64],
        seed: Option<u32>,
        out: &mut [f64],
    ) -> Result<(), String> {
        assert!(x.len() == self.model.dim && out.len() == self.model.outputs);
        let rng = seed
            .map(|seed| Rng::new(&self.model.functions, seed))
            .transpose()?;
        let rng = rng
            .as_ref()
            .map_or(std::ptr::null_mut(), |r| r.rng.as_ptr());
        let With {
            transformed_parameters: tp,
            generated_quantities: gq,
        } = self.model.with;
        self.ask(|functions, model, message| {
            let (x, out) = (x.as_ptr(), out.as_mut_ptr());
            // SAFETY: the point has the model's dimension, there is room for all outputs, the generator
            // is this call's alone.
            unsafe { (functions.bs_param_constrain)(model, tp, gq, x, out, rng, message) }
        })
    }

    fn ask(
        &self,
        call: impl FnOnce(&Functions, *const RawModel, *mut *mut std::ffi::c_char) -> c_int,
    ) -> Result<(), String> {
        let functions = &self.model.functions;
        let mut message = Message::new(functions);
        match call(functions, self.model.model.as_ptr(), message.place()) {
            0 => Ok(()),
            _ => Err(message.words()),
        }
    }
}

/// A generator of random numbers of the library.
struct Rng<'a> {
    functions: &'a Functions,
    rng: NonNull<RawRng>,
}

impl<'a> Rng<'a> {
    fn new(functions: &'a Functions, seed: u32) -> Result<Self, String> {
        let mut message = Message::new(functions);
        // SAFETY: the message is freed with its own function.
        let rng = unsafe { (functions.bs_rng_construct)(seed, message.place()) };
        match NonNull::new(rng) {
            Some(rng) => Ok(Self { functions, rng }),
            None => Err(message.words()),
        }
    }
}

impl Drop for Rng<'_> {
    fn drop(&mut self) {
        // SAFETY: it is this one's alone.
        unsafe { (self.functions.bs_rng_destruct)(self.rng.as_ptr()) };
    }
}
