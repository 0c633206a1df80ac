//! Asking a person before something that can't be undone.

use std::io::{self, BufRead, IsTerminal, Write};

use super::failure::Failure;

/// Whether the person agrees. Where nobody can be asked, `--yes` is what agrees.
pub fn confirm(question: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "nothing was done: \"{question}\" can't be asked without a terminal. Repeat with --yes to agree."
        )));
    }
    ask(question, &mut io::stdin().lock(), &mut io::stderr())
}

fn ask(question: &str, input: &mut impl BufRead, output: &mut impl Write) -> Result<bool, Failure> {
    write!(output, "{question} [y/N] ").and_then(|()| output.flush()).map_err(Failure::Output)?;
    let mut answer = String::new();
    input.read_line(&mut answer).map_err(Failure::Output)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_agrees() {
        let answered = |answer: &str| ask("Delete it?", &mut answer.as_bytes(), &mut Vec::new()).unwrap();
        assert!(answered("y\n") && answered("YES\n"));
        assert!(!answered("\n") && !answered("") && !answered("no\n") && !answered("yesterday\n"));
    }
}
