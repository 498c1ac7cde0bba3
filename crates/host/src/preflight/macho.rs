//! Mach-O, the format of macOS: one library, or several of different processors in one file.

use super::entry::{self, Entries, Symbol};
use object::read::ReadRef;
use object::read::macho::{FatArch, MachHeader, MachOFatFile32, MachOFatFile64};
use object::{LittleEndian, macho};

type Header = macho::MachHeader64<LittleEndian>;
type Name = macho::Nlist64<LittleEndian>;

pub(super) fn examine(bytes: &[u8]) -> Result<u32, String> {
    let [_, b, c, d, ..] = bytes else {
        return Err(truncated(bytes, "its header", size_of::<Header>() as u64));
    };
    match [*b, *c, *d] {
        [0xfe, 0xba, 0xbe] => {
            let file = MachOFatFile32::parse(bytes).map_err(damaged)?;
            one_of(bytes, file.arches())
        }
        [0xfe, 0xba, 0xbf] => {
            let file = MachOFatFile64::parse(bytes).map_err(damaged)?;
            one_of(bytes, file.arches())
        }
        [0xed, 0xfa, 0xcf] => Err("is a big-endian library, this program is little-endian".into()),
        [0xed, 0xfa, 0xce] | [0xfa, 0xed, 0xfe] if bytes[0] != 0xcf => {
            Err("is a 32-bit library, this program has 64 bits".into())
        }
        _ => thin(bytes),
    }
}

/// The library for this processor among those in the file.
fn one_of<Arch: FatArch>(bytes: &[u8], arches: &[Arch]) -> Result<u32, String> {
    let Some(own) = own_cpu() else {
        return Err("holds libraries of several processors, none of them known here".into());
    };
    let Some(arch) = arches.iter().find(|a| a.cputype() == own) else {
        let others: Vec<_> = arches.iter().take(8).map(|a| cpu(a.cputype())).collect();
        return Err(format!(
            "is made for {}, this program runs on {}",
            others.join(", "),
            cpu(own)
        ));
    };
    let (offset, size) = arch.file_range();
    let end = offset.saturating_add(size);
    let part = bytes
        .read_bytes_at(offset, size)
        .map_err(|()| truncated(bytes, "the library for this processor", end))?;
    thin(part)
}

fn thin(bytes: &[u8]) -> Result<u32, String> {
    let e = LittleEndian;
    let size = size_of::<Header>() as u64;
    let Ok(header) = bytes.read_at::<Header>(0) else {
        return Err(truncated(bytes, "its header", size));
    };
    if header.magic() != macho::MH_CIGAM_64 {
        return Err(damaged("a part of it is no 64-bit library"));
    }
    let found = header.cputype(e);
    if let Some(own) = own_cpu().filter(|own| *own != found) {
        return Err(format!(
            "is made for {}, this program runs on {}",
            cpu(found),
            cpu(own)
        ));
    }
    match header.filetype(e) {
        macho::MH_DYLIB | macho::MH_BUNDLE => {}
        macho::MH_EXECUTE => return Err("is an executable, not a shared library".into()),
        macho::MH_OBJECT => {
            return Err(
                "is an object file that was not linked: link it with `cc -dynamiclib`".into(),
            );
        }
        other => {
            return Err(format!(
                "is a Mach-O file of type {}, not a shared library",
                other.0
            ));
        }
    }
    let commands_end = size + u64::from(header.sizeofcmds(e));
    if commands_end > bytes.len() as u64 {
        return Err(truncated(bytes, "its load commands", commands_end));
    }
    let mut commands = header.load_commands(e, bytes, 0).map_err(damaged)?;
    let mut code = Vec::new();
    let mut symtab = None;
    while let Some(command) = commands.next().map_err(damaged)? {
        if let Some((segment, _)) = command.segment_64().map_err(damaged)? {
            let (offset, stored) = (segment.fileoff.get(e), segment.filesize.get(e));
            let Some(end) = offset.checked_add(stored) else {
                return Err(damaged("a segment does not fit into a file"));
            };
            if end > bytes.len() as u64 {
                return Err(truncated(bytes, "a segment", end));
            }
            let address = segment.vmaddr.get(e);
            let Some(end) = address.checked_add(segment.vmsize.get(e)) else {
                return Err(damaged("a segment does not fit into memory"));
            };
            if segment.initprot.get(e).contains(macho::VM_PROT_EXECUTE) {
                code.push(address..end);
            }
        } else if let Some(found) = command.symtab().map_err(damaged)? {
            symtab = Some(found);
        }
    }
    let Some(symtab) = symtab else {
        return Err("has no symbols (they may be stripped with `strip -x` only)".into());
    };
    let (offset, count) = (symtab.symoff.get(e), symtab.nsyms.get(e));
    let symbols = bytes
        .read_slice_at::<Name>(offset.into(), count as usize)
        .map_err(|()| {
            let end = u64::from(offset) + u64::from(count) * size_of::<Name>() as u64;
            truncated(bytes, "its table of symbols", end)
        })?;
    let (offset, length) = (symtab.stroff.get(e), symtab.strsize.get(e));
    let strings = bytes
        .read_bytes_at(offset.into(), length.into())
        .map_err(|()| {
            let end = u64::from(offset) + u64::from(length);
            truncated(bytes, "its table of names", end)
        })?;
    entries(symbols, strings, &code).verdict()
}

fn entries(symbols: &[Name], strings: &[u8], code: &[std::ops::Range<u64>]) -> Entries {
    let e = LittleEndian;
    let mut entries = Entries::default();
    for symbol in symbols {
        let flags = symbol.n_type.0;
        if flags & macho::N_STAB != 0 || flags & macho::N_EXT.0 == 0 {
            continue;
        }
        // C names have an underscore in front.
        let name = strings.get(symbol.n_strx.get(e) as usize..);
        let Some(version) = name
            .and_then(|n| n.strip_prefix(b"_"))
            .and_then(entry::version)
        else {
            continue;
        };
        let defined = flags & macho::N_TYPE == macho::N_SECT.0;
        let hidden = flags & macho::N_PEXT.0 != 0;
        let address = symbol.n_value.get(e);
        if !defined {
            entries.add(version, Symbol::Undefined);
        } else if code.iter().any(|c| c.contains(&address)) {
            if !hidden {
                entries.add(version, Symbol::Function);
            }
        } else {
            entries.add(version, Symbol::Other("data"));
        }
    }
    entries
}

fn damaged(what: impl std::fmt::Display) -> String {
    format!("is damaged: {what}")
}

fn truncated(bytes: &[u8], what: &str, end: u64) -> String {
    format!(
        "is truncated: {what} goes up to byte {end}, but the file has {}",
        bytes.len()
    )
}

fn own_cpu() -> Option<macho::CpuType> {
    Some(match std::env::consts::ARCH {
        "x86_64" => macho::CPU_TYPE_X86_64,
        "aarch64" => macho::CPU_TYPE_ARM64,
        _ => return None,
    })
}

fn cpu(found: macho::CpuType) -> String {
    match found {
        macho::CPU_TYPE_X86_64 => "x86-64".into(),
        macho::CPU_TYPE_ARM64 => "ARM (AArch64)".into(),
        other => format!("another processor (Mach-O type {})", other.0),
    }
}
