//! The components by themselves, and through the tables that a host gets.

use crate::birth_death::{BirthDeath, Langevin};
use crate::slice::{Chains, Slice};
use crate::student_t::StudentT;
use retrograde_bridge::foreign::Asked;
use retrograde_bridge::{Foreign, Settings, create, lend, take_refusal};
use retrograde_plugin::abi::{
    rg_component, rg_process_vtable, rg_sampler_vtable, rg_target_vtable,
};
use retrograde_plugin::core::drive::{Checkpoint, Observer, drive};
use retrograde_plugin::core::registry::Folder;
use retrograde_plugin::core::settings::PerCoordinate;
use retrograde_plugin::core::{Cancel, Collected, Counts, PointTarget, Runtime, Sampler, check};
use retrograde_plugin::ndarray::{Array1, Array2, array, aview1};
use retrograde_plugin::prelude::*;
use retrograde_samplers::ula::Ula;
use retrograde_testkit::{assert_process, assert_z, eval, mean_se, with_cx};
use std::ffi::CStr;
use std::panic::catch_unwind;

mod law;
mod tables;

/// A component of this plugin, made as a host makes it.
fn made<T: Asked>(kind: i32, name: &str, toml: &str, parts: &Parts<'_>) -> Result<Foreign<T>> {
    // SAFETY: the host's table lives as long as the program.
    let plugin = unsafe { crate::retrograde_plugin_v1(retrograde_bridge::host()).as_ref() };
    let plugin = plugin.unwrap_or_else(|| panic!("refused: {:?}", take_refusal()));
    // SAFETY: as many as the table says, which live as long as the program.
    let component: &rg_component = unsafe {
        std::slice::from_raw_parts(plugin.components, plugin.n_components)
            .iter()
            .map(|c| &**c)
            .find(|c| c.kind == kind && CStr::from_ptr(c.name).to_bytes() == name.as_bytes())
            .expect("a component of that name")
    };
    let settings = Settings {
        label: name,
        table: &toml.parse().expect("valid TOML"),
        files: parts.files,
    };
    // SAFETY: of this very program, and of the kind that its table says.
    unsafe { create(component, &settings, lend(parts)) }
}

fn normal(d: usize) -> Arc<dyn Target> {
    Arc::new(PointTarget::new(d, |x, g| {
        g.iter_mut().zip(x).for_each(|(g, x)| *g = -x);
        -0.5 * x.iter().map(|v| v * v).sum::<f64>()
    }))
}

fn run(sampler: &dyn Sampler, d: usize, n: usize, threads: usize) -> Result<Collected> {
    let mut out = Collected::new(d);
    drive(sampler, &mut Runtime::new(3, threads)?, n, None, &mut out)?;
    Ok(out)
}

fn bits(out: &Collected) -> Vec<u64> {
    out.rows().iter().map(|v| v.to_bits()).collect()
}
