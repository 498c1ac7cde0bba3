//! Tables that begin with their size: read whatever their size, and looked over before they are used.

use retrograde_abi::{
    RG_CAP_G_CONST_X, RG_CAP_GRADIENT, RG_CAP_LINEAR, RG_CAP_LINEAR_DENSE, RG_CAP_LINEAR_DIAG,
    RG_CAP_NO_DENSITY, RG_CAP_WARPED, RG_THREAD_CALLER, RG_THREAD_CONCURRENT, RG_THREAD_SERIAL,
    rg_component, rg_deps, rg_frame, rg_param, rg_plugin, rg_process_vtable, rg_sampler_vtable,
    rg_score_vtable, rg_target_vtable,
};
use retrograde_core::{Kind, Threading};
use std::ffi::c_void;

/// A table that begins with its size.
///
/// # Safety
/// The type is `repr(C)`, its first field is its size as `usize`, and zeros are a value of every field
/// (an absent one).
pub unsafe trait Table: Copy {
    /// Its name in C.
    const NAME: &'static str;
}

macro_rules! sized {
    ($($table:ident),*) => {$(
        // SAFETY: so is it declared; functions are options, whose zeros are none.
        unsafe impl Table for $table {
            const NAME: &'static str = stringify!($table);
        }
    )*};
}
sized!(
    rg_deps,
    rg_frame,
    rg_param,
    rg_component,
    rg_plugin,
    rg_target_vtable,
    rg_process_vtable,
    rg_score_vtable,
    rg_sampler_vtable
);

/// The largest size that a table may say it has, far above any.
const LARGEST: usize = 1 << 16;

/// A table of any version, with zeros where it is shorter than ours.
///
/// # Errors
/// What is wrong with its address or its size.
///
/// # Safety
/// `table` is NULL, or as many bytes can be read there as it says at its beginning.
pub unsafe fn read<T: Table>(table: *const T) -> Result<T, String> {
    let name = T::NAME;
    if table.is_null() {
        return Err(format!("the {name} is NULL"));
    }
    if !table.cast::<usize>().is_aligned() {
        return Err(format!("the {name} is not aligned to 8 bytes"));
    }
    // SAFETY: not NULL, aligned, and by contract its size lies there.
    let size = unsafe { *table.cast::<usize>() };
    if !(size_of::<usize>()..=LARGEST).contains(&size) || !size.is_multiple_of(8) {
        return Err(format!(
            "the struct_size of its {name} is {size}, but must be sizeof({name}), {} in this version",
            size_of::<T>()
        ));
    }
    // SAFETY: zeros are a value of it.
    let mut full: T = unsafe { std::mem::zeroed() };
    // SAFETY: at least as many bytes on both sides.
    unsafe {
        std::ptr::copy_nonoverlapping(
            table.cast::<u8>(),
            (&raw mut full).cast::<u8>(),
            size.min(size_of::<T>()),
        );
    }
    Ok(full)
}

