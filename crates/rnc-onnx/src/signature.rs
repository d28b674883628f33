//! Types of the graph's inputs, and which of their dimensions is the batch.

use std::collections::{BTreeMap, BTreeSet};

use onnx_protobuf::tensor_shape_proto::{Dimension, dimension};
use onnx_protobuf::{ValueInfoProto, type_proto};
use rnc_ir::{DType, Dim, Shape, TensorType};

use crate::error::{Fault, ImportError, Place, Problem};
use crate::shape_arithmetic::Elem;
use crate::tensors::{MAX_RANK, elem};

/// The type of each input, in order; one that cannot be imported gives a problem for each thing that is wrong.
///
/// The leading dimension of an input is the batch if it has no value and `given` has no size for its name.
///
/// # Errors
/// If `given` has a name that is no symbolic dimension of `inputs`, or a size of 0.
pub(crate) fn types(
    inputs: &[&ValueInfoProto],
    given: &BTreeMap<String, usize>,
) -> Result<Vec<Result<TensorType, Vec<Problem>>>, ImportError> {
    let mut known = BTreeSet::new();
    for input in inputs {
        let dims = tensor(input).ok().and_then(|t| t.shape.as_ref()).map_or(&[][..], |s| &s.dim);
        known.extend(dims.iter().enumerate().filter_map(|(axis, dim)| symbol(&input.name, axis, dim)));
    }
    for (name, size) in given {
        if !known.contains(name) {
            return Err(ImportError::UnknownDim { name: name.clone(), known: known.into_iter().collect() });
        }
        if *size == 0 {
            return Err(ImportError::ZeroDim { name: name.clone() });
        }
    }
    Ok(inputs.iter().map(|input| input_type(input, given)).collect())
}

/// Whether a value is declared as a tensor of truth values or integers.
pub(crate) fn is_integral(value: &ValueInfoProto) -> bool {
    tensor(value).is_ok_and(|tensor| matches!(elem(tensor.elem_type), Ok(Elem::Bool | Elem::I32 | Elem::I64)))
}

fn input_type(input: &ValueInfoProto, given: &BTreeMap<String, usize>) -> Result<TensorType, Vec<Problem>> {
    let problem = |fault: Fault| fault.at(Place::Input(input.name.clone())).into_iter().collect::<Vec<_>>();
    let tensor = tensor(input).map_err(problem)?;
    let dtype = match elem(tensor.elem_type).map_err(problem)? {
        Elem::F32 => DType::F32,
        Elem::I64 => DType::I64,
        other => return Err(problem(Fault::new("element type", other.to_string(), "float32, int64"))),
    };
    let Some(shape) = tensor.shape.as_ref().filter(|s| s.dim.len() <= MAX_RANK) else {
        return Err(problem(Fault::new(
            "shape",
            "none, or too many dimensions",
            format!("a shape of at most {MAX_RANK} dimensions"),
        )));
    };
    let dims: Vec<_> =
        shape.dim.iter().enumerate().map(|(axis, dim)| input_dim(&input.name, axis, dim, given)).collect();
    if dims.iter().any(Result::is_err) {
        return Err(dims.into_iter().filter_map(Result::err).flat_map(problem).collect());
    }
    let shape = Shape::new(dims.into_iter().filter_map(Result::ok));
    let bytes = shape.elements().and_then(|(n, _)| n.checked_mul(dtype.bytes()));
    if bytes.is_none_or(|n| isize::try_from(n).is_err()) {
        return Err(problem(Fault::new("shape", shape.to_string(), "a size that fits into memory")));
    }
    Ok(TensorType { dtype, shape })
}

fn input_dim(input: &str, axis: usize, dim: &Dimension, given: &BTreeMap<String, usize>) -> Result<Dim, Fault> {
    let Some(name) = symbol(input, axis, dim) else {
        return match &dim.value {
            Some(dimension::Value::DimValue(n)) => {
                usize::try_from(*n).map(Dim::Fixed).map_err(|_| size_fault(axis, &n.to_string()))
            }
            // Only numbers have no symbol.
            _ => Err(size_fault(axis, "no size")),
        };
    };
    match given.get(&name) {
        Some(size) => Ok(Dim::Fixed(*size)),
        None if axis == 0 => Ok(Dim::Batch),
        None => {
            let supported =
                format!("a number; only the first dimension may be symbolic. Give it with --dim '{name}=SIZE'");
            Err(Fault::new(format!("dimension {axis}"), format!("the symbol `{name}`"), supported))
        }
    }
}

fn size_fault(axis: usize, found: &str) -> Fault {
    Fault::new(format!("dimension {axis}"), found, "a size that fits into memory")
}

