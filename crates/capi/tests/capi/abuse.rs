//! Each function as it should be called, and as it should not: NULL in each pointer argument in
//! turn, kinds, names and places that do not exist, strings that are not UTF-8, small buffers.

use retrograde::core::Kind;
use retrograde_capi::abi::*;
use retrograde_capi::*;
use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};

const KINDS: [(i32, Kind); 4] = [
    (RG_KIND_TARGET, Kind::Target),
    (RG_KIND_PROCESS, Kind::Process),
    (RG_KIND_SCORE, Kind::Score),
    (RG_KIND_SAMPLER, Kind::Sampler),
];
const BAD_KINDS: [i32; 5] = [0, 5, -1, i32::MIN, i32::MAX];

/// Where a function puts its error.
type Err = *mut *mut rg_error;

/// A context that is freed when the test ends, also by a panic.
struct Context(*mut rg_context);

impl Context {
    fn new() -> Self {
        let mut cx = null_mut();
        // SAFETY: both places are local variables.
        ok(|err| unsafe { rg_context_new(&raw mut cx, err) });
        assert!(!cx.is_null());
        Self(cx)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: made by `rg_context_new`, freed once.
        unsafe { rg_context_free(self.0) }
    }
}

// In these tests every pointer is NULL, a context that lives, a NUL-terminated string, or a
// variable or buffer of the size that is told.

fn count(cx: *const rg_context, kind: i32, n: *mut usize, err: Err) -> rg_status {
    // SAFETY: see above.
    unsafe { rg_context_count(cx, kind, n, err) }
}

fn name(cx: *const rg_context, kind: i32, i: usize, out: Out, err: Err) -> rg_status {
    // SAFETY: see above.
    unsafe { rg_context_name(cx, kind, i, out.buf, out.cap, out.need, err) }
}

fn describe(
    cx: *const rg_context,
    kind: i32,
    name: *const c_char,
    out: Out,
    err: Err,
) -> rg_status {
    // SAFETY: see above.
    unsafe { rg_context_describe(cx, kind, name, out.buf, out.cap, out.need, err) }
}

/// A string the library hands out.
fn read(text: *const c_char) -> String {
    assert!(!text.is_null());
    // SAFETY: not NULL, and the library terminates its strings.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().unwrap().to_owned()
}

/// A call that must succeed, and leave the place for the error alone.
fn ok(call: impl FnOnce(Err) -> rg_status) {
    let mut err = null_mut();
    let status = call(&raw mut err);
    assert_eq!((status, err), (RG_OK, null_mut()));
}

/// A call that must fail with that status, with and without a place for the error. Returns the
/// message.
fn fails(expected: rg_status, mut call: impl FnMut(Err) -> rg_status) -> String {
    assert_eq!(call(null_mut()), expected);
    let mut err = null_mut();
    assert_eq!(call(&raw mut err), expected);
    assert!(!err.is_null());
    // SAFETY: the call made an error, which is freed once, here.
    unsafe {
        assert_eq!(rg_error_code(err), expected);
        let message = read(rg_error_message(err));
        assert_eq!(read(rg_error_detail(err)), message, "it has no causes");
        rg_error_free(err);
        message
    }
}

/// The arguments of a function that fills a buffer.
#[derive(Clone, Copy)]
struct Out {
    buf: *mut c_char,
    cap: usize,
    need: *mut usize,
}

/// The text a function fills in, with every rule of buffers checked on the way.
fn filled(fill: impl Fn(Out, Err) -> rg_status) -> String {
    /// Content of a buffer before a call.
    const OLD: c_char = 0x7f;

    let mut need = 0;
    let told = &raw mut need;
    let ask = |need| Out {
        buf: null_mut(),
        cap: 0,
        need,
    };
    ok(|err| fill(ask(told), err));
    assert!(need > 1);

    let mut buffer = vec![OLD; need + 1];
    let mut again = 0;
    let (buf, cap) = (buffer.as_mut_ptr(), need);
    ok(|err| {
        fill(
            Out {
                buf,
                cap,
                need: &raw mut again,
            },
            err,
        )
    });
    assert_eq!(again, need);
    assert_eq!(buffer[need - 1..], [0, OLD]);
    let text = read(buffer.as_ptr());
    assert_eq!(text.len() + 1, need);

    // A buffer with room needs nobody to tell its size.
    let mut buffer = vec![OLD; need];
    let buf = buffer.as_mut_ptr();
    ok(|err| {
        fill(
            Out {
                buf,
                cap,
                need: null_mut(),
            },
            err,
        )
    });
    assert_eq!(read(buffer.as_ptr()), text);

    for cap in [1, need / 2, need - 1] {
        let mut small = vec![OLD; cap];
        let mut told = 0;
        let out = Out {
            buf: small.as_mut_ptr(),
            cap,
            need: &raw mut told,
        };
        let said = fails(RG_ERR_BUFFER, |err| fill(out, err));
        assert_eq!(
            said,
            format!("`buf` holds {cap} elements, {need} are needed")
        );
        assert_eq!(told, need);
        assert!(small.iter().all(|b| *b == OLD), "half-written");
    }

    // A buffer of some size that is not there; a question without a place for the answer.
    let mut told = 0;
    let nowhere = Out {
        buf: null_mut(),
        cap: 8,
        need: &raw mut told,
    };
    assert_eq!(
        fails(RG_ERR_NULL, |err| fill(nowhere, err)),
        "`buf` is NULL"
    );
    assert_eq!(told, 0);
    assert_eq!(
        fails(RG_ERR_NULL, |err| fill(ask(null_mut()), err)),
        "`need` is NULL"
    );
    text
}

