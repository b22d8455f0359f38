"""Public figures: what is counted, which tables it makes, and what of them is withheld so that they hide everybody."""
