"""Agents: whatever can play, how it is trained, and how it is kept."""
