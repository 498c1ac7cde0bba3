//! From a file to components: what the system's loader refuses, tables of other versions, plugins and names
//! that come twice, and components that cannot be made.

use crate::descriptors::{SOURCE, plugin, refusal};
use crate::libraries::compile;
use crate::{mode, workshop};
use retrograde_core::registry::{Folder, Parts};
use retrograde_core::{Error, Kind, Registry, Result, Target};
use retrograde_host::{Folders, load, load_into, scan};
use retrograde_testkit::compiler::root;
use retrograde_testkit::{assert_close, eval};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

fn registry_with(file: &Path) -> Registry {
    let mut registry = Registry::new();
    load_into(&mut registry, file).unwrap();
    registry
}

/// The target of a plugin with these settings.
fn made(folder: &Path, name: &str, macros: &[&str], settings: &str) -> Result<Arc<dyn Target>> {
    let registry = registry_with(&plugin(folder, name, macros));
    let files = Folder(folder.to_owned());
    registry.target(
        "demo/well",
        toml::Deserializer::parse(settings).unwrap(),
        &Parts::new(&files),
    )
}

/// Why it cannot be made.
#[track_caller]
fn not_made(folder: &Path, name: &str, macros: &[&str], settings: &str) -> Error {
    match made(folder, name, macros, settings) {
        Err(error) => error,
        Ok(_) => panic!("{macros:?} with {settings:?} was made"),
    }
}

#[test]
fn what_the_loader_cannot_resolve_is_an_error_at_once() {
    let folder = workshop("unresolved");
    let include = format!("-I{}", root().join("include").display());
    // A library that is there when it is linked, and not when it is loaded.
    let gone = compile(
        &folder,
        "libgone.so",
        "int gone; int gone = 3;",
        &["-shared", "-Wl,-soname,libgone.so"],
    );
    let within = format!("-L{}", folder.display());
    let options = [
        "-shared",
        "-w",
        &include,
        "-Wl,--no-as-needed",
        &within,
        "-lgone",
    ];
    let dependent = compile(&folder, "dependent.so", SOURCE, &options);
    fs::remove_file(gone).unwrap();
    assert_eq!(
        refusal(&folder, &dependent),
        "cannot be loaded: libgone.so: cannot open shared object file: No such file or directory"
    );

    // With lazy binding the call would end the program with exit code 127, long after loading.
    let call = "-DMAKE=extern double nowhere(void); depth = nowhere();";
    let options = ["-shared", "-w", &include, "-Wl,-z,lazy", call];
    let lazy = compile(&folder, "lazy.so", SOURCE, &options);
    assert_eq!(
        refusal(&folder, &lazy),
        "cannot be loaded: DIR/lazy.so: undefined symbol: nowhere"
    );
    // What cannot be mapped is tried again: it may have been mended.
    let mended = format!("{SOURCE}\ndouble nowhere(void) {{ return 2.0; }}");
    compile(&folder, "lazy.so", &mended, &options);
    assert_eq!(load(&folder.join("lazy.so")).unwrap().plugin.name, "demo");
}

#[test]
fn a_plugin_may_run_code_when_it_is_loaded_and_is_entered_once() {
    let folder = workshop("once");
    let mark = folder.join("mark");
    let marks = || fs::read(&mark).map_or(0, |bytes| bytes.len());
    let path = format!("MARK=\"{}\"", mark.display());
    let file = plugin(&folder, "started.so", &[&path, "CONSTRUCTOR"]);
    assert_eq!(marks(), 0);
    load(&file).unwrap();
    assert_eq!(marks(), 1);

    fs::remove_file(&mark).unwrap();
    let file = plugin(
        &folder,
        "entered.so",
        &[&path, "ENTRY=mark(); return &plugin;"],
    );
    let link = folder.join("link.so");
    let hard = folder.join("hard.so");
    symlink(&file, &link).unwrap();
    fs::hard_link(&file, &hard).unwrap();
    for path in [&file, &link, &hard, &file] {
        assert_eq!(load(path).unwrap().plugin.name, "demo");
        assert_eq!(marks(), 1);
    }
    // Another file with the same bytes is another plugin; this shows that the count can rise.
    let copy = folder.join("copy.so");
    fs::copy(&file, &copy).unwrap();
    load(&copy).unwrap();
    assert_eq!(marks(), 2);
    // One that refuses is not asked again either.
    let file = plugin(
        &folder,
        "refuses.so",
        &[&path, "ENTRY=mark(); return NULL;"],
    );
    let first = refusal(&folder, &file);
    assert_eq!((refusal(&folder, &file), marks()), (first, 3));
}

