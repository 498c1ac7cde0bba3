//! The one file from which a run goes on. It is replaced as a whole, so that a kill at any moment
//! leaves the last one or the new one.
//!
//! Layout: 32 bytes SHA-256 of the rest, 8 bytes length of the head, the head (postcard), the
//! sampler's state as it gave it.

use crate::files::write_atomically;
use crate::store::Extent;
use retrograde_core::drive::Checkpoint;
use retrograde_core::{Counts, Error, Flag, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// A table of a run: columns and rows.
pub(crate) type Tables = BTreeMap<String, (Vec<String>, Vec<Vec<f64>>)>;

/// What a run gathered so far beside its draws.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gathered {
    pub(crate) scalars: BTreeMap<String, f64>,
    pub(crate) tables: Tables,
    pub(crate) flags: BTreeMap<String, Flag>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Head {
    step: u64,
    counts: Counts,
    done: bool,
    has_state: bool,
    extent: Extent,
    gathered: Gathered,
    seconds: f64,
}

/// A run as it is on disk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Saved {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) extent: Extent,
    pub(crate) gathered: Gathered,
    /// Seconds of sampling so far.
    pub(crate) seconds: f64,
}

impl Saved {
    pub(crate) fn write(&self, path: &Path) -> Result {
        let head = Head {
            step: self.checkpoint.step,
            counts: self.checkpoint.counts.clone(),
            done: self.checkpoint.done,
            has_state: self.checkpoint.state.is_some(),
            extent: self.extent.clone(),
            gathered: self.gathered.clone(),
            seconds: self.seconds,
        };
        let head = postcard::to_allocvec(&head).map_err(|e| damaged(&e))?;
        let length = (head.len() as u64).to_le_bytes();
        let state = self.checkpoint.state.as_deref().unwrap_or(&[]);
        let mut hash = Sha256::new();
        hash.update(length);
        hash.update(&head);
        hash.update(state);
        let hash = hash.finalize();
        write_atomically(path, |out| {
            out.write_all(&hash)?;
            out.write_all(&length)?;
            out.write_all(&head)?;
            out.write_all(state)
        })
    }

    /// The checkpoint at `path`; `None` if there is none yet.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(crate::files::io_error("cannot read", path)(e)),
        };
        let Some((hash, rest)) = bytes.split_at_checked(32) else {
            return Err(damaged(&"it is too short"));
        };
        if Sha256::digest(rest).as_slice() != hash {
            return Err(damaged(&"its checksum does not fit"));
        }
        let Some((length, rest)) = rest.split_first_chunk::<8>() else {
            return Err(damaged(&"it is too short"));
        };
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some((head, state)) = rest.split_at_checked(length) else {
            return Err(damaged(&"it is too short"));
        };
        let head: Head = postcard::from_bytes(head).map_err(|e| damaged(&e))?;
        Ok(Some(Self {
            checkpoint: Checkpoint {
                step: head.step,
                counts: head.counts,
                done: head.done,
                state: head.has_state.then(|| state.to_vec()),
            },
            extent: head.extent,
            gathered: head.gathered,
            seconds: head.seconds,
        }))
    }
}

fn damaged(why: &dyn std::fmt::Display) -> Error {
    Error::State {
        component: "checkpoint".into(),
        message: why.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_comes_back_bit_for_bit_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint.bin");
        assert_eq!(Saved::read(&path).unwrap(), None);
        let mut gathered = Gathered::default();
        gathered.scalars.insert("log_z".into(), 0.1 + 0.2);
        let saved = Saved {
            checkpoint: Checkpoint {
                step: 9,
                counts: Counts::default(),
                done: false,
                state: Some(vec![1, 2, 3]),
            },
            extent: Extent {
                rows: 4,
                chains: 2,
                columns: None,
                digest: [5; 32],
            },
            gathered,
            seconds: 1.5,
        };
        saved.write(&path).unwrap();
        assert_eq!(Saved::read(&path).unwrap(), Some(saved));
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            assert!(Saved::read(&path).is_err(), "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(Saved::read(&path).is_err(), "cut at {at}");
        }
    }
}
