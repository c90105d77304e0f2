"""Brings the plugin along when pytest is given this folder's path."""

pytest_plugins = ["rolecall.harness.plugin"]
