//! The sandboxed template engine of output templates and request-header templates: Jinja syntax, undefined is an error,
//! work and output are bounded, and nothing outside the given context can be reached (there is no loader, and the
//! statements that would need one, such as `include`, are not compiled in).
//!
//! What a template may see is its caller's business. No error holds a value of the context: only words of the
//! template's own source, and line numbers.

use std::{
    fmt, io,
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose};
use minijinja::{Environment, ErrorKind, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::shown::is_disruptive;

pub use minijinja::Value;

#[cfg(test)]
#[path = "template/tests.rs"]
mod tests;

/// Longest text that a template may render, in bytes: what a Secret can hold.
pub const MAX_OUTPUT: usize = 1 << 20;
/// Work that may be done for one Secret, or for one request. One unit is an instruction or 64 bytes produced, so this bounds memory at
/// 16 MiB too.
const FUEL: u64 = 1 << 18;
/// Nesting of macros and recursive loops.
const MAX_RECURSION: usize = 32;
/// Longest word of the template's source that an error repeats, in characters.
const MAX_EXCERPT: usize = 120;
const NAME: &str = "template";

/// Why a template could not be parsed or rendered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TemplateError {
    /// The source is no template, or names a filter, test or function that doesn't exist. The spec is wrong.
    #[error("the template does not parse{}: {detail}", at(*line))]
    Syntax { line: Option<usize>, detail: String },
    /// A name is not there, such as a field that the reply doesn't have.
    #[error("the template uses {}, which is not there{}", quoted(expression), at(*line))]
    MissingField { line: Option<usize>, expression: Option<String> },
    /// An operation failed on the values at hand, such as `int` of a word or `b64decode` of something else.
    #[error("the template fails at {}{}", quoted(expression), at(*line))]
    Failed { line: Option<usize>, expression: Option<String> },
    /// The engine panicked.
    #[error("the template meets a defect of the template engine: write it in another way")]
    Broken,
    /// The work is bounded.
    #[error("the template needs too much work: make it simpler")]
    TooMuchWork,
    /// The output is bounded.
    #[error("the template renders more than 1 MiB: make it shorter")]
    TooLarge,
}

impl TemplateError {
    /// Whether the source alone is at fault, so that no other reply could mend it.
    pub fn is_syntax(&self) -> bool {
        matches!(self, Self::Syntax { .. })
    }
}

/// The work that templates which belong together may still do: all keys of a Secret, all headers of a request.
#[derive(Debug)]
pub struct Work(u64);

impl Default for Work {
    fn default() -> Self {
        Self(FUEL)
    }
}

/// A parsed template. Cheap to clone.
#[derive(Clone)]
pub struct Template {
    environment: Arc<Environment<'static>>,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// `Syntax`; `Broken`.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        contained(|| Self::parsed(source))
    }

    fn parsed(source: &str) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        // A Secret's key holds what was written, its last newline included.
        if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
            environment.set_syntax(syntax);
        }
        environment.set_recursion_limit(MAX_RECURSION);
        // Only for the position of an error in the source; what else it collects is dropped in `describe`.
        environment.set_debug(true);
        environment.remove_global("debug");
        environment.add_filter("b64encode", b64encode);
        environment.add_filter("b64decode", b64decode);
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(|error| TemplateError::Syntax { line: error.line(), detail: syntax_detail(&error) })?;
        Ok(Self { environment: Arc::new(environment) })
    }

    /// Renders the template in this context (see [`value`]).
    ///
    /// # Errors
    /// `MissingField`, `Failed` and `Broken` depend on the context; `Syntax` is a name that the engine doesn't know.
    pub fn render(&self, context: Value, work: &mut Work) -> Result<Zeroizing<String>, TemplateError> {
        contained(|| self.rendered(context, work))
    }

    fn rendered(&self, context: Value, work: &mut Work) -> Result<Zeroizing<String>, TemplateError> {
        let mut environment = Environment::clone(&self.environment);
        environment.set_fuel(Some(work.0));
        let template = environment.get_template(NAME).map_err(|error| describe(&error))?;
        let mut output = Output::default();
        let rendered = template.render_captured_to(context, &mut output);
        let left = rendered.map(|captured| captured.state().fuel_levels().map_or(0, |(_, remaining)| remaining));
        if output.overflowed {
            return Err(TemplateError::TooLarge);
        }
        work.0 = left.map_err(|error| describe(&error))?;
        output.into_text()
    }

    /// The names at the top of the context that the template may use, such as `access_token`.
    pub fn variables(&self) -> Vec<String> {
        let found = self.environment.get_template(NAME).map(|template| template.undeclared_variables(false));
        let mut names: Vec<String> = found.unwrap_or_default().into_iter().collect();
        names.sort();
        names
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Template(…)")
    }
}

