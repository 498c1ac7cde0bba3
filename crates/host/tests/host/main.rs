//! What the host loads, from outside.

#![allow(unsafe_code, reason = "these tests look into what they load")]

mod bridgestan;
