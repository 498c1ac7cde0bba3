//! Plugins that say of themselves what cannot be: each is refused in a sentence of its own. All are made from
//! `descriptor.c`, which is sound as it stands.

use crate::libraries::compile;
use crate::workshop;
use retrograde_abi::{
    rg_component, rg_param, rg_plugin, rg_process_vtable, rg_sampler_vtable, rg_score_vtable,
    rg_target_vtable,
};
use retrograde_core::Error;
use retrograde_host::load;
use retrograde_testkit::compiler::root;
use std::path::{Path, PathBuf};

pub(crate) const SOURCE: &str = include_str!("descriptor.c");

/// The plugin of `descriptor.c` with these macros.
pub(crate) fn plugin(folder: &Path, name: &str, macros: &[&str]) -> PathBuf {
    let include = format!("-I{}", root().join("include").display());
    let macros = macros.iter().map(|m| format!("-D{m}"));
    // What a variant leaves unused is no mistake here.
    let fixed = ["-shared".to_owned(), "-w".into(), "-O0".into(), include];
    let options: Vec<String> = fixed.into_iter().chain(macros).collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    compile(folder, name, SOURCE, &options)
}

/// Why a plugin is not loaded.
#[track_caller]
pub(crate) fn refusal(folder: &Path, file: &Path) -> String {
    match load(file) {
        Err(Error::Plugin {
            file: told,
            message,
        }) => {
            assert_eq!(told, file);
            message.replace(&folder.display().to_string(), "DIR")
        }
        other => panic!("{}: {other:?}", file.display()),
    }
}

