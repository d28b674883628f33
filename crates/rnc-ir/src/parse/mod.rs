//! The text syntax, read.
//!
//! ```text
//! graph @resnet(%input: f32[N,3,224,224]) -> (%fc as "logits") {   // comments go to the end of the line
//!   @w = constant : f32[64,3,7,7] hash=0123456789abcdef
//!   @b = random(42, -0.5, 0.5) : f32[64]
//!   %conv = conv2d(%input, @w, bias=@b) {stride=2, pad=3, activation=relu} : f32[N,64,112,112]
//!   ...
//! }
//!
//! graph     = "graph" "@" name "(" [ input { "," input } ] ")" "->" "(" [ output { "," output } ] ")" "{" { node } "}"
//! input     = "%" name ":" type
//! output    = value [ "as" string ]
//! node      = "@" name "=" constant | "%" name "=" operator "(" [ operand { "," operand } ] ")" [ attributes ] [ ":" type ]
//! constant  = "constant" "[" [ number { "," number } ] "]" ":" type
//!           | "constant" ":" type "hash" "=" (16 hexadecimal digits)
//!           | "random" "(" seed [ "," low "," high ] ")" ":" type
//! operand   = [ ("bias" | "residual") "=" ] value
//! value     = "%" name | "@" name                                   @ of constants, % of all others
//! attributes= "{" [ attribute { "," attribute } ] "}"
//! attribute = word "=" ( item | "[" [ item { "," item } ] "]" | word "(" [ item { "," item } ] ")" )
//! item      = number | word
//! type      = ("f32" | "i64") "[" [ dim { "," dim } ] "]"
//! dim       = number | "N"                                          N is the batch symbol
//! name      = (letters, digits, "_" and ".") | string
//! string    = '"' (characters; escapes \" \\ \n \t \u{hex}) '"'
//! ```
//!
//! Values are defined before they are used. The type of a node may be left out; it is checked if it is there.
//! Attributes that are left out have their default: stride, dilation, groups, alpha, beta and steps 1; pads and `value`
//! 0; flags false; activation `none`. Others must be there. The kernel of `conv2d` is the weights'.

mod attributes;
mod constant;
mod lex;
mod operator;

use crate::graph::{Graph, NodeId};
use crate::infer::{MAX_RANK, TypeError};
use crate::op::Op;
use crate::types::{DType, Dim, Shape, Tensor, TensorType};

pub use constant::{MAX_MADE_ELEMENTS, pseudo_random};

use lex::{Lexer, Token};

/// What gives the elements of a constant that the text names by its hash only: called with the constant's name, type
/// and hash. `None` leaves it to the parser, which makes the elements up as [`parse`] does.
pub type ConstantSource<'a> = &'a dyn Fn(&str, &TensorType, u64) -> Option<Tensor>;

/// Why a text is not a graph, and where: line and column count from 1, in characters.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct ParseError {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
    /// The place in bytes from the beginning of the text.
    pub offset: usize,
    /// What is wrong there.
    pub problem: ParseProblem,
}

