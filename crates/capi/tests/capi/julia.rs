//! The Julia module: its calls against the header, which needs no Julia, and its tests, which do.

use crate::count::installed;
use crate::programs::{JOB, bits, bits_of_rust, printed, there};
use retrograde_capi as capi;
use retrograde_testkit::compiler::{root, run, workshop};
use std::collections::BTreeMap;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Julia, with the library for its module in a folder for that test, since tests run side by side; `None`, with a word, where
/// there is no Julia.
fn julia(test: &str) -> Option<Command> {
    if !there("julia") {
        return None;
    }
    let folder = installed(
        &format!("{DLL_PREFIX}retrograde_capi{DLL_SUFFIX}"),
        &format!("library-julia-{test}"),
    );
    let library = folder.join(format!("{DLL_PREFIX}retrograde{DLL_SUFFIX}"));
    let mut julia = Command::new("julia");
    julia
        .args(["--startup-file=no", "--color=no"])
        .current_dir(root())
        .env("RETROGRADE_LIBRARY", library)
        .env("JULIA_NUM_THREADS", "2");
    Some(julia)
}

fn module() -> String {
    fs::read_to_string(root().join("examples/julia/Retrograde.jl")).unwrap()
}

/// The type by which Julia passes an argument of C, or what a function returns.
fn in_julia(c: &str) -> String {
    let bare = c.replace("const ", "");
    let stars = bare.matches('*').count();
    let base = bare.split(['*', ' ']).next().unwrap();
    let number = match base {
        "size_t" => "Csize_t",
        "double" => "Cdouble",
        "int32_t" | "rg_status" => "Int32",
        "uint32_t" => "UInt32",
        "uint64_t" => "UInt64",
        "rg_run_options" => "RunOptions",
        // What the library writes into a buffer; what it reads, or hands out for good, is a string.
        "char" if stars == 1 && c.contains("const ") => return "Cstring".into(),
        "char" => "UInt8",
        // Functions are pointers as they are.
        _ if base.ends_with("_fn") => return "Ptr{Cvoid}".into(),
        _ => "Cvoid",
    };
    "Ptr{".repeat(stars) + number + &"}".repeat(stars)
}

const FREES: &[&str] = &[
    "rg_context_free",
    "rg_target_free",
    "rg_process_free",
    "rg_score_free",
    "rg_sampler_free",
    "rg_result_free",
    "rg_cancel_free",
];
const READS: &[&str] = &[
    "rg_result_draws",
    "rg_result_partial_draws",
    "rg_result_outputs",
];

#[test]
fn its_calls_are_those_of_the_header() {
    let mut declared = BTreeMap::new();
    for (name, text) in crate::header::declared() {
        let (returned, arguments) = text.split_once(&name).unwrap();
        let arguments = arguments
            .trim()
            .trim_start_matches('(')
            .trim_end_matches(')');
        // The word at the end is the name of the argument.
        let types = arguments
            .split(',')
            .filter(|a| a.trim() != "void")
            .map(|a| {
                in_julia(
                    a.trim()
                        .trim_end_matches(|c: char| c.is_alphanumeric() || c == '_'),
                )
            });
        declared.insert(
            name.clone(),
            (types.collect::<Vec<_>>(), in_julia(returned.trim())),
        );
    }
    let module = module();
    let mut called = BTreeMap::new();
    for call in module.split("@ccall libretrograde.").skip(1) {
        let (name, rest) = call.split_once('(').unwrap();
        // To the parenthesis that closes the first.
        let mut depth = 1;
        let end = rest
            .find(|c| {
                depth += i32::from(c == '(') - i32::from(c == ')');
                depth == 0
            })
            .unwrap();
        let types: Vec<String> = rest[..end]
            .split("::")
            .skip(1)
            .map(|t| t.split(',').next().unwrap().trim().to_owned())
            .collect();
        let returned = rest[end..].strip_prefix(")::").unwrap_or("");
        let returned = returned.split([')', '\n', ' ']).next().unwrap().to_owned();
        // Written once for several kinds of objects, or of numbers.
        let names = match name {
            "$free" => FREES,
            "$f" => READS,
            _ => &[name],
        };
        for name in names {
            assert!(
                module.contains(name.trim_start_matches("rg_result_")),
                "{name}"
            );
            let want = declared.get(*name);
            let (want, gives) = want.unwrap_or_else(|| panic!("the header has no {name}"));
            assert_eq!((&types, &returned), (want, gives), "{name}");
            called.insert((*name).to_owned(), types.clone());
        }
    }
    // What Julia has no use for: one point at a time and everything at once, which are batches and `run`; tables of
    // functions; lines of log, which may come on threads that Julia does not know.
    let left = [
        "rg_context_set_log",
        "rg_error_code",
        "rg_host_services",
        "rg_process_from_vtable",
        "rg_sample",
        "rg_score_from_vtable",
        "rg_target_from_point",
        "rg_target_from_vtable",
        "rg_version",
    ];
    let missing: Vec<_> = declared
        .keys()
        .filter(|n| !called.contains_key(*n))
        .collect();
    assert_eq!(missing, left);
}

