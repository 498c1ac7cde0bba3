//! Components that cross the boundary and come back: the same bits as those that never left, whatever is
//! asked of them, and a sentence for everything that is wrong. All in one process: "plugged in" is a component
//! exported as a plugin exports it, and taken up again as the host does.

#![allow(unsafe_code)]

mod allocations;
mod errors;
mod gates;
mod host_functions;
mod plugged;
mod processes;
mod samplers;
mod scores;
mod tables;
mod targets;