/// log density and gradient of the template's target at (1, 2).
fn assert_well(target: &dyn Target, depth: f64) {
    let (log_density, gradient) = eval(target, &[1.0, 2.0]);
    assert_close("log density", log_density, -2.5 * depth, 1e-15);
    assert_eq!(gradient, [-depth, -2.0 * depth]);
}

#[test]
fn tables_of_earlier_and_later_versions_are_read() {
    let folder = workshop("versions");
    let depth = "h->cfg_f64(call, cfg, \"depth\", &depth);";
    let make = format!("MAKE={depth}");
    // Slots beyond the size that a table says do not exist, whatever lies there: here outputs.
    let slots = "SLOTS=.n_outputs = n_outputs, .output_name = output_name, .outputs = outputs";
    let gradient = "CAPS=RG_CAP_GRADIENT";
    let whole = made(&folder, "whole.so", &[&make, gradient, slots], "depth = 3").unwrap();
    assert_eq!(whole.outputs().map(|o| o.count()), Some(3));
    let older = [
        make.as_str(),
        gradient,
        slots,
        "TABLE_SIZE(type)=offsetof(type, hvp)",
    ];
    let older = made(&folder, "older.so", &older, "depth = 3").unwrap();
    assert!(older.outputs().is_none());
    assert_well(&*older, 3.0);
    let newer = [
        make.as_str(),
        gradient,
        slots,
        "NEWER",
        "TABLE_SIZE(type)=(sizeof(type) + 16)",
    ];
    let newer = made(&folder, "newer.so", &newer, "depth = 3").unwrap();
    assert_eq!(newer.outputs().map(|o| o.count()), Some(3));
    assert_well(&*newer, 3.0);
    // A table that ends before a slot that is required lacks it.
    let file = plugin(
        &folder,
        "short.so",
        &["TABLE_SIZE(type)=offsetof(type, eval)"],
    );
    assert_eq!(
        refusal(&folder, &file),
        "component 0: target well: `eval` of its rg_target_vtable is NULL, but is required"
    );
    let file = plugin(
        &folder,
        "shorter.so",
        &["COMPONENT_SIZE=offsetof(rg_component, vtable)"],
    );
    assert_eq!(
        refusal(&folder, &file),
        "component 0: target well: `create` is NULL"
    );
}

#[test]
fn of_two_plugins_of_one_name_the_first_stays() {
    let folder = workshop("twice");
    let first = plugin(&folder, "a.so", &[]);
    plugin(&folder, "b.so", &["COMPONENT=\"other\""]);
    symlink(&first, folder.join("c.so")).unwrap();
    plugin(&folder, "d.so", &["NAME=\"demo2\""]);
    let mut registry = Registry::builtin().unwrap();
    let scanned = scan(&mut registry, &Folders::only(&folder));
    let told: Vec<String> = scanned
        .problems
        .iter()
        .map(|p| p.to_string().replace(&folder.display().to_string(), "DIR"))
        .collect();
    assert_eq!(
        told,
        ["DIR/b.so: is plugin demo, as is DIR/a.so; what was found first stays"]
    );
    let plugged = registry.iter().filter(|c| c.plugin.is_some());
    let names: Vec<&str> = plugged.map(|c| c.name.as_ref()).collect();
    assert_eq!(names, ["demo/well", "demo2/well"]);
    assert_eq!(
        registry
            .get(Kind::Target, "demo/well")
            .unwrap()
            .plugin
            .as_ref()
            .unwrap()
            .file,
        first
    );
}

#[test]
fn a_plugin_cannot_take_the_name_of_a_built_in() {
    let folder = workshop("shadow");
    let kinds = ["target", "process", "score", "sampler"];
    for (of, kind) in kinds.iter().enumerate() {
        let file = plugin(
            &folder,
            &format!("{kind}.so"),
            &[
                &format!("OF={}", of + 1),
                "NAME=\"gaussian\"",
                "COMPONENT=\"gaussian\"",
            ],
        );
        for component in load(&file).unwrap().components {
            // No built-in has a slash in its name, and every component of a plugin has.
            assert_eq!(component.name, "gaussian/gaussian");
        }
    }
    // Not by its own name either.
    let file = plugin(&folder, "slash.so", &["COMPONENT=\"../hmc\""]);
    assert_eq!(
        refusal(&folder, &file),
        "component 0: its name is \"../hmc\", but must be at most 64 small letters, digits and `-`, a letter \
         first"
    );
}

