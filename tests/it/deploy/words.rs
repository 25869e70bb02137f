//! Command lines of the program as deployments have them: whether the program takes them, and what it makes of them.

use std::collections::BTreeMap;
use std::process::Output;

use serde_json::Value;

use crate::cluster::guarded_program;

/// The words after `yardmaster`, and the `YARDMASTER_*` variables.
#[derive(Debug, Clone)]
pub(super) struct Words {
    pub(super) words: Vec<String>,
    pub(super) variables: Vec<(String, String)>,
}

impl Words {
    /// `server`, `worker`, ...
    pub(super) fn command(&self) -> &str {
        &self.words[0]
    }

    /// With each text replaced.
    pub(super) fn map(&self, replace: impl Fn(&str) -> String) -> Self {
        let words = self.words.iter().map(|word| replace(word)).collect();
        let variables = self.variables.iter().map(|(name, value)| (name.clone(), replace(value))).collect();
        Self { words, variables }
    }

    fn run(&self, before: &[&str], after: &[&str]) -> Output {
        let mut command = guarded_program();
        command.args(before).args(&self.words[1..]).args(after);
        command.envs(self.variables.iter().cloned()).output().unwrap()
    }

    /// The configuration that a server with these words would run with. Nothing may be ignored on the way.
    pub(super) fn configuration(&self) -> BTreeMap<String, String> {
        let output = self.run(&["config", "show", "--json"], &[]);
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && complaints.is_empty(), "{self:?}\n{complaints}");
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
        shown["keys"].as_array().unwrap().iter().map(|row| (text(row, "key"), text(row, "value"))).collect()
    }

    /// Every flag must be known: what is not fails before `--help` is reached.
    pub(super) fn must_be_taken(&self) {
        let output = self.run(&[self.command()], &["--help"]);
        assert!(output.status.success(), "{self:?}\n{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The value of `--name=value`.
    pub(super) fn flag(&self, name: &str) -> Option<&str> {
        let start = format!("--{name}=");
        self.words.iter().find_map(|word| word.strip_prefix(&start))
    }
}

#[test]
fn a_flag_or_a_variable_that_is_not_known_is_found() {
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let good = Words { words: words(&["worker", "--slots=2"]), variables: Vec::new() };
    good.must_be_taken();
    for bad in [&["worker", "--slot=2"][..], &["worker", "--slots=many"], &["no-such-command"]] {
        let bad = Words { words: words(bad), variables: Vec::new() };
        assert!(std::panic::catch_unwind(|| bad.must_be_taken()).is_err(), "{bad:?} was taken");
    }
    for variable in ["YARDMASTER_INSTANCE_NAME", "YARDMASTER_PORT"] {
        let bad = Words { words: words(&["server"]), variables: vec![(variable.to_owned(), "1".to_owned())] };
        assert!(std::panic::catch_unwind(|| bad.configuration()).is_err(), "{bad:?} was taken");
    }
}
