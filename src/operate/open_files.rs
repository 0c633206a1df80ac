//! How many files and connections this process may have open.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As many as the kernel lets this process have. What it begins with is often 1,024: a thousand servers that hang would use that up, and
/// nobody could be connected to any more.
///
/// # Errors
/// The kernel or a seccomp profile refuses.
pub fn raise_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_there_may_be() {
        let before = getrlimit(Resource::Nofile);
        let less = before.maximum.map_or(65_536, |most| most - 1);
        setrlimit(Resource::Nofile, Rlimit { current: Some(less), ..before }).unwrap();
        raise_limit().unwrap();
        assert_eq!(getrlimit(Resource::Nofile), Rlimit { current: before.maximum, ..before });
    }
}
