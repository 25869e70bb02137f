//! The state directory: private, locked, marked.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use yardmaster_state::{Marker, StateDirectory, StateError, set_aside};

fn marker() -> Marker {
    let topics = [("ns.tasks".into(), "AbC-1".into()), ("ns.changelog".into(), "xyz_2".into())];
    Marker { namespace: "ns".into(), partition: 3, partitions: 8, topics: topics.into() }
}

#[test]
fn a_directory_is_private_and_opens_again() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let state = StateDirectory::open(dir.path(), &marker()).unwrap();
        assert_eq!(state.path(), dir.path().join("ns/3"));
        for path in [state.path(), &dir.path().join("ns")] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }
}

#[test]
fn only_one_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDirectory::open(dir.path(), &marker()).unwrap();
    let error = StateDirectory::open(dir.path(), &marker()).unwrap_err();
    assert!(
        matches!(&error, StateError::Locked { pid, .. } if *pid == std::process::id().to_string()),
        "{error}"
    );
    drop(state);
    StateDirectory::open(dir.path(), &marker()).unwrap();
}

#[test]
fn another_s_state_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(StateDirectory::open(dir.path(), &marker()).unwrap());
    let mut other = marker();
    other.topics.insert("ns.tasks".into(), "AbC-9".into());
    for other in [other, Marker { partitions: 9, ..marker() }] {
        let error = StateDirectory::open(dir.path(), &other).unwrap_err();
        assert!(matches!(&error, StateError::Foreign { .. }), "{error}");
        assert!(
            error.to_string().contains("with id AbC-1") && error.to_string().contains("remove the directory")
        );
    }
    // A directory that was copied to another partition's place.
    fs::rename(dir.path().join("ns/3"), dir.path().join("ns/4")).unwrap();
    let error = StateDirectory::open(dir.path(), &Marker { partition: 4, ..marker() }).unwrap_err();
    assert!(matches!(&error, StateError::Foreign { .. }), "{error}");
}

#[test]
fn a_marker_that_is_cut_or_changed_anywhere_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = StateDirectory::open(dir.path(), &marker()).unwrap().path().join("marker");
    let whole = fs::read(&path).unwrap();
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        for bytes in [&whole[..place], &changed] {
            fs::write(&path, bytes).unwrap();
            let error = StateDirectory::open(dir.path(), &marker()).unwrap_err();
            assert!(matches!(&error, StateError::Corrupted(_)), "at byte {place}: {error}");
        }
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(path.with_file_name("store")).unwrap();
    let error = StateDirectory::open(dir.path(), &marker()).unwrap_err();
    assert!(matches!(&error, StateError::Corrupted(_)), "a store without a marker: {error}");
}

#[test]
fn symbolic_links_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), dir.path().join("ns")).unwrap();
    let error = StateDirectory::open(dir.path(), &marker()).unwrap_err();
    assert!(error.to_string().contains("a symbolic link"), "{error}");
    fs::remove_file(dir.path().join("ns")).unwrap();
    fs::create_dir(dir.path().join("ns")).unwrap();
    symlink(elsewhere.path(), dir.path().join("ns/3")).unwrap();
    assert!(matches!(StateDirectory::open(dir.path(), &marker()), Err(StateError::Foreign { .. })));
}

#[test]
fn what_is_set_aside_stays_beside() {
    let dir = tempfile::tempdir().unwrap();
    for number in 1..3 {
        let path = StateDirectory::open(dir.path(), &marker()).unwrap().path().to_owned();
        let aside = set_aside(&path).unwrap();
        assert_eq!(aside, dir.path().join(format!("ns/3.corrupt-{number}")));
        assert!(aside.join("marker").exists() && !path.exists());
    }
}
