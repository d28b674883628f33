//! `rnc eval --html`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rnc::image::{PrepareError, Preparer, picture};
use serde::Serialize;

use super::super::failure::Failure;
use super::super::page::Parts;
use super::report::{ImageRow, Json, Report};
use super::tally::Judged;

/// Longest side of a small picture. Images of some data sets are smaller, and are shown larger than they are.
const THUMBNAIL: u32 = 160;

const PARTS: Parts = Parts {
    style: include_str!("page/style.css"),
    body: include_str!("page/body.html"),
    scripts: &[include_str!("page/eval.js")],
};

#[derive(Serialize)]
struct Page<'a> {
    report: Json<'a>,
    mistakes: Vec<Mistake>,
}

#[derive(Serialize)]
struct Mistake {
    #[serde(flatten)]
    image: ImageRow,
    /// What the model saw, as the address of a PNG file within the page; nothing if the file has gone since.
    picture: Option<String>,
}

/// The page of an evaluation.
pub(super) fn page(report: &Report, preparer: &Preparer) -> Result<String, Failure> {
    let mistake = |one: Judged| Mistake { image: report.image(&one), picture: thumbnail(report, &one, preparer) };
    let mistakes = report.tally.worst(report.worst).into_iter().map(mistake).collect();
    PARTS.page(&Page { report: report.counts(), mistakes })
}

fn thumbnail(report: &Report, one: &Judged, preparer: &Preparer) -> Option<String> {
    let image = report.data.sources[one.source].decode().ok()?;
    let seen =
        || -> Result<Vec<u8>, PrepareError> { picture::png(&picture::shrink(&preparer.view(&image)?, THUMBNAIL)?) };
    Some(format!("data:image/png;base64,{}", STANDARD.encode(seen().ok()?)))
}
