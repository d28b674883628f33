//! Attribute lists: `{stride=2, activation=clip(0, 6), shape=[N,512]}`.

use std::str::FromStr;

use super::constant::float;
use super::lex::Token;
use super::{Failure, Parse, ParseProblem, Parser, fail, number, syntax};
use crate::op::{Activation, Window};
use crate::types::{Dim, Shape};

/// A token and its offset.
type Item<'a> = (usize, Token<'a>);

/// The value of an attribute.
enum Value<'a> {
    /// `2`, `true`.
    One(Item<'a>),
    /// `[1,2]`.
    List(usize, Vec<Item<'a>>),
    /// `clip(0, 6)`.
    Call(Item<'a>, Vec<Item<'a>>),
}

impl Value<'_> {
    const fn offset(&self) -> usize {
        match self {
            Self::One((offset, _)) | Self::List(offset, _) | Self::Call((offset, _), _) => *offset,
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::One((_, token)) => token.to_string(),
            Self::List(_, items) => format!("a list of {}", items.len()),
            Self::Call((_, name), items) => format!("{name} of {} arguments", items.len()),
        }
    }

    fn expected<T>(&self, expected: &str) -> Parse<T> {
        fail(self.offset(), ParseProblem::Syntax { expected: expected.to_owned(), found: self.describe() })
    }
}

/// What an operator's attribute list says. The operator takes what it knows, then [`Attributes::finish`] refuses the
/// rest.
pub(super) struct Attributes<'a> {
    /// Offset and name of the operator.
    op: (usize, &'a str),
    list: Vec<(usize, &'a str, Value<'a>)>,
    /// Names asked for, for the error on others.
    known: Vec<&'static str>,
}

