//! Every kind of wrong file is refused, in a sentence of its own.

use crate::libraries::{Elf, PLUGIN, compile, library, loader};
use crate::{mode, workshop};
use retrograde_core::Error;
use retrograde_host::preflight;
use retrograde_host::preflight::{LARGEST, examine};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is said of `path`, without the name of the file, and with DIR for the folder.
fn said(folder: &Path, path: &Path) -> String {
    let error = preflight(path).unwrap_err();
    let text = error
        .to_string()
        .replace(&folder.display().to_string(), "DIR");
    match error {
        Error::Plugin { file, message } => {
            assert_eq!(file, path);
            message.replace(&folder.display().to_string(), "DIR")
        }
        Error::Io { .. } => text,
        other => panic!("{other:?}"),
    }
}

fn good(folder: &Path) -> PathBuf {
    library(folder, "good.so", PLUGIN)
}

#[test]
fn a_plugin_passes_however_it_was_linked() {
    let folder = workshop("passes");
    let loader = loader(&folder);
    let both = "
        int retrograde_plugin_v1(void);
        int retrograde_plugin_v9(void);
        int retrograde_plugin_v1(void) { return 1; }
        int retrograde_plugin_v9(void) { return 9; }
    ";
    let weak = "
        __attribute__((weak)) int retrograde_plugin_v1(void);
        int retrograde_plugin_v1(void) { return 1; }
    ";
    let mut files = vec![
        compile(
            &folder,
            "gnu.so",
            PLUGIN,
            &["-shared", "-Wl,--hash-style=gnu"],
        ),
        compile(
            &folder,
            "sysv.so",
            PLUGIN,
            &["-shared", "-Wl,--hash-style=sysv"],
        ),
        compile(
            &folder,
            "both.so",
            PLUGIN,
            &["-shared", "-Wl,--hash-style=both"],
        ),
        compile(&folder, "stripped.so", PLUGIN, &["-shared", "-s"]),
        compile(
            &folder,
            "packed.so",
            PLUGIN,
            &["-shared", "-Wl,-z,noseparate-code"],
        ),
        compile(&folder, "v1 and v9.so", both, &["-shared"]),
        library(&folder, "weak.so", weak),
    ];
    for name in ["gnu.so", "sysv.so"] {
        let bare = folder.join(format!("bare-{name}"));
        let elf = Elf(fs::read(folder.join(name)).unwrap()).without_section_headers();
        fs::write(&bare, elf.0).unwrap();
        files.push(bare);
    }
    for file in files {
        let found = preflight(&file).unwrap();
        assert_eq!(found.abi, 1);
        assert_eq!(found.file, file);
        let about = fs::metadata(&file).unwrap();
        assert_eq!(found.id, (about.dev(), about.ino()));
        assert_eq!(found.installed, None);
        // `sha256sum` is not ours.
        let output = Command::new("sha256sum").arg(&file).output().unwrap();
        let line = String::from_utf8(output.stdout).unwrap();
        assert_eq!(found.sha256, line.trim_start_matches('\\')[..64]);
        // What passes here loads.
        assert!(Command::new(&loader).arg(&file).status().unwrap().success());
    }
}

