//! The program `yardmaster`.

use std::process::ExitCode;

/// A batch makes and drops some hundred thousand small values: the system's allocator spent a sixth of the time on it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    yardmaster::cli::main()
}
