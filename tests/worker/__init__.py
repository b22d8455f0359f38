"""Tests of what happens without a request."""
