//! The state directory: private, locked, marked.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use yardmaster_state::{Marker, StateDirectory, StateError, remove_aside, set_aside};

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
        let flip = |bit: u32| {
            let mut changed = whole.clone();
            changed[place] ^= 1 << bit;
            changed
        };
        for bytes in (0..8).map(flip).chain([whole[..place].to_vec()]) {
            fs::write(&path, bytes).unwrap();
            let error = StateDirectory::open(dir.path(), &marker()).unwrap_err();
            assert!(matches!(&error, StateError::Corrupted(_)), "at byte {place}: {error}");
        }
    }
    eprintln!(
        "{} bytes: each cut there, each bit of each flipped: {} refusals",
        whole.len(),
        9 * whole.len()
    );
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
fn what_is_set_aside_stays_beside_and_is_not_piled_up() {
    let dir = tempfile::tempdir().unwrap();
    let aside = |number: u32| dir.path().join(format!("ns/3.corrupt-{number}"));
    let mut path = std::path::PathBuf::new();
    for number in 1..6 {
        path = StateDirectory::open(dir.path(), &marker()).unwrap().path().to_owned();
        assert_eq!(set_aside(&path).unwrap(), aside(number));
        assert!(aside(number).join("marker").exists() && !path.exists());
        assert_eq!(fs::read_dir(dir.path().join("ns")).unwrap().count(), 3.min(number as usize));
    }
    assert!(!aside(2).exists() && aside(3).exists(), "the last ones are kept");
    assert_eq!(remove_aside(&path).unwrap(), 3);
    assert_eq!(fs::read_dir(dir.path().join("ns")).unwrap().count(), 0);
}

#[test]
fn a_store_that_nobody_can_name_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = StateDirectory::open(dir.path(), &marker()).unwrap().path().to_owned();
    for (number, is_left) in [(1, true), (2, false)] {
        fs::create_dir(path.join("store")).unwrap();
        fs::write(path.join("store/row"), "x").unwrap();
        if is_left {
            fs::write(path.join("marker"), "yardmaster-stat").unwrap();
        } else {
            fs::remove_file(path.join("marker")).unwrap();
        }
        assert!(matches!(StateDirectory::open(dir.path(), &marker()), Err(StateError::Corrupted(_))));
        let (state, aside) = StateDirectory::renew(dir.path(), &marker()).unwrap();
        let aside = aside.unwrap();
        assert_eq!(aside, path.join(format!("store.corrupt-{number}")));
        assert!(aside.join("row").exists() && aside.join("marker").exists() == is_left);
        assert!(!state.store_path().exists());
        drop(state);
        StateDirectory::open(dir.path(), &marker()).unwrap();
    }
    let (_state, aside) = StateDirectory::renew(dir.path(), &marker()).unwrap();
    assert_eq!(aside, None, "nothing was there to be set aside");
}

#[test]
fn a_root_that_can_t_hold_state_is_refused_before_anything_is_begun() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("state");
    StateDirectory::probe(&root).unwrap();
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0, "nothing is left behind");
    let link = dir.path().join("link");
    symlink(&root, &link).unwrap();
    for error in [StateDirectory::probe(&link), StateDirectory::open(&link, &marker()).map(drop)] {
        let error = error.unwrap_err().to_string();
        assert!(error.contains("a symbolic link") && error.contains("state_dir"), "{error}");
    }
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = StateDirectory::probe(&file.join("below")).unwrap_err();
    assert!(matches!(&error, StateError::Io { .. }), "{error}");
}
