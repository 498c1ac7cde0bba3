//! Mach-O and PE, built by hand from their specifications, because the compiler here makes neither.
//! `object`, which reads them in another way, says whether they are well built.

use crate::Random;
use object::{Object, ObjectSymbol};
use retrograde_host::preflight::{Format, examine_as};

/// A file under construction.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn u32s(mut self, values: &[u32]) -> Self {
        self.0.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        self
    }

    fn u64s(mut self, values: &[u64]) -> Self {
        self.0.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        self
    }

    fn text(mut self, text: &str, width: usize) -> Self {
        let end = self.0.len() + width;
        self.0.extend(text.as_bytes());
        self.until(end)
    }

    fn until(mut self, length: usize) -> Self {
        assert!(self.0.len() <= length);
        self.0.resize(length, 0);
        self
    }
}

const ARM: bool = cfg!(target_arch = "aarch64");

/// A library for macOS with the symbol `name` at `address`; code lies at 0 to 0x1000, data behind it.
fn macho(name: &str, address: u64, defined: bool) -> Vec<u8> {
    let cpu = if ARM { 0x0100_000c } else { 0x0100_0007 };
    let commands = 72 + 72 + 24;
    let symbols = 32 + commands;
    let strings = symbols + 16;
    let end = strings + 32;
    let segment = |bytes: Bytes, name: &str, place: [u64; 4], rights: u32| {
        bytes
            .u32s(&[0x19, 72])
            .text(name, 16)
            .u64s(&place)
            .u32s(&[rights, rights, 0, 0])
    };
    // MH_MAGIC_64, MH_DYLIB
    let bytes = Bytes::default().u32s(&[0xfeed_facf, cpu, 0, 6, 3, commands, 0x85, 0]);
    let bytes = segment(bytes, "__TEXT", [0, 0x1000, 0, u64::from(end)], 5);
    let bytes = segment(bytes, "__DATA", [0x1000, 0x1000, 0, u64::from(end)], 3);
    bytes
        // LC_SYMTAB
        .u32s(&[2, 24, symbols, 1, strings, 32])
        .u32s(&[1])
        // N_EXT, and N_SECT or N_UNDF
        .u16(if defined { 0x010f } else { 1 })
        .u16(0)
        .u64s(&[address])
        .text(&format!("\0_{name}"), 32)
        .0
}

/// A library for Windows which exports `name` at `address`; code lies at 0x1000 to 0x1200, data at
/// 0x2000 to 0x2200.
fn pe(name: &str, address: u32) -> Vec<u8> {
    let machine = if ARM { 0xaa64 } else { 0x8664 };
    let bytes = Bytes::default().u16(0x5a4d).until(60).u32s(&[64]);
    // The COFF header: EXECUTABLE_IMAGE | LARGE_ADDRESS_AWARE | DLL.
    let bytes = bytes.u32s(&[0x4550]).u16(machine).u16(2).u32s(&[0, 0, 0]);
    let bytes = bytes.u16(240).u16(0x2022);
    // The optional header, with 16 directories of which the first lists exports.
    let bytes = bytes.u16(0x20b).u16(0).u32s(&[0x200, 0x200, 0, 0, 0x1000]);
    let bytes = bytes.u64s(&[0x1_8000_0000]).u32s(&[0x1000, 0x200]);
    let bytes = bytes
        .u32s(&[6, 0, 6, 0, 0x3000, 0x400, 0])
        .u16(3)
        .u16(0x160);
    let bytes = bytes
        .u64s(&[1 << 20, 1 << 12, 1 << 20, 1 << 12])
        .u32s(&[0, 16]);
    let bytes = bytes.u32s(&[0x2000, 0x100]).until(64 + 24 + 240);
    let section = |bytes: Bytes, name: &str, address: u32, offset: u32, flags: u32| {
        bytes
            .text(name, 8)
            .u32s(&[0x200, address, 0x200, offset, 0, 0, 0, flags])
    };
    let bytes = section(bytes, ".text", 0x1000, 0x400, 0x6000_0020);
    let bytes = section(bytes, ".rdata", 0x2000, 0x600, 0x4000_0040);
    bytes
        .until(0x600)
        // The directory: name, base, one function, one name, the three lists.
        .u32s(&[0, 0, 0, 0x2060, 1, 1, 1, 0x2028, 0x202c, 0x2030])
        .u32s(&[address, 0x2034])
        .u16(0)
        .u16(0)
        .text(name, 0x2c)
        .text("demo.dll", 16)
        .until(0x800)
        .0
}

