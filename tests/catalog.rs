//! The catalogue of providers, `deploy/catalog`: each file says what its page of `docs/catalog.md` repeats, and sends and
//! understands exactly what the provider documents. What is documented stands in the tables `tests/catalog/*.yaml`, which
//! are written from the providers' pages and not from our files. The RFCs' own examples are held to in the same way. Nothing here opens a connection. (That the API server accepts
//! every file is `refusals::catalog`.)

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the message")]

#[path = "catalog/files.rs"]
mod files;
#[path = "catalog/page.rs"]
mod page;
#[path = "catalog/placeholders.rs"]
mod placeholders;
#[path = "catalog/rfcs.rs"]
mod rfcs;
#[path = "catalog/wire.rs"]
mod wire;
