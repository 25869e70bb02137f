//! The project's own chores, called as `cargo xtask CHORE` or through `./yard`: one file per kind of chore.
//!
//! **Invariant:** nothing here is needed at run time; what a user runs lies in the program's own commands.

#![expect(
    clippy::print_stderr,
    reason = "chores tell a person what they do; stdout belongs to what they run, or to what was asked for"
)]

mod bench;
mod cargo;
mod lint;
mod program;
mod python;
mod steps;
mod test;

use std::env;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask CHORE [ARGUMENTS]

  demo [...]   build the program and run `yardmaster demo`
  dev [...]    build the program and run `yardmaster dev`
  kafka [...]  build the program and run `yardmaster kafka`
  bench [...]  build the program, measure it and its peers, write docs/benchmarks.md
  chaos [...]  break the program in every way that is known: --list shows the ways
  lint         format, clippy, tidy
  mutants [M]  show that the tests find each mistake that a server can be told to make
  test         everything that CI runs";

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let chore = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let outcome = match chore.as_str() {
        "demo" | "dev" | "kafka" => program::run_program(&chore, &rest),
        "bench" => bench::run_bench(&rest),
        "chaos" => program::run_chaos(&rest),
        "lint" => lint::run_lint(),
        "mutants" => program::run_mutants(&rest),
        "test" => test::run_test(),
        "" | "help" | "-h" | "--help" => {
            eprintln!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        unknown => {
            eprintln!("xtask: unknown chore {unknown}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
