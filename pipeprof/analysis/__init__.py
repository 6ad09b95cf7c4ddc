"""From a `Profile` to findings: pure functions that know no framework, no file and no screen."""