/// The name under which a dimension without a value can be given: its own, or `input[axis]` where it has none.
/// Old exporters write 0 or -1 for a dimension that is open.
fn symbol(input: &str, axis: usize, dim: &Dimension) -> Option<String> {
    match &dim.value {
        Some(dimension::Value::DimValue(n)) if *n > 0 => None,
        Some(dimension::Value::DimParam(name)) if !name.is_empty() => Some(name.clone()),
        _ => Some(format!("{input}[{axis}]")),
    }
}

fn tensor(input: &ValueInfoProto) -> Result<&type_proto::Tensor, Fault> {
    let found = match input.type_.as_ref().and_then(|t| t.value.as_ref()) {
        Some(type_proto::Value::TensorType(tensor)) => return Ok(tensor),
        Some(type_proto::Value::SequenceType(_)) => "a sequence",
        Some(type_proto::Value::MapType(_)) => "a map",
        Some(type_proto::Value::OptionalType(_)) => "an optional value",
        Some(type_proto::Value::SparseTensorType(_)) => "a sparse tensor",
        None => "no type",
        // The enum is open for what later versions of ONNX bring.
        Some(_) => "a type of an unknown kind",
    };
    Err(Fault::new("type", found, "a tensor"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{SymDim, input, typed_input};
    use onnx_protobuf::tensor_proto::DataType;

    fn types_of(
        inputs: &[ValueInfoProto],
        given: &[(&str, usize)],
    ) -> Result<Vec<Result<TensorType, Vec<Problem>>>, ImportError> {
        let given = given.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect();
        types(&inputs.iter().collect::<Vec<_>>(), &given)
    }

    fn one(dims: &[SymDim], given: &[(&str, usize)]) -> Result<String, String> {
        match types_of(&[input("x", dims)], given) {
            Ok(all) => all[0].as_ref().map(ToString::to_string).map_err(|p| p[0].to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    const FIXED: [SymDim; 3] = [SymDim::Value(3), SymDim::Value(8), SymDim::Value(8)];

    #[test]
    fn takes_an_open_leading_dimension_as_the_batch_however_it_is_written() {
        for lead in [SymDim::Param("batch"), SymDim::Param(""), SymDim::Value(0), SymDim::Value(-1), SymDim::None] {
            let dims: Vec<_> = [lead].into_iter().chain(FIXED).collect();
            assert_eq!(one(&dims, &[]).unwrap(), "f32[N,3,8,8]", "{lead:?}");
        }
        assert_eq!(one(&[SymDim::Value(1), SymDim::Value(3)], &[]).unwrap(), "f32[1,3]");
        assert_eq!(one(&[], &[]).unwrap(), "f32[]");
    }

    #[test]
    fn takes_sizes_that_are_given_by_name_or_by_place() {
        let dims = [SymDim::Param("N"), SymDim::Value(3), SymDim::Param("H"), SymDim::None];
        assert_eq!(one(&dims, &[("H", 8), ("x[3]", 9)]).unwrap(), "f32[N,3,8,9]");
        assert_eq!(one(&dims, &[("H", 8), ("x[3]", 9), ("N", 4)]).unwrap(), "f32[4,3,8,9]");
    }

    #[test]
    fn reports_every_open_dimension_behind_the_first_and_how_to_give_it() {
        let dims = [SymDim::Param("N"), SymDim::Value(3), SymDim::Param("H"), SymDim::None];
        let all = types_of(&[input("x", &dims)], &[]).unwrap();
        let problems: Vec<_> = all[0].as_ref().unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 2);
        assert!(problems[0].contains("--dim 'H=SIZE'"), "{}", problems[0]);
        assert!(problems[1].contains("--dim 'x[3]=SIZE'"), "{}", problems[1]);
    }

    #[test]
    fn refuses_sizes_for_dimensions_that_do_not_exist_and_names_those_that_do() {
        let error = one(&[SymDim::Param("N"), SymDim::Value(3)], &[("B", 2)]).unwrap_err();
        assert!(error.contains("`B`") && error.ends_with("it has `N`"), "{error}");
        assert!(one(&[SymDim::Param("N")], &[("N", 0)]).unwrap_err().contains("start at 1"));
    }

    #[test]
    fn refuses_what_is_no_tensor_of_a_known_type() {
        let half = types_of(&[typed_input("x", DataType::FLOAT16, &FIXED)], &[]).unwrap();
        assert!(half[0].as_ref().unwrap_err()[0].found.contains("float16"));
        let nothing = ValueInfoProto { name: "x".into(), ..ValueInfoProto::default() };
        assert_eq!(types_of(&[nothing], &[]).unwrap()[0].as_ref().unwrap_err()[0].found, "no type");
        let huge = [SymDim::Value(i64::MAX), SymDim::Value(i64::MAX)];
        assert!(one(&huge, &[]).unwrap_err().contains("fits into memory"));
        assert!(one(&[SymDim::Value(1); 40], &[]).unwrap_err().contains("at most 32"));
    }
}
