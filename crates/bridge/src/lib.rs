//! The two adapters between the traits and the C tables.
