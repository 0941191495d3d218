//! A set of destinations that remembers how often each one was added.
//!
//! The same destination may be bound several times to what routing sees as one place: a fanout
//! exchange ignores the routing key, a direct one ignores the arguments, yet both are part of a
//! binding's identity (behaviour B4.8). Taking one of those bindings away must leave the others, so
//! every entry carries a count.
//!
//! Routing reads a plain list. Most places hold one destination and live inline; a list that grows
//! long gets an index beside it, so that binding 100 000 queues to one key stays linear.
//!
//! Invariant: no destination is in the list twice, and no count is zero.

use std::hash::Hash;

use ahash::AHashMap;
use smallvec::SmallVec;

/// Up to this length a scan of the list is cheaper than a hash.
const SCANNED_LEN_MAX: usize = 16;

pub(super) struct Destinations<D> {
    list: SmallVec<[Counted<D>; 1]>,
    /// Where each destination is in `list`; kept once the list has outgrown scanning.
    index: Option<Box<AHashMap<D, usize>>>,
}

struct Counted<D> {
    destination: D,
    bindings: u32,
}

impl<D: Clone + Eq + Hash> Destinations<D> {
    pub(super) fn add(&mut self, destination: &D) {
        if let Some(counted) = self.position(destination).and_then(|at| self.list.get_mut(at)) {
            counted.bindings += 1;
            return;
        }
        if let Some(index) = &mut self.index {
            index.insert(destination.clone(), self.list.len());
        }
        self.list.push(Counted { destination: destination.clone(), bindings: 1 });
        if self.index.is_none() && self.list.len() > SCANNED_LEN_MAX {
            let positions = self.list.iter().enumerate();
            self.index = Some(Box::new(
                positions.map(|(at, counted)| (counted.destination.clone(), at)).collect(),
            ));
        }
    }

    /// Takes one binding of `destination` away; the destination leaves with its last one.
    pub(super) fn remove(&mut self, destination: &D) {
        let Some(at) = self.position(destination) else {
            debug_assert!(false, "a destination is removed only where it was added");
            return;
        };
        let Some(counted) = self.list.get_mut(at) else {
            return;
        };
        counted.bindings -= 1;
        if counted.bindings > 0 {
            return;
        }
        self.list.swap_remove(at);
        if let Some(index) = &mut self.index {
            index.remove(destination);
            if let Some(moved) = self.list.get(at) {
                index.insert(moved.destination.clone(), at);
            }
        }
        // Half the limit, so that a list hovering around it does not rebuild the index each time.
        if self.list.len() <= SCANNED_LEN_MAX / 2 {
            self.index = None;
            self.list.shrink_to_fit();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn each(&self, found: &mut dyn FnMut(&D)) {
        for counted in &self.list {
            found(&counted.destination);
        }
    }

    fn position(&self, destination: &D) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(destination).copied(),
            None => self.list.iter().position(|counted| counted.destination == *destination),
        }
    }
}

/// Written out because a derive would ask for `D: Default`.
impl<D> Default for Destinations<D> {
    fn default() -> Self {
        Self { list: SmallVec::new(), index: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(destinations: &Destinations<u32>) -> Vec<u32> {
        let mut all = Vec::new();
        destinations.each(&mut |destination| all.push(*destination));
        all.sort_unstable();
        all
    }

    #[test]
    fn a_destination_added_twice_is_listed_once_and_leaves_with_its_last_binding() {
        let mut destinations = Destinations::default();
        destinations.add(&7);
        destinations.add(&7);
        assert_eq!(list(&destinations), [7]);
        destinations.remove(&7);
        assert_eq!(list(&destinations), [7]);
        destinations.remove(&7);
        assert!(destinations.is_empty());
    }

    #[test]
    fn a_list_that_grows_past_scanning_and_shrinks_back_keeps_its_members() {
        let mut destinations = Destinations::default();
        for destination in 0..100 {
            destinations.add(&destination);
            destinations.add(&destination);
        }
        assert_eq!(list(&destinations), (0..100).collect::<Vec<_>>());
        // From the front, so that each removal moves the last entry into the gap.
        for destination in 0..100 {
            destinations.remove(&destination);
            destinations.remove(&destination);
            assert_eq!(list(&destinations), (destination + 1..100).collect::<Vec<_>>());
        }
        assert!(destinations.index.is_none());
    }
}
