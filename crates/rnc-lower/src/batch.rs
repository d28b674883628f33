//! The batch, and the samples it consists of.

use rnc_ir::{DType, Dim, Graph, NodeId, TensorType};
use rnc_plan::Batch;

use crate::error::{LowerError, Reason};

/// Most elements of a sample: keeps every product of sizes far from overflow.
const MAX_ELEMENTS: usize = 1 << 29;

/// The batch of a graph: the leading dimension that its inputs share.
pub(crate) fn of(graph: &Graph) -> Result<Batch, LowerError> {
    let leading = |id: NodeId| graph.ty(id).shape.dims().first().copied();
    let mut inputs = graph.inputs().iter().filter_map(|id| Some((graph.node(*id).name(), leading(*id)?)));
    let Some((first, first_batch)) = inputs.next() else {
        return match graph.inputs() {
            [] => Err(LowerError::NoInputs { graph: graph.name().to_owned() }),
            // Rank 0 everywhere: each input is refused by `sample`.
            _ => Ok(Batch::Symbolic),
        };
    };
    if let Some((other, other_batch)) = inputs.find(|(_, batch)| *batch != first_batch) {
        let (first, other) = (first.to_owned(), other.to_owned());
        return Err(LowerError::Batches { first, first_batch, other, other_batch });
    }
    Ok(match first_batch {
        Dim::Batch => Batch::Symbolic,
        Dim::Fixed(n) => Batch::Fixed(n),
    })
}

/// Whether a value has the open batch among its dimensions.
pub(crate) fn is_open(graph: &Graph) -> bool {
    graph.ids().any(|id| graph.ty(id).shape.dims().contains(&Dim::Batch))
}

/// The dimensions of one sample of a value of this type.
pub(crate) fn sample(ty: &TensorType, batch: Batch) -> Result<Vec<usize>, Reason> {
    if ty.dtype != DType::F32 {
        return Err(Reason::new(format!("its value is {ty}"), "f32 values"));
    }
    let leading = match batch {
        Batch::Symbolic => Dim::Batch,
        Batch::Fixed(n) => Dim::Fixed(n),
        Batch::Single => return whole(ty),
    };
    let [first, rest @ ..] = ty.shape.dims() else {
        return Err(Reason::new(
            format!("its value is {ty}, which has no dimension for the batch"),
            "rank 2 and above",
        ));
    };
    if *first != leading {
        let supported = format!("values whose leading dimension is the batch, {leading}, as that of the inputs is");
        return Err(Reason::new(format!("its value is {ty}, whose leading dimension is {first}"), supported));
    }
    if rest.is_empty() {
        return Err(Reason::new(
            format!("its value is {ty}, which has no dimension but the batch"),
            "rank 2 and above",
        ));
    }
    let Some(dims) = rest.iter().map(|dim| dim.fixed()).collect::<Option<Vec<_>>>() else {
        return Err(Reason::new(
            format!("its value is {ty}, where the batch is not the leading dimension only"),
            "values whose only symbolic dimension is the leading one",
        ));
    };
    if batch == Batch::Fixed(0) {
        return Err(no_elements(ty));
    }
    checked(ty, dims)
}

/// The dimensions of a value that is a sample by itself; a single number is one of one element.
fn whole(ty: &TensorType) -> Result<Vec<usize>, Reason> {
    let Some(dims) = ty.shape.fixed() else {
        return Err(Reason::new(format!("its value is {ty}"), "values without a batch, as the others are"));
    };
    checked(ty, if dims.is_empty() { vec![1] } else { dims })
}

fn checked(ty: &TensorType, dims: Vec<usize>) -> Result<Vec<usize>, Reason> {
    match crate::layout::len(&dims, crate::layout::Layout::Planar) {
        Some(1..=MAX_ELEMENTS) => Ok(dims),
        Some(0) => Err(no_elements(ty)),
        _ => Err(Reason::new(
            format!("its value is {ty}"),
            format!("values of at most {MAX_ELEMENTS} elements a sample"),
        )),
    }
}

fn no_elements(ty: &TensorType) -> Reason {
    Reason::new(format!("its value is {ty}, which has no elements"), "values with elements")
}

/// Dimensions of a tensor that are not the sample's: one for the batch, or none.
pub(crate) const fn leading_dims(batch: Batch) -> usize {
    match batch {
        Batch::Symbolic | Batch::Fixed(_) => 1,
        Batch::Single => 0,
    }
}

