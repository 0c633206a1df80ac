//! `kubectl oauth`: kubectl runs this for the words that follow.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    oauth_operator::plugin::main(std::env::args_os().collect())
}