/// Each set of macros is refused in these words.
#[track_caller]
pub(crate) fn refused(workshop_name: &str, cases: &[(&[&str], &str)]) {
    let folder = workshop(workshop_name);
    let mut wrong = String::new();
    for (i, (macros, words)) in cases.iter().enumerate() {
        let file = plugin(&folder, &format!("bad{i}.so"), macros);
        let said = refusal(&folder, &file);
        if said != *words {
            wrong.push_str(&format!(
                "{macros:?}\n  said:   {said}\n  wanted: {words}\n"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_template_is_sound_for_every_kind() {
    let folder = workshop("sound");
    for (of, kind) in ["target", "process", "score", "sampler"].iter().enumerate() {
        let file = plugin(&folder, &format!("{kind}.so"), &[&format!("OF={}", of + 1)]);
        let loaded = load(&file).unwrap();
        let p = &loaded.plugin;
        assert_eq!((p.name.as_str(), p.version.as_str()), ("demo", "0.1.0"));
        assert_eq!(p.license.as_deref(), Some("MIT"));
        assert_eq!(p.file, file);
        assert_eq!(loaded.components.len(), 1);
        let c = &loaded.components[0];
        assert_eq!(c.label(), format!("{kind} demo/well"));
        assert_eq!(c.summary, "A well");
        assert_eq!(c.source, "plugin demo 0.1.0");
        assert_eq!(c.plugin.as_ref(), Some(p));
    }
}

#[test]
fn an_entry_function_may_refuse() {
    let bare = "refuses to be loaded: `retrograde_plugin_v1` returns NULL and gives no reason";
    refused(
        "entry",
        &[
            (&["ENTRY=return NULL;"], bare),
            (
                &[
                    "ENTRY=host->fail(NULL, RG_ERR_UNSUPPORTED, \"needs a licence key\"); return NULL;",
                ],
                "refuses to be loaded: needs a licence key",
            ),
            (
                &["ENTRY=host->fail(NULL, RG_ERR_UNSUPPORTED, \"\"); return NULL;"],
                bare,
            ),
            (
                &["ENTRY=host->fail(NULL, RG_ERR_UNSUPPORTED, NULL); return NULL;"],
                bare,
            ),
        ],
    );
}

/// Sizes that cannot be those of a table.
const SIZES: [&str; 5] = ["0", "7", "12", "65544", "(size_t)-8"];

/// What lies beyond the size would count as 0, and be told as version 0 of the interface.
#[test]
fn a_plugin_that_ends_too_soon_is_told_of_by_its_size() {
    let least = size_of::<rg_plugin>();
    let words = |size: usize| {
        format!(
            "the struct_size of its rg_plugin is {size}, but must be at least {least}: set it to sizeof(rg_plugin)"
        )
    };
    refused(
        "ends-too-soon",
        &[
            (&["PLUGIN_SIZE=8"], &words(8)),
            (&["PLUGIN_SIZE=16"], &words(16)),
            (&["PLUGIN_SIZE=(sizeof(rg_plugin) - 8)"], &words(least - 8)),
        ],
    );
    let folder = workshop("ends-later");
    let file = plugin(
        &folder,
        "later.so",
        &["PLUGIN_SIZE=(sizeof(rg_plugin) + 16)"],
    );
    retrograde_host::load(&file).unwrap();
}

#[test]
fn sizes_of_tables() {
    let folder = workshop("sizes");
    let tables = [
        ("PLUGIN_SIZE", 1, "rg_plugin", size_of::<rg_plugin>(), ""),
        (
            "COMPONENT_SIZE",
            1,
            "rg_component",
            size_of::<rg_component>(),
            "component 0: ",
        ),
        (
            "PARAM_SIZE",
            1,
            "rg_param",
            size_of::<rg_param>(),
            "component 0: target well: parameter 0: ",
        ),
        (
            "TABLE_SIZE(type)",
            1,
            "rg_target_vtable",
            size_of::<rg_target_vtable>(),
            "component 0: target well: ",
        ),
        (
            "TABLE_SIZE(type)",
            2,
            "rg_process_vtable",
            size_of::<rg_process_vtable>(),
            "component 0: process well: ",
        ),
        (
            "TABLE_SIZE(type)",
            3,
            "rg_score_vtable",
            size_of::<rg_score_vtable>(),
            "component 0: score well: ",
        ),
        (
            "TABLE_SIZE(type)",
            4,
            "rg_sampler_vtable",
            size_of::<rg_sampler_vtable>(),
            "component 0: sampler well: ",
        ),
    ];
    for (t, (name, of, table, right, before)) in tables.into_iter().enumerate() {
        for (s, size) in SIZES.into_iter().enumerate() {
            let macros = [format!("{name}={size}"), format!("OF={of}")];
            let macros: Vec<&str> = macros.iter().map(String::as_str).collect();
            let file = plugin(&folder, &format!("size{t}-{s}.so"), &macros);
            let shown = if s == 4 {
                usize::MAX - 7
            } else {
                size.parse().unwrap()
            };
            assert_eq!(
                refusal(&folder, &file),
                format!(
                    "{before}the struct_size of its {table} is {shown}, but must be sizeof({table}), \
                     {right} in this version"
                )
            );
        }
    }
}

#[test]
fn the_plugin_itself() {
    let name = |given: &str| {
        format!(
            "the name of the plugin is {given:?}, but must be at most 64 small letters, digits and `-`, a \
             letter first"
        )
    };
    let long = "a".repeat(65);
    let too_long = format!("NAME=\"{long}\"");
    refused(
        "plugin",
        &[
            (
                &["ABI=2"],
                "its rg_plugin is of version 2 of the interface, but came from `retrograde_plugin_v1`; set \
                 abi to RG_PLUGIN_ABI (1)",
            ),
            (
                &["ABI=0"],
                "its rg_plugin is of version 0 of the interface, but came from `retrograde_plugin_v1`; set \
                 abi to RG_PLUGIN_ABI (1)",
            ),
            (&["NAME=NULL"], "the name of the plugin is NULL"),
            (
                &["NAME=\"d\\xffmo\""],
                "the name of the plugin is not UTF-8 (first bad byte at 1)",
            ),
            (
                &["NAME=long_text"],
                "the name of the plugin is longer than 1048576 bytes",
            ),
            (&["NAME=\"\""], &name("")),
            (&["NAME=\"Demo\""], &name("Demo")),
            (&["NAME=\"2nd\""], &name("2nd")),
            (&["NAME=\"-demo\""], &name("-demo")),
            (&["NAME=\"my_demo\""], &name("my_demo")),
            (&["NAME=\"my/demo\""], &name("my/demo")),
            (&["NAME=\"dem\\u00f6\""], &name("demö")),
            (&[too_long.as_str()], &name(&long)),
            (&["VERSION=NULL"], "the version of the plugin is NULL"),
            (&["VERSION=\"\""], "the version of the plugin is empty"),
            (
                &["VERSION=\"1\\xc3\""],
                "the version of the plugin is not UTF-8 (first bad byte at 1)",
            ),
            (
                &["VERSION=long_text"],
                "the version of the plugin is longer than 1048576 bytes",
            ),
            (
                &["LICENSE=\"\\x80\""],
                "the license of the plugin is not UTF-8 (first bad byte at 0)",
            ),
            (
                &["N_COMPONENTS=0"],
                "n_components of plugin demo is 0, but must be from 1 to 4096",
            ),
            (
                &["N_COMPONENTS=5000"],
                "n_components of plugin demo is 5000, but must be from 1 to 4096",
            ),
            (
                &["COMPONENTS=NULL"],
                "`components` is NULL, though there are 1",
            ),
            (
                &["COMPONENTS=(const rg_component *const *)((const char *)components + 4)"],
                "`components` is not aligned to 8 bytes",
            ),
            (&["FIRST=NULL"], "number 0 of `components` is NULL"),
            (
                &["N_COMPONENTS=2", "SECOND=NULL"],
                "number 1 of `components` is NULL",
            ),
            (
                &["N_COMPONENTS=2"],
                "two of its components are called target well",
            ),
        ],
    );
}

#[test]
fn a_plugin_without_licence_and_with_the_longest_name_is_sound() {
    let folder = workshop("longest");
    let name = format!("NAME=\"{}\"", "a".repeat(64));
    let file = plugin(&folder, "longest.so", &[&name, "LICENSE=NULL"]);
    assert_eq!(load(&file).unwrap().plugin.license, None);
}

#[test]
fn components() {
    let kind = |k: i64| {
        format!(
            "component 0: the kind of well is {k}, but must be RG_KIND_TARGET (1), RG_KIND_PROCESS (2), \
             RG_KIND_SCORE (3) or RG_KIND_SAMPLER (4)"
        )
    };
    refused(
        "component",
        &[
            (&["COMPONENT=NULL"], "component 0: its name is NULL"),
            (
                &["COMPONENT=\"we\\xffll\""],
                "component 0: its name is not UTF-8 (first bad byte at 2)",
            ),
            (
                &["COMPONENT=long_text"],
                "component 0: its name is longer than 1048576 bytes",
            ),
            (
                &["COMPONENT=\"demo/well\""],
                "component 0: its name is \"demo/well\", but must be at most 64 small letters, digits and `-`, \
                 a letter first",
            ),
            (&["KIND=0"], &kind(0)),
            (&["KIND=5"], &kind(5)),
            (&["KIND=-1"], &kind(-1)),
            (&["KIND=-2147483647-1"], &kind(-2_147_483_648)),
            (&["DOC=NULL"], "component 0: target well: its doc is NULL"),
            (
                &["DOC=\"\\xff\""],
                "component 0: target well: its doc is not UTF-8 (first bad byte at 0)",
            ),
            (
                &["DOC=long_text"],
                "component 0: target well: its doc is longer than 1048576 bytes",
            ),
            (
                &["COMPONENT_VERSION=\"\\xff\""],
                "component 0: target well: its version is not UTF-8 (first bad byte at 0)",
            ),
            (
                &["CREATE=NULL"],
                "component 0: target well: `create` is NULL",
            ),
            (
                &["TABLE=(const char *)&table + 4"],
                "component 0: target well: the rg_target_vtable is not aligned to 8 bytes",
            ),
            (
                &["N_PARAMS=5000"],
                "component 0: target well: n_params is 5000, but must be at most 4096",
            ),
            (
                &["PARAMS=NULL"],
                "component 0: target well: `params` is NULL, though there are 1",
            ),
            (
                &["PARAMS=no_params"],
                "component 0: target well: number 0 of `params` is NULL",
            ),
            (
                &["N_PARAMS=2"],
                "component 0: target well: two of its parameters are called `depth`",
            ),
            (
                &["SCHEMA=\"{\\\"type\\\": \\\"object\\\"}\""],
                "component 0: target well: it has both `params` and a `schema`",
            ),
            (
                &["N_PARAMS=0", "SCHEMA=\"depth: 3\""],
                "component 0: target well: its schema is no JSON Schema of an object: expected value at line 1 \
                 column 1",
            ),
            (
                &["N_PARAMS=0", "SCHEMA=\"{\\\"type\\\": \\\"array\\\"}\""],
                "component 0: target well: its schema is no JSON Schema of an object: its type is \"array\"",
            ),
            (
                &["N_PARAMS=0", "SCHEMA=\"[1]\""],
                "component 0: target well: its schema is no JSON Schema of an object: its type is null",
            ),
            (
                &["N_PARAMS=0", "SCHEMA=\"\\xff\""],
                "component 0: target well: its schema is not UTF-8 (first bad byte at 0)",
            ),
        ],
    );
}

#[test]
fn required_slots() {
    let folder = workshop("slots");
    let kinds: [(u8, &str, &[&str]); 4] = [
        (1, "target", &["dim", "eval"]),
        (
            2,
            "process",
            &[
                "info",
                "drift",
                "apply_g",
                "apply_ggt",
                "ref_sample",
                "ref_eval",
            ],
        ),
        (3, "score", &["dim", "eval"]),
        (4, "sampler", &["start", "step", "end"]),
    ];
    for (of, kind, slots) in kinds {
        for slot in slots {
            let macros = [format!("OF={of}"), format!("SLOTS=.{slot} = NULL")];
            let macros: Vec<&str> = macros.iter().map(String::as_str).collect();
            let file = plugin(&folder, &format!("{kind}-{slot}.so"), &macros);
            assert_eq!(
                refusal(&folder, &file),
                format!(
                    "component 0: {kind} well: `{slot}` of its rg_{kind}_vtable is NULL, but is required"
                )
            );
        }
    }
}

#[test]
fn slots_that_belong_together() {
    let at = |words: &str| format!("component 0: {words}");
    let target = |have: &str, lack: &str| {
        at(&format!(
            "target well: its rg_target_vtable has `{have}` without `{lack}`"
        ))
    };
    let process = |have: &str, lack: &str| {
        at(&format!(
            "process well: its rg_process_vtable has `{have}` without `{lack}`"
        ))
    };
    refused(
        "pairs",
        &[
            (
                &["SLOTS=.n_outputs = n_outputs"],
                &target("n_outputs", "output_name"),
            ),
            (
                &["SLOTS=.n_outputs = n_outputs, .output_name = output_name"],
                &target("n_outputs", "outputs"),
            ),
            (
                &["SLOTS=.outputs = outputs"],
                &target("outputs", "n_outputs"),
            ),
            (
                &["OF=2", "SLOTS=.transition_sample = move"],
                &process("transition_sample", "transition_score"),
            ),
            (
                &["OF=2", "SLOTS=.transition_score = move3"],
                &process("transition_score", "transition_sample"),
            ),
            (
                &["OF=2", "SLOTS=.forward_map = move2"],
                &process("forward_map", "solve_noise"),
            ),
            (
                &["OF=2", "SLOTS=.solve_noise = move2"],
                &process("solve_noise", "forward_map"),
            ),
            (&["OF=2", "SLOTS=.warp = warp"], &process("warp", "unwarp")),
            (
                &["OF=2", "SLOTS=.warp = warp, .unwarp = unwarp"],
                &process("warp", "warp_score"),
            ),
            (&["OF=2", "SLOTS=.cdf = one"], &process("cdf", "quantile")),
            (
                &["OF=2", "SLOTS=.quantile = one"],
                &process("quantile", "cdf"),
            ),
            (
                &["OF=4", "SLOTS=.save = save"],
                &at("sampler well: its rg_sampler_vtable has `save` without `load`"),
            ),
            (
                &["OF=4", "SLOTS=.load = load"],
                &at("sampler well: its rg_sampler_vtable has `load` without `save`"),
            ),
        ],
    );
}

#[test]
fn capabilities_threads_and_reserved_fields() {
    let target = |words: &str| format!("component 0: target well: {words}");
    let process = |words: &str| format!("component 0: process well: {words}");
    let linear = process(
        "`linear` and one of RG_CAP_LINEAR, RG_CAP_LINEAR_DIAG and RG_CAP_LINEAR_DENSE go together",
    );
    let caller = |kind: &str| {
        format!(
            "component 0: {kind} well: the threading of its rg_{kind}_vtable is RG_THREAD_CALLER (0), but a \
             plugin must be RG_THREAD_SERIAL (1) or RG_THREAD_CONCURRENT (2)"
        )
    };
    refused(
        "caps",
        &[
            (
                &["SLOTS=.hvp = hvp"],
                &target("`hvp` is there, but RG_CAP_GRADIENT is not"),
            ),
            (
                &["CAPS=RG_CAP_NO_DENSITY", "SLOTS=.hvp = hvp"],
                &target("a target without a log density has no `hvp`"),
            ),
            (&["OF=2", "CAPS=RG_CAP_G_CONST_X | RG_CAP_LINEAR"], &linear),
            (&["OF=2", "SLOTS=.linear = linear"], &linear),
            (
                &[
                    "OF=2",
                    "CAPS=RG_CAP_G_CONST_X | RG_CAP_LINEAR | RG_CAP_LINEAR_DIAG",
                ],
                &process(
                    "it has more than one of RG_CAP_LINEAR, RG_CAP_LINEAR_DIAG and RG_CAP_LINEAR_DENSE",
                ),
            ),
            (
                &["OF=2", "CAPS=RG_CAP_G_CONST_X | RG_CAP_WARPED"],
                &process("`warp` and RG_CAP_WARPED go together"),
            ),
            (
                &[
                    "OF=2",
                    "CAPS=RG_CAP_G_CONST_X | RG_CAP_WARPED",
                    "SLOTS=.warp = warp, .unwarp = unwarp, .warp_score = move2",
                ],
                &process("a process that is linear after `warp` needs `linear`"),
            ),
            (
                &["OF=2", "CAPS=0"],
                &process("`div_ggt` is NULL, which only RG_CAP_G_CONST_X allows"),
            ),
            (&["CLASS=RG_THREAD_CALLER"], &caller("target")),
            (&["OF=2", "CLASS=RG_THREAD_CALLER"], &caller("process")),
            (&["OF=3", "CLASS=RG_THREAD_CALLER"], &caller("score")),
            (&["OF=4", "CLASS=RG_THREAD_CALLER"], &caller("sampler")),
            (
                &["CLASS=9"],
                &target(
                    "the threading of its rg_target_vtable is 9, but must be RG_THREAD_SERIAL (1) or \
                     RG_THREAD_CONCURRENT (2)",
                ),
            ),
            (
                &["RESERVED=7"],
                &target("`reserved` of its rg_target_vtable is 7, but must be 0"),
            ),
            (
                &["OF=4", "RESERVED=7"],
                "component 0: sampler well: `reserved` of its rg_sampler_vtable is 7, but must be 0",
            ),
        ],
    );
}
