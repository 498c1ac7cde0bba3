//! Where plugins are looked for, and in which order.

use crate::{mode, workshop};
use retrograde_host::{Candidates, Folders, Surroundings, candidates, user_folder};
use std::env::consts::DLL_EXTENSION;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Surroundings with these variables, and the program `root/usr/bin/retrograde`.
fn standard(root: &Path, variables: &[(&str, OsString)], privileged: bool) -> Folders {
    Folders::standard(&Surroundings {
        variable: &|name| {
            let mut values = variables.iter().filter(|(n, _)| *n == name);
            values.next().map(|(_, value)| value.clone())
        },
        program: Some(root.join("usr/bin/retrograde")),
        privileged,
    })
}

/// The files and the problems found, without the name of the folder `root`.
fn found(root: &Path, folders: &Folders) -> (Vec<String>, Vec<String>) {
    let Candidates { files, problems } = candidates(folders);
    let short = |text: String| text.replace(&format!("{}/", root.display()), "");
    (
        files
            .iter()
            .map(|f| short(f.display().to_string()))
            .collect(),
        problems.iter().map(|p| short(p.to_string())).collect(),
    )
}

/// Empty files of these names, `.so` standing for the suffix of this system.
fn fill(folder: &Path, names: &[&str]) {
    fs::create_dir_all(folder).unwrap();
    for name in names {
        fs::write(
            folder.join(name.replace(".so", &format!(".{DLL_EXTENSION}"))),
            "",
        )
        .unwrap();
    }
}

fn so(names: &[&str]) -> Vec<String> {
    let suffix = format!(".{DLL_EXTENSION}");
    names.iter().map(|n| n.replace(".so", &suffix)).collect()
}

