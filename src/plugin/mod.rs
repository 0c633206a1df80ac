//! `kubectl oauth`: what a person asks about credentials, and asks of the operator. It acts with that person's rights, and
//! reads and annotates objects; it refreshes nothing itself, and prints of what a Secret holds no more than where a person goes
//! to consent.
//!
//! `flags` says what can be asked; a module a command carries it out. What a command says is rendered by pure functions over
//! objects and `now`.

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use serde::Serialize;

use connection::Connection;
use failure::Failure;
use flags::{Command, Flags, Format};

use crate::shown::harmless;

mod account;
mod authorize;
mod catalog;
mod check;
mod completion;
mod confirm;
mod connection;
mod failure;
mod flags;
mod new;
mod prune;
mod refresh;
mod revoke;
mod seen;
mod status;
mod text;

/// How a command ended that did what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is well. Exit status 0.
    Good,
    /// The answer is no: not Ready, not refreshed, not in order. Exit status 1.
    Bad,
}

impl Verdict {
    fn of(good: bool) -> Self {
        if good { Self::Good } else { Self::Bad }
    }
}

/// Runs the command line `arguments`, the program's name first.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    match Flags::try_parse_from(arguments) {
        Ok(flags) => ended(carry_out(flags)),
        Err(error) => {
            // Help and version come this way too, and go to standard output. There is nowhere to report a failure to print.
            drop(error.print());
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}

fn ended(result: Result<Verdict, Failure>) -> ExitCode {
    match result {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::from(1),
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            // As above.
            drop(tell(&format!("error: {failure}\n")));
            ExitCode::from(failure.exit_status())
        }
    }
}

fn carry_out(flags: Flags) -> Result<Verdict, Failure> {
    match &flags.command {
        Command::New(asked) => return new::run(asked, flags.target.namespace.as_deref()),
        Command::Completion(asked) => return completion::script(asked.shell).map(|()| Verdict::Good),
        Command::Complete { words } => return completion::answer(words).map(|()| Verdict::Good),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Output)?;
    runtime.block_on(async {
        let connection = Connection::open(&flags.target).await?;
        match &flags.command {
            Command::Status(asked) => status::run(&connection, asked).await,
            Command::Authorize(asked) => authorize::run(&connection, asked).await,
            Command::Refresh(asked) => refresh::run(&connection, asked).await,
            Command::Revoke(asked) => revoke::run(&connection, asked).await,
            Command::Prune(asked) => prune::run(&connection, asked).await,
            Command::Check(asked) => check::run(&connection, asked).await,
            Command::New(_) | Command::Completion(_) | Command::Complete { .. } => Ok(Verdict::Good),
        }
    })
}

/// Writes to standard output.
fn put(text: &str) -> Result<(), Failure> {
    write(io::stdout().lock(), text)
}

/// Tells the person something that is no part of the answer.
fn tell(text: &str) -> Result<(), Failure> {
    write(io::stderr().lock(), text)
}

/// Specs and servers say what they like: none of it reaches the terminal itself.
fn write(mut output: impl Write, text: &str) -> Result<(), Failure> {
    output.write_all(harmless(text).as_bytes()).and_then(|()| output.flush()).map_err(Failure::Output)
}

/// Writes to standard output as JSON or YAML.
fn put_as(format: Format, value: &impl Serialize) -> Result<(), Failure> {
    let text = match format {
        Format::Json => serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(io::Error::other),
        Format::Yaml => serde_yaml_ng::to_string(value).map_err(io::Error::other),
    };
    put(&text.map_err(Failure::Output)?)
}