#[test]
fn each_wrong_file_has_its_sentence() {
    let folder = workshop("wrong");
    let good = fs::read(good(&folder)).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let edited = |name: &str, edit: &dyn Fn(&mut Elf)| {
        let mut elf = Elf(good.clone());
        edit(&mut elf);
        write(name, &elf.0)
    };
    let here = std::env::consts::ARCH;
    let (other, other_cpu, cpu) = match here {
        "x86_64" => (183, "ARM (AArch64)", "x86-64"),
        "aarch64" => (62, "x86-64", "ARM (AArch64)"),
        _ => (62, "x86-64", "?"),
    };
    let entry = "int retrograde_plugin_v1(void);";
    let main = "int main(void) { return 0; }";

    let cases: Vec<(PathBuf, String)> = vec![
        (write("empty.so", b""), "is empty".into()),
        (
            write("text.so", b"INPUT ( libm.so.6 )\n"),
            "is no shared library: it begins with \"INPUT ( libm.so.\"".into(),
        ),
        (
            write("bytes.so", b"\x00\x01\n\xff"),
            "is no shared library: it begins with \"\\x00\\x01\\n\\xff\"".into(),
        ),
        (
            write("archive.so", b"!<arch>\n"),
            "is a static library (.a), not a shared one".into(),
        ),
        (
            write("mac.so", b"\xcf\xfa\xed\xfe"),
            "is a Mach-O library (.dylib, as on macOS), but this program needs an ELF library (.so, as on Linux)".into(),
        ),
        (
            write("windows.so", b"MZ"),
            "is a PE library (.dll, as on Windows), but this program needs an ELF library (.so, as on Linux)".into(),
        ),
        (
            write("stump.so", &good[..63]),
            "is truncated: it has 63 bytes, the header of a library alone has 64".into(),
        ),
        (
            write("head.so", &good[..64]),
            format!(
                "is truncated: its table of program headers goes up to byte {}, but the file has 64",
                64 + 56 * u16::from_ne_bytes([good[56], good[57]])
            ),
        ),
        (
            write("tail.so", &good[..good.len() - 1]),
            format!(
                "is truncated: its table of section headers goes up to byte {}, but the file has {}",
                good.len(),
                good.len() - 1
            ),
        ),
        (
            edited("cpu.so", &|e| e.set(18, other, 2)),
            format!("is made for {other_cpu}, this program runs on {cpu}"),
        ),
        (
            edited("odd-cpu.so", &|e| e.set(18, 4711, 2)),
            format!("is made for another processor (ELF machine 4711), this program runs on {cpu}"),
        ),
        (
            edited("class32.so", &|e| e.0[4] = 1),
            "is a 32-bit library, this program has 64 bits".into(),
        ),
        (
            edited("class9.so", &|e| e.0[4] = 9),
            "is damaged: there is no ELF class 9".into(),
        ),
        (
            edited("order.so", &|e| e.0[5] ^= 3),
            if cfg!(target_endian = "little") {
                "is a big-endian library, this program is little-endian".into()
            } else {
                "is a little-endian library, this program is big-endian".into()
            },
        ),
        (
            edited("order9.so", &|e| e.0[5] = 9),
            "is damaged: there is no ELF byte order 9".into(),
        ),
        (
            edited("version.so", &|e| e.0[6] = 2),
            "is damaged: its version of ELF is not 1".into(),
        ),
        (
            edited("freebsd.so", &|e| e.0[7] = 9),
            "is made for another operating system (ELF OS/ABI 9), this program runs on Linux".into(),
        ),
        (
            edited("core.so", &|e| e.set(16, 4, 2)),
            "is a core dump, not a shared library".into(),
        ),
        (
            edited("type.so", &|e| e.set(16, 77, 2)),
            "is damaged: there is no ELF file type 77".into(),
        ),
        (
            compile(&folder, "program.so", main, &["-no-pie", "-fno-pie"]),
            "is an executable, not a shared library".into(),
        ),
        (
            compile(&folder, "pie.so", main, &["-pie"]),
            "is an executable (position-independent), not a shared library".into(),
        ),
        (
            compile(
                &folder,
                "exporting-pie.so",
                &format!("{PLUGIN}{main}"),
                &["-pie", "-rdynamic"],
            ),
            "is an executable (position-independent), not a shared library".into(),
        ),
        (
            compile(&folder, "object.so", PLUGIN, &["-c"]),
            "is an object file that was not linked: link it with `cc -shared`".into(),
        ),
        (
            library(&folder, "other.so", "int other(void); int other(void) { return 0; }"),
            "is a shared library but no retrograde plugin (it does not export retrograde_plugin_v1)".into(),
        ),
        (
            library(
                &folder,
                "near.so",
                "int retrograde_plugin_v01; int retrograde_plugin_v; int retrograde_plugin_v1x;",
            ),
            "is a shared library but no retrograde plugin (it does not export retrograde_plugin_v1)".into(),
        ),
        (
            library(
                &folder,
                "hidden.so",
                "__attribute__((visibility(\"hidden\"))) int retrograde_plugin_v1(void);
                 int retrograde_plugin_v1(void) { return 0; }",
            ),
            "is a shared library but no retrograde plugin (it does not export retrograde_plugin_v1)".into(),
        ),
        (
            library(
                &folder,
                "undefined.so",
                &format!("{entry} int other(void); int other(void) {{ return retrograde_plugin_v1(); }}"),
            ),
            "calls retrograde_plugin_v1 but does not define it: was a source file left out when it was linked?".into(),
        ),
        (
            // Without any export of its own: then no table says how many symbols there are.
            library(
                &folder,
                "all-undefined.so",
                &format!("{entry} static int (*volatile f)(void) = retrograde_plugin_v1;
                    __attribute__((used)) static int other(void) {{ return f(); }}"),
            ),
            "calls retrograde_plugin_v1 but does not define it: was a source file left out when it was linked?".into(),
        ),
        (
            library(&folder, "data.so", "int retrograde_plugin_v1 = 3;"),
            "exports retrograde_plugin_v1 as data, but it must be a function".into(),
        ),
        (
            library(&folder, "thread.so", "_Thread_local int retrograde_plugin_v1 = 3;"),
            "exports retrograde_plugin_v1 as data of each thread, but it must be a function".into(),
        ),
        (
            library(
                &folder,
                "label.so",
                "__asm__(\".text\\n.globl retrograde_plugin_v1\\nretrograde_plugin_v1:\\n.byte 0\\n\");
                 int other;",
            ),
            "exports retrograde_plugin_v1 as a label without a type, but it must be a function".into(),
        ),
        (
            library(
                &folder,
                "v9.so",
                "int retrograde_plugin_v9(void); int retrograde_plugin_v9(void) { return 0; }
                 int retrograde_plugin_v10(void); int retrograde_plugin_v10(void) { return 0; }",
            ),
            "is made for version 9 of the plugin interface, this program has 1".into(),
        ),
        (
            edited("no-segments.so", &|e| e.set(56, 0, 2)),
            "is damaged: it has no program headers, so nothing of it can be loaded".into(),
        ),
        (
            edited("many-segments.so", &|e| e.set(56, 0xffff, 2)),
            "is damaged: it has more program headers than a loader takes".into(),
        ),
        (
            edited("entry-size.so", &|e| e.set(54, 55, 2)),
            "is damaged: its program headers have 55 bytes each, not 56".into(),
        ),
        (
            edited("far-headers.so", &|e| e.set(32, u64::MAX, 8)),
            format!(
                "is damaged: its table of program headers begins at byte {} and has {}",
                u64::MAX,
                56 * u16::from_ne_bytes([good[56], good[57]])
            ),
        ),
        (
            edited("no-load.so", &|e| {
                for _ in 0..4 {
                    let at = e.segment(1, 0);
                    e.set(at, 0, 4);
                }
            }),
            "is damaged: it has no loadable segment".into(),
        ),
        (
            edited("overlap.so", &|e| e.set(e.segment(1, 1) + 16, 0, 8)),
            "is damaged: its loadable segment 1 overlaps the one before".into(),
        ),
        (
            edited("alignment.so", &|e| e.set(e.segment(1, 0) + 48, 3, 8)),
            "is damaged: its loadable segment 0 is not aligned".into(),
        ),
        (
            edited("memory.so", &|e| e.set(e.segment(1, 0) + 40, 8, 8)),
            "is damaged: its loadable segment 0 does not fit into memory".into(),
        ),
        (
            edited("static.so", &|e| e.set(e.segment(2, 0), 0, 4)),
            "has no dynamic section: it was linked statically and cannot be loaded".into(),
        ),
        (
            edited("far-dynamic.so", &|e| e.set(e.segment(2, 0) + 16, 1 << 40, 8)),
            "is damaged: its dynamic section lies outside its loadable segments".into(),
        ),
        (
            edited("endless.so", &|e| {
                let start = e.dynamic();
                e.0[start..].fill(0x11);
            }),
            "is damaged: its dynamic section has no end mark".into(),
        ),
        (
            edited("no-symbols.so", &|e| e.set(e.entry(6), 0x6fff_fef0, 8)),
            "is damaged: its dynamic section names no symbol table".into(),
        ),
        (
            edited("far-symbols.so", &|e| e.set(e.entry(6) + 8, u64::MAX, 8)),
            "is damaged: its symbol table lies outside its loadable segments".into(),
        ),
        (
            edited("symbol-size.so", &|e| e.set(e.entry(11) + 8, 23, 8)),
            "is damaged: its symbols have 23 bytes each, not 24".into(),
        ),
        (
            edited("strings.so", &|e| e.set(e.entry(10) + 8, 1 << 50, 8)),
            "is damaged: its string table is longer than its segment".into(),
        ),
        (
            edited("name.so", &|e| e.set(e.symbol("retrograde_plugin_v1"), 1 << 30, 4)),
            "is damaged: a symbol's name lies outside its string table".into(),
        ),
        (
            edited("code.so", &|e| e.set(e.symbol("retrograde_plugin_v1") + 8, 0, 8)),
            "is damaged: the code of its entry lies outside its executable segments".into(),
        ),
        (
            edited("no-hash.so", &|e| e.set(e.entry(0x6fff_fef5), 0x6fff_fef0, 8)),
            "is damaged: its dynamic section names no hash table".into(),
        ),
    ];
    let mut sentences = std::collections::BTreeSet::new();
    for (path, sentence) in &cases {
        assert_eq!(said(&folder, path), *sentence, "{}", path.display());
        sentences.insert(sentence);
    }
    // Two pairs and a triple share one.
    assert_eq!(cases.len() - sentences.len(), 4);
}

#[test]
fn each_wrong_place_has_its_sentence() {
    let folder = workshop("places");
    let file = good(&folder);
    let copy = |path: &Path| {
        fs::copy(&file, path).unwrap();
        path.to_path_buf()
    };
    let is = |path: &Path, sentence: &str| assert_eq!(said(&folder, path), sentence);

    is(&folder, "is a folder, not a file");
    let fifo = folder.join("fifo.so");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    is(&fifo, "is a FIFO, not a regular file");
    is(
        Path::new("/dev/zero"),
        "is a character device, not a regular file",
    );
    let socket = folder.join("s.so");
    let _listener = UnixListener::bind(&socket).unwrap();
    is(&socket, "is a socket, not a regular file");
    is(
        &folder.join("none.so"),
        "cannot read the plugin DIR/none.so",
    );
    let dangling = folder.join("dangling.so");
    symlink("gone.so", &dangling).unwrap();
    is(
        &dangling,
        "is a symbolic link that leads nowhere (to gone.so)",
    );
    let circle = folder.join("circle.so");
    symlink("circle.so", &circle).unwrap();
    is(&circle, "cannot read the plugin DIR/circle.so");
    let large = folder.join("large.so");
    fs::File::create(&large)
        .unwrap()
        .set_len(LARGEST + 1)
        .unwrap();
    is(
        &large,
        "has 1073741825 bytes; more than 1073741824 (1 GiB) are not read",
    );
    fs::remove_file(&large).unwrap();

    let open = copy(&folder.join("open.so"));
    mode(&open, 0o666);
    is(
        &open,
        "can be changed by everyone (mode 666); `chmod o-w DIR/open.so` mends that",
    );
    mode(&open, 0o664);
    assert_eq!(preflight(&open).unwrap().file, open);

    // A link is as safe as the folder that it lies in, and as the one that it leads to.
    let shared = folder.join("shared");
    fs::create_dir(&shared).unwrap();
    let within = copy(&shared.join("within.so"));
    let into = folder.join("into.so");
    symlink("shared/within.so", &into).unwrap();
    let out = shared.join("out.so");
    symlink("../good.so", &out).unwrap();
    for (bits, shown) in [(0o777, "777"), (0o1777, "1777")] {
        mode(&shared, bits);
        for path in [&within, &into, &out] {
            is(
                path,
                &format!(
                    "lies in DIR/shared, where everyone can put another in its place (mode {shown}); \
                     `chmod o-w DIR/shared` mends that, or a folder of your own"
                ),
            );
        }
    }
    mode(&shared, 0o775);
    for (path, end) in [(&within, &within), (&into, &within), (&out, &file)] {
        assert_eq!(preflight(path).unwrap().file, *end);
    }
    // What is relative is made absolute.
    let here = std::env::current_dir().unwrap();
    let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
    let relative = up.join(file.strip_prefix("/").unwrap());
    assert_eq!(preflight(&relative).unwrap().file, file);
}

#[test]
fn whatever_its_length_a_stump_is_refused() {
    let folder = workshop("stumps");
    for (name, options) in [
        ("gnu.so", ["-shared", "-Wl,--hash-style=gnu"]),
        ("sysv.so", ["-shared", "-Wl,--hash-style=sysv"]),
    ] {
        let bytes = fs::read(compile(&folder, name, PLUGIN, &options)).unwrap();
        let stump = folder.join("stump.so");
        for length in (0..bytes.len()).step_by(512) {
            fs::write(&stump, &bytes[..length]).unwrap();
            let text = said(&folder, &stump);
            let wanted = if length == 0 {
                "is empty"
            } else {
                "is truncated: "
            };
            assert!(text.starts_with(wanted), "{length}: {text}");
        }
        // In memory there is time for every length.
        for length in 4..bytes.len() {
            let text = examine(&bytes[..length]).unwrap_err();
            assert!(text.starts_with("is truncated: "), "{length}: {text}");
        }
        assert_eq!(examine(&bytes), Ok(1));
        // Without its section headers, which come last, only a cut into a segment can be seen.
        let bare = Elf(bytes).without_section_headers().0;
        assert_eq!(examine(&bare), Ok(1));
        for length in (512..bare.len() / 512 * 512)
            .step_by(512)
            .filter(|l| l + 4096 < bare.len())
        {
            let text = examine(&bare[..length]).unwrap_err();
            assert!(text.starts_with("is truncated: "), "{length}: {text}");
        }
    }
}

#[test]
fn no_code_of_the_file_runs() {
    let folder = workshop("constructor");
    let loader = loader(&folder);
    for (name, rest, passes) in [
        ("plugin.so", PLUGIN, true),
        ("stranger.so", "int other;", false),
    ] {
        let marker = folder.join(format!("{name}.was-here"));
        let source = format!(
            "#include <stdio.h>
            __attribute__((constructor)) static void begin(void) {{
                FILE *f = fopen(\"{}\", \"w\");
                if (f) fclose(f);
            }}
            {rest}",
            marker.display()
        );
        let file = library(&folder, name, &source);
        assert_eq!(preflight(&file).is_ok(), passes);
        assert!(!marker.exists());
        // Loading it leaves the mark.
        let loaded = Command::new(&loader).arg(&file).output().unwrap();
        assert_eq!(loaded.status.success(), passes);
        assert!(marker.exists());
    }
}
