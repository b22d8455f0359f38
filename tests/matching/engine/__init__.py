"""The engine, checked from outside."""
