//! The program `yardmaster`.

use std::process::ExitCode;

fn main() -> ExitCode {
    yardmaster::cli::main()
}
