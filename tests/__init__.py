"""Tests: the folders mirror those of the source, and each name is the promise that it keeps."""
