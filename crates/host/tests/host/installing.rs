//! Copies of plugins in a folder that is searched: whole, with their digest, never over another by accident.

use crate::descriptors::plugin;
use crate::{mode, workshop};
use retrograde_core::registry::Plugin;
use retrograde_host::{
    Folders, How, Installed, Sidecar, There, candidates, install, load, preflight,
};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

fn of(file: &Path) -> Plugin {
    loaded(file).unwrap()
}

/// What a file says of itself. Under a name of its own: the program knows a file that was replaced by its name.
fn loaded(file: &Path) -> Option<Plugin> {
    preflight(file).ok()?;
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    let copy = workshop(&format!("install-loaded-{n}")).join(file.file_name()?);
    fs::copy(file, &copy).ok()?;
    let plugin = (*load(&copy).ok()?.plugin).clone();
    Some(Plugin {
        file: file.canonicalize().ok()?,
        ..plugin
    })
}

/// The plugins of a folder.
fn there(folder: &Path) -> Vec<There> {
    let files = candidates(&Folders::only(folder)).files.into_iter();
    files
        .filter_map(|file| {
            let plugin = loaded(&file)?;
            Some(There { file, plugin })
        })
        .collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A workshop, and a folder in it that plugins are installed in.
fn shop(name: &str) -> (PathBuf, PathBuf) {
    let shop = workshop(name);
    let folder = shop.join("data/retrograde/plugins");
    (shop, folder)
}

#[track_caller]
fn put(file: &Path, folder: &Path, force: bool) -> Installed {
    install(&of(file), folder, &there(folder), force).unwrap()
}

/// Why it is not installed; nothing has changed.
#[track_caller]
fn refused(shop: &Path, file: &Path, folder: &Path) -> String {
    let before: Vec<_> = names(folder)
        .into_iter()
        .map(|name| (fs::read(folder.join(&name)).unwrap(), name))
        .collect();
    let error = install(&of(file), folder, &there(folder), false).unwrap_err();
    let after: Vec<_> = names(folder)
        .into_iter()
        .map(|name| (fs::read(folder.join(&name)).unwrap(), name))
        .collect();
    assert!(before == after, "{error}");
    error
        .to_string()
        .replace(&shop.display().to_string(), "DIR")
}

#[test]
fn a_plugin_is_copied_with_its_digest() {
    let (shop, folder) = shop("install");
    let file = plugin(&shop, "libdemo.so", &[]);
    let done = put(&file, &folder, false);
    let copy = folder.join("libdemo.so");
    assert_eq!((&done.file, &done.how), (&copy, &How::New));
    assert_eq!(names(&folder), ["libdemo.so", "libdemo.so.toml"]);
    assert_eq!(fs::read(&copy).unwrap(), fs::read(&file).unwrap());
    let found = preflight(&copy).unwrap();
    assert_eq!(
        found.installed,
        Some(Sidecar {
            sha256: of(&file).sha256,
            installed_from: Some(file.display().to_string()),
            version: Some("0.1.0".into()),
        })
    );
    // A second time nothing is to be done but to write the digest, which may have been lost.
    fs::remove_file(Sidecar::path(&copy)).unwrap();
    let id = fs::metadata(&copy).unwrap().ino();
    assert_eq!(put(&file, &folder, false).how, How::Same);
    assert_eq!(fs::metadata(&copy).unwrap().ino(), id);
    assert!(preflight(&copy).unwrap().installed.is_some());
}

#[test]
fn a_file_that_is_mapped_is_never_written_over() {
    let (shop, folder) = shop("install-mapped");
    put(&plugin(&shop, "libdemo.so", &[]), &folder, false);
    let copy = folder.join("libdemo.so");
    let (id, bytes) = (fs::metadata(&copy).unwrap().ino(), fs::read(&copy).unwrap());
    // Another name of the old file shows what becomes of it.
    let old = shop.join("old.so");
    fs::hard_link(&copy, &old).unwrap();
    let new = shop.join("new");
    fs::create_dir(&new).unwrap();
    let file = plugin(&new, "libdemo.so", &["VERSION=\"0.2.0\""]);
    assert_eq!(
        refused(&shop, &file, &folder),
        "plugin DIR/new/libdemo.so: is plugin demo, but another file of that name is installed already: demo \
         0.1.0, DIR/data/retrograde/plugins/libdemo.so; `--force` puts demo 0.2.0 in its place"
    );
    let done = put(&file, &folder, true);
    assert_eq!(done.how, How::Replaced(copy.clone()));
    assert_ne!(fs::metadata(&copy).unwrap().ino(), id);
    assert_eq!(fs::metadata(&old).unwrap().ino(), id);
    assert_eq!(fs::read(&old).unwrap(), bytes);
    assert_eq!(of(&copy).version, "0.2.0");
    assert_eq!(names(&folder), ["libdemo.so", "libdemo.so.toml"]);
}

#[test]
fn names_that_are_taken() {
    let (shop, folder) = shop("install-taken");
    put(&plugin(&shop, "libdemo.so", &[]), &folder, false);
    // The same plugin under another file name.
    let moved = plugin(&shop, "demo-new.so", &["VERSION=\"2.0.0\""]);
    assert!(
        refused(&shop, &moved, &folder).contains("another file of that name is installed already")
    );
    let done = put(&moved, &folder, true);
    assert_eq!(done.how, How::Replaced(folder.join("libdemo.so")));
    assert_eq!(names(&folder), ["demo-new.so", "demo-new.so.toml"]);
    // Another plugin under the same file name.
    let other = shop.join("other");
    fs::create_dir(&other).unwrap();
    let other = plugin(&other, "demo-new.so", &["NAME=\"other\""]);
    assert_eq!(
        refused(&shop, &other, &folder),
        "plugin DIR/other/demo-new.so: would be DIR/data/retrograde/plugins/demo-new.so, which is there already: \
         plugin demo 2.0.0; `--force` puts other 0.1.0 in its place"
    );
    // A file that is damaged: by what it was made of it is put right, by nothing else.
    let copy = folder.join("demo-new.so");
    let mut bytes = fs::read(&copy).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(&copy).unwrap();
    fs::write(&copy, bytes).unwrap();
    assert!(preflight(&copy).is_err());
    assert!(refused(&shop, &other, &folder).contains("a file that cannot be loaded; `--force`"));
    assert_eq!(put(&moved, &folder, false).how, How::Replaced(copy.clone()));
    assert_eq!(of(&copy).version, "2.0.0");
}

#[test]
fn a_link_is_replaced_and_not_what_it_leads_to() {
    let (shop, folder) = shop("install-link");
    let file = plugin(&shop, "libdemo.so", &[]);
    fs::create_dir_all(&folder).unwrap();
    symlink(&file, folder.join("linked.so")).unwrap();
    let new = plugin(&shop, "newer.so", &["VERSION=\"3.0.0\""]);
    let done = put(&new, &folder, true);
    assert_eq!(done.how, How::Replaced(folder.join("linked.so")));
    assert_eq!(names(&folder), ["newer.so", "newer.so.toml"]);
    assert!(file.exists());
}

#[test]
fn a_file_without_the_suffix_is_called_after_the_plugin() {
    let (shop, folder) = shop("install-suffix");
    let file = plugin(&shop, "libdemo.so.1", &[]);
    assert_eq!(put(&file, &folder, false).file, folder.join("demo.so"));
}

#[test]
fn what_cannot_be_installed_says_so() {
    let (shop, folder) = shop("install-refused");
    let file = plugin(&shop, "libdemo.so", &[]);
    let checked = of(&file);
    fs::create_dir_all(&folder).unwrap();
    mode(&folder, 0o777);
    assert_eq!(
        refused(&shop, &file, &folder),
        "plugin DIR/libdemo.so: cannot be installed in DIR/data/retrograde/plugins, where everyone can put \
         another in its place (mode 777); `chmod o-w DIR/data/retrograde/plugins` mends that, or a folder of \
         your own"
    );
    mode(&folder, 0o755);
    // It was changed after it had been checked.
    fs::remove_file(&file).unwrap();
    plugin(&shop, "libdemo.so", &["VERSION=\"0.1.1\""]);
    let error = install(&checked, &folder, &[], true)
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("libdemo.so: was changed while it was being installed"),
        "{error}"
    );
    assert_eq!(names(&folder), [""; 0]);
    // A folder where none can be.
    let error = install(&of(&file), &file.join("x"), &[], false).unwrap_err();
    assert!(
        error.to_string().contains("cannot make the folder"),
        "{error}"
    );
}
