//! Locks in a process that may be a copy of another.

use std::sync::{Mutex, MutexGuard, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anyone holds these locks, also if the system takes the CPU away for a while.
const ABANDONED: Duration = Duration::from_millis(50);

/// Locks what is only ever held for a moment. `None` if it does not come free: a process that was forked while another thread held a lock has the lock, but not the thread.
pub(crate) fn brief<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    let mut start = None;
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if start.get_or_insert_with(Instant::now).elapsed() > ABANDONED => {
                return None;
            }
            Err(TryLockError::WouldBlock) => thread::yield_now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_nobody_gives_back_is_given_up() {
        let mutex = Mutex::new(1);
        assert!(brief(&mutex).is_some_and(|guard| *guard == 1));
        let _guard = mutex.lock();
        assert!(brief(&mutex).is_none());
    }

    #[test]
    fn a_lock_that_is_held_for_a_moment_is_waited_for() {
        let mutex = Mutex::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| *brief(&mutex).expect("only held for a moment") += 1));
            }
        });
        assert_eq!(mutex.into_inner().ok(), Some(4000));
    }
}
