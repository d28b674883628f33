//! Many image files as batches of samples, made on several threads ahead of whoever takes them.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};

use crate::decode::decode;
use crate::error::LoadError;
use crate::prepare::Preparer;

/// Where an image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Bytes that have been read, and what they are called.
    Bytes {
        /// The name, for messages.
        name: String,
        /// The file's content.
        bytes: Vec<u8>,
    },
}

impl Source {
    /// What the image is called.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Bytes { name, .. } => name.clone(),
        }
    }

    /// The file's content.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>, LoadError> {
        match self {
            Self::Bytes { bytes, .. } => Ok(Cow::Borrowed(bytes)),
            Self::File(path) => {
                read(path).map(Cow::Owned).map_err(|error| LoadError::Read { path: path.clone(), error })
            }
        }
    }

    /// The image.
    ///
    /// # Errors
    /// If the file cannot be read or is no image.
    pub fn decode(&self) -> Result<image::RgbImage, LoadError> {
        decode(&self.bytes()?).map_err(|error| LoadError::Decode { name: self.name(), error })
    }
}

/// Most bytes of a file: devices have no end.
const MAX_BYTES: u64 = 1 << 30;

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file has more than a gigabyte"));
    }
    Ok(bytes)
}

/// Samples that follow each other.
#[derive(Debug)]
pub struct Batch {
    /// Index of the first sample's source.
    pub first: usize,
    /// By source: nothing, or why the image is not in the samples. Its sample is zeros then.
    pub errors: Vec<Option<LoadError>>,
    /// The samples, one after the other.
    pub samples: Vec<f32>,
}

/// Who makes samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// So many threads, a batch ahead of whoever takes them: for CPUs that the taker leaves free.
    Ahead(usize),
    /// So many threads, while the taker waits: where it uses all CPUs, threads beside its own would only be in the way of these.
    Between(usize),
}

/// Decodes and prepares images in batches of so many (the last one may be smaller), and hands them to `take` in order, on the calling thread. Stops early where
/// `take` gives an error.
///
/// # Errors
/// What `take` gives.
pub fn load<E>(
    sources: &[Source],
    preparer: &Preparer,
    (batch, workers): (usize, Workers),
    take: &mut dyn FnMut(Batch) -> Result<(), E>,
) -> Result<(), E> {
    let batches: Vec<(usize, &[Source])> =
        sources.chunks(batch.max(1)).enumerate().map(|(i, part)| (i * batch.max(1), part)).collect();
    match workers {
        Workers::Ahead(threads) => ahead(&batches, preparer, threads, take),
        Workers::Between(threads) => batches.into_iter().try_for_each(|batch| take(shared(batch, preparer, threads))),
    }
}

fn ahead<E>(
    batches: &[(usize, &[Source])],
    preparer: &Preparer,
    threads: usize,
    take: &mut dyn FnMut(Batch) -> Result<(), E>,
) -> Result<(), E> {
    let threads = threads.clamp(1, batches.len().max(1));
    std::thread::scope(|scope| {
        // Each thread makes every batch that it gets by itself; its channel keeps it one batch ahead of being taken. Which thread makes which batch is
        // fixed (the i-th of n makes i, i + n, …), so that batches come in order without anyone sorting them.
        let receivers: Vec<Receiver<Batch>> = (0..threads)
            .map(|thread| {
                let (sender, receiver) = sync_channel(1);
                scope.spawn(move || {
                    for (first, sources) in batches.iter().skip(thread).step_by(threads) {
                        if sender.send(make(*first, sources, preparer)).is_err() {
                            // Nobody takes any more.
                            return;
                        }
                    }
                });
                receiver
            })
            .collect();
        for index in 0..batches.len() {
            let Ok(made) = receivers[index % threads].recv() else { break };
            take(made)?;
        }
        Ok(())
    })
}

