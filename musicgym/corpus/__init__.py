"""Corpora: the chorales and a user's own files, prepared, split and kept in the cache."""
