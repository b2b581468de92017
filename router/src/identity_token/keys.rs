//! The key in use, those before it, and the set that destinations verify with.
//!
//! Owns the file of the key: it is read again when it changes, and the last good one stays. Must never know requests.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::key::SigningKey;
use crate::freshness::unix_now;
use crate::listener::{Files, Kept, Looked, SetupError};

/// How often the file is looked at.
const POLL: Duration = Duration::from_millis(500);

/// Most keys that are published: the one in use, and those before it since the start.
const PUBLISHED: usize = 4;

/// What the cores ask.
pub(crate) struct Keys {
    /// `iss` of every token.
    pub(super) issuer: Box<str>,
    /// Where the set is published on the data listeners.
    pub(crate) path: Option<Box<str>>,
    /// Rises with every change, so that a core asks for the keys themselves only then.
    changes: AtomicU64,
    ring: Mutex<Arc<Ring>>,
}

/// The keys at one time.
pub(super) struct Ring {
    pub(super) current: Arc<SigningKey>,
    /// The newest first.
    published: Vec<Value>,
    set: Vec<u8>,
}

impl Ring {
    fn new(current: Arc<SigningKey>, before: &[Value]) -> Self {
        let mut published = vec![current.public().clone()];
        published.extend(before.iter().filter(|one| one["kid"] != current.kid()).cloned());
        published.truncate(PUBLISHED);
        let set = format!("{}\n", json!({ "keys": published })).into_bytes();
        Self { current, published, set }
    }
}

/// Looks after the file, on a thread that serves nobody.
pub(crate) struct KeyKeeper {
    keys: Arc<Keys>,
    kept: Kept<Arc<SigningKey>>,
}

impl KeyKeeper {
    /// Reads the key for the first time. `now` in unix seconds.
    ///
    /// # Errors
    /// When it cannot be used: at the start there is no older one to go on with.
    pub(crate) fn open(file: PathBuf, issuer: &str, path: Option<&str>, now: i64) -> Result<Self, SetupError> {
        let files = Files::new([&file]);
        let kept = Kept::open(files, now, move |_| SigningKey::read(&file).map(Arc::new))?;
        let ring = Mutex::new(Arc::new(Ring::new(Arc::clone(&kept.value), &[])));
        let keys = Keys { issuer: issuer.into(), path: path.map(Into::into), changes: AtomicU64::new(1), ring };
        Ok(Self { keys: Arc::new(keys), kept })
    }

    /// What the cores ask.
    pub(crate) fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys)
    }

    /// Looks until the other end of the channel is gone.
    pub(crate) fn look_after(mut self, until: &Receiver<()>) {
        while matches!(until.recv_timeout(POLL), Err(RecvTimeoutError::Timeout)) {
            match self.kept.look(unix_now()) {
                Looked::Same => {}
                Looked::Loaded(files) => {
                    self.keys.change(Arc::clone(&self.kept.value));
                    tracing::info!(%files, kid = self.kept.value.kid(), "identity tokens are signed with the key that has come");
                }
                Looked::Refused(files, error) => tracing::warn!(%files, %error, "the older key stays in use"),
            }
        }
    }
}

impl Keys {
    fn change(&self, current: Arc<SigningKey>) {
        let next = Arc::new(Ring::new(current, &self.ring().published));
        *self.ring.lock().unwrap_or_else(PoisonError::into_inner) = next;
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// How often the keys changed.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The keys. Takes a lock: not for every request.
    pub(super) fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.ring.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The set of public keys (RFC 7517 §5), as JSON.
    pub(crate) fn set(&self) -> Vec<u8> {
        self.ring().set.clone()
    }
}
