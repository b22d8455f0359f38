"""Tests of the API, over HTTP against real servers."""
