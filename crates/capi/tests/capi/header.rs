//! include/retrograde.h: up to date, valid in every language it promises, complete, and in keeping
//! with the rules for what crosses the boundary.

use retrograde::core::Status;
use retrograde_capi as capi;
use retrograde_testkit::compiler::{cc, cxx, root, run, workshop};
use std::collections::BTreeSet;
use std::ffi::CStr;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// In the order in which the header shows them.
const SOURCES: [&str; 13] = [
    "version.rs",
    "status.rs",
    "error.rs",
    "context.rs",
    "callback.rs",
    "target.rs",
    "process.rs",
    "score.rs",
    "cancel.rs",
    "options.rs",
    "sampler.rs",
    "job.rs",
    "result.rs",
];

fn source(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
    fs::read_to_string(path).unwrap()
}

/// The header as the sources give it.
fn made() -> &'static str {
    static MADE: OnceLock<String> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).unwrap();
        let mut builder = cbindgen::Builder::new().with_config(config);
        for file in SOURCES {
            builder = builder.with_src(folder.join("src").join(file));
        }
        let mut made = Vec::new();
        builder.generate().unwrap().write(&mut made);
        let made = String::from_utf8(made).unwrap();
        if std::env::var_os("RETROGRADE_BLESS").is_some() {
            fs::write(root().join("include/retrograde.h"), &made).unwrap();
        }
        made
    })
}

