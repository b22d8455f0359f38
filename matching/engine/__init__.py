"""The engine of the rounds: many needs and many offers decided together, with a proof of how good the plan is."""
