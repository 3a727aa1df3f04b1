"""The protocol between agents, source jobs and clients: messages, frames and payloads.

Pure: values to bytes and back. `docs/protocol.md` is the reference.
"""
