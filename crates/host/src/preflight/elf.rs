//! ELF, read as the loader reads it: program headers, the dynamic section, its symbols.
//!
//! Section headers are for linkers and debuggers. A library without them loads, so they are not needed
//! here either; but a table of them that is announced and cut off shows that the file is.

use super::entry::{self, Entries, Symbol};
use object::NativeEndian;
use object::elf;
use object::read::ReadRef;
use object::read::elf::{GnuHashTable, HashTable};

type Header = elf::FileHeader64<NativeEndian>;
type Segment = elf::ProgramHeader64<NativeEndian>;
type Name = elf::Sym64<NativeEndian>;

const HEADER: usize = size_of::<Header>();

pub(super) fn examine(bytes: &[u8]) -> Result<u32, String> {
    let header = header(bytes)?;
    let segments = segments(bytes, header)?;
    let image = Image::of(bytes, segments)?;
    let dynamic = image.dynamic(segments)?;
    if dynamic.flags_1 & elf::DF_1_PIE.0 != 0 {
        return Err("is an executable (position-independent), not a shared library".into());
    }
    section_headers(bytes, header)?;
    let verdict = image.entries(&dynamic)?.verdict();
    // Older linkers leave executables unmarked, but only executables name an interpreter. (Some
    // libraries do too, so that they can be run; a plugin may.)
    if verdict.is_err() && of_type(segments, elf::PT_INTERP).next().is_some() {
        return Err("is an executable, not a shared library".into());
    }
    verdict
}

/// The header of a library for this machine.
fn header(bytes: &[u8]) -> Result<&Header, String> {
    let Ok(header) = bytes.read_at::<Header>(0) else {
        return Err(format!(
            "is truncated: it has {} bytes, the header of a library alone has {HEADER}",
            bytes.len()
        ));
    };
    let e = NativeEndian;
    let ident = &header.e_ident;
    match ident.class {
        elf::ELFCLASS64 => {}
        elf::ELFCLASS32 => return Err("is a 32-bit library, this program has 64 bits".into()),
        other => return Err(damaged(format_args!("there is no ELF class {}", other.0))),
    }
    let (here, there) = if cfg!(target_endian = "little") {
        (elf::ELFDATA2LSB, elf::ELFDATA2MSB)
    } else {
        (elf::ELFDATA2MSB, elf::ELFDATA2LSB)
    };
    if ident.data == there {
        let words = |order| match order {
            elf::ELFDATA2LSB => "little-endian",
            _ => "big-endian",
        };
        return Err(format!(
            "is a {} library, this program is {}",
            words(there),
            words(here)
        ));
    }
    if ident.data != here {
        return Err(damaged(format_args!(
            "there is no ELF byte order {}",
            ident.data.0
        )));
    }
    if ident.version != elf::EV_CURRENT || header.e_version.get(e) != u32::from(elf::EV_CURRENT.0) {
        return Err(damaged("its version of ELF is not 1"));
    }
    if cfg!(target_os = "linux") && !matches!(ident.os_abi, elf::ELFOSABI_SYSV | elf::ELFOSABI_GNU)
    {
        return Err(format!(
            "is made for another operating system (ELF OS/ABI {}), this program runs on Linux",
            ident.os_abi.0
        ));
    }
    let machine = header.e_machine.get(e);
    if let Some(own) = own_machine().filter(|own| *own != machine) {
        return Err(format!(
            "is made for {}, this program runs on {}",
            cpu(machine),
            cpu(own)
        ));
    }
    match header.e_type.get(e) {
        elf::ET_DYN => Ok(header),
        elf::ET_REL => {
            Err("is an object file that was not linked: link it with `cc -shared`".into())
        }
        elf::ET_EXEC => Err("is an executable, not a shared library".into()),
        elf::ET_CORE => Err("is a core dump, not a shared library".into()),
        other => Err(damaged(format_args!(
            "there is no ELF file type {}",
            other.0
        ))),
    }
}

fn segments<'a>(bytes: &'a [u8], header: &Header) -> Result<&'a [Segment], String> {
    let e = NativeEndian;
    let (offset, count) = (header.e_phoff.get(e), header.e_phnum.get(e));
    if count == 0 {
        return Err(damaged(
            "it has no program headers, so nothing of it can be loaded",
        ));
    }
    if count == u16::MAX {
        return Err(damaged("it has more program headers than a loader takes"));
    }
    if usize::from(header.e_phentsize.get(e)) != size_of::<Segment>() {
        return Err(damaged(format_args!(
            "its program headers have {} bytes each, not {}",
            header.e_phentsize.get(e),
            size_of::<Segment>()
        )));
    }
    let length = u64::from(count) * size_of::<Segment>() as u64;
    inside(bytes, "its table of program headers", offset, length)?;
    bytes
        .read_slice_at(offset, count.into())
        .map_err(|()| damaged("its program headers cannot be read"))
}

/// A table of section headers may be missing, but not cut off.
fn section_headers(bytes: &[u8], header: &Header) -> Result<(), String> {
    let e = NativeEndian;
    let each = u64::from(header.e_shentsize.get(e));
    let offset = header.e_shoff.get(e);
    match header.e_shnum.get(e) {
        0 => Ok(()),
        count => inside(
            bytes,
            "its table of section headers",
            offset,
            u64::from(count) * each,
        ),
    }
}

