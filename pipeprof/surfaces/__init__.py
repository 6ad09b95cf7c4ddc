"""Where findings are shown: each module renders them into one form and never prints."""
