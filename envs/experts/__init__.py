"""One file per expert: a stateless rule from what is observed to tool commands in SI units, smooth enough to be imitated.

A student copies an expert badly where it stands still on the edge of a decision (let go? go on?) or jumps between two answers.
So every aim lies beyond the threshold it must cross, and what is blended can be blended.
"""
