//! The step of the compose file that makes the secrets, run as it stands there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::compose::compose;
use super::{directory, strings};

/// Runs the step with this directory in the volume's place.
pub(super) fn make_secrets(into: &Path) {
    let service = &compose()["services"]["token"];
    let entry = strings(&service["entrypoint"]);
    // Compose reads `$$` as `$`.
    let script = strings(&service["command"]).remove(0).replace("$$", "$");
    let script = script.replace("/etc/yardmaster", into.to_str().unwrap());
    let output = Command::new(&entry[0]).args(&entry[1..]).arg(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn secrets_are_made_once_and_differ_everywhere() {
    let (one, other) = (directory("secrets-one"), directory("secrets-other"));
    make_secrets(&one);
    make_secrets(&other);
    let read = |dir: &Path, name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let token = read(&one, "token");
    assert!(token.len() == 64 && token.bytes().all(|b| b.is_ascii_hexdigit()), "{token}");
    let all =
        [&token, &read(&other, "token"), &read(&one, "grafana-password"), &read(&other, "grafana-password")];
    for (at, secret) in all.iter().enumerate() {
        assert!(!all[at + 1..].contains(secret), "a secret came twice");
    }
    let mode = fs::metadata(one.join("token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o444, "Prometheus and Grafana run as other users");
    make_secrets(&one);
    assert_eq!(read(&one, "token"), token, "a restart keeps the token");
    assert_eq!(fs::read_dir(&one).unwrap().count(), 2, "nothing else is left there");
}
