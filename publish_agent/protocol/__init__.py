"""An agent's side of the protocol. Pure: messages and time in, messages out."""
