"""The leaderboard as one page of HTML that needs no network: a table, pictures, melodies."""

from .build import LARGE, write_page

__all__ = ["LARGE", "write_page"]