fn of_type(segments: &[Segment], kind: elf::ProgramType) -> impl Iterator<Item = &Segment> {
    segments
        .iter()
        .filter(move |s| s.p_type.get(NativeEndian) == kind)
}

/// A part of the file as it will lie in memory.
struct Load {
    address: u64,
    /// In memory, at least as long as `bytes`.
    end: u64,
    /// Where the part that comes from the file ends.
    stored: u64,
    offset: u64,
    executable: bool,
}

/// What the loader maps.
struct Image<'a> {
    bytes: &'a [u8],
    loads: Vec<Load>,
}

/// What the dynamic section says; addresses, 0 where it says nothing.
#[derive(Default)]
struct Tables {
    symbols: u64,
    symbol_size: u64,
    strings: u64,
    strings_size: u64,
    hash: u64,
    gnu_hash: u64,
    flags_1: u64,
}

impl<'a> Image<'a> {
    fn of(bytes: &'a [u8], segments: &[Segment]) -> Result<Self, String> {
        let e = NativeEndian;
        let mut loads: Vec<Load> = Vec::new();
        for (i, s) in of_type(segments, elf::PT_LOAD).enumerate() {
            let (address, offset) = (s.p_vaddr.get(e), s.p_offset.get(e));
            let (stored, size) = (s.p_filesz.get(e), s.p_memsz.get(e));
            let align = s.p_align.get(e).max(1);
            let name = format!("its loadable segment {i}");
            inside(bytes, &name, offset, stored)?;
            let Some(end) = address.checked_add(size).filter(|_| stored <= size) else {
                return Err(damaged(format_args!("{name} does not fit into memory")));
            };
            if !align.is_power_of_two() || (address ^ offset) & (align - 1) != 0 {
                return Err(damaged(format_args!("{name} is not aligned")));
            }
            if loads.last().is_some_and(|before| address < before.end) {
                return Err(damaged(format_args!("{name} overlaps the one before")));
            }
            loads.push(Load {
                address,
                end,
                stored: address + stored,
                offset,
                executable: s.p_flags.get(e).contains(elf::PF_X),
            });
        }
        if loads.is_empty() {
            return Err(damaged("it has no loadable segment"));
        }
        Ok(Self { bytes, loads })
    }

