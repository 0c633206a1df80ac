//! `make bench`: how fast and how small the operator is, on a real API server, with a token server that takes 5 ms in another process.
//!
//! Every figure that depends on the machine stands beside what the API server itself allows in the same run: the same writes, made raw
//! (`limit`). What is measured and how is told in docs/performance.md; the results go to `target/bench/*.json`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a benchmark a panic is the message")]

#[path = "../../tests/support/mod.rs"]
mod support;

mod cases;
mod fleet;
mod late;
mod limit;
mod process;
mod report;
mod stage;
mod tokens;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Size {
    /// Seconds: that everything still works.
    Smoke,
    /// Twenty minutes.
    Usual,
    /// 100,000 credentials, and a long steady state: more than an hour.
    Full,
}

#[derive(Parser)]
struct Arguments {
    #[arg(long, value_enum, default_value = "usual")]
    size: Size,
    /// Only the cases whose names begin so. Repeatable.
    #[arg(long)]
    only: Vec<String>,
    /// Where the results go.
    #[arg(long, default_value = "target/bench")]
    output: PathBuf,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// The token server, which is a process of its own.
    Tokens,
}

fn main() {
    let arguments = Arguments::parse();
    let mut builder = match arguments.command {
        Some(Command::Tokens) => tokio::runtime::Builder::new_current_thread(),
        None => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.enable_all().build().unwrap();
    match arguments.command {
        Some(Command::Tokens) => runtime.block_on(tokens::serve()),
        None => runtime.block_on(run(&arguments)),
    }
}

async fn run(arguments: &Arguments) {
    let wanted = |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| name.starts_with(only));
    let mut report = report::Report::new(arguments.size, &arguments.output);
    cases::run(arguments.size, wanted, &mut report).await;
    report.print();
}
