//! A store in memory: for tests and simulation, with the same behaviour as the one on disk.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use crate::store::Visit;
use crate::{Batch, Checkpoint, StateError, Store, StoreRead, TableClass};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// All that is remembered at one time; a view is one more owner of it, and the next commit then copies it.
#[derive(Debug, Clone, Default)]
struct Contents {
    logged: Rows,
    derived: Rows,
    history: Rows,
    checkpoint: Option<Checkpoint>,
}

impl Contents {
    fn class(&self, class: TableClass) -> &Rows {
        match class {
            TableClass::Logged => &self.logged,
            TableClass::Derived => &self.derived,
            TableClass::History => &self.history,
        }
    }

    fn class_mut(&mut self, class: TableClass) -> &mut Rows {
        match class {
            TableClass::Logged => &mut self.logged,
            TableClass::Derived => &mut self.derived,
            TableClass::History => &mut self.history,
        }
    }

    fn apply(&mut self, batch: &Batch) {
        for (from, to) in &batch.drops {
            self.history.retain(|key, _| key < from || key >= to);
        }
        for write in &batch.writes {
            let rows = self.class_mut(write.class);
            match &write.value {
                Some(value) => drop(rows.insert(write.key.to_vec(), value.clone())),
                None => drop(rows.remove(&*write.key)),
            }
        }
        if let Some(checkpoint) = &batch.checkpoint {
            self.checkpoint = Some(checkpoint.clone());
        }
    }
}

impl StoreRead for Contents {
    fn get(&self, class: TableClass, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.class(class).get(key).cloned())
    }

    fn scan(
        &self,
        class: TableClass,
        from: &[u8],
        to: &[u8],
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<(), StateError> {
        if from >= to {
            return Ok(());
        }
        let range = (Bound::Included(from), Bound::Excluded(to));
        for (key, value) in self.class(class).range::<[u8], _>(range).take(limit) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn checkpoint(&self) -> Result<Option<Checkpoint>, StateError> {
        Ok(self.checkpoint.clone())
    }
}

/// A store that is gone with its process.
#[derive(Debug, Default)]
pub struct MemoryStore(RwLock<Arc<Contents>>);

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn contents(&self) -> Arc<Contents> {
        // A batch is applied without any step that can fail halfway, so a poisoned lock still guards whole contents.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl StoreRead for MemoryStore {
    fn get(&self, class: TableClass, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(class, key)
    }

    fn scan(
        &self,
        class: TableClass,
        from: &[u8],
        to: &[u8],
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<(), StateError> {
        // Not under the lock: what is called back may read the store too.
        self.contents().scan(class, from, to, limit, visit)
    }

    fn checkpoint(&self) -> Result<Option<Checkpoint>, StateError> {
        self.contents().checkpoint()
    }
}

impl Store for MemoryStore {
    fn commit(&self, batch: &Batch) -> Result<(), StateError> {
        let mut contents = self.0.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut contents).apply(batch);
        Ok(())
    }

    fn view(&self) -> Box<dyn StoreRead + '_> {
        Box::new(View(self.contents()))
    }
}

/// The contents at one time.
struct View(Arc<Contents>);

impl StoreRead for View {
    fn get(&self, class: TableClass, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.0.get(class, key)
    }

    fn scan(
        &self,
        class: TableClass,
        from: &[u8],
        to: &[u8],
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<(), StateError> {
        self.0.scan(class, from, to, limit, visit)
    }

    fn checkpoint(&self) -> Result<Option<Checkpoint>, StateError> {
        self.0.checkpoint()
    }
}
