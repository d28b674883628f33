//! Matrix products.

use super::{Operands, TypeError, broadcast};
use crate::op::Gemm;
use crate::types::{Dim, TensorType};

pub(super) fn gemm(cx: &Operands, gemm: &Gemm) -> Result<TensorType, TypeError> {
    let (m, k) = match (cx.f32(0, "A")?, gemm.trans_a) {
        ([m, Dim::Fixed(k)], false) | ([Dim::Fixed(k), m], true) => (*m, *k),
        _ => {
            return Err(cx.operand(
                0,
                "A",
                if gemm.trans_a { "f32[k,m] with a number for k" } else { "f32[m,k] with a number for k" },
            ));
        }
    };
    let (n, b_k) = match (cx.f32(1, "B")?, gemm.trans_b) {
        ([Dim::Fixed(k), Dim::Fixed(n)], false) | ([Dim::Fixed(n), Dim::Fixed(k)], true) => (*n, *k),
        _ => return Err(cx.operand(1, "B", "an f32 matrix of two numbers")),
    };
    if b_k != k {
        let expected = if gemm.trans_b { format!("f32[n,{k}]") } else { format!("f32[{k},n]") };
        return Err(cx.operand(1, "B", expected));
    }
    let result = [m, n.into()];
    if gemm.bias && broadcast(cx.f32(2, "C")?, &result).is_none_or(|dims| dims != result) {
        return Err(cx.operand(2, "C", format!("of a type that broadcasts to {}", TensorType::f32(result))));
    }
    cx.not_nan("alpha", gemm.alpha)?;
    cx.not_nan("beta", gemm.beta)?;
    cx.activation(&gemm.activation)?;
    Ok(TensorType::f32(result))
}

/// `NumPy`'s `matmul`: a vector on the left is a row, on the right a column, and its own dimension does not show in the
/// result.
pub(super) fn matmul(cx: &Operands) -> Result<TensorType, TypeError> {
    let [a, b] = [cx.f32(0, "A")?, cx.f32(1, "B")?];
    let (a_batch, m, k) = match a {
        [Dim::Fixed(k)] => (&[][..], None, *k),
        [batch @ .., m, Dim::Fixed(k)] => (batch, Some(*m), *k),
        _ => return Err(cx.operand(0, "A", "f32[…,m,k] with a number for k")),
    };
    let (b_batch, n, b_k) = match b {
        [Dim::Fixed(k)] => (&[][..], None, *k),
        [batch @ .., Dim::Fixed(k), n @ Dim::Fixed(_)] => (batch, Some(*n), *k),
        _ => return Err(cx.operand(1, "B", "f32[…,k,n] with numbers for k and n")),
    };
    if b_k != k {
        return Err(cx.operand(1, "B", format!("a matrix of {k} rows")));
    }
    let Some(mut dims) = broadcast(a_batch, b_batch) else {
        return Err(cx.operand(
            1,
            "B",
            format!("of leading dimensions that broadcast with those of operand 0, {}", cx.types[0]),
        ));
    };
    dims.extend(m);
    dims.extend(n);
    Ok(TensorType::f32(dims))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::infer;
    use crate::op::{Activation, Op};

    const PLAIN: Gemm =
        Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false, bias: false, activation: Activation::None };

    fn ty(dims: &[usize]) -> TensorType {
        TensorType::f32(dims.iter().copied())
    }

    #[test]
    fn multiplies_matrices_transposed_as_asked() {
        let batch = TensorType::f32([Dim::Batch, 5.into()]);
        let result = TensorType::f32([Dim::Batch, 7.into()]);
        assert_eq!(infer(&Op::Gemm(PLAIN), &[&batch, &ty(&[5, 7])]), Ok(result.clone()));
        let classifier = Op::Gemm(Gemm { trans_b: true, bias: true, ..PLAIN });
        for c in [&[7][..], &[1, 7], &[1], &[]] {
            assert_eq!(infer(&classifier, &[&batch, &ty(&[7, 5]), &ty(c)]), Ok(result.clone()));
        }
        let across = Op::Gemm(Gemm { trans_a: true, ..PLAIN });
        assert_eq!(infer(&across, &[&ty(&[5, 2]), &ty(&[5, 7])]), Ok(ty(&[2, 7])));
    }

    #[test]
    fn refuses_matrices_that_do_not_fit() {
        let op = Op::Gemm(Gemm { bias: true, ..PLAIN });
        let refused = |a: &TensorType, b: &TensorType, c: &TensorType| match infer(&op, &[a, b, c]) {
            Err(TypeError::Operand { operand, .. }) => operand,
            other => panic!("{other:?}"),
        };
        let (a, b, c) = (ty(&[2, 5]), ty(&[5, 7]), ty(&[7]));
        assert_eq!(infer(&op, &[&a, &b, &c]), Ok(ty(&[2, 7])));
        assert_eq!(refused(&ty(&[2, 5, 1]), &b, &c), 0);
        assert_eq!(refused(&TensorType::f32([2.into(), Dim::Batch]), &b, &c), 0);
        assert_eq!(refused(&a, &ty(&[6, 7]), &c), 1);
        assert_eq!(refused(&a, &TensorType::f32([5.into(), Dim::Batch]), &c), 1);
        assert_eq!(refused(&a, &b, &ty(&[2])), 2);
        assert_eq!(refused(&a, &b, &ty(&[1, 2, 7])), 2);
        let nan = Op::Gemm(Gemm { alpha: f32::NAN, ..PLAIN });
        assert!(matches!(infer(&nan, &[&a, &b]), Err(TypeError::Attribute { attribute: "alpha", .. })));
    }

    #[test]
    fn multiplies_stacks_and_vectors_like_numpy() {
        let infer = |a: &[usize], b: &[usize]| infer(&Op::MatMul, &[&ty(a), &ty(b)]);
        assert_eq!(infer(&[3], &[3]), Ok(ty(&[])));
        assert_eq!(infer(&[3], &[3, 4]), Ok(ty(&[4])));
        assert_eq!(infer(&[2, 3], &[3]), Ok(ty(&[2])));
        assert_eq!(infer(&[9, 3], &[5, 3, 4]), Ok(ty(&[5, 9, 4])));
        assert_eq!(infer(&[3], &[5, 3, 4]), Ok(ty(&[5, 4])));
        assert_eq!(infer(&[5, 1, 2, 3], &[6, 3, 4]), Ok(ty(&[5, 6, 2, 4])));
        for (a, b) in [(&[][..], &[3][..]), (&[3], &[4]), (&[2, 3], &[2, 3]), (&[5, 2, 3], &[6, 3, 4])] {
            assert!(infer(a, b).is_err(), "{a:?} {b:?}");
        }
    }

    #[test]
    fn takes_the_batch_as_rows_or_as_a_leading_dimension_but_not_twice() {
        let batch = |rest: &[usize]| TensorType::f32([Dim::Batch].into_iter().chain(rest.iter().map(|n| (*n).into())));
        assert_eq!(infer(&Op::MatMul, &[&batch(&[3]), &ty(&[3, 4])]), Ok(batch(&[4])));
        assert_eq!(infer(&Op::MatMul, &[&batch(&[2, 3]), &batch(&[3, 4])]), Ok(batch(&[2, 4])));
        assert!(matches!(infer(&Op::MatMul, &[&batch(&[3]), &batch(&[3, 4])]), Err(TypeError::Result { .. })));
    }
}