/// A root with a file in each of the standard folders, and its variables.
fn furnished(name: &str) -> (PathBuf, Vec<(&'static str, OsString)>) {
    let root = workshop(name);
    fill(&root.join("path 1"), &["b.so", "a.so"]);
    fill(&root.join("path2"), &["z.so"]);
    fill(&root.join("named"), &["c.so"]);
    fill(
        &root.join("home/.local/share/retrograde/plugins"),
        &["d.so"],
    );
    fill(&root.join("usr/lib/retrograde/plugins"), &["e.so"]);
    let config = root.join("home/.config/retrograde");
    fs::create_dir_all(&config).unwrap();
    let text = format!("plugin_dirs = [{:?}]\n", root.join("named"));
    fs::write(config.join("config.toml"), text).unwrap();
    let paths = [root.join("path 1"), root.join("path2")];
    let variables = vec![
        ("HOME", root.join("home").into()),
        (
            "RETROGRADE_PLUGIN_PATH",
            std::env::join_paths(paths).unwrap(),
        ),
    ];
    (root, variables)
}

#[test]
fn the_order_is_that_of_the_documentation() {
    let (root, variables) = furnished("order");
    let all = so(&[
        "path 1/a.so",
        "path 1/b.so",
        "path2/z.so",
        "named/c.so",
        "home/.local/share/retrograde/plugins/d.so",
        "usr/lib/retrograde/plugins/e.so",
    ]);
    let folders = standard(&root, &variables, false);
    assert_eq!(found(&root, &folders), (all, vec![]));
    assert_eq!(folders.paths().count(), 5);

    // With rights that the user has not, what the user says does not count.
    let privileged = standard(&root, &variables, true);
    let own = so(&["usr/lib/retrograde/plugins/e.so"]);
    assert_eq!(found(&root, &privileged), (own, vec![]));

    // The XDG variables come before the home.
    fill(&root.join("data/retrograde/plugins"), &["x.so"]);
    fs::create_dir_all(root.join("config/retrograde")).unwrap();
    let mut variables = variables[..1].to_vec();
    variables.push(("XDG_DATA_HOME", root.join("data").into()));
    variables.push(("XDG_CONFIG_HOME", root.join("config").into()));
    let wanted = so(&[
        "data/retrograde/plugins/x.so",
        "usr/lib/retrograde/plugins/e.so",
    ]);
    assert_eq!(
        found(&root, &standard(&root, &variables, false)),
        (wanted, vec![])
    );
}

#[test]
fn only_files_of_this_system_in_the_folder_itself_are_listed() {
    let root = workshop("listing");
    let folder = root.join("plugins");
    let names = [
        "b.so",
        "B.so",
        "é.so",
        "a.so",
        "a10.so",
        "a9.so",
        "a.so.1",
        "a.so.toml",
        "a.txt",
        "so",
        ".so",
    ];
    fill(&folder, &names);
    fill(&folder.join("deeper"), &["hidden.so"]);
    fs::create_dir(folder.join(so(&["folder.so"])[0].clone())).unwrap();
    symlink("gone", folder.join(so(&["link.so"])[0].clone())).unwrap();
    for foreign in ["so", "dylib", "dll"]
        .iter()
        .filter(|s| **s != DLL_EXTENSION)
    {
        fs::write(folder.join(format!("foreign.{foreign}")), "").unwrap();
    }
    let wanted = ["B.so", "a.so", "a10.so", "a9.so", "b.so", "link.so", "é.so"];
    let wanted: Vec<_> = so(&wanted).iter().map(|n| format!("plugins/{n}")).collect();
    assert_eq!(
        found(&root, &Folders::only(&folder)),
        (wanted.clone(), vec![])
    );

    // A folder under two names is one.
    symlink("plugins", root.join("again")).unwrap();
    let paths = [folder.clone(), root.join("again"), folder.join("."), folder];
    let value = std::env::join_paths(paths).unwrap();
    let folders = standard(&root, &[("RETROGRADE_PLUGIN_PATH", value)], false);
    assert_eq!(found(&root, &folders), (wanted, vec![]));
}

#[test]
fn what_was_named_must_be_there() {
    let (root, _) = furnished("missing");
    let file = root.join("file");
    fs::write(&file, "").unwrap();
    let entries = format!(
        "{0}/none:relative::.:~/plugins:{0}/file:{0}/path2:",
        root.display()
    );
    let config = root.join("home/.config/retrograde/config.toml");
    let text = format!(
        "# where plugins are\nplugin_dirs = [\n  \"{0}/gone\",\n  \"../near\", {0:?},\n  3,\n]\n\n[colours]\nred = 1\n",
        root.display()
    );
    fs::write(&config, text).unwrap();
    fs::remove_dir_all(root.join("home/.local")).unwrap();
    fs::remove_dir_all(root.join("usr")).unwrap();
    let variables = [
        ("HOME", root.join("home").into()),
        ("RETROGRADE_PLUGIN_PATH", entries.into()),
    ];
    let (files, mut problems) = found(&root, &standard(&root, &variables, false));
    assert_eq!(files, so(&["path2/z.so"]));
    problems.sort();
    let config = "home/.config/retrograde/config.toml";
    assert_eq!(
        problems,
        [
            ".: is not an absolute path, and is not searched; RETROGRADE_PLUGIN_PATH names it".into(),
            "file: is not a folder; RETROGRADE_PLUGIN_PATH names it".into(),
            format!("{config}:3: gone does not exist"),
            format!("{config}:4: ../near is not an absolute path, and is not searched"),
            format!("{config}:5: an entry of `plugin_dirs` is integer, but must be an absolute folder in quotes"),
            format!("{config}:8: no key is called `colours`; this file may have `plugin_dirs`"),
            "none: does not exist; RETROGRADE_PLUGIN_PATH names it".into(),
            "relative: is not an absolute path, and is not searched; RETROGRADE_PLUGIN_PATH names it".into(),
            "~/plugins: is not an absolute path (`~` is not replaced here), and is not searched; \
             RETROGRADE_PLUGIN_PATH names it"
                .into(),
        ]
    );
    let only = found(&root, &Folders::only(root.join("none")));
    assert_eq!(only, (vec![], vec!["none: does not exist".into()]));
}

#[test]
fn mistakes_in_the_configuration_have_their_line() {
    let (root, variables) = furnished("configuration");
    let config = root.join("home/.config/retrograde/config.toml");
    let variables = &variables[..1];
    let said = || {
        let (files, problems) = found(&root, &standard(&root, variables, false));
        // The rest is searched all the same.
        assert_eq!(files.len(), 2);
        problems
    };
    let name = "home/.config/retrograde/config.toml";
    for (text, wanted) in [
        (
            &b"\nplugin_dirs = \"/a\"\n"[..],
            ":2: `plugin_dirs` is string, but must be a list of absolute folders, as [\"/home/ada/plugins\"]",
        ),
        (
            b"plugin_dir = []",
            ":1: no key is called `plugin_dir`; this file may have `plugin_dirs`",
        ),
        (b"\n\nx\xff", ":3: is not valid UTF-8 (first bad byte at 3)"),
    ] {
        fs::write(&config, text).unwrap();
        assert_eq!(said(), [format!("{name}{wanted}")]);
    }
    fs::write(&config, "a = 1\nplugin_dirs = [").unwrap();
    let problems = said();
    assert!(
        problems[0].starts_with(&format!("{name}:2: ")),
        "{problems:?}"
    );
    assert_eq!(problems.len(), 1);

    fs::write(&config, "plugin_dirs = []").unwrap();
    assert_eq!(said(), Vec::<String>::new());
    mode(&config, 0o666);
    assert_eq!(
        said(),
        [format!(
            "{name}: can be changed by everyone (mode 666), and is ignored; `chmod o-w {name}` mends that"
        )]
    );
    fs::remove_file(&config).unwrap();
    fs::create_dir(&config).unwrap();
    assert_eq!(
        said(),
        [format!(
            "{name}: cannot be read: Is a directory (os error 21)"
        )]
    );
}

#[test]
fn a_home_that_is_relative_or_missing_is_none() {
    let root = workshop("home");
    fill(&root.join("usr/lib/retrograde/plugins"), &["e.so"]);
    let all = so(&["usr/lib/retrograde/plugins/e.so"]);
    assert_eq!(
        found(&root, &standard(&root, &[], false)),
        (all.clone(), vec![])
    );
    let empty = [("HOME", "".into()), ("XDG_DATA_HOME", "".into())];
    assert_eq!(
        found(&root, &standard(&root, &empty, false)),
        (all.clone(), vec![])
    );
    let relative = [("HOME", "home".into()), ("XDG_DATA_HOME", "data".into())];
    let (files, problems) = found(&root, &standard(&root, &relative, false));
    assert_eq!(files, all);
    assert_eq!(
        problems,
        [
            "home: HOME is not an absolute path, and is ignored",
            "data: XDG_DATA_HOME is not an absolute path, and is ignored",
        ]
    );
}

#[test]
fn the_folder_for_installation_is_one_that_is_searched() {
    let root = workshop("install");
    let ask = |home: Option<&str>, data: Option<&str>| {
        user_folder(&Surroundings {
            variable: &|name| match name {
                "HOME" => home.map(OsString::from),
                "XDG_DATA_HOME" => data.map(OsString::from),
                _ => None,
            },
            program: None,
            privileged: false,
        })
    };
    let in_home = PathBuf::from("/home/ada/.local/share/retrograde/plugins");
    assert_eq!(ask(Some("/home/ada"), None).unwrap(), in_home);
    assert_eq!(ask(Some("/home/ada"), Some("data")).unwrap(), in_home);
    assert_eq!(
        ask(Some("/home/ada"), Some("/data")).unwrap(),
        Path::new("/data/retrograde/plugins")
    );
    for (home, given) in [
        (None, "not set"),
        (Some(""), "not set"),
        (Some("home"), "home"),
    ] {
        assert_eq!(
            ask(home, None).unwrap_err().to_string(),
            format!(
                "the folder for plugins: `HOME` is {given}, but must be an absolute path, unless \
                 XDG_DATA_HOME is one"
            )
        );
    }
    let folders = standard(&root, &[("HOME", "/home/ada".into())], false);
    assert!(folders.paths().any(|p| p == in_home));
}

/// The kernel's own word, which `/proc` shows for a process of no special rights.
#[cfg(target_os = "linux")]
#[test]
fn this_process_has_no_special_rights() {
    let here = Surroundings::here();
    assert!(!here.privileged);
    let program = here.program.unwrap();
    assert_eq!(program, fs::canonicalize("/proc/self/exe").unwrap());
}
