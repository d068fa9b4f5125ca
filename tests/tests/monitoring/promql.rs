//! Which metrics and labels a PromQL expression names. It finds names in expressions that Prometheus has accepted; it does
//! not judge their grammar.

use std::iter::Peekable;
use std::str::Chars;

/// What an expression names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Its selectors.
    pub selectors: Vec<Selector>,
    /// The labels that it groups or joins by.
    pub grouping: Vec<String>,
    /// Its texts that are no label's value, such as the label that `count_values` makes.
    pub texts: Vec<String>,
}

/// A metric, and which of its series.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Selector {
    pub metric: String,
    pub matchers: Vec<Matcher>,
}

/// A condition on a label.
#[derive(Debug, PartialEq, Eq)]
pub struct Matcher {
    pub label: String,
    pub value: String,
    /// Whether the value is a regular expression.
    pub pattern: bool,
}

const GROUPINGS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
const KEYWORDS: [&str; 7] = ["and", "or", "unless", "offset", "bool", "inf", "nan"];

/// A piece of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

/// What the expression names.
pub fn named(expression: &str) -> Named {
    let tokens = tokens(expression);
    let mut named = Named::default();
    let mut rest = tokens.as_slice();
    while let [token, behind @ ..] = rest {
        rest = behind;
        match token {
            Token::Word(word) if GROUPINGS.contains(&word.as_str()) => {
                let (labels, behind) = enclosed(rest, '(', ')');
                named.grouping.extend(labels.iter().filter_map(word_of));
                rest = behind;
            }
            Token::Word(word)
                if KEYWORDS.contains(&word.as_str()) || rest.first() == Some(&Token::Sign('(')) => {}
            // `sum by (label) (…)`: an aggregation, as its grouping shows.
            Token::Word(_)
                if rest.first().and_then(word_of).is_some_and(|next| GROUPINGS[..2].contains(&&*next)) => {}
            Token::Word(word) => {
                let (inside, behind) = enclosed(rest, '{', '}');
                named.selectors.push(Selector { metric: word.clone(), matchers: matchers(inside) });
                rest = behind;
            }
            Token::Text(text) => named.texts.push(text.clone()),
            Token::Sign(_) => {}
        }
    }
    named
}

fn word_of(token: &Token) -> Option<String> {
    if let Token::Word(word) = token { Some(word.clone()) } else { None }
}

/// The tokens between the brackets at the beginning, if it begins with one, and those behind.
fn enclosed(tokens: &[Token], open: char, close: char) -> (&[Token], &[Token]) {
    if tokens.first() != Some(&Token::Sign(open)) {
        return (&[], tokens);
    }
    let end = tokens.iter().position(|token| *token == Token::Sign(close)).unwrap();
    (&tokens[1..end], &tokens[end + 1..])
}

fn matchers(inside: &[Token]) -> Vec<Matcher> {
    let conditions = inside.split(|token| *token == Token::Sign(','));
    let read = |condition: &[Token]| match condition {
        [Token::Word(label), signs @ .., Token::Text(value)] => Some(Matcher {
            label: label.clone(),
            value: value.clone(),
            pattern: signs.contains(&Token::Sign('~')),
        }),
        _ => None,
    };
    conditions.filter_map(read).collect()
}

fn tokens(expression: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = expression.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            quote @ ('"' | '\'' | '`') => {
                tokens.push(Token::Text(rest.by_ref().take_while(|c| *c != quote).collect()));
            }
            // A range: durations, and variables of Grafana.
            '[' => rest.by_ref().take_while(|c| *c != ']').for_each(drop),
            digit if digit.is_ascii_digit() => drop(word(digit, &mut rest)),
            letter if letter.is_ascii_alphabetic() || letter == '_' => {
                tokens.push(Token::Word(word(letter, &mut rest)));
            }
            space if space.is_whitespace() => {}
            sign => tokens.push(Token::Sign(sign)),
        }
    }
    tokens
}

fn word(first: char, rest: &mut Peekable<Chars<'_>>) -> String {
    let mut word = String::from(first);
    while let Some(next) = rest.next_if(|c| c.is_ascii_alphanumeric() || "_:.".contains(*c)) {
        word.push(next);
    }
    word
}

#[test]
fn metrics_labels_and_values_are_found_and_functions_and_keywords_are_not() {
    let found = named(
        "1.5 * sum by (a, b) (rate(x_total{c=\"d\",e=~\"f|g\"}[$__rate_interval])) / ignoring (h) max(y) > 6e3 \
         or label_replace(z offset 1d, \"job\", \"v\", \"\", \"\") unless on (i) level:x:rate5m",
    );
    let selector = |metric: &str, matchers| Selector { metric: metric.to_owned(), matchers };
    let matcher = |label: &str, value: &str, pattern| Matcher {
        label: label.to_owned(),
        value: value.to_owned(),
        pattern,
    };
    let of_x = vec![matcher("c", "d", false), matcher("e", "f|g", true)];
    let expected = [("x_total", of_x), ("y", vec![]), ("z", vec![]), ("level:x:rate5m", vec![])];
    assert_eq!(found.selectors, expected.map(|(metric, matchers)| selector(metric, matchers)));
    assert_eq!(found.grouping, ["a", "b", "h", "i"]);
    assert_eq!(found.texts, ["job", "v", "", ""]);
}
