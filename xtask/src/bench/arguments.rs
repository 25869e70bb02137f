//! What `./yard bench` was told.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::plan::{MEASUREMENTS, Measurement};

/// For `--help`.
pub(crate) const USAGE: &str = "\
usage: ./yard bench [--quick|--full] [NAME...]

  --quick          2 rounds of fewer tasks, instead of 5
  --full           also what takes tens of gigabytes of disk
  --program FILE   measure this yardmaster instead of building one
  --out DIR        write there instead of into docs/
  NAME...          only these measurements:";

/// What to do.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Arguments {
    /// Fewer rounds of fewer tasks.
    pub(crate) is_quick: bool,
    /// Everything.
    pub(crate) is_full: bool,
    /// Show the usage, do nothing.
    pub(crate) is_help: bool,
    /// What is measured, if it is not to be built.
    pub(crate) program: Option<PathBuf>,
    /// Where the table goes.
    pub(crate) out: Option<PathBuf>,
    /// Only these measurements; all when empty.
    pub(crate) names: Vec<String>,
}

impl Arguments {
    /// Of the words after `bench`.
    pub(crate) fn read(words: &[String]) -> Result<Self> {
        let mut arguments = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut path = || match words.next() {
                Some(path) => Ok(Some(PathBuf::from(path))),
                None => bail!("{word} needs a value\n\n{}", usage()),
            };
            match word.as_str() {
                "--quick" => arguments.is_quick = true,
                "--full" => arguments.is_full = true,
                "--help" | "-h" => arguments.is_help = true,
                "--program" => arguments.program = path()?,
                "--out" => arguments.out = path()?,
                option if option.starts_with('-') => bail!(
                    "unknown option {option}; `yardmaster bench` has more, for one measurement\n\n{}",
                    usage()
                ),
                name if MEASUREMENTS.iter().any(|one| one.name == name) => {
                    arguments.names.push(name.to_owned())
                }
                name => bail!("unknown measurement {name}\n\n{}", usage()),
            }
        }
        if arguments.is_quick && arguments.is_full {
            bail!("--quick and --full exclude each other");
        }
        Ok(arguments)
    }

    /// Whether a measurement is to be run. What is named runs, also what else only `--full` does.
    pub(crate) fn wants(&self, measurement: &Measurement) -> bool {
        if self.names.is_empty() {
            self.is_full || !measurement.only_full
        } else {
            self.names.iter().any(|name| name == measurement.name)
        }
    }

    /// What a person would type to get one measurement again.
    pub(crate) fn command(&self, name: &str) -> String {
        let size = if self.is_quick { "--quick " } else { "" };
        format!("./yard bench {size}{name}")
    }
}

/// The usage with the names of all measurements.
pub(crate) fn usage() -> String {
    let names: Vec<String> =
        MEASUREMENTS.iter().map(|one| format!("                   {}", one.name)).collect();
    format!("{USAGE}\n{}", names.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Arguments> {
        Arguments::read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn wanted(line: &str) -> Vec<&'static str> {
        let arguments = read(line).unwrap();
        MEASUREMENTS.iter().filter(|one| arguments.wants(one)).map(|one| one.name).collect()
    }

    #[test]
    fn names_choose_and_without_them_all_but_the_largest_run() {
        assert_eq!(wanted("--quick lives idle"), ["lives", "idle"]);
        assert_eq!(wanted("depth-full"), ["depth-full"]);
        assert!(wanted("").contains(&"lives") && !wanted("").contains(&"depth-full"));
        assert_eq!(wanted("--full").len(), MEASUREMENTS.len());
        assert_eq!(read("--quick idle").unwrap().command("idle"), "./yard bench --quick idle");
    }

    #[test]
    fn what_is_not_understood_is_named_with_what_would_be() {
        for (line, part) in [
            ("speed", "unknown measurement speed"),
            ("--rate 5", "unknown option --rate"),
            ("--out", "--out needs a value"),
            ("--quick --full", "exclude each other"),
        ] {
            let error = read(line).unwrap_err().to_string();
            assert!(error.contains(part), "{line}: {error}");
        }
        assert!(usage().contains("\n                   hyperqueue\n"));
    }
}