/// A constant of these dimensions as one that is broadcast to values of rank `rank` (batch included): its dimensions without the batch,
/// filled up with leading ones, and its elements for one sample.
pub(crate) fn constant_sample<'d>(
    dims: &[usize],
    data: &'d [f32],
    rank: usize,
) -> Result<(Vec<usize>, &'d [f32]), Reason> {
    let extra = dims.len().saturating_sub(rank);
    if dims[..extra].iter().any(|dim| *dim != 1) {
        return Err(Reason::new(
            format!("a constant of shape {dims:?} meets a value of rank {rank}"),
            "constants whose rank is not larger than the value's",
        ));
    }
    let dims = &dims[extra..];
    if dims.len() < rank {
        let mut sample = vec![1; rank - 1 - dims.len()];
        sample.extend(dims);
        return Ok((sample, data));
    }
    let len = dims[1..].iter().product::<usize>();
    let Some(first) = data.get(..len).filter(|first| !first.is_empty()) else {
        return Err(Reason::new(format!("a constant of shape {dims:?} has no elements"), "constants with elements"));
    };
    let same = |sample: &[f32]| sample.iter().map(|x| x.to_bits()).eq(first.iter().map(|x| x.to_bits()));
    if !data.chunks_exact(len).all(same) {
        return Err(Reason::new(
            format!("a constant of shape {dims:?} has different elements for different samples of the batch"),
            "constants that are the same for every sample",
        ));
    }
    Ok((dims[1..].to_vec(), first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rnc_ir::Shape;

    fn f32(dims: &[Dim]) -> TensorType {
        TensorType::f32(dims.iter().copied())
    }

    #[test]
    fn a_sample_is_a_value_without_its_leading_dimension() {
        assert_eq!(sample(&f32(&[Dim::Batch, Dim::Fixed(3), Dim::Fixed(5)]), Batch::Symbolic), Ok(vec![3, 5]));
        assert_eq!(sample(&f32(&[Dim::Fixed(2), Dim::Fixed(3)]), Batch::Fixed(2)), Ok(vec![3]));
    }

    #[test]
    fn refuses_values_that_are_not_a_batch_of_samples() {
        let refuse = |ty: &TensorType, batch, part: &str| {
            let found = sample(ty, batch).expect_err("refused").found;
            assert!(found.contains(part), "{found}");
        };
        refuse(&f32(&[Dim::Fixed(3), Dim::Fixed(5)]), Batch::Symbolic, "leading dimension is 3");
        refuse(&f32(&[Dim::Batch, Dim::Fixed(5)]), Batch::Fixed(1), "leading dimension is N");
        refuse(&f32(&[Dim::Batch]), Batch::Symbolic, "no dimension but the batch");
        refuse(&f32(&[]), Batch::Symbolic, "no dimension for the batch");
        refuse(&f32(&[Dim::Batch, Dim::Batch]), Batch::Symbolic, "not the leading dimension only");
        refuse(&f32(&[Dim::Batch, Dim::Fixed(0)]), Batch::Symbolic, "no elements");
        refuse(&f32(&[Dim::Batch, Dim::Fixed(1 << 40)]), Batch::Symbolic, "f32[N,1099511627776]");
        refuse(&TensorType { dtype: DType::I64, shape: Shape::new([2usize, 2]) }, Batch::Fixed(2), "i64");
    }

    #[test]
    fn a_constant_is_aligned_to_the_right_and_loses_a_leading_one() {
        assert_eq!(constant_sample(&[2], &[1.0, 2.0], 4), Ok((vec![1, 1, 2], &[1.0, 2.0][..])));
        assert_eq!(constant_sample(&[1, 2, 1, 1], &[1.0, 2.0], 4), Ok((vec![2, 1, 1], &[1.0, 2.0][..])));
        assert_eq!(constant_sample(&[1, 1, 2], &[1.0, 2.0], 2), Ok((vec![2], &[1.0, 2.0][..])));
        assert_eq!(constant_sample(&[2, 1], &[3.0, 3.0], 2), Ok((vec![1], &[3.0][..])));
        assert!(constant_sample(&[2, 1], &[3.0, 4.0], 2).is_err());
    }
}
