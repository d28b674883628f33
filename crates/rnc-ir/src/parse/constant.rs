//! Constants: written out, named by their hash, or made up.

use super::lex::Token;
use super::{Parse, ParseProblem, Parser, fail, number, syntax};
use crate::graph::NodeId;
use crate::op::Op;
use crate::types::{DType, Shape, Tensor, TensorType};

/// How many elements the constants that a text lets the parser make up may have, together.
pub const MAX_MADE_ELEMENTS: usize = 64 << 20;

/// A tensor of pseudo-random elements that depend on nothing but the arguments: `f32` elements between `low` and
/// `high`,
/// `i64` elements those rounded down. They come from `SplitMix64` (Steele, Lea, Flood 2014), 24 bits an element.
///
/// # Panics
/// If a dimension's number is unreasonable: the product of `dims` must be an allocatable number of elements.
pub fn pseudo_random(dtype: DType, dims: &[usize], seed: u64, [low, high]: [f32; 2]) -> Tensor {
    let count: usize = dims.iter().product();
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let unit = ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 24);
        f64::from(low) + (f64::from(high) - f64::from(low)) * unit
    };
    match dtype {
        DType::F32 => Tensor::f32(dims, (0..count).map(|_| next() as f32).collect::<Vec<_>>()),
        DType::I64 => Tensor::i64(dims, (0..count).map(|_| next().floor() as i64).collect::<Vec<_>>()),
    }
}

/// Range of made-up elements.
const RANGE: [f32; 2] = [-1.0, 1.0];
/// Range of made-up variances, which are under a square root.
const VARIANCE_RANGE: [f32; 2] = [0.5, 1.5];

