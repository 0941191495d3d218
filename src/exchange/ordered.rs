//! The bindings of an exchange in an order that does not depend on when they were made, so that it is
//! the same after a restart.

use super::digest::Target;

/// A destination stands here once for each of its bindings.
pub(super) struct Ordered<D>(Vec<(u64, D)>);

impl<D: Target> Ordered<D> {
    pub(super) fn add(&mut self, destination: &D) {
        let digest = destination.digest();
        let place = self.0.partition_point(|(other, _)| *other < digest);
        self.0.insert(place, (digest, destination.clone()));
    }

    /// Takes one binding of `destination` away.
    pub(super) fn remove(&mut self, destination: &D) {
        let found = self.0.iter().position(|(_, other)| other == destination);
        debug_assert!(found.is_some(), "a destination is removed only where it was added");
        if let Some(place) = found {
            self.0.remove(place);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, place: usize) -> Option<&D> {
        self.0.get(place).map(|(_, destination)| destination)
    }
}

/// Written out because a derive would ask for `D: Default`.
impl<D> Default for Ordered<D> {
    fn default() -> Self {
        Self(Vec::new())
    }
}
