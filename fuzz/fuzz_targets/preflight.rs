//! The bytes of a file that may be a plugin, for all three systems: an answer, whatever they are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use retrograde_host::preflight::{Format, examine_as};

fuzz_target!(|bytes: &[u8]| {
    for format in [Format::Elf, Format::MachO, Format::Pe] {
        match examine_as(format, bytes) {
            Ok(version) => assert_eq!(version, 1),
            Err(text) => assert!(!text.is_empty() && !text.ends_with('.')),
        }
    }
});
