//! The syncer from outside its modules: translations as golden pairs, hostile registrations, poison, files.

mod file;
mod golden;
mod hostile;
mod poison;
mod reconciling;
mod scene;
