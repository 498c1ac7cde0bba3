//! `retrograde plugin new`: a project with a plugin of the user's own that works as it stands.
//!
//! The templates in `templates/plugin/` are valid in their languages; the names in them are replaced.

use crate::args::{Language, PluginNewArgs};
use crate::inspect::kind_called;
use crate::new::{check_rust, check_shape, project, type_name};
use crate::outcome::{Exit, Output};
use retrograde::core::Kind;
use std::path::Path;

macro_rules! template {
    ($name:literal) => {
        include_str!(concat!("../../templates/plugin/", $name))
    };
}

/// The header that the plugin is compiled with.
const HEADER: &str = include_str!("../../../../include/retrograde_plugin.h");
const HEADER_CPP: &str = include_str!("../../../../include/retrograde_plugin.hpp");

/// Files of the project beside the component.
fn around(language: Language) -> &'static [(&'static str, &'static str)] {
    match language {
        Language::Rust => &[
            ("Cargo.toml", template!("rust/Cargo.toml.txt")),
            ("tests/plugin.rs", template!("rust/plugin.rs")),
            ("README.md", template!("rust/README.md")),
            (".gitignore", template!("rust/gitignore")),
        ],
        Language::C => &[
            ("test.h", template!("c/test.h")),
            ("Makefile", template!("c/Makefile")),
            ("README.md", template!("c/README.md")),
            (".gitignore", template!("c/gitignore")),
            ("include/retrograde_plugin.h", HEADER),
        ],
        Language::Cpp => &[
            ("test.h", template!("c/test.h")),
            ("Makefile", template!("cpp/Makefile")),
            ("README.md", template!("cpp/README.md")),
            (".gitignore", template!("c/gitignore")),
            ("include/retrograde_plugin.h", HEADER),
            ("include/retrograde_plugin.hpp", HEADER_CPP),
        ],
    }
}

/// The component.
fn source(language: Language, kind: Kind) -> String {
    let text = match (language, kind) {
        (Language::Rust, _) => return exported(crate::new::template(kind)),
        (Language::C, Kind::Target) => template!("c/target.c"),
        (Language::C, Kind::Process) => template!("c/process.c"),
        (Language::C, Kind::Score) => template!("c/score.c"),
        (Language::C, Kind::Sampler) => template!("c/sampler.c"),
        (Language::Cpp, Kind::Target) => template!("cpp/target.cpp"),
        (Language::Cpp, Kind::Process) => template!("cpp/process.cpp"),
        (Language::Cpp, Kind::Score) => template!("cpp/score.cpp"),
        (Language::Cpp, Kind::Sampler) => template!("cpp/sampler.cpp"),
    };
    text.to_owned()
}

/// The crate of `retrograde new`, exported where that is registered: a component is the same in both. Its
/// tests keep the library, which has what to try it with; that it is found by name, `tests/plugin.rs` sees to.
fn exported(source: &str) -> String {
    let (component, tests) = source.split_once("#[cfg(test)]").unwrap_or((source, ""));
    let component = component
        .replace("use retrograde::", "use retrograde_plugin::")
        .replace(", register}", "}")
        .replace(", register,\n", ",\n")
        .replace("    register,\n", "")
        .replace(
            "use schemars::",
            "use retrograde_plugin::export_plugin;\nuse schemars::",
        )
        .replace(
            "register! {",
            "export_plugin! {\n    \"my-component\", license \"MIT OR Apache-2.0\";",
        );
    let mut text = format!("{component}#[cfg(test)]");
    let by_name = |l: &&str| l.contains("retrograde::registry()") || l.contains("registry.iter()");
    for line in tests.lines().filter(|l| !by_name(l)) {
        text.push_str(&line.replace("{Registry, ", "{"));
        text.push('\n');
    }
    text.replace("it_is_found_by_name_and_wrong", "wrong")
}

/// The test of a component in C or C++, which calls it through its table.
fn test(kind: Kind) -> &'static str {
    match kind {
        Kind::Target => template!("c/target.test.c"),
        Kind::Process => template!("c/process.test.c"),
        Kind::Score => template!("c/score.test.c"),
        Kind::Sampler => template!("c/sampler.test.c"),
    }
}

pub(crate) fn new(args: &PluginNewArgs, out: &Output) -> Exit {
    let kind = match kind_called(&args.kind, out) {
        Ok(kind) => kind,
        Err(exit) => return exit,
    };
    let (language, name) = (args.lang, args.name.as_str());
    let source = source(language, kind);
    if let Err(why) = check_name(name, kind, language, &source) {
        let text = format!("a plugin cannot be called `{name}`: {why}");
        out.plain_error(&text, "RG_ERR_ARG");
        return Exit::Usage;
    }
    let fill = |text: &str| {
        text.replace("my-component", name)
            .replace("my_component", &name.replace('-', "_"))
            .replace("MyComponent", &type_name(name))
            .replace("my-kind", kind.word())
            .replace("VERSION", env!("CARGO_PKG_VERSION"))
    };
    let mut files = match language {
        Language::Rust => vec![("src/lib.rs".to_owned(), fill(&source))],
        Language::C => vec![
            (format!("{name}.c"), fill(&source)),
            ("test.c".to_owned(), fill(test(kind))),
        ],
        Language::Cpp => vec![
            (format!("{name}.cpp"), fill(&source)),
            ("test.c".to_owned(), fill(test(kind))),
        ],
    };
    for (path, text) in around(language) {
        // The headers are the interface's own, whatever their words.
        let text = match path.starts_with("include/") {
            true => (*text).to_owned(),
            false => fill(text),
        };
        files.push(((*path).to_owned(), text));
    }
    let folder = args.directory.as_deref().unwrap_or(Path::new(name));
    let (test, replace) = match language {
        Language::Rust => ("cargo test --release", "src/lib.rs"),
        Language::C | Language::Cpp => ("make test", "test.c"),
    };
    let next = format!(
        "It works as it stands: `cd {}`, then `{test}`. Replace the formulas, and the known answers in \
         {replace},\nby your own; README.md says how it is installed.",
        folder.display()
    );
    project(folder, &files, &next, out)
}

fn check_name(name: &str, kind: Kind, language: Language, source: &str) -> Result<(), String> {
    check_shape(name, kind)?;
    match language {
        Language::Rust => check_rust(name, source),
        // The file of that name is the test.
        Language::C | Language::Cpp if name == "test" => {
            Err("the project needs that name itself".into())
        }
        Language::C | Language::Cpp => Ok(()),
    }
}
