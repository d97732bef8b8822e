//! A proxy between a node and its scheduler that can lose and change what passes.
