//! What a process may do with sessions: load and drop them without end, have many, fork while they run.
#![cfg(target_os = "linux")]

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ndarray::{ArrayD, IxDyn};
use rnc::zoo::{ZooOptions, build};
use rnc::{CompileOptions, Options, Plan, RunError, Session};
use rnc_tests::alone;

fn plan() -> Plan {
    let options = ZooOptions { image: 32, classes: 10, ..ZooOptions::default() };
    rnc::compile_graph(build("resnet18", &options).unwrap(), &CompileOptions::default()).unwrap()
}

fn session(plan: &Plan, threads: usize) -> Session {
    Session::new(plan.clone(), &Options { threads: Some(threads), ..Options::default() }).unwrap()
}

fn bits(session: &Session) -> Vec<u32> {
    let images = ArrayD::from_shape_fn(IxDyn(&[2, 3, 32, 32]), |at| (at[0] * 7 + at[2] * 3 + at[3]) as f32 * 0.01);
    let outputs = session.run(&[("input", images.view())]).unwrap();
    outputs[0].1.iter().map(|x| x.to_bits()).collect()
}

/// Resident memory in KiB, and mappings.
fn footprint() -> (usize, usize) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let resident = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    (resident, fs::read_to_string("/proc/self/maps").unwrap().lines().count())
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn loading_running_and_dropping_two_thousand_times_leaves_memory_as_it_was() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.bin");
    let graph = rnc::ir::parse(
        "graph @g(%x: f32[N,16,9,9]) -> (%y) {
           @w = random(1, -0.2, 0.2) : f32[32,16,3,3]
           %c = conv2d(%x, @w) {pad=1}
           %y = relu(%c)
         }",
    );
    rnc::write_plan(&rnc::compile_graph(graph.unwrap(), &CompileOptions::default()).unwrap(), &path).unwrap();
    let image = ArrayD::from_elem(IxDyn(&[1, 16, 9, 9]), 1.0);
    let cycle = || {
        let session = Session::load(&path, &Options { threads: Some(2), ..Options::default() }).unwrap();
        session.run(&[("x", image.view())]).unwrap();
    };
    (0..200).for_each(|_| cycle());
    let (resident, mappings) = footprint();
    (0..2000).for_each(|_| cycle());
    let (then_resident, then_mappings) = footprint();
    // The allocator keeps some; a leak of a page a cycle would be 8 MB.
    assert!(then_resident < resident + 4096, "{resident} KiB became {then_resident} KiB");
    assert!(then_mappings < mappings + 20, "{mappings} mappings became {then_mappings}");
}

#[test]
fn many_sessions_have_one_pool() {
    let _alone = alone();
    let plan = plan();
    let sessions: Vec<Session> = (0..8).map(|_| session(&plan, 3)).collect();
    let expected = bits(&sessions[0]);
    let before = threads();
    std::thread::scope(|scope| {
        for session in &sessions {
            scope.spawn(|| (0..20).for_each(|_| assert_eq!(bits(session), expected)));
        }
    });
    // The first run made the pool's workers. The callers are done, and take a moment to go.
    let start = Instant::now();
    while threads() > before && start.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(threads() <= before, "{before} threads became {}", threads());
}

#[test]
fn a_process_that_was_forked_while_others_run_computes_the_same() {
    let _alone = alone();
    let plan = plan();
    let session = session(&plan, 2);
    let expected = bits(&session);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    bits(&session);
                }
            });
        }
        let failed = (0..60).find_map(|fork| {
            in_child(|| bits(&session) == expected && bits(&session) == expected).err().map(|e| (fork, e))
        });
        done.store(true, Ordering::Relaxed);
        assert_eq!(failed, None);
    });
}

#[test]
fn a_run_that_another_process_started_is_neither_waited_for_nor_held_up() {
    let _alone = alone();
    let session = session(&plan(), 2);
    let images = ArrayD::zeros(IxDyn(&[8, 3, 32, 32]));
    let start = || session.start(&[("input", images.view())]).unwrap();
    let running = start();
    assert_eq!(in_child(|| matches!(running.wait(), Err(RunError::Forked))), Ok(()));
    let running = start();
    let dropped = || {
        drop(running);
        true
    };
    assert_eq!(in_child(dropped), Ok(()));
}

#[test]
fn a_process_that_is_held_to_one_cpu_runs_on_one_thread() {
    let _alone = alone();
    let plan = plan();
    let default_threads = || Session::new(plan.clone(), &Options::default()).unwrap().threads();
    let everywhere = default_threads();
    assert_eq!(in_child(|| hold_to(1) && default_threads() == 1), Ok(()));
    assert_eq!(in_child(|| hold_to(2) && default_threads() == everywhere.min(2)), Ok(()));
}

/// Leaves this thread, and those that it starts, so many of the CPUs that it may use, as `taskset` does.
#[allow(unsafe_code, reason = "the standard library cannot say it")]
fn hold_to(count: usize) -> bool {
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: sets of CPUs are plain bits, all zero is the empty one, and the numbers are in their range.
    unsafe {
        let [mut allowed, mut kept]: [libc::cpu_set_t; 2] = std::mem::zeroed();
        libc::sched_getaffinity(0, size, &raw mut allowed);
        let cpus = (0..libc::CPU_SETSIZE as usize).filter(|cpu| libc::CPU_ISSET(*cpu, &allowed));
        for cpu in cpus.take(count) {
            libc::CPU_SET(cpu, &mut kept);
        }
        libc::sched_setaffinity(0, size, &raw const kept) == 0
    }
}

/// Whether something holds in a copy of this process.
#[allow(unsafe_code, reason = "fork and its like")]
fn in_child(holds: impl FnOnce() -> bool) -> Result<(), String> {
    // SAFETY: the child has this thread alone. It allocates, which the C library allows after a fork, runs a session, and leaves without unwinding.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let code = i32::from(!holds());
        // SAFETY: ends the process, and runs nothing of it.
        unsafe { libc::_exit(code) }
    }
    let start = Instant::now();
    loop {
        let mut status = 0;
        // SAFETY: `status` is valid for the call.
        match unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } {
            0 if start.elapsed() > Duration::from_mins(1) => {
                // SAFETY: the child has not been waited for, so the number is its own.
                unsafe { libc::kill(child, libc::SIGKILL) };
                return Err("it hangs".to_owned());
            }
            0 => std::thread::sleep(Duration::from_millis(1)),
            _ if status == 0 => return Ok(()),
            _ => return Err(format!("it ended with status {status:#x}")),
        }
    }
}