/// A batch of which each thread makes a part.
fn shared((first, sources): (usize, &[Source]), preparer: &Preparer, threads: usize) -> Batch {
    let part = sources.len().div_ceil(threads.max(1)).max(1);
    let parts: Vec<Batch> = std::thread::scope(|scope| {
        let parts: Vec<_> = sources.chunks(part).map(|part| scope.spawn(move || make(first, part, preparer))).collect();
        parts.into_iter().map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let mut whole = Batch { first, errors: Vec::new(), samples: Vec::new() };
    for mut part in parts {
        whole.errors.append(&mut part.errors);
        whole.samples.append(&mut part.samples);
    }
    whole
}

fn make(first: usize, sources: &[Source], preparer: &Preparer) -> Batch {
    let len = preparer.input().len();
    let mut samples = vec![0.0; len * sources.len()];
    let mut sample = |(source, sample): (&Source, &mut [f32])| -> Option<LoadError> {
        let prepared = source.decode().and_then(|image| {
            preparer.prepare(&image, sample).map_err(|error| LoadError::Prepare { name: source.name(), error })
        });
        prepared.err()
    };
    let errors = sources.iter().zip(samples.chunks_exact_mut(len)).map(&mut sample).collect();
    Batch { first, errors, samples }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use image::{ImageFormat, Rgb, RgbImage};

    use super::*;
    use crate::prepare::{Axes, ImageInput};
    use crate::preset;

    fn png(value: u8) -> Source {
        let mut bytes = Vec::new();
        let image = RgbImage::from_pixel(2, 2, Rgb([value; 3]));
        image.write_to(&mut io::Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
        Source::Bytes { name: format!("{value}.png"), bytes }
    }

    fn preparer() -> Preparer {
        Preparer::new(preset::named("none").unwrap(), ImageInput { height: 2, width: 2, axes: Axes::Chw })
    }

    #[test]
    fn batches_come_in_order_whatever_the_threads() {
        let sources: Vec<Source> = (0..23).map(png).collect();
        let all = [1, 2, 3, 64].into_iter().flat_map(|threads| [Workers::Ahead(threads), Workers::Between(threads)]);
        for workers in all {
            let mut seen = Vec::new();
            let taken: Result<(), Infallible> = load(&sources, &preparer(), (5, workers), &mut |batch| {
                assert_eq!(batch.first, seen.len());
                assert!(batch.errors.iter().all(Option::is_none));
                seen.extend(batch.samples.chunks_exact(12).map(|sample| sample[0] as usize));
                Ok(())
            });
            taken.unwrap();
            assert_eq!(seen, (0..23).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_image_that_is_none_is_named_and_leaves_the_others() {
        let broken = Source::Bytes { name: "x.png".into(), bytes: b"no image".to_vec() };
        let missing = Source::File("/nowhere/y.jpg".into());
        let mut batches = Vec::new();
        let all = [png(7), broken, missing, png(9)];
        load(&all, &preparer(), (4, Workers::Between(3)), &mut |batch| {
            batches.push(batch);
            Ok::<(), Infallible>(())
        })
        .unwrap();
        let errors: Vec<_> = batches[0].errors.iter().map(|error| error.as_ref().map(ToString::to_string)).collect();
        assert!(errors[0].is_none() && errors[3].is_none());
        assert!(errors[1].as_ref().unwrap().starts_with("x.png: not an image"), "{errors:?}");
        assert!(errors[2].as_ref().unwrap().contains("/nowhere/y.jpg"), "{errors:?}");
        assert_eq!([0, 12, 36].map(|at| batches[0].samples[at] as u8), [7, 0, 9]);
    }

    #[test]
    fn an_error_of_the_taker_ends_the_work() {
        let sources: Vec<Source> = (0..100).map(png).collect();
        let mut taken = 0;
        let result = load(&sources, &preparer(), (1, Workers::Ahead(3)), &mut |_| {
            taken += 1;
            if taken == 4 { Err("enough") } else { Ok(()) }
        });
        assert_eq!((result, taken), (Err("enough"), 4));
    }
}
