//! Tokens of the text syntax, and the parser's smallest steps on them.

use std::borrow::Cow;
use std::fmt;

use super::{Failure, Parse, ParseProblem, Parser, fail, syntax};
use crate::print::is_name_char;

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// `@`.
    At,
    /// `%`.
    Percent,
    /// `=`.
    Equals,
    /// `,`.
    Comma,
    /// `:`.
    Colon,
    /// `->`.
    Arrow,
    /// `(`, `[` or `{`.
    Open(char),
    /// `)`, `]` or `}`.
    Close(char),
    /// A keyword, a name without quotes or a number.
    Word(&'a str),
    /// The text between quotes, its escapes resolved.
    Text(Cow<'a, str>),
    /// The end of the text.
    End,
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At => f.write_str("`@`"),
            Self::Percent => f.write_str("`%`"),
            Self::Equals => f.write_str("`=`"),
            Self::Comma => f.write_str("`,`"),
            Self::Colon => f.write_str("`:`"),
            Self::Arrow => f.write_str("`->`"),
            Self::Open(c) | Self::Close(c) => write!(f, "`{c}`"),
            Self::Word(word) => write!(f, "`{word}`"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::End => f.write_str("the end of the text"),
        }
    }
}

/// What stands where no token can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadToken {
    offset: usize,
    expected: &'static str,
    found: String,
}

/// Cuts the text into tokens, one at a time.
pub(super) struct Lexer<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, position: 0 }
    }

    /// The next token and its offset.
    pub(super) fn token(&mut self) -> (usize, Result<Token<'a>, BadToken>) {
        self.skip_blanks();
        let start = self.position;
        let rest = &self.text[start..];
        let Some(first) = rest.chars().next() else {
            return (start, Ok(Token::End));
        };
        let token = match first {
            '@' => Token::At,
            '%' => Token::Percent,
            '=' => Token::Equals,
            ',' => Token::Comma,
            ':' => Token::Colon,
            '(' | '[' | '{' => Token::Open(first),
            ')' | ']' | '}' => Token::Close(first),
            '"' => return (start, self.quoted()),
            '-' if rest.starts_with("->") => Token::Arrow,
            _ => match word(rest) {
                "" => {
                    return (start, Err(BadToken { offset: start, expected: "a token", found: format!("{first:?}") }));
                }
                word => Token::Word(word),
            },
        };
        self.position += match &token {
            Token::Word(word) => word.len(),
            Token::Arrow => 2,
            _ => 1,
        };
        (start, Ok(token))
    }

    fn skip_blanks(&mut self) {
        loop {
            let rest = &self.text[self.position..];
            let trimmed = rest.trim_ascii_start();
            self.position += rest.len() - trimmed.len();
            if !trimmed.starts_with("//") {
                return;
            }
            self.position += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn quoted(&mut self) -> Result<Token<'a>, BadToken> {
        let start = self.position + 1;
        let body = &self.text[start..];
        let mut text = Cow::Borrowed("");
        let mut position = 0;
        loop {
            let run = body[position..].find(['"', '\\', '\n']).unwrap_or(body.len() - position);
            let plain = &body[position..position + run];
            // Without escapes the text is a part of the source.
            if text.is_empty() {
                text = Cow::Borrowed(plain);
            } else {
                text.to_mut().push_str(plain);
            }
            position += run;
            match body[position..].chars().next() {
                Some('"') => {
                    self.position = start + position + 1;
                    return Ok(Token::Text(text));
                }
                Some('\\') => {
                    let Some((c, length)) = unescape(&body[position..]) else {
                        let found = body[position..].chars().take(2).collect();
                        let expected = "an escape (\\\" \\\\ \\n \\t \\u{hex})";
                        return Err(BadToken { offset: start + position, expected, found });
                    };
                    text.to_mut().push(c);
                    position += length;
                }
                Some(_) | None => {
                    let found = "the end of the line".to_owned();
                    return Err(BadToken { offset: start + position, expected: "a closing quote", found });
                }
            }
        }
    }
}

/// The character of an escape at the beginning of the text, and the escape's length.
fn unescape(text: &str) -> Option<(char, usize)> {
    match text.as_bytes().get(1)? {
        b'"' => Some(('"', 2)),
        b'\\' => Some(('\\', 2)),
        b'n' => Some(('\n', 2)),
        b't' => Some(('\t', 2)),
        b'u' => {
            let digits = text[2..].strip_prefix('{')?;
            // Six digits are the most that a character has.
            let length = digits.bytes().take(7).position(|b| b == b'}')?;
            let digits = digits.get(..length).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
            Some((char::from_u32(u32::from_str_radix(digits, 16).ok()?)?, length + 4))
        }
        _ => None,
    }
}

