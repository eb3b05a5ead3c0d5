"""Stand-ins that the tests of the front ends share."""
