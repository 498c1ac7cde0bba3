//! include/retrograde_plugin.h: up to date, valid in every language it promises, laid out in C as in Rust,
//! and in keeping with the rules for what crosses the boundary.

#[cfg(target_os = "linux")]
mod hpp;

use retrograde_abi::layout::LAYOUT;
use retrograde_core::{Kind, Status};
use retrograde_testkit::compiler::{cc, cxx, root, run, workshop};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// In the order in which the header shows them.
const SOURCES: [&str; 7] = [
    "status.rs",
    "host.rs",
    "target.rs",
    "process.rs",
    "score.rs",
    "sampler.rs",
    "plugin.rs",
];
const HEADER: &str = "include/retrograde_plugin.h";

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
            fs::write(root().join(HEADER), &made).unwrap();
        }
        made
    })
}

/// The header as it lies in include/.
fn committed() -> String {
    made(); // writes it, if that is wanted
    fs::read_to_string(root().join(HEADER)).unwrap_or_else(|e| panic!("{HEADER}: {e}"))
}

#[test]
fn the_header_is_up_to_date() {
    let (made, committed) = (made(), committed());
    let differs = made
        .lines()
        .zip(committed.lines())
        .position(|(a, b)| a != b);
    assert!(
        made == committed,
        "{HEADER} is not what the sources give (first difference in line {}); \
         RETROGRADE_BLESS=1 cargo test -p retrograde-abi writes it anew",
        differs.unwrap_or(committed.lines().count()) + 1
    );
}

/// The header without comments and lines of the preprocessor.
fn code() -> String {
    let header = committed();
    let (mut bare, mut rest) = (String::new(), header.as_str());
    while let Some((before, after)) = rest.split_once("/*") {
        bare.push_str(before);
        rest = after.split_once("*/").expect("a comment ends").1;
    }
    bare.push_str(rest);
    let mut continued = false;
    let lines = bare.lines().filter(|line| {
        let skipped = continued || line.starts_with('#') || line.starts_with("extern \"C\"");
        continued = skipped && line.ends_with('\\');
        !skipped
    });
    let code = lines.map(|line| line.split("//").next().unwrap_or(""));
    code.collect::<Vec<_>>().join(" ")
}

#[test]
fn only_what_every_language_can_pass_crosses() {
    const NUMBERS: [&str; 9] = [
        "void", "char", "size_t", "int32_t", "uint32_t", "uint64_t", "int64_t", "double", "uint8_t",
    ];
    let code = code();
    let mut seen = 0;
    for part in code.split(['(', ')', ',', ';', '{', '}']) {
        let words: Vec<&str> = part
            .split([' ', '*'])
            .filter(|w| !["", "const", "extern", "struct", "typedef"].contains(w))
            .collect();
        let Some(first) = words.first().filter(|_| words.len() > 1) else {
            continue;
        };
        seen += 1;
        let table =
            first.starts_with("rg_") && !["rg_status", "rg_rows_fn", "rg_job_fn"].contains(first);
        let opaque = table && words.len() == 2 && words[0] == words[1];
        assert!(
            NUMBERS.contains(first) || first.starts_with("rg_"),
            "{part:?}: type {first}"
        );
        assert!(
            !table || opaque || part.contains('*'),
            "{part:?} is by value"
        );
    }
    assert!(seen > 200, "{seen} declarations were looked at");
    for word in ["bool", "long", "enum", "..."] {
        let words = code.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '.');
        assert!(!words.into_iter().any(|w| w == word), "{word}");
    }
}

#[test]
fn constants_are_those_of_the_library() {
    let header = committed();
    let constants: BTreeMap<&str, &str> = header
        .lines()
        .filter_map(|l| l.strip_prefix("#define ")?.split_once(' '))
        .collect();
    let codes: Vec<&&str> = constants
        .keys()
        .filter(|k| **k == "RG_OK" || k.starts_with("RG_ERR_"))
        .collect();
    assert_eq!(codes.len(), Status::ALL.len());
    for status in Status::ALL {
        assert_eq!(constants[status.name()], (status as i32).to_string());
    }
    for (i, kind) in (1..).zip(Kind::ALL) {
        let name = format!("RG_KIND_{}", kind.word().to_uppercase());
        assert_eq!(constants[name.as_str()], i.to_string());
    }
}

/// A program that compiles only if C lays the tables out as Rust does.
fn program() -> String {
    let mut text = String::from(
        "#include <retrograde_plugin.h>\n#include <retrograde_plugin.h>\n\
         #ifdef __cplusplus\n#define CHECK(what) static_assert(what, #what)\n\
         #elif __STDC_VERSION__ >= 201112L\n#define CHECK(what) _Static_assert(what, #what)\n\
         #else\n#define JOIN(a, b) a##b\n#define NAME(line) JOIN(check_, line)\n\
         #define CHECK(what) extern char NAME(__LINE__)[(what) ? 1 : -1]\n#endif\n",
    );
    for table in LAYOUT {
        let name = table.name;
        writeln!(text, "CHECK(sizeof({name}) == {});", table.size).unwrap();
        for (field, offset, size) in table.fields {
            let field = field.trim_start_matches("r#");
            writeln!(text, "CHECK(offsetof({name}, {field}) == {offset});").unwrap();
            writeln!(text, "CHECK(sizeof((({name} *)0)->{field}) == {size});").unwrap();
        }
    }
    text.push_str(
        "int has(const rg_host *host);\n\
         int has(const rg_host *host) { return RG_HOST_HAS(host, flag) ? 1 : 0; }\n",
    );
    text
}

fn compile(mut compiler: Command, standard: &str, file: &Path) -> Command {
    compiler
        .arg(format!("-std={standard}"))
        .args(["-fsyntax-only", "-I"])
        .arg(root().join("include"))
        .arg(file);
    compiler
}

#[test]
fn the_header_compiles_and_lies_in_memory_as_in_rust() {
    committed(); // so that it is there
    let folder = workshop(env!("CARGO_TARGET_TMPDIR"), "header");
    let (c, cpp) = (folder.join("main.c"), folder.join("main.cpp"));
    fs::write(&c, program()).unwrap();
    fs::write(&cpp, program()).unwrap();
    for standard in ["c99", "c11", "c17"] {
        run(&mut compile(cc(), standard, &c));
    }
    for standard in ["c++11", "c++17", "c++20"] {
        run(&mut compile(cxx(), standard, &cpp));
    }
    // A table that is laid out otherwise is noticed in each.
    let wrong = program().replace(
        "offsetof(rg_host, abi) == 8",
        "offsetof(rg_host, abi) == 12",
    );
    assert_ne!(wrong, program());
    fs::write(&c, &wrong).unwrap();
    fs::write(&cpp, wrong).unwrap();
    for mut command in [
        compile(cc(), "c99", &c),
        compile(cc(), "c11", &c),
        compile(cxx(), "c++11", &cpp),
    ] {
        assert!(!command.output().unwrap().status.success(), "{command:?}");
    }
}
