//! Damaged files: whatever the bytes, there is an answer; and a digest finds every one.

use crate::libraries::{PLUGIN, compile};
use crate::{Random, workshop};
use retrograde_host::preflight::examine;
use retrograde_host::{Sidecar, digest, preflight};
use std::collections::BTreeMap;
use std::fs;

#[test]
fn the_digest_finds_every_damaged_copy() {
    let folder = workshop("flipped");
    let good = compile(&folder, "good.so", PLUGIN, &["-shared"]);
    let bytes = fs::read(&good).unwrap();
    let sidecar = Sidecar {
        sha256: digest::sha256(&bytes),
        installed_from: None,
        version: None,
    };
    let file = folder.join("copy.so");
    fs::write(&file, &bytes).unwrap();
    sidecar.write(&file).unwrap();
    assert_eq!(preflight(&file).unwrap().installed, Some(sidecar.clone()));

    let mut random = Random(20_250);
    let (mut looked_sound, mut by_digest) = (0, 0);
    for _ in 0..1500 {
        let mut copy = bytes.clone();
        for _ in 0..=random.below(4) {
            let at = random.below(copy.len());
            copy[at] ^= u8::try_from(1 + random.below(255)).unwrap();
        }
        if copy == bytes {
            continue;
        }
        looked_sound += usize::from(examine(&copy).is_ok());
        fs::write(&file, &copy).unwrap();
        let text = preflight(&file).unwrap_err().to_string();
        by_digest += usize::from(text.contains("is not the file that was installed"));
    }
    // It is the digest that finds them: most look sound, because few bytes of a library are headers.
    assert!(looked_sound > 1000, "{looked_sound}");
    assert_eq!(by_digest, looked_sound);
}

#[test]
fn no_bytes_make_it_panic() {
    let folder = workshop("mutations");
    let mut random = Random(31);
    let mut answers: BTreeMap<String, u32> = BTreeMap::new();
    for style in ["gnu", "sysv"] {
        let hash = format!("-Wl,--hash-style={style}");
        // Packed, so that what is read is a large part of the file.
        let options = ["-shared", "-s", "-Wl,-z,noseparate-code", &hash];
        let good = fs::read(compile(&folder, style, PLUGIN, &options)).unwrap();
        for _ in 0..40_000 {
            let mut bytes = good.clone();
            for _ in 0..=random.below(6) {
                random.wound(&mut bytes);
            }
            if random.below(8) == 0 {
                bytes.truncate(random.below(bytes.len() + 1));
            }
            let answer = match examine(&bytes) {
                Ok(version) => {
                    assert_eq!(version, 1);
                    "sound".into()
                }
                Err(text) => {
                    assert!(!text.is_empty() && !text.ends_with('.'));
                    text.chars().filter(|c| !c.is_ascii_digit()).collect()
                }
            };
            *answers.entry(answer).or_default() += 1;
        }
    }
    // Headers followed by noise.
    for _ in 0..20_000 {
        let mut bytes: Vec<u8> = (0..random.below(700))
            .map(|_| random.next() as u8)
            .collect();
        let head = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0";
        let n = head.len().min(bytes.len());
        bytes[..n].copy_from_slice(&head[..n]);
        if bytes.len() > 58 {
            bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
            bytes[54..58].copy_from_slice(&[56, 0, 3, 0]);
        }
        let _ = examine(&bytes);
    }
    // The mutations reach what they are meant to: all the tables.
    for wanted in [
        "sound",
        "is damaged: its hash table is longer than its segment",
        "is damaged: its GNU hash table is longer than its segment",
        "is damaged: its string table is longer than its segment",
        "is damaged: its  symbols do not fit into their segment",
        "is damaged: a symbol's name lies outside its string table",
        "is damaged: its loadable segment  overlaps the one before",
        "is truncated: its loadable segment  goes up to byte , but the file has ",
    ] {
        assert!(answers.contains_key(wanted), "{wanted}: {answers:#?}");
    }
}
