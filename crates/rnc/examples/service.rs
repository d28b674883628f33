//! A service that answers many clients: requests that come at about the same time go through the model as one batch.
//!
//! A batch starts when it is full, or when its first request has waited for [`PATIENCE`]. Each client waits for its own answer.
//!
//! ```sh
//! cargo run --release -p rnc --example service -- resnet50.plan 8 20
//! ```
//!
//! runs 8 clients with 20 requests each, and says how long they waited.

use std::error::Error;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use ndarray::{ArrayView, Axis, IxDyn};
use rnc::statistics::Summary;
use rnc::{Options, RunError, Session};

/// Most requests in one run.
const BATCH: usize = 8;
/// How long a request waits for others.
const PATIENCE: Duration = Duration::from_millis(2);

/// One sample, and where its answer goes.
struct Request {
    sample: Vec<f32>,
    answer: Sender<Vec<f32>>,
}

/// Answers requests until nobody can send any more.
fn serve(session: &Session, requests: &Receiver<Request>) -> Result<(), RunError> {
    let plan = session.plan();
    // A plan for one batch alone must get that.
    let most = plan.batch.fixed().unwrap_or(BATCH);
    while let Ok(first) = requests.recv() {
        let mut batch = vec![first];
        let deadline = Instant::now() + PATIENCE;
        while batch.len() < most {
            match requests.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(request) => batch.push(request),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        let rows = plan.batch.fixed().unwrap_or(batch.len());
        let mut samples: Vec<f32> = batch.iter().flat_map(|request| request.sample.iter().copied()).collect();
        samples.resize(samples.len() / batch.len() * rows, 0.0);
        let shape = IxDyn(&plan.batch.shape(&plan.inputs[0].dims, rows));
        let outputs =
            session.run_one(ArrayView::from_shape(shape, &samples).expect("samples have the model's shape"))?;
        for (request, answer) in batch.iter().zip(outputs.axis_iter(Axis(0))) {
            // A client that has gone needs no answer.
            drop(request.answer.send(answer.iter().copied().collect()));
        }
    }
    Ok(())
}

/// Asks so often, and gives the milliseconds that each answer took.
fn client(requests: &Sender<Request>, len: usize, count: usize) -> Vec<f64> {
    let (answer, answers) = channel();
    let mut times = Vec::new();
    for i in 0..count {
        let start = Instant::now();
        let sample = vec![i as f32 / count as f32; len];
        if requests.send(Request { sample, answer: answer.clone() }).is_err() || answers.recv().is_err() {
            break;
        }
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [plan, clients, count] = arguments.as_slice() else {
        return Err("usage: service PLAN CLIENTS REQUESTS".into());
    };
    let (clients, count): (usize, usize) = (clients.parse()?, count.parse()?);
    let session = Session::load(Path::new(plan), &Options::default())?;
    let len = session.plan().inputs[0].sample_len().unwrap_or(0);
    let (sender, receiver) = channel();
    let start = Instant::now();
    let (served, times) = thread::scope(|scope| {
        let session = &session;
        let service = scope.spawn(move || serve(session, &receiver));
        let clients: Vec<_> = (0..clients)
            .map(|_| {
                let sender = sender.clone();
                scope.spawn(move || client(&sender, len, count))
            })
            .collect();
        // The service ends when the last sender is gone.
        drop(sender);
        let times: Vec<f64> = clients.into_iter().flat_map(|client| client.join().unwrap_or_default()).collect();
        (service.join(), times)
    });
    served.map_err(|_| "the service panicked")??;
    let summary = Summary::of(&times).ok_or("no answers")?;
    let rate = times.len() as f64 / start.elapsed().as_secs_f64();
    println!(
        "{} answers, {rate:.1} a second; median {:.1} ms, 99 % within {:.1} ms",
        times.len(),
        summary.median,
        summary.p99
    );
    Ok(())
}
