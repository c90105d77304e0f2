"""Tests in memory of what decides: no sockets, no processes, no waiting."""
