//! Series that come and go: made by the core that first needs them, read by whoever scrapes.
//!
//! The core has an index of its own and takes the lock for what is new or gone alone; a scrape holds it for no longer
//! than it takes to copy the list. Must never know what is counted.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The series of one core, as everybody may see them.
pub(crate) struct Shelf<S>(Mutex<Vec<Arc<S>>>);

impl<S> Default for Shelf<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<S> Shelf<S> {
    /// All there are.
    pub(super) fn all(&self) -> Vec<Arc<S>> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<S>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The core's own index of its [`Shelf`].
pub(crate) struct Index<S>(RefCell<HashMap<Arc<str>, Arc<S>, foldhash::fast::RandomState>>);

impl<S> Default for Index<S> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<S> Index<S> {
    /// Shows the series called `name`. What `make` makes of one that is not there is put on the shelf.
    pub(crate) fn with<T>(
        &self,
        shelf: &Shelf<S>,
        name: &Arc<str>,
        make: impl FnOnce() -> Option<S>,
        show: impl FnOnce(&S) -> T,
    ) -> Option<T> {
        if let Some(series) = self.0.borrow().get(name) {
            return Some(show(series));
        }
        let series = Arc::new(make()?);
        let shown = show(&series);
        self.put(shelf, Arc::clone(name), series);
        Some(shown)
    }

    /// Puts a series on the shelf that was made elsewhere.
    pub(crate) fn put(&self, shelf: &Shelf<S>, name: Arc<str>, series: Arc<S>) {
        shelf.lock().push(Arc::clone(&series));
        self.0.borrow_mut().insert(name, series);
    }

    /// Lets go of what is not wanted any more, here and on the shelf.
    pub(crate) fn retain(&self, shelf: &Shelf<S>, wanted: impl Fn(&S) -> bool) {
        self.0.borrow_mut().retain(|_, series| wanted(series));
        let mut all = shelf.lock();
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut *all).into_iter().partition(|series| wanted(series));
        *all = kept;
        // A scrape need not wait until their memory is given back.
        drop(all);
        drop(gone);
    }
}
