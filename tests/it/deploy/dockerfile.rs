//! The few rules of a Dockerfile that matter: what it is built on is named, it does not run as root, what it copies is there.

use super::{read, root};

/// Instructions with their arguments; continued lines are one, comments are left out.
fn instructions(text: &str) -> Vec<(String, String)> {
    let mut joined = String::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let (line, end) = line.strip_suffix('\\').map_or((line, "\n"), |line| (line, " "));
        joined.push_str(line);
        joined.push_str(end);
    }
    let parts = joined.lines().filter_map(|line| line.trim().split_once(' '));
    parts.map(|(word, rest)| (word.to_owned(), rest.trim().to_owned())).collect()
}

/// What is wrong, in words.
fn faults(text: &str, is_there: impl Fn(&str) -> bool) -> Vec<String> {
    let all = instructions(text);
    let mut faults = Vec::new();
    let is_runtime_from = all.iter().rposition(|(word, _)| word == "FROM").unwrap_or_default();
    let last = all.split_at(is_runtime_from).1;
    let of = |word: &str| {
        last.iter().filter(|(other, _)| other == word).map(|(_, rest)| rest.as_str()).next_back()
    };
    for (_, base) in all.iter().filter(|(word, _)| word == "FROM") {
        let image = base.split(' ').next().unwrap_or_default();
        match image.split_once(':') {
            None | Some((_, "latest")) => faults.push(format!("FROM {image} names no release")),
            Some(_) => {}
        }
    }
    match of("USER") {
        None => faults.push("no USER: it runs as root".to_owned()),
        Some(user) if !user.chars().all(|c| c.is_ascii_digit() || c == ':') || user.starts_with('0') => {
            faults.push(format!("USER {user} is no number other than root's"));
        }
        Some(_) => {}
    }
    for word in ["HEALTHCHECK", "ENTRYPOINT", "STOPSIGNAL", "LABEL"] {
        if of(word).is_none() {
            faults.push(format!("no {word}"));
        }
    }
    for (_, rest) in all.iter().filter(|(word, rest)| word == "COPY" && !rest.starts_with("--from=")) {
        let mut paths: Vec<&str> = rest.split_whitespace().collect();
        paths.pop();
        faults.extend(
            paths.iter().filter(|path| !is_there(path)).map(|path| format!("COPY {path}: not there")),
        );
    }
    for (_, rest) in all.iter().filter(|(word, _)| word == "RUN") {
        if rest.contains("apt-get install") && !rest.contains("rm -rf /var/lib/apt/lists") {
            faults.push("a RUN leaves the package lists in its layer".to_owned());
        }
    }
    faults
}

/// Whether the build's context has it: in the tree, and let in by .dockerignore, which keeps out what it does not name.
fn is_in_context(path: &str) -> bool {
    let ignore = read(".dockerignore");
    let let_in = |entry: &str| path == entry || path.starts_with(&format!("{entry}/"));
    ignore.lines().any(|line| line == "*")
        && ignore.lines().filter_map(|line| line.strip_prefix('!')).any(let_in)
        && root().join(path).exists()
}

#[test]
fn the_dockerfile_keeps_its_rules() {
    let text = read("Dockerfile");
    assert_eq!(faults(&text, is_in_context), Vec::<String>::new());
    let rust =
        read("Cargo.toml").lines().find_map(|line| Some(line.strip_prefix("rust-version = \"")?.to_owned()));
    let rust = rust.unwrap();
    let wanted = format!("FROM rust:{}-", rust.trim_end_matches('"'));
    assert!(text.contains(&wanted), "the image builds with another Rust than Cargo.toml's {wanted}");
}

#[test]
fn what_the_build_needs_is_copied() {
    let text = read("Dockerfile");
    // Every crate of the workspace has its manifest there before the sources are; what is compiled in comes with them.
    let members =
        read("Cargo.toml").lines().find_map(|line| Some(line.strip_prefix("members = [")?.to_owned()));
    for member in
        members.unwrap().trim_end_matches(']').split(", ").map(|name| name.trim_matches('"').to_owned())
    {
        assert!(
            text.contains(&format!("COPY {member}/Cargo.toml {member}/\n")),
            "{member}'s manifest is missing"
        );
    }
    let included = read("src/http/openapi.rs");
    let (_, rest) = included.split_once("include_str!(\"../../").expect("what openapi.rs compiles in");
    let path = rest.split('"').next().unwrap();
    let copied: Vec<String> =
        instructions(&text).into_iter().filter(|(word, _)| word == "COPY").map(|(_, r)| r).collect();
    let is_copied = |line: &String| line.split(' ').any(|from| path.starts_with(&format!("{from}/")));
    assert!(copied.iter().any(is_copied), "{path} is compiled in and not copied");
}

/// Packages that have a shared library, as the image's release of Debian names them.
const LIBRARIES: [(&str, &str); 7] = [
    ("libz.so.1", "zlib1g"),
    ("libssl.so.3", "libssl3t64"),
    ("libcrypto.so.3", "libssl3t64"),
    ("libstdc++.so.6", "libstdc++6"),
    // libstdc++6 and every image have these.
    ("libgcc_s.so.1", "libstdc++6"),
    ("libm.so.6", ""),
    ("libc.so.6", ""),
];

#[test]
fn the_shared_libraries_of_the_program_are_in_the_image() {
    let output = std::process::Command::new("ldd").arg(env!("CARGO_BIN_EXE_yardmaster")).output().unwrap();
    let text = read("Dockerfile");
    let (_, runtime) = text.rsplit_once("FROM ").unwrap();
    for line in String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.contains(" => ")) {
        let library = line.split_whitespace().next().unwrap();
        let found = LIBRARIES.iter().find(|(name, _)| *name == library);
        let (_, package) =
            found.unwrap_or_else(|| panic!("no package is known for {library}: install it, name it here"));
        assert!(runtime.contains(package), "{package}, which has {library}, is not installed in the image");
    }
}

#[test]
fn each_fault_is_found() {
    let good = "FROM a:1 AS build\nFROM debian:13\nLABEL a=b\nCOPY --from=build /x /x\nUSER 10:10\nSTOPSIGNAL SIGTERM\n\
                HEALTHCHECK CMD [\"x\"]\nENTRYPOINT [\"x\"]\n";
    assert_eq!(faults(good, |_| false), Vec::<String>::new());
    for (from, to, fault) in [
        ("debian:13", "debian", "FROM debian names no release"),
        ("a:1", "a:latest", "FROM a:latest names no release"),
        ("USER 10:10\n", "", "no USER: it runs as root"),
        ("USER 10:10", "USER 0:0", "USER 0:0 is no number other than root's"),
        ("USER 10:10", "USER yardmaster", "USER yardmaster is no number other than root's"),
        ("HEALTHCHECK CMD [\"x\"]\n", "", "no HEALTHCHECK"),
        ("LABEL a=b", "LABEL a=b\nCOPY here there", "COPY here: not there"),
        (
            "LABEL a=b",
            "LABEL a=b\nRUN apt-get update \\\n && apt-get install x",
            "a RUN leaves the package lists in its layer",
        ),
    ] {
        assert_eq!(faults(&good.replace(from, to), |_| false), [fault], "{from} -> {to}");
    }
}
