//! The library, seen from outside: repositories made by hand, in memory and in folders.

mod bombs;
mod deltas;
mod folder;
mod hostile;
mod space;
mod unavailable;
