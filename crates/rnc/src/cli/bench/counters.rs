//! The CPU's counters of cycles and instructions, where the kernel gives them.

use serde::{Deserialize, Serialize};

/// What is counted, for whoever reads the numbers.
pub(super) const SCOPE: &str = "user space, all threads of the runs, with their waiting for each other";

/// Cycles and instructions of some runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub cycles: f64,
    pub instructions: f64,
}

impl Counts {
    /// The counts since an earlier reading, if both counters ran in between. Counters that had to share the hardware ran only a part of the time; that is made up for.
    fn between(before: &[Reading; 2], after: &[Reading; 2]) -> Option<Self> {
        let [cycles, instructions] = [0, 1].map(|i| after[i].since(before[i]));
        Some(Self { cycles: cycles?, instructions: instructions? })
    }

    /// The sum, none if a part is missing.
    pub fn add(sum: Option<Self>, part: Option<Self>) -> Option<Self> {
        let (sum, part) = sum.zip(part)?;
        Some(Self { cycles: sum.cycles + part.cycles, instructions: sum.instructions + part.instructions })
    }
}

/// A counter as it was at one moment; times in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    count: u64,
    enabled: u64,
    running: u64,
}

impl Reading {
    fn since(self, before: Self) -> Option<f64> {
        let count = self.count.checked_sub(before.count)? as f64;
        let enabled = self.enabled.checked_sub(before.enabled)? as f64;
        let running = self.running.checked_sub(before.running).filter(|running| *running > 0)? as f64;
        Some(count * enabled / running)
    }
}

#[cfg(target_os = "linux")]
pub(super) use linux::Counters;
#[cfg(not(target_os = "linux"))]
pub(super) use none::Counters;

#[cfg(target_os = "linux")]
mod linux {
    use std::io;

    use perf_event::events::{Event, Hardware};
    use perf_event::{Builder, Counter};

    use super::{Counts, Reading};

    /// Both counters, running.
    pub(in super::super) struct Counters([Counter; 2]);

    impl Counters {
        /// Counts this thread, and all threads that it and they will start: to be called before there are any others.
        ///
        /// # Errors
        /// Says why there are no counters.
        pub fn open() -> Result<Self, String> {
            Self::of([Hardware::CPU_CYCLES.into(), Hardware::INSTRUCTIONS.into()]).map_err(|error| reason(&error))
        }

        pub(super) fn of(events: [Event; 2]) -> io::Result<Self> {
            let open = |event: Event| {
                let mut builder = Builder::new().kind(event);
                builder.inherit(true);
                let mut counter = builder.build()?;
                counter.enable()?;
                io::Result::Ok(counter)
            };
            let [first, second] = events;
            Ok(Self([open(first)?, open(second)?]))
        }

        /// Does something and counts meanwhile.
        pub fn count<T>(&mut self, work: impl FnOnce() -> T) -> (T, Option<Counts>) {
            let before = self.read();
            let result = work();
            let counts = before.zip(self.read()).and_then(|(before, after)| Counts::between(&before, &after));
            (result, counts)
        }

        fn read(&mut self) -> Option<[Reading; 2]> {
            let [first, second] = &mut self.0;
            let read = |counter: &mut Counter| {
                let found = counter.read_count_and_time().ok()?;
                Some(Reading { count: found.count, enabled: found.time_enabled, running: found.time_running })
            };
            Some([read(first)?, read(second)?])
        }
    }

    fn reason(error: &io::Error) -> String {
        match error.kind() {
            io::ErrorKind::NotFound => {
                "this CPU shows none to the kernel, as is usual in virtual machines".to_owned()
            }
            io::ErrorKind::PermissionDenied => {
                "the kernel does not allow it to this user (as root: sysctl kernel.perf_event_paranoid=2); containers often forbid it altogether".to_owned()
            }
            io::ErrorKind::Unsupported => "the kernel has no perf events".to_owned(),
            _ => format!("perf_event_open: {error}"),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod none {
    use super::Counts;

    pub(in super::super) enum Counters {}

    impl Counters {
        pub fn open() -> Result<Self, String> {
            Err("only Linux has perf events".to_owned())
        }

        pub fn count<T>(&mut self, _work: impl FnOnce() -> T) -> (T, Option<Counts>) {
            match *self {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use super::*;

    #[test]
    fn counters_that_share_the_hardware_are_scaled_to_the_whole_time() {
        let before = Reading { count: 100, enabled: 1000, running: 1000 };
        let after = Reading { count: 400, enabled: 1800, running: 1400 };
        assert_eq!(after.since(before), Some(600.0));
        assert_eq!(after.since(after), None, "it did not run");
        assert_eq!(before.since(after), None);
    }

    #[test]
    fn a_sum_with_a_part_missing_is_none() {
        let part = Some(Counts { cycles: 2.0, instructions: 3.0 });
        assert_eq!(Counts::add(part, part), Some(Counts { cycles: 4.0, instructions: 6.0 }));
        assert_eq!((Counts::add(part, None), Counts::add(None, part)), (None, None));
    }

    /// The kernel's own clock of a task is there in virtual machines, too, and is inherited as the CPU's counters are.
    #[test]
    #[cfg(target_os = "linux")]
    fn threads_that_start_later_are_counted() {
        let clock = || perf_event::events::Software::TASK_CLOCK.into();
        let Ok(mut counters) = Counters::of([clock(), clock()]) else { return };
        let work = || {
            let start = std::time::Instant::now();
            while start.elapsed().as_millis() < 20 {
                std::hint::spin_loop();
            }
        };
        let ((), alone) = counters.count(work);
        let ((), both) = counters.count(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| (0..4).for_each(|_| work()));
            });
        });
        let (alone, both) = (alone.unwrap().cycles, both.unwrap().cycles);
        assert!(alone > 0.0 && both > alone, "{alone} {both}");
    }

    #[test]
    fn counters_count_or_say_why_not() {
        match Counters::open() {
            Ok(mut counters) => {
                let (sum, counts) = counters.count(|| (0..100_000u64).map(std::hint::black_box).sum::<u64>());
                assert_eq!(sum, 4_999_950_000);
                assert!(counts.is_none_or(|counts| counts.instructions >= 100_000.0), "{counts:?}");
            }
            Err(reason) => assert!(reason.len() > 10, "{reason}"),
        }
    }
}