const NAME: &str = "retrograde_plugin_v1";

/// The symbol that another library finds, says `object`.
fn exported(bytes: &[u8]) -> String {
    let file = object::File::parse(bytes).unwrap();
    assert_eq!(file.kind(), object::ObjectKind::Dynamic);
    let names: Vec<Vec<u8>> = match file.format() {
        object::BinaryFormat::MachO => {
            let symbols = file
                .symbols()
                .filter(|s| s.is_global() && s.is_definition());
            symbols.map(|s| s.name_bytes().unwrap().into()).collect()
        }
        _ => {
            let exports = file.exports().unwrap().map(|e| e.unwrap());
            exports.map(|e| e.name().name().unwrap().to_vec()).collect()
        }
    };
    assert_eq!(names.len(), 1);
    String::from_utf8(names[0].clone()).unwrap()
}

#[test]
fn libraries_of_other_systems_are_examined_for_those() {
    let mac = |bytes: &[u8]| examine_as(Format::MachO, bytes);
    let windows = |bytes: &[u8]| examine_as(Format::Pe, bytes);
    let no = |text: &str| Err(text.to_string());
    let none = no(
        "is a shared library but no retrograde plugin (it does not export retrograde_plugin_v1)",
    );
    let version = no("is made for version 9 of the plugin interface, this program has 1");
    let data = no("exports retrograde_plugin_v1 as data, but it must be a function");

    assert_eq!(exported(&pe(NAME, 0x1010)), NAME);
    assert_eq!(windows(&pe(NAME, 0x1010)), Ok(1));
    assert_eq!(windows(&pe("retrograde_plugin_v9", 0x1010)), version);
    assert_eq!(windows(&pe("other", 0x1010)), none);
    assert_eq!(windows(&pe(NAME, 0x2150)), data);
    assert_eq!(
        windows(&pe(NAME, 0x2060)),
        no(
            "exports retrograde_plugin_v1 as a forward to another library, but it must be a function"
        )
    );

    assert_eq!(exported(&macho(NAME, 0x10, true)), format!("_{NAME}"));
    assert_eq!(mac(&macho(NAME, 0x10, true)), Ok(1));
    assert_eq!(mac(&macho("retrograde_plugin_v9", 0x10, true)), version);
    assert_eq!(mac(&macho("other", 0x10, true)), none);
    assert_eq!(mac(&macho(NAME, 0x1010, true)), data);
    assert_eq!(
        mac(&macho(NAME, 0, false)),
        no(
            "calls retrograde_plugin_v1 but does not define it: was a source file left out when it was linked?"
        )
    );
    let edited = |bytes: &[u8], at: usize, value: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] = value;
        bytes
    };
    let (dll, dylib) = (pe(NAME, 0x1010), macho(NAME, 0x10, true));
    let cpu = if ARM { "ARM (AArch64)" } else { "x86-64" };
    for (found, wanted) in [
        // An i386 has machine 0x14c.
        (
            windows(&edited(&edited(&dll, 68, 0x4c), 69, 1)),
            format!("is made for x86, this program runs on {cpu}"),
        ),
        (windows(&edited(&dll, 64 + 23, 0)), "is an executable, not a shared library".into()),
        (
            windows(&edited(&dll, 64 + 25, 1)),
            "is a 32-bit library, this program has 64 bits".into(),
        ),
        (windows(&edited(&dll, 64, 0)), "is a program or library of DOS, not of Windows".into()),
        (
            mac(&edited(&dylib, 4, 99)),
            format!("is made for another processor (Mach-O type 16777315), this program runs on {cpu}"),
        ),
        (mac(&edited(&dylib, 12, 2)), "is an executable, not a shared library".into()),
        (
            mac(&edited(&dylib, 12, 1)),
            "is an object file that was not linked: link it with `cc -dynamiclib`".into(),
        ),
        (
            mac(b"\xce\xfa\xed\xfe\x07\0\0\0"),
            "is a 32-bit library, this program has 64 bits".into(),
        ),
        (
            mac(b"\xfe\xed\xfa\xcf\x01\0\0\x07"),
            "is a big-endian library, this program is little-endian".into(),
        ),
        (
            windows(&dylib),
            "is a Mach-O library (.dylib, as on macOS), but this program needs a PE library (.dll, as on Windows)".into(),
        ),
    ] {
        assert_eq!(found, Err(wanted));
    }
}

