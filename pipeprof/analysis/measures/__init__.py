"""What a recording says by itself: times, costs, parts of the account, how busy lanes and processors were.

May know findings. Must not know a verdict: a measure means the same whatever is concluded from it.
"""