impl Parser<'_> {
    /// The part of a constant behind `=`.
    pub(super) fn constant(&mut self, name: &str) -> Parse<()> {
        let tensor = match self.advance()? {
            (_, Token::Word("constant")) if *self.peek()? == Token::Open('[') => self.written_out(name)?,
            (_, Token::Word("constant")) => return self.hashed(name),
            (_, Token::Word("random")) => self.random(name)?,
            (offset, other) => return syntax(offset, "`constant` or `random`", &other),
        };
        self.graph.add_constant(name, tensor);
        Ok(())
    }

    /// `[…] : type`.
    fn written_out(&mut self, name: &str) -> Parse<Tensor> {
        let start = self.offset;
        let words = self.list('[', ']', Self::advance)?;
        let (dtype, dims, count) = self.constant_type(name)?;
        if words.len() != count {
            let problem = format!("{} elements are written, expected {count} for {dims:?}", words.len());
            return fail(start, ParseProblem::Constant { name: name.to_owned(), problem });
        }
        Ok(match dtype {
            DType::F32 => {
                let values: Result<Vec<_>, _> = words.iter().map(|(offset, token)| float(*offset, token)).collect();
                Tensor::f32(dims, values?)
            }
            DType::I64 => {
                let integer = |(offset, token): &(usize, Token)| number::<i64>(*offset, token, "an integer");
                let values: Result<Vec<_>, _> = words.iter().map(integer).collect();
                Tensor::i64(dims, values?)
            }
        })
    }

    /// `: type hash=…`.
    fn hashed(&mut self, name: &str) -> Parse<()> {
        let start = self.offset;
        let (dtype, dims, count) = self.constant_type(name)?;
        self.keyword("hash")?;
        self.expect(&Token::Equals)?;
        let (offset, token) = self.advance()?;
        let hash = match token {
            Token::Word(digits) if digits.len() == 16 => u64::from_str_radix(digits, 16).ok(),
            _ => None,
        };
        let Some(hash) = hash else {
            return syntax(offset, "16 hexadecimal digits", &token);
        };
        let ty = TensorType { dtype, shape: Shape::new(dims.iter().copied()) };
        match (self.source)(name, &ty, hash) {
            Some(tensor) if tensor.ty() == ty => {
                self.graph.add_constant(name, tensor);
            }
            Some(tensor) => {
                let problem = format!("is {ty} in the text, but the constant source gave {}", tensor.ty());
                return fail(start, ParseProblem::Constant { name: name.to_owned(), problem });
            }
            None => {
                self.count_made(start, name, count)?;
                let id = self.graph.add_constant(name, pseudo_random(dtype, &dims, hash, RANGE));
                self.made_up.push((id, hash));
            }
        }
        Ok(())
    }

    /// `(seed [, low, high]) : type`.
    fn random(&mut self, name: &str) -> Parse<Tensor> {
        let start = self.offset;
        let words = self.list('(', ')', Self::advance)?;
        let (seed, range) = match words.as_slice() {
            [seed] => (seed, RANGE),
            [seed, (low_at, low), (high_at, high)] => (seed, [float(*low_at, low)?, float(*high_at, high)?]),
            _ => {
                let expected = "random(seed) or random(seed, low, high)".to_owned();
                return fail(start, ParseProblem::Syntax { expected, found: format!("{} arguments", words.len()) });
            }
        };
        if !(range[0] <= range[1] && range[0].is_finite() && range[1].is_finite()) {
            let expected = "finite bounds, the lower one first".to_owned();
            return fail(start, ParseProblem::Syntax { expected, found: format!("{} and {}", range[0], range[1]) });
        }
        let seed = number(seed.0, &seed.1, "a seed (a number that is not negative)")?;
        let (dtype, dims, count) = self.constant_type(name)?;
        self.count_made(start, name, count)?;
        Ok(pseudo_random(dtype, &dims, seed, range))
    }

    /// `: type`, as element type, dimensions and number of elements.
    fn constant_type(&mut self, name: &str) -> Parse<(DType, Vec<usize>, usize)> {
        self.expect(&Token::Colon)?;
        let offset = self.offset;
        let ty = self.ty()?;
        // `Tensor` multiplies the dimensions from the front, where a zero at the end does not help.
        let count = |dims: &[usize]| dims.iter().try_fold(1usize, |n, dim| n.checked_mul(*dim));
        let counted = ty.shape.fixed().and_then(|dims| count(&dims).map(|count| (dims, count)));
        let Some((dims, count)) = counted else {
            let problem = format!("is {ty}, expected numbers as dimensions, of a product that fits into a word");
            return fail(offset, ParseProblem::Constant { name: name.to_owned(), problem });
        };
        Ok((ty.dtype, dims, count))
    }

    fn count_made(&mut self, offset: usize, name: &str, count: usize) -> Parse<()> {
        let Some(made) = self.made.checked_add(count).filter(|made| *made <= MAX_MADE_ELEMENTS) else {
            let problem = format!("with its {count} elements, more than {MAX_MADE_ELEMENTS} would have to be made up");
            return fail(offset, ParseProblem::Constant { name: name.to_owned(), problem });
        };
        self.made = made;
        Ok(())
    }

    /// Makes up variances again, in a range that is good for them.
    pub(super) fn fill_variances(&mut self) {
        for (id, hash) in std::mem::take(&mut self.made_up) {
            let is_variance = |user: &NodeId| {
                matches!(self.graph.op(*user), Op::BatchNorm(_)) && self.graph.operands(*user).get(4) == Some(&id)
            };
            if !self.graph.users(id).iter().any(is_variance) {
                continue;
            }
            let Some(old) = self.graph.node(id).constant() else { continue };
            let tensor = pseudo_random(old.dtype(), old.dims(), hash, VARIANCE_RANGE);
            let replaced = self.graph.replace_op(id, Op::Constant(tensor), &[]);
            debug_assert!(replaced.is_ok(), "the type is the same");
        }
    }
}

/// A token as an `f32`. Numbers that are too large are refused, not rounded to infinity.
pub(super) fn float(offset: usize, token: &Token) -> Parse<f32> {
    let value: f32 = number(offset, token, "a number")?;
    match token {
        Token::Word(word) if value.is_infinite() && word.bytes().any(|b| b.is_ascii_digit()) => {
            syntax(offset, "a number in the range of f32", token)
        }
        _ => Ok(value),
    }
}