#[test]
fn contexts_list_and_describe_what_the_registry_holds() {
    let registry = retrograde::registry().unwrap();
    let cx = Context::new();
    for (code, kind) in KINDS {
        let components: Vec<_> = registry.of(kind).collect();
        let mut n = usize::MAX;
        ok(|err| count(cx.0, code, &raw mut n, err));
        assert_eq!(n, components.len());
        for (i, component) in components.into_iter().enumerate() {
            let found = filled(|out, err| name(cx.0, code, i, out, err));
            assert_eq!(found, component.name);
            let c_name = CString::new(found).unwrap();
            let text = filled(|out, err| describe(cx.0, code, c_name.as_ptr(), out, err));
            let object: serde_json::Value = serde_json::from_str(&text).unwrap();
            let keys: Vec<_> = object.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["kind", "name", "summary", "source", "schema"]);
            assert_eq!(object["kind"], kind.word());
            assert_eq!(object["name"], *component.name);
            assert_eq!(object["summary"], *component.summary);
            assert_eq!(object["source"], *component.source);
            assert_eq!(object["schema"], *component.schema.as_value());
            assert_eq!(object["schema"]["type"], "object");
        }
    }
}

#[test]
fn null_is_named() {
    let cx = Context::new();
    let ula = c"ula".as_ptr();
    let kind = RG_KIND_SAMPLER;
    let (mut n, mut need, mut buffer) = (77, 77, [77; 64]);
    let n = &raw mut n;
    let out = Out {
        buf: buffer.as_mut_ptr(),
        cap: buffer.len(),
        need: &raw mut need,
    };

    // SAFETY: NULL is what is tested; nothing else is passed.
    let said = fails(RG_ERR_NULL, |err| unsafe {
        rg_context_new(null_mut(), err)
    });
    assert_eq!(said, "`out` is NULL");
    assert_eq!(
        fails(RG_ERR_NULL, |err| count(null(), kind, n, err)),
        "`cx` is NULL"
    );
    assert_eq!(
        fails(RG_ERR_NULL, |err| count(cx.0, kind, null_mut(), err)),
        "`n` is NULL"
    );
    assert_eq!(
        fails(RG_ERR_NULL, |err| name(null(), kind, 0, out, err)),
        "`cx` is NULL"
    );
    assert_eq!(
        fails(RG_ERR_NULL, |err| describe(null(), kind, ula, out, err)),
        "`cx` is NULL"
    );
    assert_eq!(
        fails(RG_ERR_NULL, |err| describe(cx.0, kind, null(), out, err)),
        "`name` is NULL"
    );
    // `buf` and `need` of the last two: see `filled`.
    // SAFETY: both point to local variables.
    let after = unsafe { (*n, *out.need) };
    assert_eq!((after, buffer), ((77, 77), [77; 64]), "outputs on failure");

    // SAFETY: NULL is allowed here, and stands for no error and nothing to free.
    unsafe {
        assert_eq!(rg_error_code(null()), RG_OK);
        assert_eq!(read(rg_error_message(null())), "");
        assert_eq!(read(rg_error_detail(null())), "");
        rg_error_free(null_mut());
        rg_context_free(null_mut());
        assert_eq!(
            rg_check_abi(RG_ABI, RG_ABI_MINOR, null_mut(), 1),
            RG_ERR_NULL
        );
        assert_eq!(rg_check_abi(RG_ABI, RG_ABI_MINOR, null_mut(), 0), RG_OK);
    }
}