#[test]
fn a_component_that_cannot_be_made_says_why() {
    let folder = workshop("create");
    let said = |name: &str, make: &str| {
        not_made(&folder, name, &[&format!("MAKE={make}")], "").to_string()
    };
    assert_eq!(
        said(
            "text.so",
            "return h->fail(call, RG_ERR_NUMERIC, \"the well has no bottom\");"
        ),
        "target demo/well returned status 12: the well has no bottom"
    );
    assert_eq!(
        said("bare.so", "return RG_ERR_MEMORY;"),
        "target demo/well returned status 16"
    );
    assert_eq!(
        said("unknown.so", "return 4711;"),
        "target demo/well returned status 4711"
    );
    let refuses = "return h->cfg_refuse(call, \"depth\", \"1.5\", \"a whole number\");";
    match not_made(&folder, "refuse.so", &[&format!("MAKE={refuses}")], "") {
        Error::Setting {
            component,
            key,
            given,
            allowed,
        } => assert_eq!(
            [component, key, given, allowed],
            ["target demo/well", "depth", "1.5", "a whole number"]
        ),
        other => panic!("{other:?}"),
    }
    // What it read, and how.
    assert_eq!(
        said(
            "misspelt.so",
            "{ double v; rg_status s = h->cfg_f64(call, cfg, \"dpeth\", &v); if (s != RG_OK) return s; }"
        ),
        "target demo/well: `dpeth` is not declared, but must be a parameter of it (did you mean `depth`?)"
    );
    assert_eq!(
        said(
            "type.so",
            "{ int64_t v; rg_status s = h->cfg_i64(call, cfg, \"depth\", &v); if (s != RG_OK) return s; }"
        ),
        "target demo/well: `depth` is 1.5, but must be read as what it is, not as a whole number"
    );
}

#[test]
fn settings_are_held_against_what_is_declared() {
    let folder = workshop("settings");
    let told = |name: &str, macros: &[&str], settings: &str| match not_made(
        &folder, name, macros, settings,
    ) {
        error @ Error::Setting { .. } => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        told("key.so", &[], "dept = 1"),
        "target demo/well: `dept` is 1, but must be a parameter it has (did you mean `depth`?)"
    );
    assert_eq!(
        told("far.so", &[], "x = 1"),
        "target demo/well: `x` is 1, but must be one of depth"
    );
    assert_eq!(
        told("range.so", &[], "depth = 10.5"),
        "target demo/well: `depth` is 10.5, but must be a number from 0 to 10"
    );
    assert_eq!(
        told("type.so", &[], "depth = \"deep\""),
        "target demo/well: `depth` is \"deep\", but must be a number from 0 to 10"
    );
    assert_eq!(
        told("required.so", &["REQUIRED=1", "DEFAULT=NULL"], ""),
        "target demo/well: `depth` is missing, but must be given, a number"
    );
}

/// What `create` leaves NULL after RG_OK would be a crash later, somewhere else.
#[test]
fn create_that_leaves_nothing_is_refused() {
    let folder = workshop("nothing");
    let words = |what: &str, advice: &str| {
        format!(
            "target demo/well: `{what}` is NULL after create() returned RG_OK, but must be {advice}"
        )
    };
    let object = not_made(&folder, "object.so", &["MAKE=return RG_OK;"], "");
    assert_eq!(
        object.to_string(),
        words(
            "made->object",
            "what its functions get; one without a state puts any address there, that of its table for example"
        )
    );
    let table = not_made(&folder, "table.so", &["MAKE=made->vtable = NULL;"], "");
    assert_eq!(
        table.to_string(),
        words(
            "made->vtable",
            "a table of functions, of `vtable` of its rg_component or of `create`"
        )
    );
    assert!(made(&folder, "both.so", &[], "").is_ok());
}

