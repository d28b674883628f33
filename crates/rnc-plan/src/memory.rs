//! The memory-plan checker: proves that buffers alive at the same step do not overlap. It shares no code with any planner.

use std::collections::BTreeMap;

use crate::plan::Buffer;

/// Why a memory plan is not one. Buffers are named by index and name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// Two buffers are alive at the same step and share memory.
    #[error("buffers {} `{}` and {} `{}` are both alive at step {step} and overlap in memory", first.0, first.1, second.0, second.1)]
    Overlap {
        /// The one at the lower offset.
        first: (usize, String),
        /// The other one.
        second: (usize, String),
        /// The first step at which both are alive.
        step: usize,
    },
    /// A buffer ends behind the arena.
    #[error("buffer {} `{}` ends at byte {end}, behind the arena of {arena_bytes} bytes", buffer.0, buffer.1)]
    OutsideArena {
        /// The buffer.
        buffer: (usize, String),
        /// Its end; `u128` because it may be anything in a plan from outside.
        end: u128,
        /// Size of the arena.
        arena_bytes: usize,
    },
    /// A buffer's last step is before its first.
    #[error("buffer {} `{}` lives from step {first} to the earlier step {last}", buffer.0, buffer.1)]
    Reversed {
        /// The buffer.
        buffer: (usize, String),
        /// First step.
        first: usize,
        /// Last step.
        last: usize,
    },
}

/// Checks that every buffer lies in the arena, and that no two share a byte at a step at which both are alive (from `first_step` to
/// `last_step`, both included). Offsets and sizes scale with the batch alike, so what holds for one sample holds for any number.
///
/// # Errors
/// The first violation, in the order of steps.
pub fn check(buffers: &[Buffer], arena_bytes: usize) -> Result<(), MemoryError> {
    let label = |index: usize| (index, buffers[index].name.clone());
    for (index, buffer) in buffers.iter().enumerate() {
        let end = buffer.offset as u128 + buffer.bytes as u128;
        if end > arena_bytes as u128 {
            return Err(MemoryError::OutsideArena { buffer: label(index), end, arena_bytes });
        }
        if buffer.last_step < buffer.first_step {
            return Err(MemoryError::Reversed {
                buffer: label(index),
                first: buffer.first_step,
                last: buffer.last_step,
            });
        }
    }
    // The buffers alive, by offset. As they are disjoint, a new one can only overlap the one before or the one behind it.
    let mut alive: BTreeMap<usize, usize> = BTreeMap::new();
    for event in events(buffers) {
        let index = event.buffer;
        let Buffer { offset, bytes, .. } = buffers[index];
        if !event.starts {
            alive.remove(&offset);
            continue;
        }
        let before =
            alive.range(..=offset).next_back().filter(|(start, other)| *start + buffers[**other].bytes > offset);
        let behind = alive.range(offset..).next().filter(|(start, _)| **start < offset + bytes);
        if let Some((_, other)) = before {
            return Err(MemoryError::Overlap { first: label(*other), second: label(index), step: event.step });
        }
        if let Some((_, other)) = behind {
            return Err(MemoryError::Overlap { first: label(index), second: label(*other), step: event.step });
        }
        alive.insert(offset, index);
    }
    Ok(())
}

/// The largest sum of bytes alive at one step: no arena can be smaller for these lifetimes. Saturates at `usize::MAX`.
pub fn lower_bound(buffers: &[Buffer]) -> usize {
    let (mut alive, mut largest) = (0u128, 0u128);
    for event in events(buffers) {
        let bytes = buffers[event.buffer].bytes as u128;
        if event.starts {
            alive += bytes;
            largest = largest.max(alive);
        } else {
            alive -= bytes;
        }
    }
    usize::try_from(largest).unwrap_or(usize::MAX)
}

/// A buffer starts to live at a step, or has stopped to before it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    step: usize,
    starts: bool,
    buffer: usize,
}

/// What happens, in order; at one step, ends come before starts. Buffers of no bytes and reversed lifetimes occupy nothing.
fn events(buffers: &[Buffer]) -> Vec<Event> {
    let mut events = Vec::with_capacity(buffers.len() * 2);
    for (buffer, each) in buffers.iter().enumerate().filter(|(_, b)| b.bytes > 0 && b.first_step <= b.last_step) {
        events.push(Event { step: each.first_step, starts: true, buffer });
        // A buffer that is alive at the last step there can be never stops.
        events.extend(each.last_step.checked_add(1).map(|step| Event { step, starts: false, buffer }));
    }
    events.sort_unstable();
    events
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn buffer(offset: usize, bytes: usize, first_step: usize, last_step: usize) -> Buffer {
        Buffer { name: format!("{offset}+{bytes}"), offset, bytes, first_step, last_step }
    }

    #[test]
    fn accepts_memory_that_is_reused_after_its_last_step() {
        let buffers = [buffer(0, 64, 0, 1), buffer(64, 64, 1, 2), buffer(0, 64, 2, 3)];
        assert_eq!(check(&buffers, 128), Ok(()));
        assert_eq!(lower_bound(&buffers), 128);
    }

    #[test]
    fn refuses_an_overlap_at_one_shared_step() {
        let buffers = [buffer(0, 128, 0, 1), buffer(64, 64, 1, 2)];
        let Err(MemoryError::Overlap { first, second, step }) = check(&buffers, 128) else { panic!("accepted") };
        assert_eq!((first.0, second.0, step), (0, 1, 1));
        assert_eq!(lower_bound(&buffers), 192);
    }

    #[test]
    fn refuses_buffers_behind_the_arena_and_reversed_lifetimes() {
        assert!(matches!(check(&[buffer(64, 64, 0, 0)], 127), Err(MemoryError::OutsideArena { end: 128, .. })));
        assert!(matches!(check(&[buffer(usize::MAX, usize::MAX, 0, 0)], 127), Err(MemoryError::OutsideArena { .. })));
        assert!(matches!(check(&[buffer(0, 64, 3, 2)], 64), Err(MemoryError::Reversed { first: 3, last: 2, .. })));
    }

    #[test]
    fn survives_the_largest_numbers() {
        let buffers = vec![buffer(0, usize::MAX, 0, usize::MAX); 3];
        assert!(matches!(check(&buffers, usize::MAX), Err(MemoryError::Overlap { .. })));
        assert_eq!(lower_bound(&buffers), usize::MAX);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn agrees_with_comparing_all_pairs(
            parts in prop::collection::vec((0..12usize, 0..5usize, 0..8usize, 0..5usize), 0..9)
        ) {
            let buffers: Vec<_> =
                parts.into_iter().map(|(offset, bytes, first, len)| buffer(offset, bytes, first, first + len)).collect();
            let overlap = |a: &Buffer, b: &Buffer| {
                let times = a.first_step <= b.last_step && b.first_step <= a.last_step;
                times && a.bytes > 0 && b.bytes > 0 && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes
            };
            let any = buffers.iter().enumerate().any(|(i, a)| buffers[..i].iter().any(|b| overlap(a, b)));
            prop_assert_eq!(check(&buffers, 64).is_err(), any);
            let live = |step: usize| {
                buffers.iter().filter(|b| (b.first_step..=b.last_step).contains(&step)).map(|b| b.bytes).sum::<usize>()
            };
            prop_assert_eq!(lower_bound(&buffers), (0..16).map(live).max().unwrap_or(0));
        }
    }
}
