use gristmill_market::{Command, Policy};
use gristmill_protocol::Address;
use gristmill_protocol::api::AttemptRef;

use super::*;
use crate::store::memory::MemoryStore;
use crate::store::{Session, Store, TokenHash};
