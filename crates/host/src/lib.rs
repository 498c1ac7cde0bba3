//! Finds, examines and loads plugins.
