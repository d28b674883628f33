//! Elementwise functions as Cranelift code, on scalars and on 128-bit vectors alike, so that both give the same bits.
//!
//! `exp` and `tanh` follow the single-precision Cephes library (S. L. Moshier, `expf.c`, `tanhf.c`): relative error under 2 ulp.

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::types::{F32, F32X4, I32, I32X4};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value};
use cranelift_frontend::FunctionBuilder;
use rnc_plan::kernel::{Binary, Unary};

use crate::clif::{select, select_greater, select_less};

/// Emits functions of values of one type.
pub struct Math<'a, 'b> {
    /// Where code goes.
    pub builder: &'a mut FunctionBuilder<'b>,
    /// `F32` or `F32X4`.
    pub ty: Type,
}

impl Math<'_, '_> {
    /// A constant in every lane.
    pub fn constant(&mut self, value: f32) -> Value {
        let scalar = self.builder.ins().f32const(value);
        if self.ty == F32 { scalar } else { self.builder.ins().splat(F32X4, scalar) }
    }

    /// A function of one value.
    pub fn unary(&mut self, function: Unary, x: Value) -> Value {
        match function {
            Unary::Relu => {
                let zero = self.constant(0.0);
                select_greater(self.builder, zero, x)
            }
            Unary::Sigmoid => self.sigmoid(x),
            Unary::Tanh => self.tanh(x),
            Unary::Exp => self.exp(x),
            Unary::Sqrt => self.builder.ins().sqrt(x),
            Unary::Abs => self.builder.ins().fabs(x),
            Unary::Neg => self.builder.ins().fneg(x),
            Unary::Reciprocal => {
                let one = self.constant(1.0);
                self.builder.ins().fdiv(one, x)
            }
            Unary::Floor => self.builder.ins().floor(x),
            Unary::Ceil => self.builder.ins().ceil(x),
            Unary::Round => self.builder.ins().nearest(x),
            Unary::Sign => self.sign(x),
            Unary::Log => self.log(x),
            Unary::Erf => self.erf(x),
        }
    }

    /// A function of two values.
    pub fn binary(&mut self, function: Binary, a: Value, b: Value) -> Value {
        match function {
            Binary::Add => self.builder.ins().fadd(a, b),
            Binary::Sub => self.builder.ins().fsub(a, b),
            Binary::Mul => self.builder.ins().fmul(a, b),
            Binary::Div => self.builder.ins().fdiv(a, b),
            Binary::Max => {
                let larger = select_greater(self.builder, a, b);
                self.unless_nan(a, larger)
            }
            Binary::Min => {
                let smaller = select_less(self.builder, a, b);
                self.unless_nan(a, smaller)
            }
            Binary::Pow => self.pow(a, b),
            Binary::Equal => self.holds(FloatCC::Equal, a, b),
            Binary::Greater => self.holds(FloatCC::GreaterThan, a, b),
            Binary::GreaterOrEqual => self.holds(FloatCC::GreaterThanOrEqual, a, b),
        }
    }

    /// `a` where the condition is not 0, else `b`.
    pub fn choose(&mut self, condition: Value, a: Value, b: Value) -> Value {
        let zero = self.constant(0.0);
        select(self.builder, FloatCC::Equal, (condition, zero), (b, a))
    }

    /// 1 where the comparison holds, else 0.
    fn holds(&mut self, comparison: FloatCC, a: Value, b: Value) -> Value {
        let (one, zero) = (self.constant(1.0), self.constant(0.0));
        select(self.builder, comparison, (a, b), (one, zero))
    }

    fn sign(&mut self, x: Value) -> Value {
        let zero = self.constant(0.0);
        let above = self.holds(FloatCC::GreaterThan, x, zero);
        let below = self.holds(FloatCC::LessThan, x, zero);
        let sign = self.builder.ins().fsub(above, below);
        self.unless_nan(x, sign)
    }

    /// `a` where it is NaN, else `otherwise`.
    fn unless_nan(&mut self, a: Value, otherwise: Value) -> Value {
        select(self.builder, FloatCC::Unordered, (a, a), (a, otherwise))
    }

    /// `c[0] x^n + c[1] x^(n-1) + …` by Horner's rule.
    fn polynomial(&mut self, x: Value, coefficients: &[f32]) -> Value {
        let mut sum = self.constant(coefficients[0]);
        for c in &coefficients[1..] {
            let c = self.constant(*c);
            sum = self.builder.ins().fma(sum, x, c);
        }
        sum
    }

