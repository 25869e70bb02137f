//! Disks that are damaged, full or not to be written on: nothing wrong is served, nothing is lost, and what can heal heals by
//! itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::cluster::{
    Answer, Fleet, FleetOptions, Server, ServerOptions, Topic, Watch, await_some, bootstrap, submit_range,
};
use crate::identity::halted;
use yardmaster_checker::{must_be_clean, read_all};

const EACH: usize = 50;

/// So many that a table of them has many blocks: what a start has to look at leaves few of them in the cache.
const MANY: usize = 2_000;
/// Every so many are read: fewer than a block has.
const STEP: usize = 20;

/// What was done, and how.
type Damage = (&'static str, fn(&Path));

fn store_of(server: &Server) -> PathBuf {
    server.state_dir().join(&server.options.namespace).join("0/store")
}

/// The files of a store whose names begin or end so.
fn files(store: &Path, part: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path());
    let has = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().contains(part);
    entries.filter(has).collect()
}

/// Writes rubbish over the middle of a file, in place; a table may be gone by now.
fn scribble(file: &Path) {
    use std::os::unix::fs::FileExt as _;
    let Ok(file) = fs::OpenOptions::new().write(true).open(file) else { return };
    let length = file.metadata().unwrap().len();
    let rubbish = vec![0x5a; usize::try_from(length / 2).unwrap().max(1)];
    file.write_all_at(&rubbish, length / 4).unwrap();
}

fn fields() -> serde_json::Value {
    json!({"job":"disk","command":["true"],"retry":{"max_losses":50}})
}

#[test]
fn damage_is_set_aside_and_rebuilt() {
    let options = ServerOptions::new("damage").with("YARDMASTER_PARTITIONS", "1");
    let mut server = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    let fleet = Fleet::start(FleetOptions::new(&options.namespace, "p"));
    let topic = Topic::new(&server.topic("tasks"));
    let store = store_of(&server);
    let each: [Damage; 5] = [
        ("a table cut in half", |store| {
            for file in files(store, ".sst") {
                let length = fs::metadata(&file).unwrap().len();
                fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(length / 2).unwrap();
            }
        }),
        ("a table that is missing", |store| {
            files(store, ".sst").iter().for_each(|file| fs::remove_file(file).unwrap());
        }),
        ("a scribbled manifest", |store| {
            files(store, "MANIFEST").iter().for_each(|file| scribble(file));
        }),
        ("CURRENT is missing", |store| fs::remove_file(store.join("CURRENT")).unwrap()),
        ("a marker cut in half", |store| {
            let marker = store.with_file_name("marker");
            let text = fs::read(&marker).unwrap();
            fs::write(&marker, &text[..text.len() / 2]).unwrap();
        }),
    ];
    let count = each.len();
    for (round, (what, damage)) in each.into_iter().enumerate() {
        submit_range(&topic, "p", "t", round * EACH..(round + 1) * EACH, &fields());
        watch.await_ends((round + 1) * EACH, &server);
        server.stop();
        let before = server.log().matches("set aside").count();
        damage(&store);
        server.restart();
        let after = server.log().matches("set aside").count();
        eprintln!("{what}: {} reports", after - before);
        assert!(after > before, "{what}\n{}", server.last_words());
    }
    submit_range(&topic, "p", "t", count * EACH..(count + 1) * EACH, &fields());
    watch.await_ends((count + 1) * EACH, &server);
    drop(fleet);
    let report = must_be_clean(&read_all(&bootstrap(), &options.namespace));
    assert_eq!(report.accepted, (count + 1) * EACH, "{report:?}");
    let kept = files(store.parent().unwrap(), "store.corrupt-").len();
    eprintln!("{report:?}; {kept} damaged stores are kept");
    assert_eq!(kept, 3, "damaged stores are not piled up");
}

/// What is answered about the task of this number.
fn read(server: &Server, number: usize) -> Answer {
    server.http.get(&format!("/v1/pools/p/tasks/t-{number}"))
}

/// Every task has ended, so no answer says anything else.
fn is_wrong(answer: &Answer) -> bool {
    answer.status == 200 && answer.json()["state"] != "COMPLETED"
}

#[test]
fn damage_that_a_reader_meets_has_the_store_rebuilt() {
    let options = ServerOptions::new("damage-live").with("YARDMASTER_PARTITIONS", "1");
    let mut server = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    let fleet = Fleet::start(FleetOptions::new(&options.namespace, "p"));
    let topic = Topic::new(&server.topic("tasks"));
    submit_range(&topic, "p", "t", 0..MANY, &fields());
    watch.await_ends(MANY, &server);
    let numbers = || (0..MANY).step_by(STEP);
    drop(fleet);
    let (mut rounds, mut wrong) = (0, 0);
    loop {
        // After a clean stop all rows are in tables, and after a start no cache has most of them.
        server.stop();
        server.restart();
        files(&store_of(&server), ".sst").iter().for_each(|file| scribble(file));
        let states: Vec<Answer> = numbers().map(|number| read(&server, number)).collect();
        wrong += states.iter().filter(|answer| is_wrong(answer)).count();
        if states.iter().any(|answer| answer.status != 200) {
            break;
        }
        // RocksDB was about to write these tables anew: the damage went with the old ones, and the new ones were read. It
        // does that once, when nobody looks at an earlier state any more.
        rounds += 1;
        assert!(rounds < 5, "no reader met the damage\n{}", server.last_words());
    }
    await_some(
        "the report of the damage",
        || server.last_words(),
        || {
            wrong += numbers().filter(|number| is_wrong(&read(&server, *number))).count();
            server.log().contains("the store is set aside and rebuilt").then_some(())
        },
    );
    server.wait_ready();
    for number in numbers() {
        let answered = || Some(read(&server, number)).filter(|answer| answer.status == 200);
        let state = await_some("an answer", || server.last_words(), answered);
        assert_eq!(state.json()["state"], "COMPLETED", "t-{number}");
    }
    eprintln!(
        "damage under a running server, missed {rounds} times: {wrong} wrong answers, rebuilt by itself"
    );
    assert_eq!(wrong, 0);
}