#[test]
fn an_object_that_says_what_cannot_be_is_refused() {
    let folder = workshop("info");
    let argument = |name: &str, macros: &[&str]| {
        let registry = registry_with(&plugin(&folder, name, macros));
        let files = Folder(folder.clone());
        let parts = Parts::new(&files);
        let settings = || toml::Deserializer::parse("").unwrap();
        let error = if registry.get(Kind::Target, "demo/well").is_ok() {
            registry.target("demo/well", settings(), &parts).map(|_| ())
        } else {
            registry
                .process("demo/well", settings(), &parts)
                .map(|_| ())
        };
        error.unwrap_err().to_string()
    };
    let dim = "`dim` is 0, but must be 1 or more, and fit into memory";
    assert_eq!(
        argument("d0.so", &["DIM=0"]),
        format!("target demo/well: {dim}")
    );
    assert_eq!(
        argument("huge.so", &["DIM=(size_t)-1"]),
        "target demo/well: `dim` is 18446744073709551615, but must be 1 or more, and fit into memory"
    );
    assert_eq!(
        argument(
            "outputs.so",
            &[
                "OUTPUTS=(size_t)1 << 40",
                "SLOTS=.n_outputs = n_outputs, .output_name = output_name, .outputs = outputs",
            ]
        ),
        "target demo/well: `n_outputs` is 1099511627776, but must be at most 16777216"
    );
    let process = |name: &str, m: &str| argument(name, &["OF=2", m]);
    assert_eq!(
        process("pd0.so", "DIM=0"),
        format!("process demo/well: {dim}")
    );
    assert_eq!(
        process("m0.so", "NOISE=0"),
        "process demo/well: `m (dimension of the noise)` is 0, but must be 1 or more"
    );
    for (name, given) in [
        ("NAN", "NaN"),
        ("0.0", "0"),
        ("-1.0", "-1"),
        ("INFINITY", "inf"),
    ] {
        assert_eq!(
            process(&format!("end{name}.so"), &format!("T_END={name}")),
            format!("process demo/well: `t_end` is {given}, but must be a finite number above 0")
        );
    }
    for (i, (ends, given)) in [
        ("{2.0, 1.0}", "(2, 1)"),
        ("{1.0, 1.0}", "(1, 1)"),
        ("{NAN, 1.0}", "(NaN, 1)"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(
            process(&format!("support{i}.so"), &format!("SUPPORT={ends}")),
            format!(
                "process demo/well: `support` is {given}, but must be an interval, its lower end first"
            )
        );
    }
    // What it refuses it has freed: the template's `destroy` is `free`, and this one counts.
    let mark = folder.join("freed");
    let macros = [
        format!("MARK=\"{}\"", mark.display()),
        "DIM=0".into(),
        "SLOTS=.destroy = destroyed".into(),
        "EXTRA=static void mark(void); static void destroyed(void *object) { free(object); mark(); }".into(),
    ];
    let macros: Vec<&str> = macros.iter().map(String::as_str).collect();
    argument("freed.so", &macros);
    assert_eq!(fs::read(&mark).unwrap(), b"x");
}

#[test]
fn a_table_may_come_with_the_object() {
    let folder = workshop("late");
    let late = made(
        &folder,
        "late.so",
        &["TABLE=NULL", "MAKE=made->vtable = &table;"],
        "",
    )
    .unwrap();
    assert_eq!(late.dim(), 2);
    assert_eq!(
        not_made(&folder, "never.so", &["TABLE=NULL"], "").to_string(),
        "target demo/well: `made->vtable` is NULL after create() returned RG_OK, but must be a table of functions, of `vtable` of its rg_component or of `create`"
    );
    assert_eq!(
        not_made(
            &folder,
            "wrong.so",
            &[
                "TABLE=NULL",
                "MAKE=made->vtable = &table;",
                "SLOTS=.eval = NULL"
            ],
            ""
        )
        .to_string(),
        "target demo/well: `table` is wrong, but must be as retrograde_plugin.h says: `eval` of its rg_target_vtable \
         is NULL, but is required"
    );
}

#[test]
fn a_folder_that_everyone_may_write_to_is_not_loaded_from() {
    let folder = workshop("open");
    plugin(&folder, "a.so", &[]);
    mode(&folder, 0o777);
    let mut registry = Registry::new();
    let scanned = scan(&mut registry, &Folders::only(&folder));
    assert_eq!((scanned.plugins.len(), scanned.problems.len()), (0, 1));
    mode(&folder, 0o755);
    let scanned = scan(&mut registry, &Folders::only(&folder));
    assert_eq!((scanned.plugins.len(), scanned.problems.len()), (1, 0));
}
