"""Backends: they run the one text of dynamics, rules and observation; nothing musical in them."""
