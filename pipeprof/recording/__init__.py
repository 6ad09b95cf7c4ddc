"""A recorded training as frozen values that check themselves: everything else reads these.

It must not know how they were captured, what they mean, or how they are shown.
"""
