//! The directory under a store: each file is replaced as a whole.

use crate::files::replace;
use retrograde_core::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zarrs::storage::{
    Bytes, OffsetBytesIterator, StorageError, StoreKey, StorePrefix, WritableStorageTraits,
};

/// A folder that Zarr's keys are files of.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    /// Whether files must outlive a failure of the machine; what a kill leaves is whole either way.
    durable: bool,
}

impl Tree {
    pub(super) fn new(root: &Path, durable: bool) -> Self {
        Self {
            root: root.to_owned(),
            durable,
        }
    }

    pub(super) fn put(&self, key: &str, bytes: &[u8]) -> Result {
        let path = self.root.join(key);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(crate::files::io_error("cannot make", folder))?;
        }
        replace(&path, self.durable, |out| out.write_all(bytes))
    }
}

fn storage_error(e: Error) -> StorageError {
    match e {
        Error::Io { source, .. } => StorageError::from(Arc::new(source)),
        other => StorageError::Other(other.to_string()),
    }
}

impl WritableStorageTraits for Tree {
    fn set(&self, key: &StoreKey, value: Bytes) -> std::result::Result<(), StorageError> {
        self.put(key.as_str(), &value).map_err(storage_error)
    }

    fn set_partial_many(
        &self,
        _: &StoreKey,
        _: OffsetBytesIterator,
    ) -> std::result::Result<(), StorageError> {
        let why = "files are replaced as a whole";
        Err(StorageError::Unsupported(why.into()))
    }

    fn erase(&self, key: &StoreKey) -> std::result::Result<(), StorageError> {
        match std::fs::remove_file(self.root.join(key.as_str())) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(StorageError::from(Arc::new(e)))
            }
            _ => Ok(()),
        }
    }

    fn erase_prefix(&self, prefix: &StorePrefix) -> std::result::Result<(), StorageError> {
        match std::fs::remove_dir_all(self.root.join(prefix.as_str())) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(StorageError::from(Arc::new(e)))
            }
            _ => Ok(()),
        }
    }

    fn supports_set_partial(&self) -> bool {
        false
    }
}
