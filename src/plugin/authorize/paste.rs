//! Reads what a person copied, from standard input: not from the command line, which a shell's history and the list of processes show.

use std::io::{self, IsTerminal};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::oneshot;
use zeroize::Zeroize;

use crate::{
    oauth::{authorization::Response, values::SecretText},
    plugin::{failure::Failure, tell},
};

/// The response. At a terminal it is asked for again until it is one.
pub async fn read() -> Result<SecretText, Failure> {
    loop {
        let is_terminal = io::stdin().is_terminal();
        tell("Paste the address, or the code alone, and press Enter (it isn't shown): ")?;
        let hidden = Hidden::begin();
        let line = line().await?;
        drop(hidden);
        match Response::in_pasted(line.expose()) {
            Ok(_) => return Ok(line),
            Err(why) if is_terminal => tell(&format!("That is no response: {why}. Copy the whole address.\n"))?,
            Err(why) => return Err(Failure::Usage(format!("standard input has no response: {why}."))),
        }
    }
}

/// One line. A thread that waits for it keeps nobody from ending.
async fn line() -> Result<SecretText, Failure> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line).map(|_| SecretText::new(line.trim()));
        line.zeroize();
        // Nobody may be waiting any more.
        drop(sender.send(read));
    });
    let read = receiver.await.unwrap_or_else(|_| Err(io::ErrorKind::UnexpectedEof.into()));
    let line = read.map_err(|error| Failure::Usage(format!("standard input can't be read: {error}.")))?;
    if line.expose().is_empty() && !io::stdin().is_terminal() {
        return Err(Failure::Usage("nothing came on standard input: the address is to be pasted there.".to_owned()));
    }
    Ok(line)
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Hidden {
    before: Termios,
}

impl Hidden {
    /// None: it is no terminal.
    fn begin() -> Option<Self> {
        let before = tcgetattr(io::stdin()).ok()?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(io::stdin(), OptionalActions::Now, &silent).ok()?;
        Some(Self { before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // There is nothing else to be done about it.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
