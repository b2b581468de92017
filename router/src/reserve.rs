//! A descriptor that is kept so that a file can be read when all others are in use.
//!
//! A crowd at the door takes whatever descriptor is free. What is kept here is let go of for the moment in which a file
//! is read and taken again behind it; a crowd that was quicker is asked again at the next look. Must never know what is
//! read.

use std::cell::Cell;
use std::fs::File;
use std::io;

use rustix::io::Errno;

/// The descriptor, unless it is in use or there was none to be had.
#[derive(Default)]
pub(crate) struct Reserve(Cell<Option<File>>);

impl Reserve {
    /// Sees that there is one, as far as the system lets it.
    pub(crate) fn take(&self) {
        let kept = self.0.take().or_else(|| File::open("/dev/null").ok());
        self.0.set(kept);
    }

    /// Lets whoever comes next have it.
    pub(crate) fn release(&self) {
        self.0.set(None);
    }
}

/// Whether an error says that descriptors are used up, of the process or of the system.
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}