impl<'a> Parser<'a> {
    /// The attribute list of an operator, if there is one.
    pub(super) fn attributes(&mut self, op: (usize, &'a str)) -> Parse<Attributes<'a>> {
        let list = match self.peek()? {
            Token::Open('{') => self.list('{', '}', Self::attribute)?,
            _ => Vec::new(),
        };
        Ok(Attributes { op, list, known: Vec::new() })
    }

    fn attribute(&mut self) -> Parse<(usize, &'a str, Value<'a>)> {
        let offset = self.offset;
        let name = self.word("an attribute's name")?;
        self.expect(&Token::Equals)?;
        let start = self.offset;
        if *self.peek()? == Token::Open('[') {
            let items = self.list('[', ']', Self::advance)?;
            return Ok((offset, name, Value::List(start, items)));
        }
        let item = match self.advance()? {
            (offset, token @ Token::Word(_)) => (offset, token),
            (offset, other) => return syntax(offset, "an attribute's value", &other),
        };
        let value = match self.peek()? {
            Token::Open('(') => Value::Call(item, self.list('(', ')', Self::advance)?),
            _ => Value::One(item),
        };
        Ok((offset, name, value))
    }
}

impl<'a> Attributes<'a> {
    /// Refuses attributes that the operator did not ask for, and second ones of a name.
    pub(super) fn finish(self) -> Parse<()> {
        let Some((offset, name, _)) = self.list.first() else {
            return Ok(());
        };
        let problem = if self.known.contains(name) {
            format!("attribute {name} is there twice")
        } else if self.known.is_empty() {
            format!("found attribute {name}, but the operator has none")
        } else {
            format!("there is no attribute {name}; the operator has {}", self.known.join(", "))
        };
        fail(*offset, ParseProblem::Attribute { op: self.op.1.to_owned(), problem })
    }

    fn take(&mut self, name: &'static str) -> Option<Value<'a>> {
        self.known.push(name);
        let at = self.list.iter().position(|(_, found, _)| *found == name)?;
        Some(self.list.remove(at).2)
    }

    fn require(&mut self, name: &'static str) -> Parse<Value<'a>> {
        self.take(name).ok_or_else(|| {
            let problem =
                ParseProblem::Attribute { op: self.op.1.to_owned(), problem: format!("needs attribute {name}") };
            Failure { offset: self.op.0, problem }
        })
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Parse<bool> {
        match self.take(name) {
            None | Some(Value::One((_, Token::Word("false")))) => Ok(false),
            Some(Value::One((_, Token::Word("true")))) => Ok(true),
            Some(other) => other.expected("true or false"),
        }
    }

    pub(super) fn float(&mut self, name: &'static str) -> Parse<f32> {
        one_float(&self.require(name)?)
    }

    pub(super) fn float_or(&mut self, name: &'static str, default: f32) -> Parse<f32> {
        self.take(name).map_or(Ok(default), |value| one_float(&value))
    }

    pub(super) fn number(&mut self, name: &'static str) -> Parse<usize> {
        one_number(&self.require(name)?)
    }

    pub(super) fn number_or(&mut self, name: &'static str, default: usize) -> Parse<usize> {
        self.take(name).map_or(Ok(default), |value| one_number(&value))
    }

    /// `[1,2]`.
    pub(super) fn numbers<T: FromStr>(&mut self, name: &'static str) -> Parse<Vec<T>> {
        numbers(&self.require(name)?)
    }

    /// `[1,2]`, if it is there.
    pub(super) fn numbers_if<T: FromStr>(&mut self, name: &'static str) -> Parse<Option<Vec<T>>> {
        self.take(name).map(|value| numbers(&value)).transpose()
    }

    /// `[all,2]`.
    pub(super) fn sizes(&mut self, name: &'static str) -> Parse<Vec<Option<usize>>> {
        items(&self.require(name)?, |offset, token| match token {
            Token::Word("all") => Ok(None),
            _ => number(offset, token, "a number or `all`").map(Some),
        })
    }

    /// `[N,512]`.
    pub(super) fn shape(&mut self, name: &'static str) -> Parse<Shape> {
        let dims: Vec<Dim> = items(&self.require(name)?, |offset, token| match token {
            Token::Word("N") => Ok(Dim::Batch),
            _ => number(offset, token, "a number or N").map(Dim::Fixed),
        })?;
        Ok(Shape::new(dims))
    }

    /// All of a window but the kernel.
    pub(super) fn window(&mut self, kernel: [usize; 2]) -> Parse<Window> {
        let stride = self.pair("stride")?.unwrap_or([1, 1]);
        let dilation = self.pair("dilation")?.unwrap_or([1, 1]);
        let [top, left, bottom, right] = match self.take("pad") {
            None => [0; 4],
            Some(Value::One((offset, token))) => [number(offset, &token, "a number")?; 4],
            Some(value) => match numbers(&value)?.try_into() {
                Ok(sides) => sides,
                Err(_) => return value.expected("a number or [top,left,bottom,right]"),
            },
        };
        Ok(Window { kernel, stride, pad_begin: [top, left], pad_end: [bottom, right], dilation })
    }

    /// The kernel of a window, where it must be there.
    pub(super) fn kernel(&mut self) -> Parse<[usize; 2]> {
        let value = self.require("kernel")?;
        pair(&value)
    }

    /// `2` or `[2,1]`.
    pub(super) fn pair(&mut self, name: &'static str) -> Parse<Option<[usize; 2]>> {
        self.take(name).map(|value| pair(&value)).transpose()
    }

    /// One of some words.
    pub(super) fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Parse<T> {
        let value = self.require(name)?;
        let found = match &value {
            Value::One((_, Token::Word(word))) => choices.iter().find(|(choice, _)| choice == word),
            _ => None,
        };
        let words = || choices.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        found.map_or_else(|| value.expected(&format!("one of {}", words())), |(_, choice)| Ok(*choice))
    }

    pub(super) fn floats(&mut self, name: &'static str) -> Parse<Vec<f32>> {
        items(&self.require(name)?, float)
    }

    pub(super) fn activation(&mut self) -> Parse<Activation> {
        match self.take("activation") {
            None | Some(Value::One((_, Token::Word("none")))) => Ok(Activation::None),
            Some(Value::One((_, Token::Word("relu")))) => Ok(Activation::Relu),
            Some(Value::Call((_, Token::Word("clip")), bounds)) if bounds.len() == 2 => {
                Ok(Activation::Clip { min: float(bounds[0].0, &bounds[0].1)?, max: float(bounds[1].0, &bounds[1].1)? })
            }
            Some(other) => other.expected("none, relu or clip(min, max)"),
        }
    }
}

fn one_float(value: &Value) -> Parse<f32> {
    match value {
        Value::One((offset, token)) => float(*offset, token),
        other => other.expected("a number"),
    }
}

fn one_number(value: &Value) -> Parse<usize> {
    match value {
        Value::One((offset, token)) => number(*offset, token, "a number that is not negative"),
        other => other.expected("a number"),
    }
}

fn numbers<T: FromStr>(value: &Value) -> Parse<Vec<T>> {
    items(value, |offset, token| number(offset, token, "an integer of its range"))
}

fn items<T>(value: &Value, item: impl Fn(usize, &Token) -> Parse<T>) -> Parse<Vec<T>> {
    match value {
        Value::List(_, items) => items.iter().map(|(offset, token)| item(*offset, token)).collect(),
        other => other.expected("a list in brackets"),
    }
}

fn pair(value: &Value) -> Parse<[usize; 2]> {
    match value {
        Value::One((offset, token)) => Ok([number(*offset, token, "a number")?; 2]),
        list => match numbers(list)?.try_into() {
            Ok(pair) => Ok(pair),
            Err(_) => list.expected("a number or [height,width]"),
        },
    }
}
