//! Who uses what: from the name of an object to the credentials that it concerns. Most objects concern one, some concern all.

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    hash::Hash,
};

use super::key::Key;

/// From names to keys.
#[derive(Debug)]
pub struct Index<I>(HashMap<I, Users>);

/// Never none. A set of one takes the room of eleven.
#[derive(Debug)]
enum Users {
    One(Key),
    Many(BTreeSet<Key>),
}

impl Users {
    fn iter(&self) -> impl Iterator<Item = &Key> {
        let (one, many) = match self {
            Users::One(key) => (Some(key), None),
            Users::Many(keys) => (None, Some(keys)),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

impl<I> Default for Index<I> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<I: Clone + Eq + Hash> Index<I> {
    /// The name becomes the instance that is in use already, so that each is in memory once.
    pub fn insert(&mut self, at: &mut I, key: &Key) {
        match self.0.entry(at.clone()) {
            Entry::Vacant(unused) => drop(unused.insert(Users::One(key.clone()))),
            Entry::Occupied(mut used) => {
                *at = used.key().clone();
                match used.get_mut() {
                    Users::Many(keys) => drop(keys.insert(key.clone())),
                    Users::One(known) if known == key => {}
                    users @ Users::One(_) => {
                        let keys = users.iter().chain([key]).cloned().collect();
                        *users = Users::Many(keys);
                    }
                }
            }
        }
    }

    /// The instance of a name that is in use.
    pub fn name(&self, at: &I) -> Option<&I> {
        self.0.get_key_value(at).map(|(name, _)| name)
    }

    pub fn remove(&mut self, at: &I, key: &Key) {
        let is_empty = match self.0.get_mut(at) {
            None => false,
            Some(Users::One(known)) => known == key,
            Some(Users::Many(keys)) => {
                keys.remove(key);
                keys.is_empty()
            }
        };
        if is_empty {
            self.0.remove(at);
        }
    }

    /// Those whom `at` concerns, in the order of their names.
    pub fn of(&self, at: &I) -> impl Iterator<Item = &Key> {
        self.0.get(at).into_iter().flat_map(Users::iter)
    }

    /// Copies of those whom `at` concerns.
    pub fn concerned(&self, at: &I) -> BTreeSet<Key> {
        self.of(at).cloned().collect()
    }

    pub fn contains(&self, at: &I) -> bool {
        self.0.contains_key(at)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each name, with each whom it concerns.
    pub fn iter(&self) -> impl Iterator<Item = (&I, &Key)> {
        self.0.iter().flat_map(|(at, users)| users.iter().map(move |key| (at, key)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// It is what a map of sets is.
        #[test]
        fn it_is_a_map_of_sets(changes in proptest::collection::vec((any::<bool>(), 0u8..3, 0u8..4), 0..40)) {
            let mut index = Index::default();
            let mut model: HashMap<u8, BTreeSet<Key>> = HashMap::new();
            for (insert, mut at, name) in changes {
                let key = Key::new("ns", &name.to_string());
                if insert {
                    index.insert(&mut at, &key);
                    model.entry(at).or_default().insert(key);
                } else {
                    index.remove(&at, &key);
                    model.get_mut(&at).map(|keys| keys.remove(&key));
                    model.retain(|_, keys| !keys.is_empty());
                }
                for at in 0..3 {
                    prop_assert_eq!(index.contains(&at), model.contains_key(&at));
                    prop_assert_eq!(index.concerned(&at), model.get(&at).cloned().unwrap_or_default());
                }
                prop_assert_eq!(index.is_empty(), model.is_empty());
                prop_assert_eq!(index.iter().count(), model.values().map(BTreeSet::len).sum::<usize>());
            }
        }
    }
}
