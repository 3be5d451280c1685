"""Listening: blind pages of pairs, what listeners chose on them, and what that says of systems."""
