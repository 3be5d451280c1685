"""Throughput: how fast musicgym is beside named peers, as ratios from one interleaved run.

Ours and the peers take turns (A B A B ...), so that whatever else the machine does meets all of
them. Time is the CPU time of a side's processes, each on one thread, because the cores may be
shared; where threads or devices are compared it is the clock on the wall, and the row says so.
"""