/// The engine's filters panic here and there (3.1's `format` does at a key of several bytes a character: `%(é`). Who wrote the
/// template is told so, as of any other failure of it. What a panic may leave half done is dropped with it.
fn contained<T>(work: impl FnOnce() -> Result<T, TemplateError>) -> Result<T, TemplateError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(TemplateError::Broken))
}

/// A context value made of anything that serializes, such as a reply's fields.
pub fn value(content: &impl Serialize) -> Value {
    Value::from(Serde(content))
}

fn at(line: Option<usize>) -> String {
    line.map(|line| format!(" (line {line})")).unwrap_or_default()
}

fn quoted(expression: &Option<String>) -> String {
    expression.as_ref().map_or_else(|| "a name".to_owned(), |expression| format!("`{expression}`"))
}

fn syntax_detail(error: &minijinja::Error) -> String {
    // A parse error's detail speaks of the source only: no context exists yet.
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    excerpt(&detail)
}

fn excerpt(text: &str) -> String {
    let text: String = text.chars().map(|character| if is_disruptive(character) { ' ' } else { character }).collect();
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(MAX_EXCERPT) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

/// Our own error for the library's: its text may hold values, so only its kind and its place in the source are used.
fn describe(error: &minijinja::Error) -> TemplateError {
    let line = error.line();
    let source = error.range().zip(error.template_source());
    let expression = source.and_then(|(range, source)| source.get(range)).map(excerpt).filter(|text| !text.is_empty());
    let unknown =
        |what: &str| TemplateError::Syntax { line, detail: format!("unknown {what} in {}", quoted(&expression)) };
    match error.kind() {
        ErrorKind::UndefinedError => TemplateError::MissingField { line, expression },
        ErrorKind::OutOfFuel => TemplateError::TooMuchWork,
        ErrorKind::UnknownFilter => unknown("filter"),
        ErrorKind::UnknownTest => unknown("test"),
        ErrorKind::UnknownFunction => unknown("function"),
        ErrorKind::UnknownMethod => unknown("method"),
        _ => TemplateError::Failed { line, expression },
    }
}

fn b64encode(text: &str) -> String {
    general_purpose::STANDARD.encode(text)
}

/// Both alphabets, with or without padding.
fn b64decode(text: &str) -> Result<String, minijinja::Error> {
    let engine = general_purpose::GeneralPurpose::new(
        if text.contains(['-', '_']) { &base64::alphabet::URL_SAFE } else { &base64::alphabet::STANDARD },
        general_purpose::GeneralPurposeConfig::new()
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
    );
    let failed = |what: &'static str| minijinja::Error::new(ErrorKind::InvalidOperation, what);
    let bytes = engine.decode(text.trim()).map_err(|_| failed("not base64"))?;
    String::from_utf8(bytes).map_err(|_| failed("not UTF-8 once decoded"))
}

/// A bounded sink that leaves no copy of a secret behind when it grows.
#[derive(Default)]
struct Output {
    bytes: Zeroizing<Vec<u8>>,
    overflowed: bool,
}

impl Output {
    fn into_text(mut self) -> Result<Zeroizing<String>, TemplateError> {
        let bytes = std::mem::take(&mut *self.bytes);
        // The engine writes text only.
        String::from_utf8(bytes).map(Zeroizing::new).map_err(|_| TemplateError::Failed { line: None, expression: None })
    }
}

impl Write for Output {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let needed = self.bytes.len().saturating_add(part.len());
        if needed > MAX_OUTPUT {
            self.overflowed = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if needed > self.bytes.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two().max(256)));
            larger.extend_from_slice(&self.bytes);
            self.bytes = larger;
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