#[test]
fn kinds_places_and_names_that_do_not_exist() {
    let cx = Context::new();
    let (mut n, mut need, mut buffer) = (77, 77, [77; 64]);
    let out = Out {
        buf: buffer.as_mut_ptr(),
        cap: buffer.len(),
        need: &raw mut need,
    };
    let place = &raw mut n;
    for kind in BAD_KINDS {
        let allowed = format!(
            "`kind` is {kind}, but must be RG_KIND_TARGET (1), RG_KIND_PROCESS (2), \
             RG_KIND_SCORE (3) or RG_KIND_SAMPLER (4)"
        );
        let said = [
            fails(RG_ERR_ARG, |err| count(cx.0, kind, place, err)),
            fails(RG_ERR_ARG, |err| name(cx.0, kind, 0, out, err)),
            fails(RG_ERR_ARG, |err| {
                describe(cx.0, kind, c"ula".as_ptr(), out, err)
            }),
        ];
        let functions = ["rg_context_count", "rg_context_name", "rg_context_describe"];
        assert_eq!(said, functions.map(|f| format!("{f}: {allowed}")));
    }

    for (code, kind) in KINDS {
        let n = retrograde::registry().unwrap().of(kind).count();
        for i in [n, usize::MAX] {
            let said = fails(RG_ERR_ARG, |err| name(cx.0, code, i, out, err));
            let expected = format!(
                "rg_context_name: `i` is {i}, but must be below {n}, the number of components of kind {}",
                kind.word()
            );
            assert_eq!(said, expected);
        }
    }

    let unknown = |kind, given: &CStr| {
        fails(RG_ERR_NOT_FOUND, |err| {
            describe(cx.0, kind, given.as_ptr(), out, err)
        })
    };
    assert_eq!(
        unknown(RG_KIND_TARGET, c"standard_norml"),
        "no target is called `standard_norml`; did you mean `standard-normal`?"
    );
    assert_eq!(unknown(RG_KIND_SAMPLER, c""), "no sampler is called ``");
    // The names of one kind are not those of another.
    assert!(unknown(RG_KIND_TARGET, c"ula").starts_with("no target is called `ula`"));

    let bad = |given: &CStr| {
        fails(RG_ERR_UTF8, |err| {
            describe(cx.0, RG_KIND_SAMPLER, given.as_ptr(), out, err)
        })
    };
    assert_eq!(
        bad(c"ul\xff"),
        "`name` is not valid UTF-8 (first bad byte at 2)"
    );
    assert_eq!(
        bad(c"\xc3"),
        "`name` is not valid UTF-8 (first bad byte at 0)"
    );
    assert_eq!((n, need, buffer), (77, 77, [77; 64]), "outputs on failure");
}

#[test]
fn versions_are_compared_and_told() {
    assert_eq!(read(rg_version()), env!("CARGO_PKG_VERSION"));
    let check = |abi, minor, cap: usize| {
        let mut buffer = vec![0x7f; cap];
        // SAFETY: the buffer has `cap` bytes.
        let status = unsafe { rg_check_abi(abi, minor, buffer.as_mut_ptr(), cap) };
        (status, read(buffer.as_ptr()))
    };
    for minor in 0..=RG_ABI_MINOR {
        assert_eq!(check(RG_ABI, minor, 8), (RG_OK, String::new()));
    }
    let (newer, other) = (RG_ABI_MINOR + 1, RG_ABI + 1);
    let (status, said) = check(RG_ABI, newer, 256);
    assert_eq!(status, RG_ERR_ABI);
    assert!(
        said.contains(&format!("version {RG_ABI}.{newer} of")),
        "{said}"
    );
    assert!(
        said.contains(&format!("has {RG_ABI}.{RG_ABI_MINOR}; install")),
        "{said}"
    );

    let (status, said) = check(other, 0, 256);
    assert_eq!(status, RG_ERR_ABI);
    assert!(said.contains(&format!("version {other}.0 of")), "{said}");
    assert!(said.contains("compile the program again"), "{said}");
    assert_eq!(check(other, 0, said.len() + 1), (RG_ERR_ABI, said.clone()));
    assert_eq!(check(other, 0, said.len()), (RG_ERR_ABI, String::new()));
    assert_eq!(check(other, 0, 1), (RG_ERR_ABI, String::new()));

    let (_, longest) = check(u32::MAX, u32::MAX, 256);
    assert!(!longest.is_empty(), "256 bytes are promised to do");
}

#[test]
fn a_context_is_read_by_many_threads() {
    let owned = Context::new();
    // SAFETY: the context lives until the end of this function.
    let cx = unsafe { &*owned.0 };
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(move || {
                for _ in 0..50 {
                    let text =
                        filled(|out, err| describe(cx, RG_KIND_SAMPLER, c"ula".as_ptr(), out, err));
                    assert!(text.starts_with("{\"kind\":\"sampler\",\"name\":\"ula\","));
                }
            });
        }
    });
}
