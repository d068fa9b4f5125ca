//! The planted panic: behind two steps that no seed takes, each of which a fuzzer sees only by its coverage.

use std::hint::black_box;

/// Panics behind two steps, with the feature `planted`.
pub fn behind(steps: usize) {
    // In the black box each step is a branch of its own, not a part of one comparison.
    if cfg!(feature = "planted") && black_box(steps > 0) && black_box(steps > 1) {
        panic!("planted");
    }
}
