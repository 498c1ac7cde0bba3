//! PE, the format of Windows.

use super::entry::{self, Entries, Symbol};
use object::read::ReadRef;
use object::read::pe::ImageNtHeaders;
use object::{LittleEndian as LE, pe};

pub(super) fn examine(bytes: &[u8]) -> Result<u32, String> {
    let dos = bytes
        .read_at::<pe::ImageDosHeader>(0)
        .map_err(|()| truncated(bytes, "its first header", 64))?;
    let start = u64::from(dos.e_lfanew.get(LE));
    let end = start + size_of::<pe::ImageNtHeaders64>() as u64;
    let (Ok(signature), Ok(file), Ok(magic)) = (
        bytes.read_at::<object::U32<LE>>(start),
        bytes.read_at::<pe::ImageFileHeader>(start + 4),
        bytes.read_at::<object::U16<LE>>(start + 24),
    ) else {
        return Err(truncated(bytes, "its header", end));
    };
    if signature.get(LE) != pe::IMAGE_NT_SIGNATURE {
        return Err("is a program or library of DOS, not of Windows".into());
    }
    if magic.get(LE) == pe::IMAGE_NT_OPTIONAL_HDR32_MAGIC {
        return Err("is a 32-bit library, this program has 64 bits".into());
    }
    let machine = file.machine.get(LE);
    if let Some(own) = own_machine().filter(|own| *own != machine) {
        return Err(format!(
            "is made for {}, this program runs on {}",
            cpu(machine),
            cpu(own)
        ));
    }
    if !file.characteristics.get(LE).contains(pe::IMAGE_FILE_DLL) {
        return Err("is an executable, not a shared library".into());
    }
    let end = end.max(start + 24 + u64::from(file.size_of_optional_header.get(LE)));
    if end > bytes.len() as u64 {
        return Err(truncated(bytes, "its header", end));
    }
    let mut offset = start;
    let (headers, directories) =
        pe::ImageNtHeaders64::parse(bytes, &mut offset).map_err(damaged)?;
    let sections = headers.sections(bytes, offset).map_err(|_| {
        let count = u64::from(file.number_of_sections.get(LE));
        let table = count * size_of::<pe::ImageSectionHeader>() as u64;
        truncated(bytes, "its table of sections", offset.saturating_add(table))
    })?;
    for section in sections.iter() {
        let stored = u64::from(section.size_of_raw_data.get(LE));
        let end = u64::from(section.pointer_to_raw_data.get(LE)) + stored;
        if stored != 0 && end > bytes.len() as u64 {
            return Err(truncated(bytes, "a section", end));
        }
    }
    let mut entries = Entries::default();
    let Some(directory) = directories.get(pe::IMAGE_DIRECTORY_ENTRY_EXPORT) else {
        return entries.verdict();
    };
    let address = directory.virtual_address.get(LE);
    if address == 0 {
        return entries.verdict();
    }
    let at = |address: u32, what: &str| {
        sections
            .pe_data_at(bytes, address)
            .ok_or_else(|| damaged(format_args!("{what} lies outside its sections")))
    };
    let exports = at(address, "its table of exports")?
        .read_at::<pe::ImageExportDirectory>(0)
        .map_err(|()| damaged("its table of exports does not fit into its section"))?;
    let count = exports.number_of_names.get(LE) as usize;
    if count == 0 {
        return entries.verdict();
    }
    let short = |()| damaged("its lists of exports do not fit into their section");
    let names = at(exports.address_of_names.get(LE), "its list of names")?
        .read_slice_at::<object::U32<LE>>(0, count)
        .map_err(short)?;
    let places = at(
        exports.address_of_name_ordinals.get(LE),
        "its list of numbers",
    )?
    .read_slice_at::<object::U16<LE>>(0, count)
    .map_err(short)?;
    let functions = at(
        exports.address_of_functions.get(LE),
        "its list of addresses",
    )?
    .read_slice_at::<object::U32<LE>>(0, exports.number_of_functions.get(LE) as usize)
    .map_err(short)?;
    let forwards = address..address.saturating_add(directory.size.get(LE));
    for (name, place) in names.iter().zip(places) {
        let name = at(name.get(LE), "the name of an export")?;
        let Some(version) = entry::version(name) else {
            continue;
        };
        let Some(address) = functions.get(usize::from(place.get(LE))) else {
            return Err(damaged("an export has no address"));
        };
        let address = address.get(LE);
        let code = sections.section_containing(address).is_some_and(|s| {
            s.characteristics
                .get(LE)
                .contains(pe::IMAGE_SCN_MEM_EXECUTE)
        });
        let symbol = if forwards.contains(&address) {
            Symbol::Other("a forward to another library")
        } else if code {
            Symbol::Function
        } else {
            Symbol::Other("data")
        };
        entries.add(version, symbol);
    }
    entries.verdict()
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

fn own_machine() -> Option<pe::Machine> {
    Some(match std::env::consts::ARCH {
        "x86_64" => pe::IMAGE_FILE_MACHINE_AMD64,
        "aarch64" => pe::IMAGE_FILE_MACHINE_ARM64,
        _ => return None,
    })
}

fn cpu(machine: pe::Machine) -> String {
    match machine {
        pe::IMAGE_FILE_MACHINE_AMD64 => "x86-64".into(),
        pe::IMAGE_FILE_MACHINE_ARM64 => "ARM (AArch64)".into(),
        pe::IMAGE_FILE_MACHINE_I386 => "x86".into(),
        other => format!("another processor (PE machine {:#x})", other.0),
    }
}
