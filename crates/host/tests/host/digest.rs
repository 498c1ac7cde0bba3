//! The digest beside an installed plugin.

use crate::workshop;
use retrograde_core::{Error, Result};
use retrograde_host::{Sidecar, digest};
use std::fs;

/// FIPS 180-4 and NIST's example values.
#[test]
fn sha256_is_that_of_the_standard() {
    for (text, digest) in [
        (
            "",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        (
            "abc",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
    ] {
        assert_eq!(digest::sha256(text.as_bytes()), digest);
    }
}

fn of(text: &str) -> Sidecar {
    Sidecar {
        sha256: digest::sha256(text.as_bytes()),
        installed_from: Some("/home/ada/my \"demo\"/libdemo.so".into()),
        version: Some("1.2.0".into()),
    }
}

#[test]
fn what_is_written_is_read() {
    let folder = workshop("sidecar");
    let plugin = folder.join("libdemo.so");
    assert_eq!(Sidecar::path(&plugin), folder.join("libdemo.so.toml"));
    assert_eq!(Sidecar::read(&plugin).unwrap(), None);
    let sidecar = of("abc");
    sidecar.write(&plugin).unwrap();
    assert_eq!(Sidecar::read(&plugin).unwrap(), Some(sidecar));
    // A second time it takes the place of the first, and leaves nothing else behind.
    let sidecar = Sidecar {
        installed_from: None,
        version: None,
        ..of("abcd")
    };
    sidecar.write(&plugin).unwrap();
    assert_eq!(Sidecar::read(&plugin).unwrap(), Some(sidecar.clone()));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    // Capitals are digits too, and a key of later versions is no mistake.
    let text = format!(
        "sha256 = {:?}\nsigned_by = 3\n",
        sidecar.sha256.to_uppercase()
    );
    fs::write(Sidecar::path(&plugin), text).unwrap();
    let read = Sidecar::read(&plugin).unwrap().unwrap();
    read.verify(&plugin, &digest::sha256(b"abcd")).unwrap();

    let bad = Sidecar {
        sha256: "abc".into(),
        ..of("")
    };
    assert_eq!(
        bad.write(&plugin).unwrap_err().to_string(),
        "digest of a plugin: `sha256` is \"abc\", but must be 64 hexadecimal digits"
    );
    assert!(matches!(
        of("").write(&folder.join("none/libdemo.so")),
        Err(Error::Io { .. })
    ));
}

#[test]
fn what_does_not_fit_is_refused_with_both_digests() {
    let folder = workshop("sidecar-differs");
    let plugin = folder.join("libdemo.so");
    let error = of("abc").verify(&plugin, &digest::sha256(b"")).unwrap_err();
    let Error::Plugin { file, message } = error else {
        panic!("{error:?}");
    };
    assert_eq!(file, plugin);
    assert_eq!(
        message.replace(&folder.display().to_string(), "DIR"),
        "is not the file that was installed: its SHA-256 begins with e3b0c44298fc, but \
         DIR/libdemo.so.toml says ba7816bf8f01; install the plugin again"
    );
}

#[test]
fn a_digest_that_cannot_be_read_refuses() {
    let folder = workshop("sidecar-bad");
    let plugin = folder.join("libdemo.so");
    let path = Sidecar::path(&plugin);
    let said = |read: Result<Option<Sidecar>>| match read {
        Err(Error::Plugin { message, .. }) => message
            .strip_prefix(&format!(
                "cannot be compared with its digest, {}: ",
                path.display()
            ))
            .and_then(|m| m.strip_suffix("; install the plugin again"))
            .unwrap()
            .to_string(),
        other => panic!("{other:?}"),
    };
    let long = format!("# {}", "x".repeat(1 << 16));
    for (text, why) in [
        ("".as_bytes(), "missing field `sha256`"),
        (b"sha265 = \"00\"", "missing field `sha256`"),
        (
            b"\n\nsha256 = 3",
            "line 3: invalid type: integer `3`, expected a string",
        ),
        (
            b"sha256 = \"00\"",
            "`sha256` is \"00\", but must be 64 hexadecimal digits",
        ),
        (b"\xff\xfe", "stream did not contain valid UTF-8"),
        (long.as_bytes(), "that file has more than 65536 bytes"),
    ] {
        fs::write(&path, text).unwrap();
        let found = said(Sidecar::read(&plugin));
        assert!(found.ends_with(why), "{found}");
    }
    fs::write(&path, "sha256 = \n").unwrap();
    assert!(said(Sidecar::read(&plugin)).starts_with("line 1: "));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(said(Sidecar::read(&plugin)), "that is not a regular file");
    fs::remove_dir(&path).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("gone", &path).unwrap();
        assert_eq!(
            said(Sidecar::read(&plugin)),
            "No such file or directory (os error 2)"
        );
        fs::remove_file(&path).unwrap();
        of("abc").write(&plugin).unwrap();
        crate::mode(&path, 0o666);
        assert_eq!(
            said(Sidecar::read(&plugin)),
            "everyone can change that file (mode 666)"
        );
        crate::mode(&path, 0o644);
        assert_eq!(Sidecar::read(&plugin).unwrap(), Some(of("abc")));
    }
}
