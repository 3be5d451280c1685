"""Reward audit: does a reward know music from noise, and what does it pay those who play it?

A reward's terms are tried on human melodies and on corrupted copies of them, on trivial policies,
on held notes that are struck again, and against the exact optimum.
"""
