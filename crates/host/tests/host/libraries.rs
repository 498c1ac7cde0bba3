//! Shared libraries made from a few lines of C, and edits of ELF files.

use retrograde_testkit::compiler::{cc, run};
use std::fs;
use std::path::{Path, PathBuf};

/// A plugin, as far as one can see without loading it.
pub(crate) const PLUGIN: &str = "
const void *retrograde_plugin_v1(const void *host);
const void *retrograde_plugin_v1(const void *host) { return host; }
";

/// Compiles `source` to `folder/name` with `options`.
pub(crate) fn compile(folder: &Path, name: &str, source: &str, options: &[&str]) -> PathBuf {
    let text = folder.join(format!("{name}.c"));
    fs::write(&text, source).unwrap();
    let library = folder.join(name);
    run(cc()
        .args(["-std=c11", "-O1", "-fPIC"])
        .arg(&text)
        .args(options)
        .arg("-o")
        .arg(&library));
    super::mode(&library, 0o755);
    library
}

/// Compiles `source` to the shared library `folder/name`.
pub(crate) fn library(folder: &Path, name: &str, source: &str) -> PathBuf {
    compile(folder, name, source, &["-shared"])
}

/// A program that loads the library it is given, and asks it for `retrograde_plugin_v1`; it ends with
/// 0 if both work, and with 1 and the loader's words if not.
pub(crate) fn loader(folder: &Path) -> PathBuf {
    let source = r#"
        #include <dlfcn.h>
        #include <stdio.h>
        int main(int argc, char **argv) {
            void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : 0;
            if (!library || !dlsym(library, "retrograde_plugin_v1")) {
                fprintf(stderr, "%s\n", dlerror());
                return 1;
            }
            return 0;
        }
    "#;
    let text = folder.join("loader.c");
    fs::write(&text, source).unwrap();
    let program = folder.join("loader");
    run(cc().arg(&text).arg("-o").arg(&program).arg("-ldl"));
    program
}

/// The bytes of an ELF file, to be changed. Offsets are those of the specification.
pub(crate) struct Elf(pub(crate) Vec<u8>);

impl Elf {
    pub(crate) fn set(&mut self, at: usize, value: u64, width: usize) {
        let bytes = value.to_ne_bytes();
        let bytes = if cfg!(target_endian = "little") {
            &bytes[..width]
        } else {
            &bytes[8 - width..]
        };
        self.0[at..at + width].copy_from_slice(bytes);
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.0[at..at + 8].try_into().unwrap())
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    /// Where the `nth` program header of type `kind` lies in the file.
    pub(crate) fn segment(&self, kind: u32, nth: usize) -> usize {
        let first = usize::try_from(self.u64(32)).unwrap();
        let count = usize::from(u16::from_ne_bytes([self.0[56], self.0[57]]));
        (0..count)
            .map(|i| first + 56 * i)
            .filter(|at| self.u32(*at) == kind)
            .nth(nth)
            .unwrap()
    }

    /// Where the bytes that will be at `address` lie in the file.
    fn offset(&self, address: u64) -> usize {
        for nth in 0.. {
            let at = self.segment(1, nth);
            let (offset, start, size) = (self.u64(at + 8), self.u64(at + 16), self.u64(at + 32));
            if (start..start + size).contains(&address) {
                return usize::try_from(address - start + offset).unwrap();
            }
        }
        unreachable!("`segment` panics before")
    }

    /// Where the dynamic section begins in the file.
    pub(crate) fn dynamic(&self) -> usize {
        usize::try_from(self.u64(self.segment(2, 0) + 8)).unwrap()
    }

    /// Where the entry `tag` of the dynamic section lies in the file.
    pub(crate) fn entry(&self, tag: u64) -> usize {
        (0..)
            .map(|i| self.dynamic() + 16 * i)
            .find(|at| self.u64(*at) == tag)
            .unwrap()
    }

    /// Where the symbol `name` lies in the file, among the dynamic symbols.
    pub(crate) fn symbol(&self, name: &str) -> usize {
        let table = self.offset(self.u64(self.entry(6) + 8));
        let strings = self.offset(self.u64(self.entry(5) + 8));
        let name = format!("{name}\0");
        (0..)
            .map(|i| table + 24 * i)
            .find(|at| {
                let start = strings + self.u32(*at) as usize;
                self.0[start..].starts_with(name.as_bytes())
            })
            .unwrap()
    }

    /// Takes the section headers away, as `strip --strip-section-headers` of newer binutils.
    pub(crate) fn without_section_headers(mut self) -> Self {
        let start = usize::try_from(self.u64(40)).unwrap();
        self.0.truncate(start);
        self.set(40, 0, 8);
        self.set(60, 0, 2);
        self.set(62, 0, 2);
        self
    }
}
