"""Where findings are shown: each module renders them into one form and never prints.

May know findings and the words of a report. Must not make sentences, nor know how a run was captured or
where it lies.
"""