/// Several libraries in one file; the numbers of its directory are big-endian.
fn fat(parts: &[(u32, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0xca, 0xfe, 0xba, 0xbe];
    let mut offset = 4096;
    bytes.extend(u32::try_from(parts.len()).unwrap().to_be_bytes());
    for (cpu, part) in parts {
        let size = u32::try_from(part.len()).unwrap();
        for number in [*cpu, 0, offset, size, 12] {
            bytes.extend(number.to_be_bytes());
        }
        offset += 4096;
    }
    for (i, (_, part)) in parts.iter().enumerate() {
        bytes.resize(4096 * (i + 1), 0);
        bytes.extend(*part);
    }
    bytes
}

#[test]
fn the_part_for_this_processor_counts() {
    let mac = |bytes: &[u8]| examine_as(Format::MachO, bytes);
    let (own, other) = if ARM {
        (0x0100_000c, 0x0100_0007)
    } else {
        (0x0100_0007, 0x0100_000c)
    };
    let (right, wrong) = (macho(NAME, 0x10, true), macho("other", 0x10, true));
    assert_eq!(mac(&fat(&[(other, &wrong), (own, &right)])), Ok(1));
    assert!(mac(&fat(&[(other, &right), (own, &wrong)])).is_err());
    let (there, here) = if ARM {
        ("x86-64", "ARM (AArch64)")
    } else {
        ("ARM (AArch64)", "x86-64")
    };
    assert_eq!(
        mac(&fat(&[(other, &right)])),
        Err(format!("is made for {there}, this program runs on {here}"))
    );
    let whole = fat(&[(own, &right)]);
    assert_eq!(mac(&whole), Ok(1));
    assert_eq!(
        mac(&whole[..whole.len() - 1]),
        Err(format!(
            "is truncated: the library for this processor goes up to byte {}, but the file has {}",
            whole.len(),
            whole.len() - 1
        ))
    );
}

#[test]
fn stumps_are_truncated_and_no_bytes_make_it_panic() {
    let files = [
        (Format::Pe, pe(NAME, 0x1010)),
        (Format::MachO, macho(NAME, 0x10, true)),
        (
            Format::MachO,
            fat(&[(
                if ARM { 0x0100_000c } else { 0x0100_0007 },
                &macho(NAME, 0x10, true),
            )]),
        ),
    ];
    let mut random = Random(77);
    for (format, good) in &files {
        let first = if good[0] == 0xca { 28 } else { 4 };
        for length in first..good.len() {
            let text = examine_as(*format, &good[..length]).unwrap_err();
            assert!(
                text.starts_with("is truncated: "),
                "{format:?} {length}: {text}"
            );
        }
        let mut sound = 0;
        for _ in 0..30_000 {
            let mut bytes = good.clone();
            for _ in 0..=random.below(5) {
                random.wound(&mut bytes);
            }
            sound += u32::from(examine_as(*format, &bytes).is_ok());
        }
        assert!((100..29_900).contains(&sound), "{sound}");
    }
}
