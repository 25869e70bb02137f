//! What the program is shipped in: the image, the compose file, the Kubernetes manifests, each against the real program.

mod compose;
mod dockerfile;
mod kubernetes;
mod secrets;
mod stack;
mod words;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the tree.
fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What a Python program of one line makes of a text: JSON.
fn python(program: &str, input: &str) -> Value {
    let python = std::env::var_os("YARDMASTER_TEST_PYTHON")
        .expect("YARDMASTER_TEST_PYTHON names no Python with tests/it/requirements.txt: use `./yard test`");
    let mut command = Command::new(python);
    command.args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program}\n{input}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The documents of a YAML text.
fn documents(text: &str) -> Vec<Value> {
    let read = "import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)";
    python(read, text).as_array().unwrap().clone()
}

/// The strings of a list.
fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|word| word.as_str().unwrap_or_default().to_owned()).collect()
}

/// The fields of an object, in order.
fn fields(object: &Value) -> Vec<(&String, &Value)> {
    object.as_object().into_iter().flatten().collect()
}

/// A directory of this run for one test.
fn directory(name: &str) -> PathBuf {
    let path = crate::cluster::run_dir().join(name);
    std::fs::create_dir_all(&path).unwrap();
    path
}
