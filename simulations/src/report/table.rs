//! How does a table look? Every chart has one beside it, with the numbers that it draws.

use super::markup::{Markup, html};

/// A table with a heading above each column.
pub(super) struct Table {
    caption: Markup,
    columns: Vec<Column>,
    rows: Vec<Markup>,
}

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Align {
    Words,
    Numbers,
}

type Column = (Markup, Align);

impl Table {
    /// A table with columns of words first and columns of numbers after them.
    pub(super) fn new(caption: Markup, words: &[&str], numbers: &[&str]) -> Self {
        let words = words.iter().map(|head| (html!("{}", head), Align::Words));
        let numbers = numbers.iter().map(|head| (html!("{}", head), Align::Numbers));
        Self { caption, columns: words.chain(numbers).collect(), rows: Vec::new() }
    }

    /// Adds a row, whose first cell names it.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Markup>) {
        let cell = |(position, (cell, (_, align))): (usize, (Markup, &Column))| match (position, align) {
            (0, Align::Words) => html!("<th scope=\"row\">{}</th>", cell),
            (0, Align::Numbers) => html!("<th scope=\"row\" class=\"n\">{}</th>", cell),
            (_, Align::Words) => html!("<td>{}</td>", cell),
            (_, Align::Numbers) => html!("<td class=\"n\">{}</td>", cell),
        };
        let cells: Markup = cells.into_iter().zip(&self.columns).enumerate().map(cell).collect();
        self.rows.push(html!("<tr>{}</tr>\n", cells));
    }

    /// The table, at once to be seen.
    pub(super) fn open(self) -> Markup {
        let head = |(head, align): &Column| match align {
            Align::Words => html!("<th scope=\"col\">{}</th>", head),
            Align::Numbers => html!("<th scope=\"col\" class=\"n\">{}</th>", head),
        };
        let heads: Markup = self.columns.iter().map(head).collect();
        let rows: Markup = self.rows.into_iter().collect();
        html!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\"><table><caption>{}</caption>\
             <thead><tr>{}</tr></thead>\n<tbody>{}</tbody></table></div>\n",
            self.caption,
            self.caption,
            heads,
            rows
        )
    }

    /// The table behind a line that opens it.
    pub(super) fn folded(self, summary: &str) -> Markup {
        html!("<details><summary>{}</summary>{}</details>\n", summary, self.open())
    }
}
