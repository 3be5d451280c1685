"""What the generators show: one part a file, put together on one page by `run`."""
