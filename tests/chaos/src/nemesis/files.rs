//! Damages RocksDB's files in a state directory while nobody uses them: a flipped bit, a cut, a deletion, for each class of file.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::rng::Rng;

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileClass {
    Table,
    Manifest,
    Current,
    WriteAheadLog,
    Options,
    Identity,
}

impl FileClass {
    pub(crate) const ALL: [Self; 6] =
        [Self::Table, Self::Manifest, Self::Current, Self::WriteAheadLog, Self::Options, Self::Identity];

    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let ends = |end: &str| name.ends_with(end);
        match name {
            "CURRENT" => Some(Self::Current),
            "IDENTITY" => Some(Self::Identity),
            "LOCK" | "LOG" | "lock" => None,
            _ if ends(".sst") => Some(Self::Table),
            _ if ends(".log") => Some(Self::WriteAheadLog),
            _ if name.starts_with("MANIFEST-") => Some(Self::Manifest),
            _ if name.starts_with("OPTIONS-") => Some(Self::Options),
            _ => None,
        }
    }
}

/// What is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    FlippedBit,
    Cut,
    Deleted,
}

impl Damage {
    pub(crate) const ALL: [Self; 3] = [Self::FlippedBit, Self::Cut, Self::Deleted];
}

/// Damages one file of the class under the directory; which one, and how. None when there is none that is not empty.
pub(crate) fn damage_one(
    dir: &Path,
    class: FileClass,
    damage: Damage,
    rng: &mut Rng,
) -> Result<Option<String>> {
    let mut all = Vec::new();
    find(dir, class, &mut all)?;
    all.sort();
    let Some(path) = rng.pick(&all) else {
        return Ok(None);
    };
    let length = fs::metadata(path)?.len();
    let at = rng.below(length);
    match damage {
        Damage::FlippedBit => flip(path, at, 1 << rng.below(8))?,
        Damage::Cut => OpenOptions::new().write(true).open(path)?.set_len(at)?,
        Damage::Deleted => fs::remove_file(path)?,
    }
    Ok(Some(format!("{damage:?} {class:?} {} at {at} of {length}", path.display())))
}

fn flip(path: &Path, at: u64, bit: u8) -> Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut byte = [0];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut byte)?;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&byte.map(|byte| byte ^ bit))?;
    Ok(())
}

fn find(dir: &Path, class: FileClass, all: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, class, all)?;
        } else if FileClass::of(&path) == Some(class) && fs::metadata(&path)?.len() > 0 {
            all.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_damage_changes_the_file_and_says_so() {
        let dir = std::env::temp_dir().join(format!("chaos-files-{}", std::process::id()));
        fs::create_dir_all(dir.join("0")).unwrap();
        let path = dir.join("0/000012.sst");
        let mut rng = Rng::new(1);
        for damage in Damage::ALL {
            fs::write(&path, b"0123456789").unwrap();
            let said = damage_one(&dir, FileClass::Table, damage, &mut rng).unwrap().unwrap();
            assert!(said.contains("000012.sst"), "{said}");
            assert_ne!(fs::read(&path).unwrap_or_default(), b"0123456789");
        }
        assert_eq!(damage_one(&dir, FileClass::Manifest, Damage::Cut, &mut rng).unwrap(), None);
        fs::remove_dir_all(dir).unwrap();
    }
}