/// A disk of its own, of a few megabytes.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// None where nothing may be mounted.
    fn mount(path: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(path).output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Self { path: path.to_owned() });
        }
        eprintln!("skipped: this user may not mount a file system, so no disk can be filled");
        None
    }

    /// Leaves so many bytes free.
    fn fill(&self, leave: u64) {
        let free = || {
            let disk = nix::sys::statvfs::statvfs(&self.path).unwrap();
            disk.blocks_available() * disk.fragment_size()
        };
        let size = free().saturating_sub(leave);
        let ballast = vec![1; usize::try_from(size).unwrap()];
        // It may get full under our hands: that is what it is for.
        fs::write(self.path.join("ballast"), ballast).ok();
        eprintln!("{} bytes are left on the disk", free());
    }

    fn make_room(&self) {
        fs::remove_file(self.path.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.path).output());
    }
}

/// Where the state of a server will lie.
fn state_of(options: &ServerOptions) -> PathBuf {
    crate::cluster::run_dir().join(&options.namespace).join(&options.name).join("state")
}

/// Fills the disk under a server that works, so that so much is left, and makes room again.
fn full_disk(name: &str, reserve: &str, leave: u64) {
    let options = ServerOptions::new(name)
        .with("YARDMASTER_PARTITIONS", "1")
        .with("YARDMASTER_STATE_FREE_BYTES_MIN", reserve);
    let Some(disk) = SmallDisk::mount(&state_of(&options), "size=48m") else { return };
    let mut server = Server::start(&options);
    let watch = Watch::start(&options.namespace);
    let fleet = Fleet::start(FleetOptions::new(&options.namespace, "p"));
    let topic = Topic::new(&server.topic("tasks"));
    submit_range(&topic, "p", "t", 0..EACH, &fields());
    watch.await_ends(EACH, &server);
    disk.fill(leave);
    // Work goes on coming in.
    let (at, mut submitted) = (std::time::Instant::now(), EACH);
    let is_halted = || server.http.get("/readyz").json()["halted"]["0"]["cause"] == "no_space";
    await_some(
        "the halt",
        || server.last_words(),
        || {
            submit_range(&topic, "p", "t", submitted..submitted + 5, &fields());
            submitted += 5;
            is_halted().then_some(())
        },
    );
    let took = at.elapsed();
    let text = halted(&server, 0, "no_space");
    assert!(text.contains("free disk space, then it goes on by itself"), "{text}");
    submit_range(&topic, "p", "t", submitted..submitted + EACH, &fields());
    submitted += EACH;
    disk.make_room();
    let at = std::time::Instant::now();
    server.wait_ready();
    eprintln!("not ready {took:?} after the disk was filled, ready {:?} after there was room", at.elapsed());
    watch.await_ends(submitted, &server);
    drop(fleet);
    server.stop();
    let report = must_be_clean(&read_all(&bootstrap(), &options.namespace));
    eprintln!("{name}: {report:?}");
    assert_eq!(report.accepted, submitted, "{report:?}");
}

#[test]
fn a_disk_that_runs_full_stops_before_a_batch() {
    full_disk("full-reserve", "16777216", 8 << 20);
}

#[test]
fn a_disk_that_is_full_under_a_write() {
    full_disk("full-write", "0", 0);
}

#[test]
fn a_state_directory_that_can_t_be_written_is_refused() {
    let options = ServerOptions::new("read-only").with("YARDMASTER_PARTITIONS", "1");
    let state = state_of(&options);
    let mut refusals = Vec::new();
    if let Some(_disk) = SmallDisk::mount(&state, "ro") {
        refusals.push(("state_dir", Server::refused(&options)));
    }
    fs::remove_dir_all(&state).ok();
    fs::create_dir_all(state.with_file_name("elsewhere")).unwrap();
    std::os::unix::fs::symlink(state.with_file_name("elsewhere"), &state).unwrap();
    refusals.push(("a symbolic link", Server::refused(&options)));
    for (word, words) in refusals {
        let last = words.lines().last().unwrap_or_default();
        eprintln!("refused: {last}");
        assert!(last.contains(word) && last.contains("state_dir"), "{words}");
    }
    assert_eq!(
        fs::read_dir(state.with_file_name("elsewhere")).unwrap().count(),
        0,
        "the link is not followed"
    );
}