    /// What will lie at `address`, as far as it comes from the file without a gap.
    fn at(&self, address: u64) -> Option<&'a [u8]> {
        let load = self
            .loads
            .iter()
            .find(|l| (l.address..l.stored).contains(&address))?;
        let start = load.offset.checked_add(address - load.address)?;
        self.bytes.read_bytes_at(start, load.stored - address).ok()
    }

    /// A table that the dynamic section names.
    fn table(&self, what: &str, address: u64) -> Result<&'a [u8], String> {
        if address == 0 {
            return Err(damaged(format_args!("its dynamic section names no {what}")));
        }
        self.at(address).ok_or_else(|| {
            damaged(format_args!(
                "its {what} lies outside its loadable segments"
            ))
        })
    }

    fn dynamic(&self, segments: &[Segment]) -> Result<Tables, String> {
        let e = NativeEndian;
        let Some(segment) = of_type(segments, elf::PT_DYNAMIC).next() else {
            return Err(
                "has no dynamic section: it was linked statically and cannot be loaded".into(),
            );
        };
        let address = segment.p_vaddr.get(e);
        let section = self.table("dynamic section", address)?;
        let mut tables = Tables::default();
        let mut offset = 0;
        // The loader stops at the end mark, and nowhere else.
        while let Ok(entry) = section.read::<elf::Dyn64<NativeEndian>>(&mut offset) {
            let value = entry.d_val.get(e);
            match entry.d_tag.get(e) {
                elf::DT_NULL => return Ok(tables),
                elf::DT_SYMTAB => tables.symbols = value,
                elf::DT_SYMENT => tables.symbol_size = value,
                elf::DT_STRTAB => tables.strings = value,
                elf::DT_STRSZ => tables.strings_size = value,
                elf::DT_HASH => tables.hash = value,
                elf::DT_GNU_HASH => tables.gnu_hash = value,
                elf::DT_FLAGS_1 => tables.flags_1 = value,
                _ => {}
            }
        }
        Err(damaged("its dynamic section has no end mark"))
    }

    /// The symbols `retrograde_plugin_v<N>` among those that the loader looks up.
    fn entries(&self, tables: &Tables) -> Result<Entries, String> {
        let e = NativeEndian;
        let symbols = self.table("symbol table", tables.symbols)?;
        let strings = self.table("string table", tables.strings)?;
        if tables.symbol_size != size_of::<Name>() as u64 {
            return Err(damaged(format_args!(
                "its symbols have {} bytes each, not {}",
                tables.symbol_size,
                size_of::<Name>()
            )));
        }
        let strings = usize::try_from(tables.strings_size)
            .ok()
            .and_then(|n| strings.get(..n))
            .ok_or_else(|| damaged("its string table is longer than its segment"))?;
        let count = self.count(tables)?;
        let (count, reachable) = match count {
            Some(count) => (count, true),
            // Nothing is exported. What is only wanted from elsewhere is in no hash table; linkers
            // put the strings behind the symbols.
            None => {
                let between = tables.strings.saturating_sub(tables.symbols);
                let most = (symbols.len() as u64).min(between) / size_of::<Name>() as u64;
                (u32::try_from(most).unwrap_or(0), false)
            }
        };
        let symbols = symbols
            .read_slice_at::<Name>(0, count as usize)
            .map_err(|()| {
                damaged(format_args!(
                    "its {count} symbols do not fit into their segment"
                ))
            })?;
        let mut entries = Entries::default();
        for symbol in symbols {
            let Some(name) = strings.get(symbol.st_name.get(e) as usize..) else {
                return Err(damaged("a symbol's name lies outside its string table"));
            };
            let Some(version) = entry::version(name) else {
                continue;
            };
            if symbol.st_shndx.get(e) == elf::SHN_UNDEF {
                entries.add(version, Symbol::Undefined);
            } else if reachable && visible(symbol) {
                entries.add(version, self.kind(symbol)?);
            }
        }
        Ok(entries)
    }

    /// How many symbols there are, which only a hash table tells; `None` if it holds none.
    fn count(&self, tables: &Tables) -> Result<Option<u32>, String> {
        if tables.hash != 0 {
            let bytes = self.table("hash table", tables.hash)?;
            let table = HashTable::<Header>::parse(NativeEndian, bytes)
                .map_err(|_| damaged("its hash table is longer than its segment"))?;
            return Ok(Some(table.symbol_table_length()));
        }
        let bytes = self.table("hash table", tables.gnu_hash)?;
        let table = GnuHashTable::<Header>::parse(NativeEndian, bytes)
            .map_err(|_| damaged("its GNU hash table is longer than its segment"))?;
        Ok(table.symbol_table_length(NativeEndian))
    }

    fn kind(&self, symbol: &Name) -> Result<Symbol, String> {
        let e = NativeEndian;
        match symbol.st_info.st_type() {
            elf::STT_FUNC => {}
            elf::STT_OBJECT => return Ok(Symbol::Other("data")),
            elf::STT_TLS => return Ok(Symbol::Other("data of each thread")),
            elf::STT_GNU_IFUNC => return Ok(Symbol::Other("an indirect function (ifunc)")),
            _ => return Ok(Symbol::Other("a label without a type")),
        }
        let address = symbol.st_value.get(e);
        let load = self
            .loads
            .iter()
            .find(|l| (l.address..l.stored).contains(&address));
        match load {
            Some(load) if load.executable => Ok(Symbol::Function),
            _ => Err(damaged(
                "the code of its entry lies outside its executable segments",
            )),
        }
    }
}

/// Whether another library sees the symbol.
fn visible(symbol: &Name) -> bool {
    matches!(
        symbol.st_info.st_bind(),
        elf::STB_GLOBAL | elf::STB_WEAK | elf::STB_GNU_UNIQUE
    ) && matches!(
        symbol.st_other.visibility(),
        elf::STV_DEFAULT | elf::STV_PROTECTED
    )
}

fn damaged(what: impl std::fmt::Display) -> String {
    format!("is damaged: {what}")
}

/// Refuses a part that goes over the end of the file.
fn inside(bytes: &[u8], what: &str, offset: u64, length: u64) -> Result<(), String> {
    let Some(end) = offset.checked_add(length) else {
        return Err(damaged(format_args!(
            "{what} begins at byte {offset} and has {length}"
        )));
    };
    if end > bytes.len() as u64 {
        return Err(format!(
            "is truncated: {what} goes up to byte {end}, but the file has {}",
            bytes.len()
        ));
    }
    Ok(())
}

/// The processor of this program; `None` where its number is not known here.
fn own_machine() -> Option<elf::Machine> {
    Some(match std::env::consts::ARCH {
        "x86_64" => elf::EM_X86_64,
        "aarch64" => elf::EM_AARCH64,
        "riscv64" => elf::EM_RISCV,
        "powerpc64" => elf::EM_PPC64,
        "s390x" => elf::EM_S390,
        "loongarch64" => elf::EM_LOONGARCH,
        "mips64" => elf::EM_MIPS,
        "sparc64" => elf::EM_SPARCV9,
        _ => return None,
    })
}

fn cpu(machine: elf::Machine) -> String {
    let name = match machine {
        elf::EM_X86_64 => "x86-64",
        elf::EM_386 => "x86",
        elf::EM_AARCH64 => "ARM (AArch64)",
        elf::EM_ARM => "ARM (32-bit)",
        elf::EM_RISCV => "RISC-V",
        elf::EM_PPC64 => "POWER",
        elf::EM_S390 => "IBM Z",
        elf::EM_LOONGARCH => "LoongArch",
        elf::EM_MIPS => "MIPS",
        elf::EM_SPARCV9 => "SPARC",
        other => return format!("another processor (ELF machine {})", other.0),
    };
    name.into()
}
