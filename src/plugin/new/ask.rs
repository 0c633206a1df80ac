//! Questions, for what the command line leaves open.

use std::io::{BufRead, Write};

use crate::plugin::failure::Failure;

/// Asks a person, where there is one.
pub struct Asker<'a> {
    person: Option<(&'a mut dyn BufRead, &'a mut dyn Write)>,
}

impl<'a> Asker<'a> {
    pub fn with(input: &'a mut dyn BufRead, output: &'a mut dyn Write) -> Self {
        Self { person: Some((input, output)) }
    }

    /// Nobody is there: everything must be given.
    pub fn without() -> Self {
        Self { person: None }
    }

    /// Whether somebody can be asked.
    pub fn can_ask(&self) -> bool {
        self.person.is_some()
    }

    /// What was given, or else is answered, once `check` accepts it. A wrong answer is asked for again, with what `check` says;
    /// a wrong value on the command line is an error. `flag` is where it can be given.
    pub fn answer<T>(
        &mut self,
        given: Option<&str>,
        flag: &str,
        question: &str,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Failure> {
        if let Some(given) = given {
            return check(given).map_err(|sentence| Failure::Usage(format!("{flag}: {sentence}")));
        }
        let Some((input, output)) = &mut self.person else {
            return Err(Failure::Usage(format!("{flag} is missing, and there is no terminal to ask at.")));
        };
        loop {
            write!(output, "{question}: ").and_then(|()| output.flush()).map_err(Failure::Output)?;
            let mut answer = String::new();
            if input.read_line(&mut answer).map_err(Failure::Output)? == 0 {
                return Err(Failure::Usage(format!("no answer; {flag} gives one.")));
            }
            match check(answer.trim()) {
                Ok(value) => return Ok(value),
                Err(sentence) => writeln!(output, "  {sentence}").map_err(Failure::Output)?,
            }
        }
    }

    /// Says something before a question.
    pub fn say(&mut self, text: &str) -> Result<(), Failure> {
        match &mut self.person {
            Some((_, output)) => writeln!(output, "{text}").map_err(Failure::Output),
            None => Ok(()),
        }
    }
}