/// The word at the beginning of a text: characters of names, a minus before them, and the sign of a number's exponent.
fn word(text: &str) -> &str {
    let bytes = text.as_bytes();
    let is_number = matches!(bytes, [b'0'..=b'9' | b'-', ..]);
    let belongs = |i: usize| match bytes[i] {
        b'-' if i == 0 => true,
        b'-' | b'+' => is_number && i > 0 && matches!(bytes[i - 1], b'e' | b'E'),
        c => is_name_char(c),
    };
    let length = (0..bytes.len()).find(|i| !belongs(*i)).unwrap_or(bytes.len());
    &text[..length]
}

impl<'a> Parser<'a> {
    /// The next token, without going past it.
    pub(super) fn peek(&self) -> Parse<&Token<'a>> {
        self.next.as_ref().map_err(|bad| {
            let problem = ParseProblem::Syntax { expected: bad.expected.to_owned(), found: bad.found.clone() };
            Failure { offset: bad.offset, problem }
        })
    }

    /// The next token and its offset, going past it.
    pub(super) fn advance(&mut self) -> Parse<(usize, Token<'a>)> {
        let token = self.peek()?.clone();
        let offset = self.offset;
        (self.offset, self.next) = self.lexer.token();
        Ok((offset, token))
    }

    pub(super) fn unexpected<T>(&self, expected: impl Into<String>) -> Parse<T> {
        syntax(self.offset, expected, self.peek()?)
    }

    pub(super) fn expect(&mut self, token: &Token<'static>) -> Parse<()> {
        if self.peek()? == token {
            self.advance()?;
            return Ok(());
        }
        self.unexpected(token.to_string())
    }

    pub(super) fn keyword(&mut self, keyword: &'static str) -> Parse<()> {
        self.expect(&Token::Word(keyword))
    }

    pub(super) fn word(&mut self, expected: &str) -> Parse<&'a str> {
        match self.advance()? {
            (_, Token::Word(word)) => Ok(word),
            (offset, other) => syntax(offset, expected, &other),
        }
    }

    /// The name behind a `%` or `@`.
    pub(super) fn name(&mut self) -> Parse<Cow<'a, str>> {
        match self.advance()? {
            (_, Token::Word(name)) if name.bytes().all(is_name_char) => Ok(Cow::Borrowed(name)),
            (_, Token::Text(name)) => Ok(name),
            (offset, other) => syntax(offset, "a name (letters, digits, `_` and `.`, or a text in quotes)", &other),
        }
    }

    /// The name of a value that is defined here.
    pub(super) fn new_name(&mut self) -> Parse<Cow<'a, str>> {
        let offset = self.offset;
        let name = self.name()?;
        if name.is_empty() {
            return fail(offset, ParseProblem::Syntax { expected: "a name".into(), found: "an empty one".into() });
        }
        if self.graph.find(&name).is_some() {
            return fail(offset, ParseProblem::Redefined { name: name.into_owned() });
        }
        Ok(name)
    }

    /// Items with commas between them, in brackets.
    pub(super) fn list<T>(
        &mut self,
        open: char,
        close: char,
        mut item: impl FnMut(&mut Self) -> Parse<T>,
    ) -> Parse<Vec<T>> {
        let close = Token::Close(close);
        self.expect(&Token::Open(open))?;
        let mut items = Vec::new();
        if *self.peek()? == close {
            self.advance()?;
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            match self.advance()? {
                (_, Token::Comma) => {}
                (_, token) if token == close => return Ok(items),
                (offset, other) => return syntax(offset, format!("`,` or {close}"), &other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<Token<'_>> {
        let mut lexer = Lexer::new(text);
        std::iter::from_fn(|| lexer.token().1.ok().filter(|token| *token != Token::End)).collect()
    }

    #[test]
    fn cuts_numbers_arrows_and_names() {
        let words = |text| tokens(text).into_iter().map(|t| t.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(words("1e-5,-inf->%a.b_1 // no\n-2.5E+3"), "`1e-5` `,` `-inf` `->` `%` `a.b_1` `-2.5E+3`");
        assert_eq!(words("one-two"), "`one` `-two`");
    }

    #[test]
    fn resolves_escapes() {
        assert_eq!(tokens(r#""a\"b\\\n\t\u{7f}ü""#), [Token::Text("a\"b\\\n\t\u{7f}ü".into())]);
        assert_eq!(tokens(r#""" "\u{10ffff}""#), [Token::Text("".into()), Token::Text("\u{10ffff}".into())]);
        for bad in
            [r#""open"#, r#""\x""#, r#""\u{}""#, r#""\u{d800}""#, r#""\u{1234567}""#, r#""\u{ü}""#, "\"a\nb\"", "\"\\"]
        {
            assert!(Lexer::new(bad).token().1.is_err(), "{bad}");
        }
    }
}