/// The functions of a kind of component.
pub trait Functions: Table + 'static {
    /// The kind.
    const KIND: Kind;
    /// Its capabilities.
    fn caps(&self) -> u64;
    /// Its RG_THREAD_ constant.
    fn threading(&self) -> i32;
    /// Its reserved field.
    fn reserved(&self) -> u32;
    /// The function that frees an object.
    fn destroy(&self) -> Option<unsafe extern "C" fn(*mut c_void)>;
    /// The required functions: names, and whether they are there.
    fn required(&self) -> Vec<(&'static str, bool)>;
    /// Functions that only make sense together.
    fn together(&self) -> Vec<Vec<(&'static str, bool)>>;
    /// Capabilities that do not fit its functions, or one another.
    ///
    /// # Errors
    /// What does not fit.
    fn fits(&self) -> Result<(), String>;

    /// The thread class.
    ///
    /// # Errors
    /// When the constant is none of the three.
    fn class(&self) -> Result<Threading, String> {
        match self.threading() {
            RG_THREAD_CALLER => Ok(Threading::Caller),
            RG_THREAD_SERIAL => Ok(Threading::Serial),
            RG_THREAD_CONCURRENT => Ok(Threading::Concurrent),
            other => Err(format!(
                "the threading of its {} is {other}, but must be RG_THREAD_SERIAL (1) or \
                 RG_THREAD_CONCURRENT (2)",
                Self::NAME
            )),
        }
    }

    /// Looks the table over.
    ///
    /// # Errors
    /// The first thing that is wrong.
    fn look_over(&self) -> Result<(), String> {
        let name = Self::NAME;
        if let Some((slot, _)) = self.required().iter().find(|(_, there)| !there) {
            return Err(format!("`{slot}` of its {name} is NULL, but is required"));
        }
        for group in self.together() {
            let missing = group.iter().find(|(_, there)| !there);
            if let (Some((missing, _)), Some((there, _))) =
                (missing, group.iter().find(|(_, there)| *there))
            {
                return Err(format!("its {name} has `{there}` without `{missing}`"));
            }
        }
        self.class()?;
        if self.reserved() != 0 {
            return Err(format!(
                "`reserved` of its {name} is {}, but must be 0",
                self.reserved()
            ));
        }
        self.fits()
    }
}

macro_rules! slots {
    ($table:expr; $($slot:ident),*) => {
        vec![$((stringify!($slot), $table.$slot.is_some())),*]
    };
}

macro_rules! functions {
    ($($table:ident $kind:ident, required [$($slot:ident),*], together [$([$($group:ident),*]),*], fits $fits:expr;)*) => {$(
        impl Functions for $table {
            const KIND: Kind = Kind::$kind;
            fn caps(&self) -> u64 {
                self.caps
            }
            fn threading(&self) -> i32 {
                self.threading
            }
            fn reserved(&self) -> u32 {
                self.reserved
            }
            fn destroy(&self) -> Option<unsafe extern "C" fn(*mut c_void)> {
                self.destroy
            }
            fn required(&self) -> Vec<(&'static str, bool)> {
                slots!(self; $($slot),*)
            }
            fn together(&self) -> Vec<Vec<(&'static str, bool)>> {
                vec![$(slots!(self; $($group),*)),*]
            }
            fn fits(&self) -> Result<(), String> {
                let fits: fn(&$table) -> Result<(), String> = $fits;
                fits(self)
            }
        }
    )*};
}

functions! {
    rg_target_vtable Target,
        required [dim, eval],
        together [[n_outputs, output_name, outputs]],
        fits |t| {
            if t.caps & RG_CAP_NO_DENSITY != 0 && t.hvp.is_some() {
                return Err("a target without a log density has no `hvp`".into());
            }
            if t.hvp.is_some() && t.caps & RG_CAP_GRADIENT == 0 {
                return Err("`hvp` is there, but RG_CAP_GRADIENT is not".into());
            }
            Ok(())
        };
    rg_process_vtable Process,
        required [info, drift, apply_g, apply_ggt, ref_sample, ref_eval],
        together [
            [transition_sample, transition_score],
            [forward_map, solve_noise],
            [warp, unwarp, warp_score],
            [cdf, quantile]
        ],
        fits |p| {
            let linear = p.caps & (RG_CAP_LINEAR | RG_CAP_LINEAR_DIAG | RG_CAP_LINEAR_DENSE);
            if linear.count_ones() > 1 {
                return Err("it has more than one of RG_CAP_LINEAR, RG_CAP_LINEAR_DIAG and RG_CAP_LINEAR_DENSE".into());
            }
            if (linear != 0) != p.linear.is_some() {
                return Err("`linear` and one of RG_CAP_LINEAR, RG_CAP_LINEAR_DIAG and RG_CAP_LINEAR_DENSE \
                            go together".into());
            }
            if (p.caps & RG_CAP_WARPED != 0) != p.warp.is_some() {
                return Err("`warp` and RG_CAP_WARPED go together".into());
            }
            if p.warp.is_some() && p.linear.is_none() {
                return Err("a process that is linear after `warp` needs `linear`".into());
            }
            if p.time_of.is_some() && p.caps & RG_CAP_LINEAR == 0 {
                return Err("`time_of` is there, but RG_CAP_LINEAR is not".into());
            }
            if p.div_ggt.is_none() && p.caps & RG_CAP_G_CONST_X == 0 {
                return Err("`div_ggt` is NULL, which only RG_CAP_G_CONST_X allows".into());
            }
            Ok(())
        };
    rg_score_vtable Score, required [dim, eval], together [], fits |_| Ok(());
    rg_sampler_vtable Sampler, required [start, step, end], together [[save, load]], fits |_| Ok(());
}
