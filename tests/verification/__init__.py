"""Tests of the checks behind `rolecall verify`."""
