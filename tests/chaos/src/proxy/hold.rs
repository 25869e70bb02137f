//! Requests that are kept back until the harness lets them go: the client times out, goes on over another connection, and
//! meets its own past.

use super::frame::Header;

/// Names a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HoldId(usize);

/// Which request is kept back.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) api: i16,
    /// Only of this transaction.
    pub(crate) transactional_id: Option<String>,
    /// So many of them pass before.
    pub(crate) skip: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Armed,
    Caught,
    Released,
}

#[derive(Debug)]
struct Hold {
    wanted: Wanted,
    stage: Stage,
    /// Requests of the same transaction that passed while this one was kept back.
    passed: Vec<i16>,
}

/// All of a proxy.
#[derive(Debug, Default)]
pub(super) struct Holds(Vec<Hold>);

impl Holds {
    pub(super) fn arm(&mut self, wanted: Wanted) -> HoldId {
        self.0.push(Hold { wanted, stage: Stage::Armed, passed: Vec::new() });
        HoldId(self.0.len() - 1)
    }

    /// A request arrives: which hold keeps it back, if one does.
    pub(super) fn meet(&mut self, header: &Header) -> Option<HoldId> {
        for (index, hold) in self.0.iter_mut().enumerate() {
            let name = &hold.wanted.transactional_id;
            let is_same = name.is_none() || *name == header.transactional_id;
            if !is_same {
                continue;
            }
            match hold.stage {
                Stage::Armed if header.api == hold.wanted.api && hold.wanted.skip == 0 => {
                    hold.stage = Stage::Caught;
                    return Some(HoldId(index));
                }
                Stage::Armed if header.api == hold.wanted.api => hold.wanted.skip -= 1,
                Stage::Caught => hold.passed.push(header.api),
                Stage::Armed | Stage::Released => {}
            }
        }
        None
    }

    pub(super) fn is_caught(&self, id: HoldId) -> bool {
        self.0.get(id.0).is_some_and(|hold| hold.stage == Stage::Caught)
    }

    pub(super) fn is_released(&self, id: HoldId) -> bool {
        self.0.get(id.0).is_none_or(|hold| hold.stage == Stage::Released)
    }

    pub(super) fn passed(&self, id: HoldId) -> Vec<i16> {
        self.0.get(id.0).map(|hold| hold.passed.clone()).unwrap_or_default()
    }

    /// Whether it had caught something.
    pub(super) fn release(&mut self, id: HoldId) -> bool {
        let Some(hold) = self.0.get_mut(id.0) else {
            return false;
        };
        let had = hold.stage == Stage::Caught;
        hold.stage = Stage::Released;
        had
    }

    pub(super) fn release_all(&mut self) {
        for hold in &mut self.0 {
            hold.stage = Stage::Released;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(api: i16, id: &str) -> Header {
        Header { api, version: 1, correlation: 1, client: None, transactional_id: Some(id.to_owned()) }
    }

    #[test]
    fn the_nth_request_of_one_transaction_is_kept_back_and_no_other() {
        let mut holds = Holds::default();
        let id = holds.arm(Wanted { api: 26, transactional_id: Some("a".into()), skip: 1 });
        assert_eq!(holds.meet(&header(26, "a")), None);
        assert_eq!(holds.meet(&header(26, "b")), None);
        assert_eq!(holds.meet(&header(24, "a")), None);
        assert!(!holds.is_caught(id));
        assert_eq!(holds.meet(&header(26, "a")), Some(id));
        assert!(holds.is_caught(id));
        assert_eq!(holds.meet(&header(26, "a")), None);
        assert_eq!(holds.meet(&header(24, "b")), None);
        assert_eq!(holds.meet(&header(24, "a")), None);
        assert_eq!(holds.passed(id), [26, 24]);
        assert!(holds.release(id));
        assert!(holds.is_released(id) && !holds.release(id));
    }
}
