//! Choices to messages and back.

use super::{DecodeError, Path, size};
use crate::choice::{Candidate, Choice, Measured, TileSize, Tuning};
use crate::proto;

pub(super) fn write(choice: &Choice) -> proto::Choice {
    let candidate = |candidate: &Candidate| proto::Candidate {
        name: candidate.name.clone(),
        estimated: candidate.estimated,
        measured: candidate.measured,
    };
    let tile = |tile: TileSize| proto::TileSize { pixels: tile.pixels as u64, columns: tile.columns as u64 };
    proto::Choice {
        candidates: choice.candidates.iter().map(candidate).collect(),
        error: choice.error,
        tile: choice.tile.map(tile),
    }
}

pub(super) fn read(choice: proto::Choice, path: &Path<'_>) -> Result<Choice, DecodeError> {
    let candidate = |candidate: proto::Candidate| Candidate {
        name: candidate.name,
        estimated: candidate.estimated,
        measured: candidate.measured,
    };
    let tile_path = path.field("tile");
    let tile = |tile: proto::TileSize| -> Result<TileSize, DecodeError> {
        Ok(TileSize {
            pixels: size(tile.pixels, &tile_path.field("pixels"))?,
            columns: size(tile.columns, &tile_path.field("columns"))?,
        })
    };
    Ok(Choice {
        candidates: choice.candidates.into_iter().map(candidate).collect(),
        error: choice.error,
        tile: choice.tile.map(tile).transpose()?,
    })
}

pub(super) fn write_tuning(tuning: &Tuning) -> proto::Tuning {
    let measured = |measured: &Measured| proto::Measured { host: measured.host.clone(), isa: measured.isa.clone() };
    proto::Tuning { machine: tuning.machine.clone(), measured: tuning.measured.as_ref().map(measured) }
}

pub(super) fn read_tuning(tuning: proto::Tuning) -> Tuning {
    let measured = |measured: proto::Measured| Measured { host: measured.host, isa: measured.isa };
    Tuning { machine: tuning.machine, measured: tuning.measured.map(measured) }
}
