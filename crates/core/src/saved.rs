//! Saved states: what a state is of stands before it, so that one of another run is refused.
//!
//! Layout: 8 bytes checksum of the rest (little-endian), then a header and the state (postcard).
//! The checksum is for damage, not for malice; what passes it is still looked at, by
//! [`Algorithm::check_state`].

use crate::{Algorithm, Error, Result};
use serde::{Deserialize, Serialize};

/// What the states of a sampler depend on beside its name and the number of draws.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    dim: Option<u64>,
    settings: u64,
}

impl Signature {
    /// Of a sampler on a target of dimension `dim`. The settings enter by a hash; what cannot be
    /// written without its names (`serde(flatten)`) is not told apart.
    pub fn new(dim: usize, settings: &impl Serialize) -> Self {
        Self {
            dim: Some(dim as u64),
            settings: postcard::to_allocvec(settings).map_or(0, |bytes| checksum(&bytes)),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Header<'a> {
    component: &'a str,
    /// Draws in all.
    n: u64,
    signature: Signature,
}

/// The state of a run of `n` draws as bytes.
pub(crate) fn encode<A: Algorithm>(algorithm: &A, n: usize, state: &A::State) -> Result<Vec<u8>> {
    write(algorithm.name(), n, algorithm.signature(), |room| {
        // Measured first: a vector that grows as it is filled would need twice the room.
        let size = postcard::experimental::serialized_size(state)?;
        postcard::to_extend(state, room(size))
    })
}

/// The number of draws and the state that `bytes` hold.
pub(crate) fn decode<A: Algorithm>(algorithm: &A, bytes: &[u8]) -> Result<(usize, A::State)> {
    let fail = |why: String| Err(unreadable(algorithm, why));
    let (n, body) = unseal(algorithm.name(), algorithm.signature(), bytes)?;
    let state = match postcard::take_from_bytes::<A::State>(body) {
        Ok((state, [])) => state,
        Ok((_, rest)) => return fail(format!("{} bytes too many", rest.len())),
        Err(e) => return fail(e.to_string()),
    };
    match algorithm.check_state(n, &state) {
        Ok(()) => Ok((n, state)),
        Err(why) => fail(why),
    }
}

/// A state of `component` for `n` draws, which is bytes already, with what it is of before it.
///
/// # Errors
/// [`Error::State`].
pub fn seal(component: &str, n: usize, signature: Signature, body: &[u8]) -> Result<Vec<u8>> {
    write(component, n, signature, |room| {
        let mut bytes = room(body.len());
        bytes.extend_from_slice(body);
        Ok(bytes)
    })
}

/// The number of draws, and the state of `component` that [`seal`] was given.
///
/// # Errors
/// [`Error::State`] when the bytes are damaged, or of something else.
pub fn unseal<'a>(
    component: &str,
    signature: Signature,
    bytes: &'a [u8],
) -> Result<(usize, &'a [u8])> {
    let fail = |message: String| {
        Err(Error::State {
            component: component.into(),
            message,
        })
    };
    let Some((sum, rest)) = bytes.split_first_chunk::<CHECKSUM>() else {
        return fail(format!("{} bytes are too few", bytes.len()));
    };
    if u64::from_le_bytes(*sum) != checksum(rest) {
        return fail("its checksum does not fit: it is damaged, or no saved state".into());
    }
    let (header, body) = match postcard::take_from_bytes::<Header<'_>>(rest) {
        Ok(parts) => parts,
        Err(e) => return fail(e.to_string()),
    };
    if header.component != component {
        return fail(format!("it is of {}", header.component));
    }
    if header.signature.dim != signature.dim {
        let say = |s: Signature| s.dim.map_or_else(|| "unknown".into(), |d| d.to_string());
        return fail(format!(
            "it is of a target of dimension {}, not {}",
            say(header.signature),
            say(signature)
        ));
    }
    if header.signature != signature {
        return fail("it is of a run with other settings".into());
    }
    match usize::try_from(header.n) {
        Ok(n) => Ok((n, body)),
        Err(_) => fail(format!("{} draws are too many", header.n)),
    }
}

/// Checksum, header, and what `body` appends to the vector that its argument makes with the room it asks.
fn write(
    component: &str,
    n: usize,
    signature: Signature,
    body: impl FnOnce(&dyn Fn(usize) -> Vec<u8>) -> postcard::Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    let fail = |e: postcard::Error| Error::State {
        component: component.into(),
        message: e.to_string(),
    };
    let header = postcard::to_allocvec(&Header {
        component,
        n: n as u64,
        signature,
    })
    .map_err(fail)?;
    let room = |size: usize| {
        let mut bytes = Vec::with_capacity(CHECKSUM + header.len() + size);
        bytes.extend([0; CHECKSUM]);
        bytes.extend_from_slice(&header);
        bytes
    };
    let mut bytes = body(&room).map_err(fail)?;
    let sum = checksum(&bytes[CHECKSUM..]);
    bytes[..CHECKSUM].copy_from_slice(&sum.to_le_bytes());
    Ok(bytes)
}

pub(crate) fn unreadable(algorithm: &impl Algorithm, message: String) -> Error {
    Error::State {
        component: algorithm.name().into(),
        message,
    }
}

const CHECKSUM: usize = 8;

/// FNV-1a over words of 64 bits: each step is one to one, so that a change of a single word always
/// shows.
fn checksum(bytes: &[u8]) -> u64 {
    let mix = |h: u64, word: u64| (h ^ word).wrapping_mul(0x0100_0000_01b3);
    let (words, rest) = bytes.as_chunks::<8>();
    let mut tail = [0; 8];
    tail[..rest.len()].copy_from_slice(rest);
    let start = mix(0xcbf2_9ce4_8422_2325, bytes.len() as u64);
    let sum = words
        .iter()
        .fold(start, |h, w| mix(h, u64::from_le_bytes(*w)));
    mix(sum, u64::from_le_bytes(tail))
}
