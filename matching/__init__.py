"""The domain: what fits, what is better, who gets what, and why; pure Python."""