    /// `e^x = 2^n e^r` with `n = round(x / ln 2)`. Results below the smallest normal number become zero.
    fn exp(&mut self, x: Value) -> Value {
        // Beyond these the result is zero and infinity in any case; NaN passes.
        let (low, high) = (self.constant(-87.3), self.constant(89.0));
        let x = select_greater(self.builder, low, x);
        let x = select_less(self.builder, high, x);
        // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
        let magic = self.constant(12_582_912.0);
        let log2e = self.constant(std::f32::consts::LOG2_E);
        let shifted = self.builder.ins().fma(x, log2e, magic);
        let n = self.builder.ins().fsub(shifted, magic);
        // ln 2 in two parts, the first of which has few bits: n times it is exact.
        let (ln2_high, ln2_low) = (self.constant(-0.693_359_4), self.constant(2.121_944_4e-4));
        let r = self.builder.ins().fma(n, ln2_high, x);
        let r = self.builder.ins().fma(n, ln2_low, r);
        let p =
            self.polynomial(r, &[1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5]);
        let square = self.builder.ins().fmul(r, r);
        let p = self.builder.ins().fma(p, square, r);
        let one = self.constant(1.0);
        let p = self.builder.ins().fadd(p, one);
        // 2^(n-1), then doubled: 2^128 is no f32.
        let half_power = self.power_of_two(shifted, 126);
        let half = self.builder.ins().fmul(p, half_power);
        self.builder.ins().fadd(half, half)
    }

    /// `magnitude`, which has no sign, with the sign of `x`. (`fcopysign` takes no vectors.)
    fn with_sign(&mut self, magnitude: Value, x: Value) -> Value {
        let integer = self.integer();
        let [magnitude, x] =
            [magnitude, x].map(|value| self.builder.ins().bitcast(integer, MemFlagsData::new(), value));
        let mask = self.integer_constant(i64::from(1u32 << 31));
        let sign = self.builder.ins().band(x, mask);
        let bits = self.builder.ins().bor(magnitude, sign);
        self.builder.ins().bitcast(self.ty, MemFlagsData::new(), bits)
    }

    /// The integer type of the same shape.
    fn integer(&self) -> Type {
        if self.ty == F32 { I32 } else { I32X4 }
    }

    fn integer_constant(&mut self, value: i64) -> Value {
        let scalar = self.builder.ins().iconst(I32, value);
        if self.ty == F32 { scalar } else { self.builder.ins().splat(I32X4, scalar) }
    }

    /// `2^(n + bias - 127)` for the integer `n` in the low bits of `shifted`.
    fn power_of_two(&mut self, shifted: Value, bias: i64) -> Value {
        let integer = self.integer();
        let bits = self.builder.ins().bitcast(integer, MemFlagsData::new(), shifted);
        let exponent = self.builder.ins().ishl_imm_u(bits, 23);
        let bias = self.integer_constant(bias << 23);
        let power = self.builder.ins().iadd(exponent, bias);
        self.builder.ins().bitcast(self.ty, MemFlagsData::new(), power)
    }

    fn sigmoid(&mut self, x: Value) -> Value {
        let negated = self.builder.ins().fneg(x);
        let e = self.exp(negated);
        let one = self.constant(1.0);
        let divisor = self.builder.ins().fadd(one, e);
        self.builder.ins().fdiv(one, divisor)
    }

    /// An odd polynomial near zero, where `1 - 2 / (e^2|x| + 1)` would cancel.
    fn tanh(&mut self, x: Value) -> Value {
        let square = self.builder.ins().fmul(x, x);
        let p =
            self.polynomial(square, &[-5.704_988_7e-3, 2.063_908_8e-2, -5.373_971_5e-2, 1.333_144_2e-1, -3.333_328e-1]);
        let cube = self.builder.ins().fmul(square, x);
        let small = self.builder.ins().fma(p, cube, x);
        let magnitude = self.builder.ins().fabs(x);
        let twice = self.builder.ins().fadd(magnitude, magnitude);
        let e = self.exp(twice);
        let (one, two, limit) = (self.constant(1.0), self.constant(2.0), self.constant(0.625));
        let divisor = self.builder.ins().fadd(e, one);
        let quotient = self.builder.ins().fdiv(two, divisor);
        let large = self.builder.ins().fsub(one, quotient);
        let large = self.with_sign(large, x);
        let result = select(self.builder, FloatCC::LessThan, (magnitude, limit), (small, large));
        self.unless_nan(x, result)
    }

