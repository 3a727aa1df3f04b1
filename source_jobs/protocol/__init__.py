"""A source job's side of the protocol. Pure: frames and time in, frames out."""
