"""Tests of Rolecall itself."""
