//! Where every field lies, on machines of 64 bits: what is here once, of a release, never changes, and
//! new fields come at the end of their table. Checked here when this crate is compiled, and in C by a test
//! that makes `_Static_assert`s of [`LAYOUT`].

use crate::{host::*, plugin::*, process::*, sampler::*, score::*, target::*};
use core::mem::{offset_of, size_of};

/// A table of the interface.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Name in C.
    pub name: &'static str,
    /// Size in bytes.
    pub size: usize,
    /// Name in C, offset and size of each field.
    pub fields: &'static [(&'static str, usize, usize)],
}

const fn size_of_field<T, F>(_: fn(&T) -> &F) -> usize {
    size_of::<F>()
}

macro_rules! layout {
    ($($table:ident $size:literal { $($field:ident $offset:literal $bytes:literal,)* })*) => {
        #[cfg(target_pointer_width = "64")]
        const _: () = {
            $(
                assert!(size_of::<$table>() == $size);
                $(
                    assert!(offset_of!($table, $field) == $offset);
                    assert!(size_of_field(|t: &$table| &t.$field) == $bytes);
                )*
            )*
        };

        /// Every table that crosses.
        pub const LAYOUT: &[Table] = &[$(Table {
            name: stringify!($table),
            size: $size,
            fields: &[$((stringify!($field), $offset, $bytes),)*],
        },)*];
    };
}

layout! {
    rg_frame 120 {
        struct_size 0 8,
        key0 8 8,
        key1 16 8,
        key2 24 8,
        key3 32 8,
        fills 40 8,
        row0 48 8,
        step 56 8,
        threads 64 4,
        inside 68 4,
        simd 72 8,
        density_evals 80 8,
        gradient_evals 88 8,
        score_evals 96 8,
        rows 104 8,
        failed 112 8,
    }
    rg_host 240 {
        struct_size 0 8,
        abi 8 4,
        minor 12 4,
        name 16 8,
        version 24 8,
        log 32 8,
        fail 40 8,
        cancelled 48 8,
        scratch 56 8,
        rng_u64 64 8,
        rng_uniform 72 8,
        rng_normal 80 8,
        for_rows 88 8,
        for_jobs 96 8,
        tell 104 8,
        seek 112 8,
        cfg_f64 120 8,
        cfg_i64 128 8,
        cfg_bool 136 8,
        cfg_str 144 8,
        cfg_f64s 152 8,
        cfg_toml 160 8,
        cfg_refuse 168 8,
        read_file 176 8,
        progress 184 8,
        set_chains 192 8,
        emit 200 8,
        emit_stats 208 8,
        emit_scalar 216 8,
        record 224 8,
        flag 232 8,
    }
    rg_target_vtable 88 {
        struct_size 0 8,
        caps 8 8,
        threading 16 4,
        reserved 20 4,
        destroy 24 8,
        dim 32 8,
        eval 40 8,
        hvp 48 8,
        name 56 8,
        n_outputs 64 8,
        output_name 72 8,
        outputs 80 8,
    }
    rg_process_vtable 232 {
        struct_size 0 8,
        caps 8 8,
        threading 16 4,
        reserved 20 4,
        destroy 24 8,
        info 32 8,
        drift 40 8,
        apply_g 48 8,
        apply_ggt 56 8,
        ref_sample 64 8,
        ref_eval 72 8,
        div_ggt 80 8,
        linear 88 8,
        transition_sample 96 8,
        transition_score 104 8,
        drift_vjp 112 8,
        drift_jvp 120 8,
        drift_div 128 8,
        int_g2 136 8,
        forward_map 144 8,
        solve_noise 152 8,
        restore 160 8,
        warp 168 8,
        unwarp 176 8,
        warp_score 184 8,
        cdf 192 8,
        quantile 200 8,
        support 208 8,
        flags 216 8,
        time_of 224 8,
    }
    rg_score_vtable 72 {
        struct_size 0 8,
        caps 8 8,
        threading 16 4,
        reserved 20 4,
        destroy 24 8,
        dim 32 8,
        eval 40 8,
        jvp 48 8,
        log_marginal 56 8,
        flags 64 8,
    }
    rg_sampler_vtable 80 {
        struct_size 0 8,
        caps 8 8,
        threading 16 4,
        reserved 20 4,
        destroy 24 8,
        start 32 8,
        step 40 8,
        end 48 8,
        save 56 8,
        load 64 8,
        rows 72 8,
    }
    rg_ref 16 {
        object 0 8,
        vtable 8 8,
    }
    rg_deps 40 {
        struct_size 0 8,
        dim 8 8,
        target 16 8,
        process 24 8,
        score 32 8,
    }
    rg_param 64 {
        struct_size 0 8,
        name 8 8,
        doc 16 8,
        r#type 24 4,
        required 28 4,
        default_toml 32 8,
        min 40 8,
        max 48 8,
        choices 56 8,
    }
    rg_component 80 {
        struct_size 0 8,
        kind 8 4,
        needs 12 4,
        name 16 8,
        version 24 8,
        doc 32 8,
        params 40 8,
        n_params 48 8,
        schema 56 8,
        vtable 64 8,
        create 72 8,
    }
    rg_plugin 56 {
        struct_size 0 8,
        abi 8 4,
        minor 12 4,
        name 16 8,
        version 24 8,
        license 32 8,
        components 40 8,
        n_components 48 8,
    }
}
