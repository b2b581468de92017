//! The binary: everything is in the library, so that tests can run it in-process.

use std::process::ExitCode;

/// A pass over many registrations makes and drops hundreds of megabytes; the system's allocator keeps a third more.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    postern_syncer::main()
}