#[test]
fn its_numbers_are_those_of_the_header() {
    let module = module();
    for (names, values) in [
        (
            "ABI, ABI_MINOR",
            format!("{}, {}", capi::RG_ABI, capi::RG_ABI_MINOR),
        ),
        (
            "OK, ERR_BUFFER, ERR_CALLBACK, ERR_CANCELLED",
            [
                capi::abi::RG_OK,
                capi::abi::RG_ERR_BUFFER,
                capi::abi::RG_ERR_CALLBACK,
                capi::abi::RG_ERR_CANCELLED,
            ]
            .map(|v| format!("Int32({v})"))
            .join(", "),
        ),
        (
            "CAP_ROWWISE, CAP_DETERMINISTIC, CAP_GRADIENT",
            [
                capi::abi::RG_CAP_ROWWISE,
                capi::abi::RG_CAP_DETERMINISTIC,
                capi::abi::RG_CAP_GRADIENT,
            ]
            .map(|v| format!("UInt64({v})"))
            .join(", "),
        ),
        (
            "THREAD_CALLER",
            format!("Int32({})", capi::abi::RG_THREAD_CALLER),
        ),
        (
            "BASELINE_SIMD, REPLACE",
            format!(
                "UInt32({}), UInt32({})",
                capi::RG_RUN_BASELINE_SIMD,
                capi::RG_RUN_REPLACE
            ),
        ),
        (
            "KINDS",
            format!(
                "(target = Int32({}), process = Int32({}), score = Int32({}), sampler = Int32({}))",
                capi::abi::RG_KIND_TARGET,
                capi::abi::RG_KIND_PROCESS,
                capi::abi::RG_KIND_SCORE,
                capi::abi::RG_KIND_SAMPLER
            ),
        ),
    ] {
        let line = format!("const {names} = {values}\n");
        assert!(module.contains(&line), "{line}");
    }
    let bits = format!(
        "info(p).caps & {:#x} != 0, info(p).caps & {:#x} != 0",
        capi::abi::RG_CAP_LINEAR_DENSE,
        capi::abi::RG_CAP_LINEAR_DIAG
    );
    assert!(module.contains(&bits), "{bits}");
}

#[test]
fn its_tests_pass() {
    let Some(mut julia) = julia("tests") else {
        return;
    };
    let said = run(julia.arg("examples/julia/test.jl"));
    // Structs lie in memory as in Rust.
    use std::mem::offset_of;
    macro_rules! lies {
        ($julia:literal $name:ident $($field:ident)*) => {{
            let mut line = format!("layout {} {}", $julia, size_of::<capi::$name>());
            $(line += &format!(" {}@{}", stringify!($field), offset_of!(capi::$name, $field));)*
            assert!(said.lines().any(|l| l == line), "{line}\n{said}");
        }};
    }
    lies!("Progress" rg_progress struct_size step n_draws n_eval fraction elapsed_s);
    lies!("RunOptions" rg_run_options struct_size seed n_draws n_threads flags progress progress_user cancel
          progress_ms reserved);
    assert_eq!(said.matches("Test Summary").count(), 6, "{said}");
}

#[test]
fn it_gets_the_bits_of_rust() {
    let Some(mut julia) = julia("bits") else {
        return;
    };
    let folder = workshop(env!("CARGO_TARGET_TMPDIR"), "julia-bits");
    let job = folder.join("job.toml");
    fs::write(&job, JOB).unwrap();
    let said = run(julia
        .arg("examples/julia/draws.jl")
        .arg(Path::new(&job))
        .args(["11", "200"]));
    assert_eq!(bits(&said), bits_of_rust());
}

#[test]
fn the_program_of_the_readme_runs_as_printed() {
    let Some(mut julia) = julia("readme") else {
        return;
    };
    let said = run(julia.arg("-e").arg(printed("julia", "using .Retrograde")));
    crate::programs::assert_wells(&said);
}
