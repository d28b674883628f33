//! Tables for people: columns padded to their widest cell.

use std::borrow::Cow;

use super::say::printable;

/// A table. Cells of a column are aligned alike.
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// One column.
#[derive(Clone)]
pub(crate) enum Column {
    /// Text, from the left.
    Text(Cow<'static, str>),
    /// A number, to the right.
    Number(Cow<'static, str>),
}

impl Table {
    pub(crate) fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row of as many cells as there are columns. Names of files and classes may be in them: control characters, which would move a terminal's cursor or
    /// colour what follows, are shown as such.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell)).collect());
    }

    /// The lines of the table, its header first, each after `indent` spaces.
    pub(crate) fn render(&self, indent: usize) -> String {
        let header: Vec<String> = self.columns.iter().map(|column| column.title().to_owned()).collect();
        let all = || std::iter::once(&header).chain(&self.rows);
        let width = |i: usize| all().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = String::new();
        for row in all() {
            let mut line = " ".repeat(indent);
            for ((column, width), cell) in self.columns.iter().zip(&widths).zip(row) {
                let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
                let [before, after] = match column {
                    Column::Text(_) => ["", &padding],
                    Column::Number(_) => [&padding, ""],
                };
                line.extend([before, cell, after, "  "]);
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

impl Column {
    /// A column of text.
    pub(crate) fn text(title: impl Into<Cow<'static, str>>) -> Self {
        Self::Text(title.into())
    }

    /// A column of numbers.
    pub(crate) fn number(title: impl Into<Cow<'static, str>>) -> Self {
        Self::Number(title.into())
    }

    fn title(&self) -> &str {
        match self {
            Self::Text(title) | Self::Number(title) => title,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&[Column::text("pass"), Column::number("n")]);
        table.row(["fold".to_owned(), "7".to_owned()]);
        table.row(["×".to_owned(), "100".to_owned()]);
        assert_eq!(table.render(1), " pass    n\n fold    7\n ×     100\n");
    }
}