/// Kinds of [`ParseError`].
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ParseProblem {
    /// The text goes on in another way than the syntax does.
    #[error("expected {expected}, found {found}")]
    Syntax {
        /// What may stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// No value of this name is defined above.
    #[error("{value} is not defined above; values are defined before they are used, constants as @ and others as %")]
    Undefined {
        /// The value.
        value: String,
    },
    /// A name is used twice.
    #[error("the name `{name}` is defined twice; values and constants share one space of names")]
    Redefined {
        /// The name.
        name: String,
    },
    /// No operator has this name.
    #[error("there is no operator `{name}`")]
    UnknownOperator {
        /// The name.
        name: String,
    },
    /// An operator has no such attribute, or lacks one.
    #[error("`{op}`: {problem}")]
    Attribute {
        /// The operator.
        op: String,
        /// What is wrong, and what would fit.
        problem: String,
    },
    /// Inference refuses the operator.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// The type written is not the one inferred.
    #[error("{value} is written as {written}, but its operands give {inferred}")]
    TypeMismatch {
        /// The value.
        value: String,
        /// Type in the text.
        written: TensorType,
        /// Type inferred.
        inferred: TensorType,
    },
    /// A constant's elements do not fit its type, or it is too large.
    #[error("@{name}: {problem}")]
    Constant {
        /// The constant.
        name: String,
        /// What is wrong, and what would fit.
        problem: String,
    },
}

/// Reads a graph. It holds what its edit methods guarantee; [`verify`](crate::verify()) checks the rest.
///
/// Constants that the text names by their hash only get pseudo-random elements that depend on the hash alone: `f32`
/// between -1 and 1, or between 0.5 and 1.5 if the constant is the variance of a `batch_norm`; `i64` -1 or 0.
///
/// # Errors
/// If the text does not follow the syntax, an operator does not take its operands, or such constants and those made by
/// `random` have more than [`MAX_MADE_ELEMENTS`] elements together.
pub fn parse(text: &str) -> Result<Graph, ParseError> {
    parse_with(text, &|_, _, _| None)
}

/// [`parse`] with a source for constants that the text names by their hash only. Their elements do not count towards
/// the limit.
///
/// # Errors
/// As [`parse`], and if the source gives a tensor of another type. Whether the hash is right is the source's business.
pub fn parse_with(text: &str, source: ConstantSource) -> Result<Graph, ParseError> {
    let mut parser = Parser::new(text, source);
    parser.graph().map_err(|Failure { offset, problem }| {
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        ParseError { line, column: before[line_start..].chars().count() + 1, offset, problem }
    })
}

/// A problem at a byte offset of the text.
struct Failure {
    offset: usize,
    problem: ParseProblem,
}

type Parse<T> = Result<T, Failure>;

fn fail<T>(offset: usize, problem: impl Into<ParseProblem>) -> Parse<T> {
    Err(Failure { offset, problem: problem.into() })
}

/// Recursive descent, one token ahead.
struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The next token and where it begins.
    next: Result<Token<'a>, lex::BadToken>,
    offset: usize,
    graph: Graph,
    source: ConstantSource<'a>,
    /// Elements of constants made up so far.
    made: usize,
    /// Constants known by their hash only, with the hash.
    made_up: Vec<(NodeId, u64)>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, source: ConstantSource<'a>) -> Self {
        let mut lexer = Lexer::new(text);
        let (offset, next) = lexer.token();
        Self { lexer, next, offset, graph: Graph::new(""), source, made: 0, made_up: Vec::new() }
    }

    fn graph(&mut self) -> Parse<Graph> {
        self.keyword("graph")?;
        self.expect(&Token::At)?;
        self.graph = Graph::new(self.name()?.into_owned());
        self.list('(', ')', Self::input)?;
        self.expect(&Token::Arrow)?;
        // Outputs are defined further down: they are looked up at the end.
        let outputs = self.list('(', ')', Self::output)?;
        self.expect(&Token::Open('{'))?;
        while self.peek()? != &Token::Close('}') {
            self.node()?;
        }
        self.advance()?;
        if self.peek()? != &Token::End {
            return self.unexpected("the end of the text");
        }
        for (value, name) in outputs {
            let id = self.resolve(&value)?;
            self.graph.add_output(name.unwrap_or_else(|| value.name.into_owned()), id);
        }
        self.fill_variances();
        Ok(std::mem::replace(&mut self.graph, Graph::new("")))
    }

    fn input(&mut self) -> Parse<()> {
        self.expect(&Token::Percent)?;
        let name = self.new_name()?;
        self.expect(&Token::Colon)?;
        let ty = self.ty()?;
        self.graph.add_input(&name, ty);
        Ok(())
    }

    fn output(&mut self) -> Parse<(Value<'a>, Option<String>)> {
        let value = self.value()?;
        if self.peek()? != &Token::Word("as") {
            return Ok((value, None));
        }
        self.advance()?;
        match self.advance()? {
            (_, Token::Text(name)) => Ok((value, Some(name.into_owned()))),
            (offset, other) => syntax(offset, "the output's name in quotes", &other),
        }
    }

    fn node(&mut self) -> Parse<()> {
        match self.advance()? {
            (_, Token::At) => {
                let name = self.new_name()?;
                self.expect(&Token::Equals)?;
                self.constant(&name)
            }
            (_, Token::Percent) => {
                let name = self.new_name()?;
                self.expect(&Token::Equals)?;
                self.computed(&name)
            }
            (offset, other) => syntax(offset, "a node (@name = … or %name = …) or `}`", &other),
        }
    }

    /// The part of a computed node behind `=`.
    fn computed(&mut self, name: &str) -> Parse<()> {
        let start = self.offset;
        let op_name = self.word("an operator")?;
        let operands = self.list('(', ')', Self::operand)?;
        let attributes = self.attributes((start, op_name))?;
        let (op, operands) = operator::operator(&self.graph, (start, op_name), operands, attributes)?;
        let id = match self.graph.add(name, op, &operands) {
            Ok(id) => id,
            Err(error) => return fail(start, error),
        };
        if self.peek()? != &Token::Colon {
            return Ok(());
        }
        self.advance()?;
        let offset = self.offset;
        let (written, inferred) = (self.ty()?, self.graph.ty(id));
        if written == *inferred {
            return Ok(());
        }
        let inferred = inferred.clone();
        fail(offset, ParseProblem::TypeMismatch { value: format!("%{name}"), written, inferred })
    }

    fn operand(&mut self) -> Parse<operator::Operand<'a>> {
        let offset = self.offset;
        let label = match self.peek()? {
            Token::Word(label) => Some(*label),
            _ => None,
        };
        if label.is_some() {
            self.advance()?;
            self.expect(&Token::Equals)?;
        }
        let value = self.value()?;
        Ok(operator::Operand { offset, label, value: self.resolve(&value)? })
    }

    fn value(&mut self) -> Parse<Value<'a>> {
        let (offset, sigil) = match self.advance()? {
            (offset, Token::Percent) => (offset, '%'),
            (offset, Token::At) => (offset, '@'),
            (offset, other) => return syntax(offset, "a value (%name or @name)", &other),
        };
        Ok(Value { offset, sigil, name: self.name()? })
    }

    fn resolve(&self, value: &Value) -> Parse<NodeId> {
        let found = self.graph.find(&value.name);
        let fits = |id: &NodeId| (value.sigil == '@') == matches!(self.graph.op(*id), Op::Constant(_));
        match found.filter(fits) {
            Some(id) => Ok(id),
            None => fail(value.offset, ParseProblem::Undefined { value: format!("{}{}", value.sigil, value.name) }),
        }
    }

    fn ty(&mut self) -> Parse<TensorType> {
        let dtype = match self.advance()? {
            (_, Token::Word("f32")) => DType::F32,
            (_, Token::Word("i64")) => DType::I64,
            (offset, other) => return syntax(offset, "a type (f32[…] or i64[…])", &other),
        };
        let start = self.offset;
        let dims = self.list('[', ']', |parser| match parser.advance()? {
            (_, Token::Word("N")) => Ok(Dim::Batch),
            (offset, token) => Ok(Dim::Fixed(number(offset, &token, "a dimension (a number or N)")?)),
        })?;
        if dims.len() > MAX_RANK {
            let expected = format!("at most {MAX_RANK} dimensions");
            return fail(start, ParseProblem::Syntax { expected, found: dims.len().to_string() });
        }
        Ok(TensorType { dtype, shape: Shape::new(dims) })
    }
}

/// A value by its name, not looked up yet.
struct Value<'a> {
    offset: usize,
    sigil: char,
    name: std::borrow::Cow<'a, str>,
}

fn syntax<T>(offset: usize, expected: impl Into<String>, found: &Token) -> Parse<T> {
    fail(offset, ParseProblem::Syntax { expected: expected.into(), found: found.to_string() })
}

/// A token as a number.
fn number<T: std::str::FromStr>(offset: usize, token: &Token, expected: &str) -> Parse<T> {
    match token {
        // Rust's own parsers take a leading `+`; the lexer's words never begin with one.
        Token::Word(word) => word.parse().or_else(|_| syntax(offset, expected, token)),
        _ => syntax(offset, expected, token),
    }
}

#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod tests;
