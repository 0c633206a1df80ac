//! Names to addresses: hickory, with the system's resolver configuration. It never asks glibc, whose resolver can crash
//! in a static binary. Which address may be used is `egress`'s business.

use std::{net::IpAddr, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use hickory_resolver::{TokioResolver, config::LookupIpStrategy, net::NetError};

/// Finds a host's addresses.
pub trait Resolve: Send + Sync {
    /// All addresses of a name, in the order to try. Empty when there are none, or nobody answers.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Vec<IpAddr>>;
}

/// The system's DNS: `/etc/resolv.conf` and `/etc/hosts`.
///
/// # Errors
/// The system's configuration can't be read.
pub fn system() -> Result<Arc<dyn Resolve>, NetError> {
    let mut builder = TokioResolver::builder_tokio()?;
    builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    Ok(Arc::new(Hickory(builder.build()?)))
}

struct Hickory(TokioResolver);

impl Resolve for Hickory {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Vec<IpAddr>> {
        let lookup = self.0.lookup_ip(host);
        lookup.map(|found| found.map(|found| found.iter().collect()).unwrap_or_default()).boxed()
    }
}
