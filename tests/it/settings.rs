//! `kafka.*` properties on the real command line: what is ours is refused, what is secret is not shown.

use std::process::Output;

use crate::cluster::{guarded_program, run_dir};

fn show(set: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = guarded_program();
    command.args(["config", "show"]).envs(variables.iter().copied());
    for pair in set {
        command.args(["--set", pair]);
    }
    command.output().unwrap()
}

fn refused(set: &[&str]) -> String {
    let output = show(set, &[]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{set:?}: {text}");
    text
}

#[test]
fn properties_that_are_ours_are_refused() {
    let text = refused(&["kafka.isolation.level=read_uncommitted"]);
    assert!(text.contains("kafka.isolation.level") && text.contains("exactly-once rests on it"), "{text}");
    let text = refused(&["kafka.plugin.library.paths=/tmp/x.so"]);
    assert!(text.contains("loads code"), "{text}");
    let text = refused(&["kafka.enable.ssl.certificate.verification=false"]);
    assert!(text.contains("kafka.insecure=true"), "{text}");
    let open = show(&["kafka.enable.ssl.certificate.verification=false", "kafka.insecure=true"], &[]);
    assert!(open.status.success(), "{open:?}");
}

#[test]
fn a_secret_comes_out_of_a_file_and_is_shown_to_nobody() {
    let path = run_dir().join("kafka-password");
    std::fs::write(&path, "hunter2\n").unwrap();
    let file = path.display().to_string();
    let shown = show(&[], &[("YARDMASTER_KAFKA_SASL_PASSWORD_FILE", &file)]);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.status.success() && text.contains("kafka.sasl.password ") && !text.contains("hunter2"),
        "{text}"
    );
    let twice = show(&["kafka.sasl.password=hunter3"], &[("YARDMASTER_KAFKA_SASL_PASSWORD_FILE", &file)]);
    let text = String::from_utf8(twice.stderr).unwrap();
    assert!(text.contains("keep one of the two") && !text.contains("hunter"), "{text}");
}
