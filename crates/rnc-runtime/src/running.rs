//! A run on a thread of its own, which ends early if nobody waits for it any more.

use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use ndarray::ArrayD;

use crate::error::RunError;
use crate::run::{Observed, Run};
use crate::session::{Session, Workspace};
use crate::tensors::{Given, OutputArrays};

/// A run that is bound to its tensors, with all that it reads and writes.
pub(crate) struct Call<'a> {
    pub(crate) session: Session,
    pub(crate) workspace: Workspace,
    pub(crate) given: Given<'a>,
    pub(crate) outputs: Vec<ArrayD<f32>>,
}

impl Call<'_> {
    pub(crate) fn run(&mut self) {
        self.session.go(&self.workspace.run);
    }

    pub(crate) fn observe(&mut self, observe: &mut dyn FnMut(Observed<'_>)) {
        self.workspace.run.observe(observe);
    }

    /// Gives the workspace back to the session, and what the run wrote to the caller.
    ///
    /// # Errors
    /// If the plan changed.
    pub(crate) fn finish(self) -> Result<OutputArrays, RunError> {
        let Self { session, workspace, given, outputs } = self;
        drop(given);
        session.give_back(workspace);
        session.intact()?;
        Ok(session.plan().outputs.iter().map(|port| port.name.clone()).zip(outputs).collect())
    }
}

/// A run under way, made by [`Session::start`]. Dropping it cancels the run: its threads end after the step that they are at, and the drop waits for that.
pub struct Running {
    run: Arc<Run>,
    /// Nothing is sent; it is closed when the run is done.
    done: Receiver<()>,
    /// `None` once the thread's call was taken.
    thread: Option<JoinHandle<Call<'static>>>,
    process: u32,
}

impl Running {
    pub(crate) fn start(mut call: Call<'static>) -> Result<Self, RunError> {
        let run = Arc::clone(&call.workspace.run);
        let (sender, done) = mpsc::channel();
        let work = move || {
            call.run();
            drop(sender);
            call
        };
        let thread =
            Builder::new().name("rnc-run".to_owned()).spawn(work).map_err(|error| RunError::Thread { error })?;
        Ok(Self { run, done, thread: Some(thread), process: std::process::id() })
    }

    /// Whether the run is done, so that [`Running::wait`] returns at once.
    pub fn is_done(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the outputs.
    ///
    /// # Errors
    /// If the plan's file was changed since it was loaded; if this process is a fork of the one that started the run.
    pub fn wait(mut self) -> Result<OutputArrays, RunError> {
        match self.call() {
            Some(call) => call.finish(),
            None => Err(RunError::Forked),
        }
    }

    /// Waits for the outputs, but not longer than so long.
    ///
    /// # Errors
    /// The run itself, if it is not done yet.
    pub fn wait_timeout(self, timeout: Duration) -> Result<Result<OutputArrays, RunError>, Self> {
        match self.done.recv_timeout(timeout) {
            Err(RecvTimeoutError::Timeout) => Err(self),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Ok(self.wait()),
        }
    }

    /// The thread's call once it is done. `None` where there is no such thread: in another process, or when it was taken.
    fn call(&mut self) -> Option<Call<'static>> {
        let thread = self.thread.take()?;
        if self.process == std::process::id() {
            return Some(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        // What the handle means is in the other process.
        mem::forget(thread);
        None
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.run.cancel();
        }
        // The workspace goes back only now: another run of it must not be the one that is cancelled.
        let _ = self.call().map(Call::finish);
    }
}