    /// `ln x = e ln 2 + ln m` with `x = m 2^e` and `m` between `√½` and `√2` (Cephes `logf.c`).
    fn log(&mut self, x: Value) -> Value {
        // Numbers below the smallest normal one have no exponent of their own: 2^23 times as much has.
        let (smallest, scale) = (self.constant(f32::MIN_POSITIVE), self.constant(8_388_608.0));
        let (zero, shift) = (self.constant(0.0), self.constant(23.0));
        let scaled = self.builder.ins().fmul(x, scale);
        let normal = select(self.builder, FloatCC::LessThan, (x, smallest), (scaled, x));
        let shift = select(self.builder, FloatCC::LessThan, (x, smallest), (shift, zero));

        let integer = self.integer();
        let bits = self.builder.ins().bitcast(integer, MemFlagsData::new(), normal);
        // The exponent of m/√½ is that of m, less one where m is below √½ (as bits: an integer comparison of the same order).
        let root = self.integer_constant(i64::from(std::f32::consts::FRAC_1_SQRT_2.to_bits()));
        let above = self.builder.ins().isub(bits, root);
        let exponent = self.builder.ins().sshr_imm_u(above, 23);
        let power = self.builder.ins().ishl_imm_u(exponent, 23);
        let mantissa = self.builder.ins().isub(bits, power);
        let m = self.builder.ins().bitcast(self.ty, MemFlagsData::new(), mantissa);
        let e = self.builder.ins().fcvt_from_sint(self.ty, exponent);
        let e = self.builder.ins().fsub(e, shift);

        let one = self.constant(1.0);
        let m = self.builder.ins().fsub(m, one);
        let square = self.builder.ins().fmul(m, m);
        let p = self.polynomial(
            m,
            &[
                7.037_683_6e-2,
                -1.151_461e-1,
                1.167_699_9e-1,
                -1.242_014_1e-1,
                1.424_932_3e-1,
                -1.666_805_8e-1,
                2.000_071_5e-1,
                -2.499_999_4e-1,
                3.333_333e-1,
            ],
        );
        let p = self.builder.ins().fmul(p, m);
        let p = self.builder.ins().fmul(p, square);
        // ln 2 in two parts, the first of which has few bits: e times it is exact.
        let (ln2_high, ln2_low, half) =
            (self.constant(0.693_359_4), self.constant(-2.121_944_4e-4), self.constant(-0.5));
        let p = self.builder.ins().fma(e, ln2_low, p);
        let p = self.builder.ins().fma(square, half, p);
        let sum = self.builder.ins().fadd(m, p);
        let result = self.builder.ins().fma(e, ln2_high, sum);

        let (infinity, nan) = (self.constant(f32::INFINITY), self.constant(f32::NAN));
        let below = self.constant(f32::NEG_INFINITY);
        let result = select(self.builder, FloatCC::Equal, (x, infinity), (infinity, result));
        let result = select(self.builder, FloatCC::Equal, (x, zero), (below, result));
        let result = select(self.builder, FloatCC::LessThan, (x, zero), (nan, result));
        self.unless_nan(x, result)
    }

    /// An odd polynomial near zero, `1 - e^q(|x|)` beyond: relative error under 2 ulp (fit after N. Juffa's `erff`).
    fn erf(&mut self, x: Value) -> Value {
        let magnitude = self.builder.ins().fabs(x);
        // Beyond this the result is 1, and powers of infinity would not be numbers.
        let limit = self.constant(10.0);
        let t = select_less(self.builder, limit, magnitude);
        let square = self.builder.ins().fmul(x, x);
        let p = self.polynomial(
            square,
            &[-5.967_617e-4, 4.991_194e-3, -2.676_813_5e-2, 1.128_199_25e-1, -3.761_253_4e-1, 1.283_791_7e-1],
        );
        let near = self.builder.ins().fma(p, x, x);
        let q = self.polynomial(
            t,
            &[
                -1.728_534_7e-5,
                3.831_972e-4,
                -3.883_964_4e-3,
                2.425_462_2e-2,
                -1.067_778_8e-1,
                -6.348_467e-1,
                -1.287_175_1e-1,
            ],
        );
        let negated = self.builder.ins().fneg(t);
        let q = self.builder.ins().fma(q, t, negated);
        let e = self.exp(q);
        let one = self.constant(1.0);
        let far = self.builder.ins().fsub(one, e);
        let far = self.with_sign(far, x);
        let split = self.constant(0.927_734_4);
        let result = select(self.builder, FloatCC::GreaterThan, (magnitude, split), (far, near));
        self.unless_nan(x, result)
    }

    /// `e^(b ln |a|)`, with what IEEE 754 says of signs, zeros and ones.
    fn pow(&mut self, a: Value, b: Value) -> Value {
        let magnitude = self.builder.ins().fabs(a);
        let log = self.log(magnitude);
        let exponent = self.builder.ins().fmul(b, log);
        let power = self.exp(exponent);
        let (zero, one) = (self.constant(0.0), self.constant(1.0));

        // Of a negative number, odd powers are negative, and those that are no integers are no numbers.
        let whole = self.builder.ins().floor(b);
        let half = self.constant(0.5);
        let halved = self.builder.ins().fmul(b, half);
        let half_whole = self.builder.ins().floor(halved);
        let nan = self.constant(f32::NAN);
        let negated = self.builder.ins().fneg(power);
        let signed = select(self.builder, FloatCC::Equal, (halved, half_whole), (power, negated));
        let signed = select(self.builder, FloatCC::Equal, (b, whole), (signed, nan));
        let result = select(self.builder, FloatCC::LessThan, (a, zero), (signed, power));
        let result = select(self.builder, FloatCC::Equal, (a, one), (one, result));
        select(self.builder, FloatCC::Equal, (b, zero), (one, result))
    }
}
