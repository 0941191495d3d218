//! What the allocator keeps of memory that was freed.
//!
//! mimalloc gives free pages back after a while, but only when a thread asks it for something. A broker
//! whose publishers are all blocked asks for nothing: its memory stayed above the limit with every queue
//! empty, and the alarm on for ever.

#![expect(unsafe_code, reason = "the crate that has the allocator does not offer this function")]

// So that it is linked into whatever this is linked into, the allocator of all or not.
use mimalloc as _;

unsafe extern "C" {
    fn mi_collect(force: bool);
}

/// Gives back to the system all that is free. Takes some milliseconds, in which others go on.
pub(super) fn give_back() {
    // SAFETY: `void mi_collect(bool)` of mimalloc.h, of the version that is linked. Any thread may call
    // it at any time; it changes nothing that anybody has allocated.
    unsafe { mi_collect(true) }
}