/// The header as it lies in include/.
fn committed() -> String {
    made(); // writes it, if that is wanted
    let path = root().join("include/retrograde.h");
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn the_header_is_up_to_date() {
    let (made, committed) = (made(), committed());
    let mut pairs = made.lines().zip(committed.lines());
    let differs = pairs.position(|(a, b)| a != b);
    assert!(
        made == committed,
        "include/retrograde.h is not what the sources give (first difference in line {}); \
         RETROGRADE_BLESS=1 cargo test -p retrograde-capi writes it anew",
        differs.unwrap_or(committed.lines().count()) + 1
    );
}

#[test]
fn every_export_is_in_the_header_and_stops_panics() {
    let mut exported = BTreeSet::new();
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap() {
        let text = source(file.unwrap().file_name().to_str().unwrap());
        for item in text.split("#[unsafe(no_mangle)]").skip(1) {
            let name = item.split("fn ").nth(1).unwrap();
            let name = name.split('(').next().unwrap();
            let body = item.split("\n}\n").next().unwrap();
            assert!(
                ["guard(", "ffi(", "free("]
                    .iter()
                    .any(|stop| body.contains(stop)),
                "{name} does not stop panics"
            );
            exported.insert(name.to_owned());
        }
    }
    let declared: BTreeSet<String> = prototypes(&committed()).into_iter().map(|p| p.0).collect();
    assert_eq!(exported, declared);
    assert!(!declared.is_empty());
}

/// Name and text of every function of include/retrograde.h.
pub(crate) fn declared() -> Vec<(String, String)> {
    prototypes(&committed())
}

/// Name and text of every function declared in the header.
fn prototypes(header: &str) -> Vec<(String, String)> {
    let mut bare = String::new();
    let mut rest = header;
    while let Some((before, after)) = rest.split_once("/*") {
        bare.push_str(before);
        rest = after.split_once("*/").expect("a comment ends").1;
    }
    bare.push_str(rest);
    let code: Vec<&str> = bare
        .lines()
        .filter(|l| !l.starts_with('#') && !l.starts_with("extern \"C\""))
        .collect();
    let code = code.join(" ");
    code.split(';')
        .filter_map(|s| {
            if s.trim_start().starts_with("typedef") {
                return None;
            }
            let name = s.split_once('(')?.0.trim_end();
            let name = name.rsplit([' ', '*']).next()?;
            Some((name.to_owned(), s.trim().to_owned()))
        })
        .collect()
}

#[test]
fn only_what_every_language_can_pass_crosses() {
    const NUMBERS: [&str; 8] = [
        "void",
        "char",
        "size_t",
        "int32_t",
        "uint32_t",
        "uint64_t",
        "double",
        "rg_status",
    ];
    /// Pointers to functions have a name, by which languages can declare them.
    const FUNCTIONS: [&str; 5] = [
        "rg_point_fn",
        "rg_batch_fn",
        "rg_drop_fn",
        "rg_log_fn",
        "rg_progress_fn",
    ];
    for (name, text) in prototypes(&committed()) {
        assert!(name.starts_with("rg_"), "{name}");
        let (result, arguments) = text.split_once('(').unwrap();
        let arguments = arguments.trim_end_matches([')', ' ']);
        for part in arguments.split(',').chain([result]) {
            let words: Vec<&str> = part
                .split([' ', '*'])
                .filter(|w| !w.is_empty() && *w != "const" && *w != "struct")
                .collect();
            if NUMBERS.contains(&words[0]) || FUNCTIONS.contains(&words[0]) {
                continue;
            }
            assert!(words[0].starts_with("rg_"), "{name}: type {}", words[0]);
            assert!(part.contains('*'), "{name}: {part} is passed by value");
        }
    }
}

#[test]
fn constants_are_those_of_the_library() {
    let header = committed();
    let found: BTreeSet<(String, i32)> = header
        .lines()
        .filter_map(|l| l.strip_prefix("#define RG_")?.split_once(' '))
        .filter(|(name, _)| !name.ends_with("_INIT"))
        .map(|(name, value)| (format!("RG_{name}"), value.parse().unwrap()))
        .collect();
    let mut expected = BTreeSet::new();
    for (name, value) in [
        ("RG_ABI", capi::RG_ABI),
        ("RG_ABI_MINOR", capi::RG_ABI_MINOR),
        ("RG_RUN_BASELINE_SIMD", capi::RG_RUN_BASELINE_SIMD),
        ("RG_RUN_REPLACE", capi::RG_RUN_REPLACE),
    ] {
        expected.insert((name.into(), i32::try_from(value).unwrap()));
    }
    assert_eq!(found, expected);

    let name = |code| {
        // SAFETY: the function returns a static string.
        unsafe { CStr::from_ptr(capi::rg_status_name(code)) }
            .to_str()
            .unwrap()
    };
    for s in Status::ALL {
        assert_eq!(name(s as i32), s.name());
    }
    let above = i32::try_from(Status::ALL.len()).unwrap();
    for code in [-1, above, i32::MIN, i32::MAX] {
        assert_eq!(name(code), "unknown status");
    }
}

#[test]
fn the_header_compiles_in_c_and_cpp() {
    committed(); // so that it is there
    let folder = workshop(env!("CARGO_TARGET_TMPDIR"), "header");
    let program = "#include <retrograde.h>\n#include <retrograde.h>\n\
                   int main(void) { return rg_status_name(RG_OK) == NULL; }\n";
    let (c, cpp) = (folder.join("main.c"), folder.join("main.cpp"));
    fs::write(&c, program).unwrap();
    fs::write(&cpp, program).unwrap();
    for standard in ["c99", "c11", "c17"] {
        check(cc(), standard, &[&c, &root().join("examples/c/list.c")]);
    }
    for standard in ["c++11", "c++17", "c++20"] {
        check(cxx(), standard, &[&cpp]);
    }
}

fn check(mut compiler: std::process::Command, standard: &str, files: &[&Path]) {
    compiler
        .arg(format!("-std={standard}"))
        .arg("-fsyntax-only")
        .arg("-I")
        .arg(root().join("include"))
        .args(files);
    run(&mut compiler);
}

#[test]
fn structs_lie_in_memory_as_in_rust_and_begin_with_the_defaults() {
    use std::mem::offset_of;
    committed(); // so that it is there
    let mut program = "#include <retrograde.h>\n".to_owned();
    macro_rules! lies {
        ($name:ident $($field:ident)*) => {
            program += &format!(
                "_Static_assert(sizeof({0}) == {1}, \"{0}\");\n",
                stringify!($name),
                size_of::<capi::$name>()
            );
            $(program += &format!(
                "_Static_assert(offsetof({0}, {1}) == {2}, \"{1}\");\n",
                stringify!($name),
                stringify!($field),
                offset_of!(capi::$name, $field)
            );)*
        };
    }
    lies!(rg_progress struct_size step n_draws n_eval fraction elapsed_s);
    lies!(rg_run_options struct_size seed n_draws n_threads flags progress progress_user cancel
          progress_ms reserved);
    let o = capi::rg_run_options::default();
    program += &format!(
        "int main(void) {{\n  rg_run_options o = RG_RUN_OPTIONS_INIT;\n  return !(o.struct_size == {} && \
         o.seed == {} && o.n_draws == {} && o.n_threads == {} && o.flags == {} && o.progress == NULL && \
         o.progress_user == NULL && o.cancel == NULL && o.progress_ms == {} && o.reserved == {});\n}}\n",
        o.struct_size, o.seed, o.n_draws, o.n_threads, o.flags, o.progress_ms, o.reserved
    );
    let folder = workshop(env!("CARGO_TARGET_TMPDIR"), "layout");
    let (source, built) = (folder.join("layout.c"), folder.join("layout"));
    fs::write(&source, program).unwrap();
    run(cc()
        .args(["-std=c11", "-I"])
        .arg(root().join("include"))
        .arg(&source)
        .arg("-o")
        .arg(&built));
    run(&mut std::process::Command::new(built));
}
